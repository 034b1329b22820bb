"""What photographs of one process share."""

from __future__ import annotations

import torch

from facekit.reconstruct.model import PhotoModel, loaded


def test_the_default_is_loaded_once_and_a_given_pipeline_is_taken(default_pipeline):
    pipe, again = loaded("default"), loaded("default")
    assert again is pipe and PhotoModel.of(again).points is PhotoModel.of(pipe).points
    assert loaded(default_pipeline) is default_pipeline


def test_what_inference_mode_makes_is_not_kept():
    kept = loaded("default")
    with torch.inference_mode():
        pipe = loaded("default")
    assert pipe is not kept
    assert not any(tensor.is_inference() for tensor in kept.texture.parameters())
