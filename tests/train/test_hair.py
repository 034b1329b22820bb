"""The hair stage: procedural hair, and processing of the pack's cards and textures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.train.hair.bun import bunned
from facekit.train.hair.clearance import Skin
from facekit.train.hair.cropped import cropped_picture, receded
from facekit.train.hair.curls import _at_sides, curl_picture
from facekit.train.hair.cuts import CUTS, Cut, parted
from facekit.train.hair.fringe import with_fringe
from facekit.train.hair.lashes import SETS, SIZE, lash_cards
from facekit.train.hair.light import openness, relaxed
from facekit.train.hair.pictures import combed, grey_strands, locks, outward, strand_direction, strips
from facekit.train.hair.sheet_picture import sheet_picture
from facekit.train.hair.sheets import long_cards
from facekit.train.hair.shells import outside
from facekit.train.hair.stage import _cropped, above_ears


@pytest.fixture(scope="module")
def strip() -> dict[str, np.ndarray]:
    """A vertical card of ten by two quads that uses the whole texture."""
    x, y = np.meshgrid(np.linspace(0, 1, 3), np.linspace(0, 1, 11))
    k = (np.arange(10)[:, None] * 3 + np.arange(2)).reshape(-1)
    faces = np.concatenate((np.stack((k, k + 1, k + 4), 1), np.stack((k, k + 4, k + 3), 1)))
    uvs = np.stack((x.ravel(), y.ravel()), 1)
    return {"verts": np.stack((40 * x.ravel(), 100 * y.ravel(), 0 * y.ravel()), 1), "uvs": uvs, "faces": faces}


@pytest.mark.parametrize("name", SETS)
def test_lashes_grow_on_all_four_lids(default_pipeline, name):
    template = default_pipeline.template
    cards = lash_cards(template, name)
    assert cards["strands"].shape == (2, *SIZE) and cards["strands"].max() <= 1
    assert 0.05 < cards["strands"][1].mean() < 0.5
    verts = torch.from_numpy(cards["verts"])
    mirrored = verts * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.cdist(mirrored, verts).amin(1).max() < 1.0  # left and right are twins
    lids = template.verts[template.parts == 2]
    distance = torch.cdist(verts, lids).amin(1)
    assert distance.min() < 0.5 and distance.max() < 10


def test_curls_get_sparser_outward():
    grey, cover = curl_picture(64, torch.full((32, 32), 50.0))
    quarters = [(slice(32, None), slice(32)), (slice(32, None), slice(32, None)), (slice(32), slice(32))]
    means = [float(cover[q].mean()) for q in quarters]
    assert means[0] == 1.0 and means == sorted(means, reverse=True) and means[-1] > 0.1
    assert float(grey[quarters[0]].min()) > 0 and float(grey.max()) <= 1
    # At the hairline, on the left, there are none; further in more and more.
    _, thin = curl_picture(64, torch.linspace(-5, 50, 32).expand(32, 32))
    for q, mean in zip(quarters, means, strict=True):
        columns = thin[q].mean(0)
        assert float(columns[0]) == 0 < float(columns[4:10].mean()) < mean
        assert float((thin[q] - cover[q])[:, 20:].abs().max()) < 1e-6


def test_cropped_hair_is_as_dense_as_asked_and_ends_at_the_hairline():
    deep = torch.linspace(-5, 60, 128).expand(128, 128)
    grey, cover = cropped_picture(128, deep, torch.full((128, 128), 0.6))
    assert float(grey.min()) > 0 and float(grey.max()) <= 1
    assert float(cover[:, 0].max()) == 0 and 0 < float(cover[:, 14:30].mean()) < 0.45
    assert abs(float(cover[:, 60:].mean()) - 0.53) < 0.07  # hairs have soft edges


def test_cropped_hair_is_lower_and_thinner_at_the_sides(default_pipeline):
    template = default_pipeline.template
    head, up = template.verts.numpy().astype(np.float64), template.verts[:, 1].numpy()
    scalp = ((template.parts == 0).numpy() & (up > 60)).astype(float)
    cards = _cropped(template, scalp)
    off = np.linalg.norm(cards["verts"][:, None] - head[None, scalp > 0], axis=2).min(1)
    low, high = cards["verts"][:, 1] < 70, cards["verts"][:, 1] > 100
    assert low.any() and high.any() and off[low].mean() + 0.3 < off[high].mean() < 4
    assert cards["cap"][(scalp > 0) & (up < 70)].max() < cards["cap"][(scalp > 0) & (up > 100)].min()
    assert cards["cap"][scalp == 0].max() == 0
    along, up = cards["along"], cards["verts"] - np.array([0.0, 62.0, -8.0])
    assert np.allclose(np.linalg.norm(along, axis=1), 1)
    standing = (along * up).sum(1) / np.linalg.norm(up, axis=1)
    assert standing.min() > 0.5 and standing.mean() < 0.9, "hairs stand up, and lean"


def test_receding_hair_is_gone_at_the_temples_and_thin_on_the_crown():
    temples = np.array([[48.0, 97.0, 69.0], [-48.0, 97.0, 69.0]])
    crown, forelock, sides, back = ([[0.0, 144, 0]], [[0.0, 136, 40]], [[70.0, 55, -10]], [[0.0, 20, -90]])
    assert receded(temples).max() < 0.01
    assert receded(np.array(sides))[0] == receded(np.array(back))[0] == 1
    assert 0.2 < receded(np.array(forelock))[0] <= receded(np.array(crown))[0] < 0.6


def test_receding_hair_lies_flat_where_it_is_thin(default_pipeline):
    template = default_pipeline.template
    up, z = template.verts[:, 1].numpy(), template.verts[:, 2].numpy()
    scalp = ((template.parts == 0).numpy() & (up > 60)).astype(float)
    full, thin = (_cropped(template, scalp, name) for name in ("cropped01", "receding01"))
    assert np.allclose(full["faces"], thin["faces"])
    lower = np.linalg.norm(full["verts"] - thin["verts"], axis=1)
    assert lower[full["verts"][:, 1] > 125].min() > 0.5 > 1e-3 > lower[full["verts"][:, 1] < 66].min()
    assert thin["strands"][1].mean() < 0.75 * full["strands"][1].mean()
    temple = (up > 90) & (z > 70) & (np.abs(template.verts[:, 0].numpy()) > 45)
    assert thin["cap"][temple].max() < 0.02 < full["cap"][temple].max()


def test_temples_end_blunt_in_some_styles():
    points = np.array([[70.0, 60.0, 40.0], [70.0, 10.0, 40.0], [-70.0, 10.0, 40.0], [70.0, 10.0, -20.0], [0, 10, 90]])
    assert above_ears(points, "short04").tolist() == [1.0, -1.0, -1.0, 1.0, 1.0]
    assert (above_ears(points, "short02") == 1).all()


def test_curls_lose_no_triangle_inside():
    """Nine triangles in a strip: the dropped ones in the middle would be a hole, those at its ends are the rim."""
    index = np.arange(9)
    neighbors = np.stack((index - 1, np.where(index < 8, index + 1, -1), index), 1)
    dropped = np.isin(index, (0, 1, 4, 5, 8))
    assert np.flatnonzero(outside(neighbors, dropped)).tolist() == [0, 1, 8]


def test_painted_light_is_taken_out_and_strands_stay(strip):
    """A wide band of light over fine strands along v."""
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    light = 0.3 + 0.4 * np.exp(-(((y - 128) / 50) ** 2))
    levels = light * (1 + 0.25 * np.sin(x * 1.2))
    rgba = np.stack([levels * 255] * 3 + [np.full_like(levels, 255.0)], -1).clip(0, 255).astype(np.uint8)
    grey, cover = grey_strands(rgba, strip["uvs"], strip["faces"], 256)
    rows = grey[:, 100:150].mean(1)
    assert float(rows[20:236].max() / rows[20:236].min()) < 1.35 < float(light.max() / light.min())
    assert float(grey[128].std()) > 0.05 and float(cover.min()) > 0.99
    way = strand_direction(grey, cover)[:, 64:192, 64:192]
    assert float(way[1].abs().mean()) > 0.95


def test_hollows_that_are_painted_black_get_strands(strip):
    size = 128
    noise = np.random.default_rng(0).uniform(0.4, 0.8, (1, size)) * np.ones((size, 1))
    noise[40:80, 40:80] = 0.02  # black, without strands
    rgba = np.round(255 * np.stack((*3 * [noise], np.ones((size, size))), -1)).astype(np.uint8)
    grey, _ = grey_strands(rgba, strip["uvs"], strip["faces"], size)
    hollow, beside = grey[48:72, 48:72], grey[48:72, 90:114]
    assert 0.6 < float(hollow.mean() / beside.mean()) < 1.2
    assert float(hollow.std()) > 0.5 * float(beside.std())


def test_strips_get_thin_toward_their_sides(strip):
    size = 128
    large = {**strip, "verts": 10 * strip["verts"] + [100, 0, 0], "uvs": strip["uvs"] * [0.5, 1] + [0.5, 0]}
    verts = np.concatenate((strip["verts"], large["verts"]))
    uvs = np.concatenate((strip["uvs"] * [0.12, 0.9] + [0.05, 0.05], large["uvs"]))
    faces = np.concatenate((strip["faces"], strip["faces"] + len(strip["verts"])))
    small = strips(verts, faces)
    assert small[: len(strip["faces"])].all() and not small[len(strip["faces"]) :].any()
    before = np.stack((np.full((size, size), 0.5), np.ones((size, size)))).astype(np.float32)
    grey, cover = locks(before, uvs, faces, small)
    assert (cover[:, 70:] == 1).all() and (grey[:, 70:] == 0.5).all()
    middle, side = cover[30:90, 13:15].mean(), cover[30:90, [7, 20]].mean()
    assert middle > 0.8 and side < 0.4 and cover[30:90, 4].max() == 0
    assert grey[30:90, 8:20].std() > 0.05


def test_cards_are_turned_outward(strip):
    faces, away = strip["faces"], np.array([-20.0, -50.0, 90.0])
    verts = strip["verts"] + away
    both = np.concatenate((faces, faces[:, ::-1] + len(verts)))
    kept = outward(np.concatenate((verts, verts)), both)
    assert kept[: len(faces)].all() and not kept[len(faces) :].any()


def test_smoothing_keeps_ends_and_what_is_above(strip):
    rough = strip["verts"] + np.random.default_rng(0).normal(0, 1, strip["verts"].shape)
    smooth = relaxed(rough, strip["faces"], 5, below=50.0)
    high = rough[:, 1] > 52
    assert (smooth[high] == rough[high]).all()
    low = rough[:, 1] < 30
    assert np.abs(smooth[low, 2]).mean() < 0.7 * np.abs(rough[low, 2]).mean()


def test_points_above_take_light():
    roof = np.stack([t.ravel() for t in np.meshgrid(np.arange(-50, 51, 2.0), np.arange(-50, 51, 2.0))], 1)
    roof = np.stack((roof[:, 0], np.full(len(roof), 20.0), roof[:, 1]), 1)
    places, up = np.array([[0.0, 0, 0], [200.0, 0, 0]]), np.array([[0.0, 1, 0]] * 2)
    under, free = openness(places, up, roof)
    assert under < 0.35 and free > 0.9


def test_a_fringe_hangs_over_the_edge(strip):
    """A sheet above the forehead ends in a straight line; tufts extend beyond it over the skin."""
    verts = strip["verts"] + [-20.0, 40.0, 90.0]
    cards = {**strip, "verts": verts, "faces_uvs": strip["faces"]}
    skin = np.stack(np.meshgrid(np.linspace(-25, 25, 12), np.linspace(5, 170, 40), [84.0]), -1).reshape(-1, 3)
    strands = np.stack((np.full((64, 64), 0.5), np.ones((64, 64)))).astype(np.float32)
    along = np.tile([0.0, -1.0, 0.0], (len(verts), 1))
    made, picture, ways = with_fringe(cards, strands, along, skin)
    tufts = made["verts"][len(verts) :].reshape(-1, 6, 3)
    assert len(tufts) > 10 and len(ways) == len(made["verts"])
    assert picture.shape[1] == 64 < picture.shape[2] and np.abs(picture[:, :, :64] - strands).max() == 0
    roots, tips = tufts[:, :2].mean(1), tufts[:, 4:].mean(1)
    assert (roots[:, 1] > 40).all() and (tips[:, 1] < 40).mean() > 0.5
    assert made["uvs"][: len(strip["uvs"]), 0].max() < 64 / picture.shape[2] + 1e-6 < made["uvs"][-6:, 0].max()


@pytest.fixture(scope="module")
def curtains() -> dict[str, np.ndarray]:
    """Two curtains of eight strands each that hang from a parting, as grids of quads: zigzag, and 700 mm long."""
    across, rows, verts, uvs, faces = 8, 30, [], [], []
    j, i = np.meshgrid(np.arange(across), np.linspace(0, 1, rows), indexing="ij")
    k = (np.arange(across - 1)[:, None] * rows + np.arange(rows - 1)).reshape(-1)
    quads = np.stack((k, k + rows, k + rows + 1, k, k + rows + 1, k + 1), 1).reshape(-1, 3)
    for side in (1, -1):
        x = side * (90 * np.minimum(1, 6 * i) + 2 * (j % 2))
        verts.append(np.stack((x, 140 - 700 * i, 80 - 20 * j), -1).reshape(-1, 3))
        uvs.append(np.stack((0.31 - side * (0.05 + 0.03 * (across - 1 - j)), 0.98 - 0.95 * i), -1).reshape(-1, 2))
        faces.append(quads + len(faces) * across * rows)
    index = np.concatenate(faces)
    return {"verts": np.concatenate(verts), "uvs": np.concatenate(uvs), "faces": index, "faces_uvs": index}


@pytest.fixture(scope="module")
def ball() -> Skin:
    """A head that is a ball inside of the curtains."""
    away = np.random.default_rng(0).normal(size=(4000, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    return Skin(70 * away + [0.0, 60.0, 0.0], away)


def test_long_hair_is_cut_parted_and_smooth(curtains, ball):
    made = long_cards(curtains, 512, Cut(-150.0), ball)
    verts, faces = made["verts"], made["faces"]
    assert len(made["uvs"]) > made["faces_uvs"].max() and len(verts) == faces.max() + 1
    assert -160 < verts[:, 1].min() < -140 and made["uvs"].min() >= 0 and made["uvs"].max() <= 1
    assert np.abs(verts[:, 0]).min() < 5, "both sides meet in the parting"
    sheet = verts[: 27 * 31].reshape(27, 31, 3)
    # Zigzag across the strands is gone: second differences were 8 mm.
    assert np.abs(np.diff(sheet[2:-5, 15, 0], 2)).max() < 1.5
    corner = verts[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    assert (area > 1e-3).all()


@pytest.mark.parametrize("where", [20.0, -20.0])
def test_a_parting_moves_and_strands_go_on_across_the_middle(where):
    share = np.linspace(0, 1, 60)[:, None]
    left = [np.concatenate((90 * share, 100 - 50 * share, 0 * share + 90 - 10 * k), 1) for k in range(10)]
    right = [column * [-1, 1, 1] for column in left]
    roots = np.array([[0.0, 100.0, 90.0 - 10 * k] for k in range(10)])
    one, two, line = parted(left, right, roots, where)
    assert abs(line[0, 0] - where) < 2 and (line[-1] == roots[-1]).all()
    larger, smaller = (two, one) if where > 0 else (one, two)
    assert larger[0][0, 0] * where > 0 > larger[0][-1, 0] * where, "strands cross the middle"
    assert (smaller[0][:, 0] * where > 0).all() and np.abs(smaller[0][0] - larger[0][0]).max() < 1e-9
    assert np.abs(np.diff(np.abs(larger[0][:, 0]))).max() < 3, "without a gap"


def test_cuts_differ_as_they_say(curtains, ball):
    made = {name: long_cards(curtains, 512, cut, ball) for name, cut in CUTS.items()}
    for name, cut in CUTS.items():
        verts = made[name]["verts"]
        assert verts[:, 1].min() > cut.lowest - 12 and len(verts) <= 3000, name
        assert np.abs(np.linalg.norm(made[name]["along"], axis=1) - 1).max() < 1e-5
    forehead = {name: ((m["verts"][:, 2] > 60) & (m["verts"][:, 1] < 85)).sum() for name, m in made.items()}
    assert forehead["bob03"] > forehead["mid01"] + 50, "a fringe"


def test_hair_is_pushed_out_of_the_skin_and_laid_on_it(ball):
    points = np.array([[0.0, 60.0, 60.0], [0.0, 60.0, 90.0]])
    heights = np.linalg.norm(ball.cleared(points, 4.0) - [0.0, 60.0, 0.0], axis=1) - 70
    assert abs(heights[0] - 4) < 0.7 and abs(heights[1] - 20) < 1e-6
    laid = np.linalg.norm(ball.laid(points, 6.0) - [0.0, 60.0, 0.0], axis=1) - 70
    assert np.abs(laid - 6).max() < 0.7


def test_a_bun_takes_the_place_of_the_tail(strip, ball):
    tail = strip["verts"] + [0.0, -180.0, -120.0]
    verts = np.concatenate((strip["verts"] + [0.0, 40.0, -90.0], tail))
    faces = np.concatenate((strip["faces"], strip["faces"] + len(strip["verts"])))
    cards = {"verts": verts, "uvs": np.concatenate((strip["uvs"],) * 2), "faces": faces, "faces_uvs": faces}
    made = bunned(cards, ball)
    used = made["verts"][np.unique(made["faces"])]
    assert used[:, 1].min() > 0 and len(used) > len(strip["verts"])
    coil = made["verts"][len(verts) :]
    assert coil[:, 2].max() < 0 and coil[:, 1].max() > 132, "behind the crown, and seen above it"
    # Hair goes up with it, and stays above the skin.
    moved = made["verts"][: len(strip["verts"])]
    shift = moved[:, 1] - verts[: len(strip["verts"]), 1]
    assert shift.max() > 1 and ball.height(moved).min() > ball.height(verts[: len(strip["verts"])]).min() - 1


def test_sheets_have_fine_strands_with_frayed_tips():
    grey, cover = sheet_picture(512)
    fine, along = grey[100:400, 30:430].diff(dim=1).abs().mean(), grey[100:400, 30:430].diff(dim=0).abs().mean()
    assert fine > 3 * along, "texels differ across strands, hardly along them"
    assert (cover[100:400, 30:440] == 1).all() and float(cover[-1].max()) == 0
    ends = (cover[:, 30:430] > 0.5).sum(0).float()
    assert 4 < float(ends.std()) < 40


def test_drawn_strands_follow_a_field():
    field = torch.tensor([0.6, 0.8])[:, None, None].expand(2, 96, 96)
    noise = combed(field.contiguous())
    way = strand_direction(noise, torch.ones_like(noise))[:, 20:76, 20:76]
    assert float((way * field[:, 20:76, 20:76]).sum(0).abs().mean()) > 0.97


def test_curls_are_lower_at_the_sides_than_behind():
    points = np.array([[75.0, 40.0, 15.0], [75.0, 40.0, -10.0], [0.0, 120.0, 0.0], [75.0, 40.0, -60.0]])
    low = _at_sides(points)
    assert low[0] == 1 and 0 < low[1] < 1 and low[2] == low[3] == 0
