"""Heat maps: colours on the mesh match the colour bar."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import InputError
from facekit.viz.heat import colour_bar, heat_colours, heat_mesh, heat_scale, render_heat


def test_scales_hold_the_values():
    values = torch.linspace(-2, 1, 2001)
    low, high = heat_scale(values, signed=True)
    assert low == -high
    assert high == pytest.approx(2, abs=0.02)
    assert heat_scale(torch.zeros(5)) == (0, 1), "never empty"
    few = torch.zeros(10_000)
    few[:3] = 2.0
    assert heat_scale(few) == (0, 2), "what is small in area is not small"


def test_signed_colours_are_white_at_zero_and_apart_at_the_ends():
    below, zero, above = heat_colours(torch.tensor([-1.0, 0.0, 1.0]), -1, 1, signed=True)
    assert float(zero.min()) > 0.95
    assert float(above[0] - above[2]) > 0.2, "red above"
    assert float(below[2] - below[0]) > 0.2, "blue below"
    assert torch.equal(heat_colours(torch.tensor(9.0), 0, 1), heat_colours(torch.tensor(1.0), 0, 1))
    with pytest.raises(InputError, match="high above low"):
        heat_colours(torch.zeros(3), 1, 1)


def test_vertex_values_reach_every_texel_of_the_mesh(tiny_mesh):
    painted = heat_mesh(tiny_mesh, torch.full((1, 234), 3.0), 0, 3)
    hot = heat_colours(torch.tensor(3.0), 0, 3)
    picture = render_heat(tiny_mesh, torch.full((1, 234), 3.0), 0, 3, image_size=64)[0]
    head = picture[:, 20:44, 24:40]
    tint = head[2] / head[0]
    assert float(tint.max()) < 0.55, "light changes the brightness; nowhere does what lies outside the charts shine in"
    assert painted.parts is None
    assert float((painted.texture[0, :, 256, 256] - hot).abs().max()) < 0.02


def test_texel_values_are_taken_as_they_are(tiny_mesh):
    values = torch.zeros(1, 1, 64, 64)
    values[..., 32:] = 1.0
    texture = heat_mesh(tiny_mesh, values, 0, 1).texture
    assert torch.allclose(texture[0, :, 40, 40], heat_colours(torch.tensor(1.0), 0, 1), atol=1e-3)
    assert torch.allclose(texture[0, :, 40, 10], heat_colours(torch.tensor(0.0), 0, 1), atol=1e-3)


def test_wrong_shapes_are_refused(tiny_mesh):
    for values in (torch.zeros(1, 5), torch.zeros(2, 234), torch.zeros(1, 3, 8, 8)):
        with pytest.raises(InputError, match="one number per vertex"):
            heat_mesh(tiny_mesh, values, 0, 1)


def test_the_bar_runs_through_the_scale():
    bar = colour_bar(400, 0, 5, "mm", theme="light")
    assert bar.width == 400
    row = next(y for y in range(bar.height) if bar.getpixel((30, y))[2] < 220 and bar.getpixel((200, y))[2] < 120)
    pale, dark = bar.getpixel((14, row)), bar.getpixel((250, row))
    assert sum(pale) > sum(dark) + 150
