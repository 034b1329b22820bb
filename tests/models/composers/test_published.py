"""The published model's composer: improvements of the blend over upstream's paste, and regions left unchanged."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.metrics.composition import neck_mismatch, regions, seam_step, stain_share
from facekit.metrics.texture import delta_e
from facekit.models.composers.eyes import blockiness
from facekit.models.composers.published import COLUMNS, ROWS, PublishedComposer
from facekit.models.composers.skin import fill, luminance, skin_likeness
from tests.models.composers.facemask import CAP, SKIN, base_texture, face_tile, facemask

PALE = torch.tensor([0.90, 0.76, 0.68])
DARK = torch.tensor([0.36, 0.23, 0.17])


@pytest.fixture(scope="module")
def template():
    return facemask()


@pytest.fixture(scope="module")
def composer(template):
    return PublishedComposer(base_texture(), template).eval()


@pytest.fixture(scope="module")
def found(template):
    return regions(template, template.parts, PARTS.index("neck"))


@pytest.fixture(scope="module")
def tiles():
    return torch.cat([face_tile(SKIN), face_tile(PALE), face_tile(DARK)])


@pytest.fixture(scope="module")
def atlases(composer, tiles):
    with torch.inference_mode():
        return {mode: composer.with_mode(mode)(tiles) for mode in ("blend", "upstream")}


def test_upstream_is_the_published_paste(composer, tiles, atlases):
    atlas = atlases["upstream"]
    assert atlas.shape == (3, 3, 1024, 1024)
    # Bilinear by hand, between texel centres.
    for y, x in ((0, 0), (13, 600), (307, 308), (615, 615)):
        place = [((k + 0.5) * 512 / 616 - 0.5) for k in (y, x)]
        low = [min(max(int(p // 1), 0), 511) for p in place]
        high = [min(k + 1, 511) for k in low]
        fy, fx = (min(max(p - k, 0), 1) for p, k in zip(place, low, strict=True))
        t = tiles[0]
        top = t[:, low[0], low[1]] * (1 - fx) + t[:, low[0], high[1]] * fx
        bottom = t[:, high[0], low[1]] * (1 - fx) + t[:, high[0], high[1]] * fx
        torch.testing.assert_close(atlas[0, :, 51 + y, 204 + x], top * (1 - fy) + bottom * fy, atol=1e-5, rtol=0)
    base = base_texture().permute(2, 0, 1).float() / 255
    corner = 0.75 * 0.75 * base[:, 0, 0] + 0.75 * 0.25 * (base[:, 0, 1] + base[:, 1, 0]) + 0.0625 * base[:, 1, 1]
    torch.testing.assert_close(atlas[1, :, 1, 1], corner, atol=1e-5, rtol=0)


def test_the_seam_goes(atlases, found):
    before, after = (seam_step(atlases[m], ROWS, COLUMNS, found.covered) for m in ("upstream", "blend"))
    assert (before > 5).all()
    assert (after < 0.5).all()


def test_the_stains_go(atlases, found):
    before, after = (stain_share(atlases[m], found) for m in ("upstream", "blend"))
    assert (before[:2] > 0.5).all()  # on dark skin there is little room for stains of 15 L*
    assert (after < 0.5 * before).all() and (after < 0.3).all()


def test_face_and_neck_share_a_tone(atlases, found):
    before, after = (neck_mismatch(atlases[m], found) for m in ("upstream", "blend"))
    assert (before > 10).all()
    assert (after < 6).all() and (after < 0.5 * before).all()


def test_no_cap_is_left(atlases, found):
    some = (..., slice(0, 240, 4), slice(0, 1024, 4))  # above the brows
    cap, covered = CAP[None, :, None, None].expand(3, -1, 60, 256), found.covered[some]
    red = {mode: (delta_e(atlas[some], cap) < 30)[:, covered].float().mean() for mode, atlas in atlases.items()}
    assert red["upstream"] > 0.05
    assert red["blend"] < 0.001


def test_the_face_itself_is_left_alone(atlases):
    """Nose, mouth and cheeks under the eyes are unchanged."""
    window = (..., slice(400, 560), slice(430, 594))
    torch.testing.assert_close(atlases["blend"][window], atlases["upstream"][window], atol=2e-3, rtol=0)


def test_clean_eyes_stay_much_as_they_are(composer, found):
    tile = face_tile(SKIN, stain=0.0)
    pair = [composer.with_mode(mode)(tile)[:, :, found.ring][..., None] for mode in ("blend", "upstream")]
    change = delta_e(*pair)
    assert change.mean() < 3


def test_batches_and_repeats_give_the_same(composer, tiles, atlases):
    torch.testing.assert_close(composer(tiles[1:2]), atlases["blend"][1:2], atol=1e-5, rtol=0)
    assert torch.equal(composer(tiles), composer(tiles))


def test_the_input_is_not_touched(composer, tiles):
    for layout in (torch.contiguous_format, torch.channels_last):
        tile = tiles.clone(memory_format=layout)
        composer(tile)
        assert torch.equal(tile, tiles)


def test_small_changes_stay_small(composer, tiles):
    """No threshold flickers through a sweep, not even halfway between clean and mosaicked eyes."""
    mosaic = mosaicked(tiles[:1], 10)
    for start, stop in ((tiles[:1], tiles[1:2]), (tiles[:1], mosaic), (tiles[:1], torch.zeros_like(mosaic))):
        steps = torch.cat([torch.lerp(start, stop, t) for t in (0.3, 0.302, 0.7, 0.702)])
        a, b = composer(steps)[:, :, 40:680, 190:840].view(2, 2, 3, 640, 650).unbind(1)
        assert (a - b).abs().max() < 0.03


def mosaicked(tile: torch.Tensor, block: int, blur: int = 1) -> torch.Tensor:
    """A band over both eyes in blocks, blurred a little as a generator would."""
    tile = tile.clone()
    band = tile[:, :, 160:260, 120:400]
    rows, columns = (torch.div(torch.arange(n), block, rounding_mode="floor") * block + block // 2 for n in (100, 280))
    coarse = band[:, :, rows.clamp_max(99)][..., columns.clamp_max(279)]
    tile[:, :, 160:260, 120:400] = F.avg_pool2d(coarse, 2 * blur + 1, 1, blur, count_include_pad=False)
    return tile


@pytest.mark.parametrize("block", [7, 10, 14])
def test_a_mosaic_is_seen_and_goes(composer, tiles, block):
    band = (..., slice(180, 250), slice(140, 250))
    whole = (tiles, mosaicked(tiles, block))
    clean, blocks = (blockiness(luminance(t[band])).flatten() for t in whole)
    assert (clean < 0.2).all() and (blocks > 0.45).all()
    mended = composer(whole[1])[:, :, ROWS[0] : ROWS[1], COLUMNS[0] : COLUMNS[1]]
    mended = F.interpolate(mended, size=(512, 512), mode="bilinear")
    assert (blockiness(luminance(mended[band])) < 0.2).all()


def test_any_tile_gives_colours(composer):
    noise = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    for tile in (torch.zeros_like(noise), torch.ones_like(noise), noise):
        atlas = composer(tile)
        assert bool(torch.isfinite(atlas).all()) and atlas.min() >= 0 and atlas.max() <= 1


def test_an_offset_moves_the_tile(template, tiles, atlases):
    moved = PublishedComposer(base_texture(), template, offset_px=(3, -2))(tiles)
    window = (..., slice(400, 560), slice(430, 594))
    shifted = moved[..., 398:558, 433:597]
    torch.testing.assert_close(shifted, atlases["blend"][window], atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("shape", "mode"), [((3, 512, 512), "blend"), ((1, 3, 256, 256), "blend"), ((1, 3, 512, 512), "poisson")]
)
def test_bad_calls_are_told(composer, shape, mode):
    with pytest.raises(InputError):
        composer.with_mode(mode)(torch.zeros(shape))


def test_bad_bases_and_offsets_are_told(template):
    with pytest.raises(InputError, match="base texture"):
        PublishedComposer(torch.zeros(512, 512, 3), template)
    with pytest.raises(InputError, match="offset"):
        PublishedComposer(base_texture(), template, offset_px=(0, -60))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees(composer, template, tiles, atlases):
    there = PublishedComposer(base_texture(), template).to("cuda")(tiles.to("cuda"))
    torch.testing.assert_close(there.cpu(), atlases["blend"], atol=5e-3, rtol=0)


def test_fill_passes_through_what_is_known_and_carries_it_on():
    colour = torch.zeros(1, 3, 32, 48)
    colour[:, 0, :, :8], colour[:, 1, :, -8:] = 1.0, 1.0
    weight = torch.zeros(1, 1, 32, 48)
    weight[..., :8] = weight[..., -8:] = 1.0
    filled = fill(colour, weight, torch.full((1, 3, 1, 1), 0.5))
    torch.testing.assert_close(filled[..., :8], colour[..., :8])
    across = filled[0, 0].mean(0)
    assert bool((across.diff()[8:-8] <= 1e-4).all()) and 0.3 < float(across[24]) < 0.7
    nothing = fill(colour, torch.zeros_like(weight), torch.full((1, 3, 1, 1), 0.5))
    torch.testing.assert_close(nothing, torch.full_like(nothing, 0.5))


def test_skin_likeness_tells_skin_from_cap_and_hair():
    tone = SKIN[None, :, None, None]
    colours = torch.stack([SKIN, 0.9 * SKIN, CAP, torch.tensor([0.08, 0.07, 0.06])], dim=-1)[None, :, None]
    like = skin_likeness(colours, tone).flatten()
    assert (like[:2] > 0.9).all() and (like[2:] < 0.05).all()
