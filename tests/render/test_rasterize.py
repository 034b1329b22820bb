"""Visibility against a brute-force reference, and documented behaviour in special cases."""

import dataclasses

import pytest
import torch

from facekit.render import Camera, rasterize
from tests.render.scenes import ball, board, brute_force


def agree(verts, faces, camera, size, tolerance=1e-5):
    height, width = size
    ids, depth = rasterize(verts, faces, camera, size)
    expected, far, clearance = brute_force(verts, faces, camera, height, width)
    sure = clearance > 1e-6
    assert torch.equal((ids[0] >= 0)[sure], (expected >= 0)[sure])
    assert torch.equal(ids[0][sure], expected[sure])
    seen = sure & (expected >= 0)
    assert torch.allclose(depth[0][seen].double(), far[seen], rtol=tolerance)
    assert bool((depth[ids < 0] == float("inf")).all()) and not bool(torch.isnan(depth).any())
    return int(seen.sum())


def soup(seed: int) -> tuple[torch.Tensor, torch.Tensor, Camera]:
    """Random triangles around a random camera: in front, behind, through the near plane, off screen and degenerate."""
    random = torch.Generator().manual_seed(seed)
    verts = torch.randn(1, 40, 3, generator=random) * 60
    faces = torch.randint(0, 40, (60, 3), generator=random)  # some use a vertex twice
    eye = torch.randn(3, generator=random) * (20 if seed % 2 else 150)
    camera = Camera(eye, torch.randn(3, generator=random), 20.0 + 100.0 * float(torch.rand((), generator=random)))
    if seed % 3 == 1:
        verts[0, :4] = eye + 1e-3 * torch.randn(4, 3, generator=random)  # all but in the eye
        verts[0, 4:7] = verts[0, 4] + torch.tensor([[0.0], [1.0], [2.0]])  # in one line
        faces[0], faces[1] = torch.tensor([4, 5, 6]), torch.tensor([7, 7, 7])
    if seed % 5 == 2:
        camera = dataclasses.replace(camera, near=40.0)
    if seed % 7 == 3:
        verts[0, 8:12] += 1e5
        verts[0, 12] = float("nan")
    return verts, faces, camera


@pytest.mark.parametrize("block", range(10))
def test_300_soups_with_faces_behind_the_camera(block):
    seeds = range(30 * block, 30 * block + 30)
    # A face that all but touches the eye spans many powers of ten of depth, in float32.
    assert sum(agree(*soup(seed), (24, 33), 1e-3 if seed % 3 == 1 else 1e-5) for seed in seeds) > 30 * 100


def test_near_plane_cuts_without_a_vertex_in_between():
    verts = torch.tensor([[[-500.0, -10, 200], [500, -10, 200], [0, -10, -4000]]])  # a floor below the camera
    camera = Camera((0.0, 0.0, 0.0), (0.0, 0.0, -1.0), 90.0, near=30.0)
    assert agree(verts, torch.tensor([[0, 1, 2]]), camera, (64, 64)) > 100
    _, depth = rasterize(verts, torch.tensor([[0, 1, 2]]), camera, 64)
    assert float(depth.min()) >= 30.0


def test_shared_edges_leave_no_holes():
    steps = torch.arange(-20.0, 21.0) * 5.0
    x, y = torch.meshgrid(steps, steps, indexing="ij")
    torch.manual_seed(0)
    verts = torch.stack((x, y, torch.zeros_like(x)), -1).reshape(1, -1, 3)
    for jitter in (0.0, 1.5):
        moved = verts + jitter * torch.randn_like(verts) * torch.tensor([1.0, 1.0, 0.0])
        i, j = torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij")
        a = (i * 41 + j).reshape(-1)
        faces = torch.cat((torch.stack((a, a + 41, a + 42), 1), torch.stack((a, a + 42, a + 1), 1)))
        # 100 pixels over 100 mm puts vertices exactly on pixel corners and centres.
        for size in (100, 101, 200):
            camera = Camera.front(target=(0.0, 0.0, 0.0), distance=100.0, fov=53.13010235415598)
            assert bool((rasterize(moved, faces, camera, size)[0] >= 0).all())


def test_a_ball_covers_its_disc_and_batches_equal_singles():
    mesh = ball(rings=16)
    cameras = Camera.turntable(3, target=(0.0, 0.0, 0.0))
    together = rasterize(mesh.verts, mesh.faces, cameras, 64)
    for k in range(3):
        single = rasterize(mesh.verts, mesh.faces, cameras[k], 64)
        assert all(torch.equal(a[k : k + 1], b) for a, b in zip(together, single, strict=True))
    verts = torch.cat((mesh.verts, mesh.verts * 0.5))
    both = rasterize(verts, mesh.faces, cameras[0], 64)
    assert torch.equal(both[0][1:], rasterize(verts[1:], mesh.faces, cameras[0], 64)[0])


@pytest.mark.parametrize("budget", [1, 5000, 200000])
def test_pieces_do_not_change_the_result(budget):
    mesh = ball(rings=12)
    camera = Camera.fit(mesh.verts, 30.0, 20.0)
    whole, pieces = (rasterize(mesh.verts, mesh.faces, camera, 48, budget=b) for b in (1 << 30, budget))
    assert all(torch.equal(a, b) for a, b in zip(whole, pieces, strict=True))


def test_culling_changes_nothing_on_a_closed_mesh_and_hides_the_back_of_an_open_one():
    mesh, camera = ball(rings=12), Camera.orbit(20.0, 10.0, target=(0.0, 0.0, 0.0))
    plain, culled = (rasterize(mesh.verts, mesh.faces, camera, 64, cull=cull)[0] for cull in (False, True))
    assert torch.equal(plain, culled)
    sheet, behind = board(), Camera.orbit(180.0, target=(0.0, 0.0, 0.0))
    assert bool((rasterize(sheet.verts, sheet.faces, behind, 32)[0] >= 0).any())
    assert not bool((rasterize(sheet.verts, sheet.faces, behind, 32, cull=True)[0] >= 0).any())


def test_the_hidden_back_is_left_out_without_a_difference():
    # A ball within a ball with an opening: backs that are hidden, and backs that show through the opening.
    mesh = ball(rings=14)
    centre = mesh.verts[0, mesh.faces].mean(1)
    open_faces = mesh.faces[centre[:, 2] < 70.0]
    for azimuth in (0.0, 35.0, 80.0):
        camera = Camera.orbit(azimuth, 10.0, target=(0.0, 0.0, 0.0))
        agree(mesh.verts, open_faces, camera, (40, 40))


@pytest.mark.parametrize("case", ["none", "behind", "aside", "nan", "flat"])
def test_nothing_to_see(case):
    verts, faces = board().verts.clone(), board().faces
    if case == "none":
        faces = faces[:0]
    elif case == "behind":
        verts[..., 2] += 5000.0
    elif case == "aside":
        verts[..., 0] += 5000.0
    elif case == "nan":
        verts[:] = float("nan")
    else:
        verts[..., 0] = 0.0
    ids, depth = rasterize(verts, faces, Camera.front(target=(0.0, 0.0, 0.0)), 16)
    assert bool((ids == -1).all()) and bool((depth == float("inf")).all())
