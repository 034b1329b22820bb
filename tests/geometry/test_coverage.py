"""Supersampling, also at selected pixels only, equals rendering a larger picture. See also tests/render."""

import pytest
import torch

from facekit.geometry import coverage
from facekit.geometry.coverage import prepare


def soup(frames: int = 2, height: int = 24, width: int = 40):
    """Triangles in two frames, some of which reach behind the viewer, as homogeneous pixel points."""
    random = torch.Generator().manual_seed(3)
    depth = torch.rand(frames, 50, generator=random, dtype=torch.float64) * 60 - 5
    x, y = (torch.rand(frames, 50, generator=random, dtype=torch.float64) * s for s in (width, height))
    faces = torch.randint(0, 50, (40, 3), generator=random)
    return torch.stack((x * depth, y * depth, depth), -1), faces


def at(scale: int):
    points, faces = soup()
    return prepare(points * torch.tensor([scale, scale, 1.0]), faces, 24 * scale, 40 * scale, near=1.0)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_scale_is_a_larger_picture(scale):
    face, depth = at(1).nearest(scale=scale)
    expected, far = at(scale).nearest()
    assert torch.equal(face, expected) and int((face >= 0).sum()) > 100
    assert torch.allclose(depth, far, rtol=1e-5)


@pytest.mark.parametrize("scale", [1, 2])
def test_a_grid_samples_cells_row_by_row(scale):
    face, _ = at(1).nearest(scale=scale, grid=2)
    height, width = 24 * scale, 40 * scale
    fine = at(2 * scale).nearest()[0].view(2, height, 2, width, 2)
    assert torch.equal(face.view(2, height, width, 2, 2), fine.transpose(2, 3))


@pytest.mark.parametrize("many", [0, 2000])
@pytest.mark.parametrize(("scale", "shear"), [(1, 0.0), (1, 0.125), (2, 0.125)])
def test_slots_pick_cells(scale, shear, many, monkeypatch):
    monkeypatch.setattr(coverage, "_MANY", many)
    cells = 2 * 24 * 40 * scale * scale
    wanted = (torch.rand(cells, generator=torch.Generator().manual_seed(1)) < 0.1).nonzero()[:, 0]
    slots = torch.full((cells,), -1).scatter_(0, wanted, torch.arange(len(wanted)))
    triangles = at(1)
    for every, some in zip(
        triangles.nearest(scale=scale, grid=2, shear=shear),
        triangles.nearest(scale=scale, grid=2, shear=shear, slots=slots),
        strict=True,
    ):
        assert torch.equal(every[wanted], some)


def test_shear_moves_even_rows_right_and_odd_rows_left():
    """A half plane whose upright edge lies at X = 10.3 covers the samples beyond it."""
    points = torch.tensor([[[10.3, -99.0, 1.0], [10.3, 99.0, 1.0], [200.0, 0.0, 1.0]]], dtype=torch.float64)
    triangles = prepare(points, torch.tensor([[0, 1, 2]]), 4, 20, near=0.5)
    upright, sheared = (triangles.nearest(grid=2, shear=s)[0].view(4, 20, 4)[1, 10].tolist() for s in (0.0, 0.125))
    assert upright == [-1, 0, -1, 0]  # at 10.25 and 10.75
    assert sheared == [0, 0, -1, 0]  # at 10.375 and 10.875, below at 10.125 and 10.625


@pytest.mark.parametrize("side", [12.0, 30.0])
def test_fragments_end_at_the_limit_whatever_is_culled(side):
    random = torch.Generator().manual_seed(5)
    # Small triangles: each fits into a few small tiles, or large ones.
    middle, offset = (torch.rand(2, 200, n, 3, generator=random, dtype=torch.float64) for n in (1, 3))
    spread = torch.tensor([side, side, 2.0], dtype=torch.float64)
    x, y, depth = (middle * torch.tensor([90.0, 70.0, 60.0]) + offset * spread + 5.0).flatten(1, 2).unbind(2)
    faces = torch.arange(600).view(200, 3)
    triangles = prepare(torch.stack((x * depth, y * depth, depth), -1), faces, 70, 90, near=1.0)
    limit = torch.full((2 * 70 * 90,), 30.0)
    limit[: 70 * 90 // 2] = torch.inf
    place, key = triangles.fragments(torch.full_like(limit, torch.inf))
    far = (key >> 32).to(torch.int32).view(torch.float32)
    kept = far < limit[place]
    found = torch.stack(triangles.fragments(limit)).tolist()
    expected = torch.stack((place[kept], key[kept])).tolist()
    assert sorted(zip(*found, strict=True)) == sorted(zip(*expected, strict=True))
    assert 500 < len(found[0]) < 0.9 * len(place)


def test_fragments_at_slots_are_those_of_all_cells():
    triangles, cells = at(1), 2 * 24 * 40
    wanted = (torch.rand(cells, generator=torch.Generator().manual_seed(1)) < 0.1).nonzero()[:, 0]
    slots = torch.full((cells,), -1).scatter_(0, wanted, torch.arange(len(wanted)))
    inf = torch.full((cells,), torch.inf)
    place, key = triangles.fragments(inf, grid=2, shear=0.125)
    cell = slots[place // 4]
    expected = torch.stack((cell * 4 + place % 4, key))[:, cell >= 0].tolist()
    found = torch.stack(triangles.fragments(inf[wanted], grid=2, shear=0.125, slots=slots)).tolist()
    assert sorted(zip(*found, strict=True)) == sorted(zip(*expected, strict=True)) and len(found[0]) > 50


def test_some_faces_have_the_fragments_they_have_among_all():
    triangles, limit = at(1), torch.full((2 * 24 * 40,), 30.0)
    some = torch.arange(40) % 3 == 0
    place, key = triangles.fragments(limit)
    theirs = some[key & 0xFFFFFFFF]
    expected = set(zip(place[theirs].tolist(), key[theirs].tolist(), strict=True))
    found = triangles.only(some).fragments(limit)
    assert len(expected) > 100
    assert expected == set(zip(*(t.tolist() for t in found), strict=True))
