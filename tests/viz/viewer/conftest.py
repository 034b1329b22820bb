"""What makes pages with the rig quick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facekit.conventions import BLENDSHAPES
from facekit.pipeline import FacePipeline


@pytest.fixture(scope="module")
def few_pairs(default_pipeline: FacePipeline) -> Iterator[None]:
    """Of the pairs of shapes that a page tells apart from their sum, one in twelve: all of them take ten seconds."""
    posed = {BLENDSHAPES.index(name) for name in ("jawOpen", "mouthClose", "mouthShrugLower", "mouthSmileLeft")}
    few = tuple(pair for k, pair in enumerate(default_pipeline.shape_pairs) if k % 12 == 0 or set(pair) <= posed)
    assert len(few) > 10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FacePipeline, "shape_pairs", property(lambda self: few))
        yield
