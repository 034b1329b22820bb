"""Notebook display of objects: a picture and one line, no printed tensors."""

from __future__ import annotations

import io

from PIL import Image


def test_a_face_shows_itself(tiny_face, tiny_sweep):
    picture = Image.open(io.BytesIO(tiny_face._repr_png_()))
    assert picture.size == (224, 224)
    shown = tiny_face._repr_html_()
    assert "data:image/jpeg;base64," in shown and "1 face" in shown
    assert len(shown) < 60_000
    assert Image.open(io.BytesIO(tiny_sweep._repr_png_())).width == 224 * min(len(tiny_sweep), 6)


def test_lines_are_short(tiny_face, default_pipeline):
    face = default_pipeline(seed=15, expression="smile", intensity=0.8)
    assert repr(face) == "FaceOutput(1 face, seed=15, smile=0.8, detail, 24,586 vertices, 'default')"
    pictures = tiny_face.render(image_size=32)
    for thing in (tiny_face, tiny_face.mesh, tiny_face.latents, pictures, default_pipeline):
        assert len(repr(thing)) < 120 and "tensor" not in repr(thing)
    assert Image.open(io.BytesIO(pictures._repr_png_())).size == (32, 32)


def test_a_pipeline_shows_a_card(default_pipeline):
    card = default_pipeline._repr_html_()
    assert "24,586 vertices" in card and "MIT" in card and len(card) < 2000
