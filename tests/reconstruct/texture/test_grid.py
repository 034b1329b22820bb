"""Texels of the face tile, their mirror images, and their visibility in a picture."""

from __future__ import annotations

import pytest
import torch

from facekit.color import srgb_to_linear
from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.reconstruct.texture.grid import TileGrid, atlas_masks
from facekit.reconstruct.texture.lighting import untone
from facekit.reconstruct.texture.views import View
from facekit.render import Camera, render


@pytest.fixture(scope="module")
def grid(default_pipeline) -> TileGrid:
    return TileGrid.of(default_pipeline.template, 96)


def test_tiles_are_symmetric(default_pipeline, grid):
    """The mirror image of a column is the column as far from the other edge: x changes its sign, y and z stay."""
    places = grid.spread(grid.bake(default_pipeline.template.verts), float("nan"))
    other = places.flip(-1) * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
    off = (places - other).norm(dim=0)
    assert float(off[off.isfinite()].median()) < 0.1
    assert float(off[off.isfinite()].quantile(0.95)) < 3.0


def test_gather_undoes_spread(grid):
    rows = torch.rand(2, len(grid.inside), generator=torch.Generator().manual_seed(0))
    assert torch.equal(grid.gather(grid.spread(rows)), rows)
    assert float(grid.spread(rows, 7.0).amax()) == 7.0


def test_masks_of_the_whole_atlas(default_pipeline):
    template = default_pipeline.template
    skin, teeth = atlas_masks(template, 128)
    assert set(skin.unique().tolist()) == set(teeth.unique().tolist()) == {0.0, 1.0}
    place = torch.stack((2 * template.uvs[:, 0] - 1, 1 - 2 * template.uvs[:, 1]), -1)[None, None]
    part = torch.full((len(template.uvs),), 255)
    part[template.faces_uvs] = template.parts[template.faces].long()
    for mask, name in ((skin, "skin"), (skin, "back_of_head"), (teeth, "teeth")):
        shown = torch.nn.functional.grid_sample(mask, place, mode="nearest", align_corners=False)[0, 0, 0] > 0
        assert bool(shown[part == PARTS.index(name)].all())
        assert 0.02 < float(shown.float().mean()) < 0.98
    assert not bool((teeth[..., : int(0.4 * 128), : int(0.4 * 128)] > 0).all())


def test_a_picture_gives_the_texture_back(default_pipeline, grid):
    """Texels sampled from an unlit picture equal the atlas wherever they are marked visible."""
    latents = FaceLatents.sample(3)
    with torch.inference_mode():
        face = default_pipeline(latents=latents, detail=False)
    camera = Camera.orbit(25.0)
    picture = render(face.mesh, camera, 640, lights="flat").rgb[0].permute(1, 2, 0)
    view = View.of(picture, face.verts[0].clone(), camera, default_pipeline.template)
    seen = view.texels(grid)
    u0, v0, u1, v1 = default_pipeline.template.tile_rect
    assert (u0, v1) == (0.0, 1.0)
    tile = face.texture[..., : round((1 - v0) * 1024), : round(u1 * 1024)]
    small = torch.nn.functional.interpolate(tile, size=(96, 96), mode="area")[0]
    truth = untone(srgb_to_linear(grid.gather(small)))
    sure = seen.weight > 0.9
    assert 0.1 < float(sure.float().mean()) < 0.6
    assert float((seen.colour - truth)[:, sure].abs().mean()) < 0.012
    # The camera stands on the subject's left: of the other side, less is seen.
    left, right = (grid.spread(seen.weight[None])[0, :, half].sum() for half in (slice(48, 96), slice(0, 48)))
    assert float(left) > 1.3 * float(right)
    assert not bool((seen.weight > 0)[~grid.skin].any())


def test_eyes_are_found_in_the_picture(default_pipeline):
    with torch.inference_mode():
        face = default_pipeline(seed=3, detail=False)
    camera = Camera.front()
    picture = render(face.mesh, camera, 640, lights="flat").rgb[0].permute(1, 2, 0)
    view = View.of(picture, face.verts[0].clone(), camera, default_pipeline.template)
    eyes = view.pixels(default_pipeline.template, PARTS.index("eyes"))
    assert len(eyes.uv) > 100
    place = torch.stack((2 * eyes.uv[:, 0] - 1, 1 - 2 * eyes.uv[:, 1]), -1)[None, None]
    looked_up = torch.nn.functional.grid_sample(face.texture, place, align_corners=False)[0, :, 0]
    assert float((untone(srgb_to_linear(looked_up)) - eyes.colour).abs().mean()) < 0.03


def test_a_head_outside_of_the_picture_is_refused(default_pipeline):
    camera = Camera((0.0, 8.0, 810.0), (900.0, 8.0, 10.0))
    verts = default_pipeline.template.verts
    with pytest.raises(InputError, match="a head inside of the picture"):
        View.of(torch.rand(64, 64, 3), verts, camera, default_pipeline.template)
