"""Figures of textures, on flat and noisy pictures whose figures are known."""

from __future__ import annotations

import pytest
import torch

from facekit.evaluate.texture import fine_energy_ratio, largest_step, octave_ratios, texture_figures
from facekit.metrics.texture import delta_e


def flat(*greys: float, size: int = 8) -> torch.Tensor:
    return torch.tensor(greys)[:, None, None, None].expand(-1, 3, size, size).clone()


def test_a_perfect_generator():
    wanted, rest = flat(0.3, 0.7), flat(0.25, 0.6)
    found = texture_figures(wanted, rest, wanted, rest)
    assert found.delta_e == 0.0
    assert found.expression_explained == 1.0
    assert found.delta_e_between_people == pytest.approx(float(delta_e(flat(0.3), flat(0.7)).mean()))


def test_half_of_the_change_explains_three_quarters_of_its_energy():
    wanted, rest = flat(0.4, 0.6), flat(0.3, 0.5)
    found = texture_figures((wanted + rest) / 2, rest, wanted, rest)
    assert found.expression_explained == pytest.approx(0.75, abs=1e-5)
    ignored = texture_figures(rest, rest, wanted, rest)
    assert ignored.expression_explained == pytest.approx(0.0, abs=1e-5)
    # A wrong face, the same for both, is an error of colour and none of the expression.
    shifted = texture_figures(wanted + 0.1, rest + 0.1, wanted, rest)
    assert shifted.expression_explained == pytest.approx(1.0, abs=1e-5)
    assert shifted.delta_e > 5


def test_the_largest_step_of_a_sweep():
    sweep = flat(0.50, 0.51, 0.60, 0.61)
    assert largest_step(sweep) == pytest.approx(float(delta_e(flat(0.51), flat(0.60)).mean()), rel=1e-5)
    assert largest_step(flat(0.5, 0.5)) == 0.0


def test_grain_of_half_the_deviation_has_a_quarter_of_the_energy():
    noise = torch.randn(2, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    strong, weak = (0.5 * (1 + k * noise).expand(-1, 3, -1, -1) for k in (0.1, 0.05))
    assert fine_energy_ratio(weak, strong) == pytest.approx(0.25, rel=0.01)
    assert fine_energy_ratio(flat(0.5, size=128), strong) == pytest.approx(0.0, abs=1e-6)


def test_octaves_are_told_from_each_other():
    """Missing grain of one octave is reported in that octave only."""
    radius = torch.hypot(torch.fft.fftfreq(256)[:, None], torch.fft.rfftfreq(256))
    noise = torch.fft.rfft2(torch.randn(1, 256, 256, generator=torch.Generator().manual_seed(1)))
    without = noise * ~((radius > 0.10) & (radius < 0.27))
    whole, gap = ((0.5 * (1 + 0.05 * torch.fft.irfft2(f)))[:, None].expand(-1, 3, -1, -1) for f in (noise, without))
    ratios = octave_ratios(gap, whole)
    assert len(ratios) == 4
    assert ratios[2] < 0.15
    assert ratios[0] == pytest.approx(1.0, abs=0.1) and ratios[3] == pytest.approx(1.0, abs=0.15)
