"""The segmentation network: its input, and that it separates hair, glasses and hands from skin, and beards on it."""

from __future__ import annotations

import pytest
import torch

from facekit.evaluate.occluders import OCCLUDERS
from facekit.evaluate.photographs import misfitted, photograph
from facekit.models.skin_mask import CHANNELS, MASK_SIZE, OUTPUTS, SkinMask
from facekit.reconstruct.texture.segment import guide, network, segmented, window
from facekit.reconstruct.texture.views import View


def test_the_network_keeps_the_size():
    made = SkinMask((8, 8, 8))(torch.rand(2, CHANNELS, 32, 48))
    assert made.shape == (2, OUTPUTS, 32, 48)


def test_guides_show_the_face_in_the_middle(default_pipeline):
    taken = photograph(default_pipeline, 60_001, size=256, yaw=0.0)
    view = View.of(taken.picture, taken.verts, taken.camera, default_pipeline.template)
    seen = guide(view, default_pipeline.template)
    assert seen.shape == (CHANNELS, MASK_SIZE, MASK_SIZE)
    assert float(seen[:8].abs().max()) <= 1.001
    middle = slice(MASK_SIZE * 2 // 5, MASK_SIZE * 3 // 5)
    assert float(seen[8, middle, middle].mean()) > 0.8
    left, top, side = window(view, default_pipeline.template)
    assert side > 100
    # The tile's u runs with the picture's columns, its v up.
    skin = seen[8] > 0
    rows, columns = skin.nonzero().float().T
    assert float(torch.corrcoef(torch.stack((columns, seen[6][skin])))[0, 1]) > 0.6
    assert float(torch.corrcoef(torch.stack((rows, seen[7][skin])))[0, 1]) < -0.8


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in OCCLUDERS if kind != "glasses"])
def test_what_lies_in_front_is_found(default_pipeline, kind):
    """Most covered pixels are excluded; most bare pixels are kept.

    Glasses are left to the rule of colours: the network finds a third of them.
    """
    covered, bare = [], []
    for seed in range(60_100, 60_104):
        taken = photograph(default_pipeline, seed, size=256, occluder=kind)
        wrong = misfitted(taken.verts, 1.5, seed)
        view = View.of(taken.picture, wrong, taken.camera, default_pipeline.template)
        said = segmented(network(), view, default_pipeline.template)[0]
        # The view is a cut of the picture: the truth is cut likewise.
        truth = taken.covered[..., None].expand(-1, -1, 3)
        other = View.of(truth, wrong, taken.camera, default_pipeline.template)
        cover = other.picture[0]
        left, top, side = window(view, default_pipeline.template)
        inside = torch.zeros_like(said, dtype=torch.bool)
        inside[max(0, top) : top + side, max(0, left) : left + side] = True
        skin = (
            inside
            & (view.ids >= 0)
            & (default_pipeline.template.parts[default_pipeline.template.faces[view.ids.clamp_min(0)]] == 0).all(-1)
        )
        covered.append(said[skin & (cover > 0.9)])
        bare.append(said[skin & (cover < 0.01)])
    found, kept = torch.cat(covered), torch.cat(bare)
    assert len(found) > 200
    assert float((found < 0.5).float().mean()) > 0.8
    assert float((kept > 0.5).float().mean()) > 0.88
