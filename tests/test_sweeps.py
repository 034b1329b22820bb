"""Sweeps change one variable and keep everything else fixed."""

from __future__ import annotations

import pytest
import torch

from facekit import EXPRESSIONS, FaceLatents, sweep_expressions, sweep_intensity
from facekit.errors import InputError

STILL = ("identity", "shape_noise", "texture_noise", "style")


def test_intensity_sweep(tiny_pipe):
    latents = FaceLatents.sample(7)
    faces = sweep_intensity(tiny_pipe, latents, "smile")
    assert len(faces) == 15
    assert faces.metadata["expression"] == "smile"
    torch.testing.assert_close(torch.tensor(faces.metadata["intensity"]), torch.linspace(0, 1.5, 15))
    torch.testing.assert_close(faces.latents.expression[:, EXPRESSIONS.index("smile")], torch.linspace(0, 1.5, 15))
    for name in STILL:
        assert torch.equal(getattr(faces.latents, name), getattr(latents, name).expand(15, -1))


def test_intensity_sweep_of_a_blend(tiny_pipe):
    faces = sweep_intensity(tiny_pipe, FaceLatents.sample(7), {"smile": 1.0, "brow_raiser": 0.5}, steps=3, stop=1.0)
    assert faces.metadata["intensity"] == [0.0, 0.5, 1.0]
    assert faces[2].expression_weights() == [{"smile": 1.0, "brow_raiser": 0.5}]
    assert faces[0].expression_weights() == [{}]


def test_expression_sweep(tiny_pipe):
    latents = FaceLatents.sample(7)
    faces = sweep_expressions(tiny_pipe, latents)
    assert faces.metadata["expression"] == list(EXPRESSIONS)
    torch.testing.assert_close(faces.latents.expression, torch.eye(20))
    for name in STILL:
        assert torch.equal(getattr(faces.latents, name), getattr(latents, name).expand(20, -1))
    few = sweep_expressions(tiny_pipe, latents, ["anger", "grin"], intensity=0.5)
    assert few.metadata["expression"] == ["anger", "grin"]
    assert few[1].expression_weights() == [{"grin": 0.5}]


@pytest.mark.parametrize("steps", [1, 0, 2.5, "15"])
def test_bad_steps_are_told(tiny_pipe, steps):
    with pytest.raises(InputError, match="steps"):
        sweep_intensity(tiny_pipe, FaceLatents.sample(7), "smile", steps=steps)


@pytest.mark.parametrize("stop", [0, -1.0, float("nan"), float("inf"), "1.5"])
def test_bad_stops_are_told(tiny_pipe, stop):
    with pytest.raises(InputError, match="stop"):
        sweep_intensity(tiny_pipe, FaceLatents.sample(7), "smile", stop=stop)


def test_other_bad_input_is_told(tiny_pipe):
    two = FaceLatents.sample(7, count=2)
    with pytest.raises(InputError, match="one face, got 2"):
        sweep_intensity(tiny_pipe, two, "smile")
    with pytest.raises(InputError, match="one face, got 2"):
        sweep_expressions(tiny_pipe, two)
    with pytest.raises(InputError, match="empty list"):
        sweep_expressions(tiny_pipe, two[0], [])
    with pytest.raises(InputError, match="'wink'"):
        sweep_expressions(tiny_pipe, two[0], ["wink"])
    with pytest.raises(InputError, match="'wink'"):
        sweep_intensity(tiny_pipe, two[0], "wink")
