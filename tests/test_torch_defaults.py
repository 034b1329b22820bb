"""torch's own settings are the user's: facekit's results do not hang on them."""

from __future__ import annotations

import contextlib

import pytest
import torch

import facekit
from facekit.render import Camera
from facekit.torch_defaults import with_torch_defaults


@contextlib.contextmanager
def setting(name: str):
    if name == "autocast":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield
        return
    try:
        torch.set_default_dtype(torch.float64) if name == "float64" else torch.set_default_device("meta")
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


@pytest.mark.parametrize("name", ["float64", "autocast", "device"])
def test_faces_are_the_same(default_pipeline, tmp_path, name):
    def made():
        face = default_pipeline(seed=7, expression="smile", intensity=0.8)
        picture = face.render(Camera.three_quarter(), image_size=32).rgb
        back = facekit.load(face.save(tmp_path / "face.ply"))
        return face.verts, face.texture, face.displacement, picture, back.verts, back.vertex_colors

    before = made()
    with setting(name):
        after = made()
    for a, b in zip(before, after, strict=True):
        assert a.dtype == b.dtype == torch.float32 and torch.equal(a, b)


def test_settings_come_back():
    with setting("float64"):
        assert with_torch_defaults(torch.zeros)(1).dtype == torch.float32
        assert torch.zeros(1).dtype == torch.float64
