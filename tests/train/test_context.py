"""Scaling of a training run."""

from __future__ import annotations

from pathlib import Path

import pytest

from facekit.models.config import TextureConfig
from facekit.train.context import Context

FOLDERS = (Path("pack"), Path("work"), Path("out"), Path("manifest.json"))


def test_scales_have_floors():
    context = Context(*FOLDERS, steps_scale=0.01, width_scale=0.125)
    assert context.scaled(8000) == 80
    assert context.scaled(10) == 1
    assert context.scaled(10, least=2) == 2
    assert context.widths(256, 72, 8) == (32, 9, 4)


def test_the_full_run_has_the_shipped_sizes(default_pipeline):
    context = Context(*FOLDERS)
    assert context.scaled(12_000) == 12_000
    assert (
        context.texture_config
        == default_pipeline.texture.config
        == TextureConfig((128, 128, 96, 64, 32, 24, 16, 12), True)
    )
    detail = default_pipeline.detail_layer.model.config
    assert context.detail_config == detail


def test_a_context_does_not_change():
    with pytest.raises(AttributeError):
        Context(*FOLDERS).steps_scale = 2.0
