"""Samples of the skin mask, hair on heads, and that the network learns from them."""

from __future__ import annotations

import numpy as np
import torch

from facekit.evaluate.photographs import photograph
from facekit.models.skin_mask import CHANNELS, MASK_SIZE, SkinMask
from facekit.render import Camera
from facekit.render.rasterize import rasterize
from facekit.train.mask.beards import beard, zones
from facekit.train.mask.data import make_samples
from facekit.train.mask.hair import HairStyle, draw_hair
from facekit.train.mask.stage import train_mask, varied


def cap(folder, template):
    """Hair in the pack's format: one card on the crown."""
    top = template.verts[:, 1].max()
    corners = np.array([[-50, top + 3, -60], [50, top + 3, -60], [50, top + 3, 60], [-50, top + 3, 60]], np.float32)
    arrays = {"verts": corners, "uvs": np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)}
    arrays["faces"] = arrays["faces_uvs"] = np.array([[0, 1, 2], [0, 2, 3]])
    (folder / "hair").mkdir()
    np.savez(folder / "hair" / "hair.npz", **{f"cap/{name}": value for name, value in arrays.items()})
    return folder / "hair"


def test_hair_is_drawn_where_it_lies(default_pipeline, tmp_path):
    template = default_pipeline.template
    style = HairStyle.load(cap(tmp_path, template), "cap", template)
    moved = style.worn(template.verts + torch.tensor([0.0, 5.0, 0.0]), template) - style.worn(template.verts, template)
    torch.testing.assert_close(moved, torch.tensor([0.0, 5.0, 0.0]).expand_as(moved), atol=1e-3, rtol=0)
    camera = Camera.orbit(0.0, 60.0)
    depth = rasterize(template.verts[None], template.faces, camera, 96)[1][0]
    grey = torch.full((96, 96, 3), 0.5)
    drawn, cover = draw_hair(grey, depth, camera, style, template.verts, template, np.random.default_rng(0), 1.0)
    assert 0.03 < float((cover > 0.9).float().mean()) < 0.5
    assert float((drawn - grey)[cover == 0].abs().max()) == 0
    rows = (cover > 0.9).nonzero()[:, 0].float()
    assert float(rows.mean()) < 48, "the crown is in the upper half"


def test_samples_show_skin_where_skin_is(default_pipeline, tmp_path):
    make_samples(default_pipeline, tmp_path, tmp_path / "some.npz", 1)
    found = np.load(tmp_path / "some.npz")
    assert found["seen"].shape == (3, CHANNELS, MASK_SIZE, MASK_SIZE)
    (bare, bearded), guessed = found["masks"].swapaxes(0, 1) > 127, found["seen"][:, 8] > 0
    assert 0.1 < bare.mean() < 0.7
    assert (bare & guessed).sum() > 0.85 * bare.sum()
    assert not (bearded & ~bare).any(), "a beard grows on skin"


def test_beards_grow_below_the_nose(default_pipeline):
    """A picture with a painted beard is darker where it says, and in the lower half of the face alone."""
    drawn = beard(zones(default_pipeline, 1024), np.random.default_rng(5))
    assert drawn.shape == (4, 1024, 1024)
    assert 0.3 < float(drawn[3].max()) <= 1
    plain, worn = (
        photograph(default_pipeline, 60_001, size=160, yaw=0.0, paint=paint, marks=0.0) for paint in (None, drawn)
    )
    assert float(plain.bearded.max()) == 0
    grown = worn.bearded > 0.5
    assert int(grown.sum()) > 200
    marks = worn.camera.project(worn.verts[None], 160)[0, default_pipeline.template.landmarks, 1]
    assert float(grown.nonzero()[:, 0].min()) > float(marks[30]) - 8, "below the tip of the nose, or beside the ears"
    changed = (plain.picture - worn.picture).mean(-1)
    assert float(changed[grown].mean()) > 0.05
    assert float(changed[worn.bearded == 0].abs().mean()) < 0.02


def test_mirroring_keeps_guides_consistent():
    x = torch.rand(8, CHANNELS, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = (x[:, 8:] > 0).float().expand(-1, 2, -1, -1)
    seen, skin = varied(x, y, torch.Generator().manual_seed(1))
    assert torch.equal((seen[:, 8:] > 0).float().expand_as(skin), skin)
    turned = [k for k in range(8) if not torch.equal(seen[k, 8], x[k, 8])]
    assert 0 < len(turned) < 8
    for k in turned:
        assert torch.equal(seen[k, [3, 6]], -x[k, [3, 6]].flip(-1))
        assert torch.equal(seen[k, [4, 5, 7]], x[k, [4, 5, 7]].flip(-1))


def test_a_rule_is_learned(tmp_path):
    """Stand-in: skin is where the guide says so, unless the picture is dark there; beards are its lower part."""
    generator = np.random.default_rng(0)
    blocks = generator.uniform(-1, 1, (16, CHANNELS, 4, 4)).repeat(8, 2).repeat(8, 3)
    seen = (blocks * 127).astype(np.int8)
    seen[:, :3] = seen[:, :1]
    bare = (seen[:, 8:] > 0) & (seen[:, :1] > 0)
    masks = np.concatenate((bare, bare & (seen[:, 7:8] > 0)), 1).astype(np.uint8) * 255
    np.savez(tmp_path / "rule.npz", seen=seen, masks=masks)
    torch.manual_seed(0)
    model = train_mask(SkinMask((16, 16)), [tmp_path / "rule.npz"], tmp_path, steps=60)
    with torch.no_grad():
        said = model(torch.from_numpy(seen).float() / 127) > 0
    assert float((said == torch.from_numpy(masks > 0)).float().mean()) > 0.85
    again = train_mask(SkinMask((16, 16)), [tmp_path / "rule.npz"], tmp_path, steps=60)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
