"""Normals and triangles from displacement: signs, units, seams, order, refusals, gradients."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit import FaceMesh
from facekit.errors import InputError
from facekit.geometry import displace
from facekit.geometry.displace import MAX_LEVEL, detailed_mesh, normal_map, tangents
from facekit.geometry.normals import vertex_normals
from facekit.geometry.texels import texels_of
from facekit.geometry.uv import sample_texture
from tests.conftest import relief, sphere

trimesh = pytest.importorskip("trimesh")


def plane(affine: torch.Tensor, size: tuple[int, int] = (32, 48), dtype: torch.dtype = torch.float64) -> FaceMesh:
    """A flat grid of 100 by 60 mm that faces +Z; its UVs are ``affine`` (2, 3) of x / 100, y / 60 and 1."""
    y, x = torch.meshgrid(torch.arange(5) / 4, torch.arange(7) / 6, indexing="ij")
    flat = torch.stack((x, y, torch.ones_like(x)), dim=-1).view(-1, 3).to(dtype)
    faces = []
    for row in range(4):
        for column in range(6):
            a = row * 7 + column
            faces += [(a, a + 1, a + 8), (a, a + 8, a + 7)]
    verts = flat * flat.new_tensor([100.0, 60.0, 0.0])
    faces = torch.tensor(faces)
    return FaceMesh(
        verts[None], faces, flat @ affine.to(dtype).T, faces, displacement=torch.zeros(1, 1, *size).to(dtype)
    )


UPRIGHT = torch.tensor([[0.8, 0.0, 0.1], [0.0, 0.8, 0.1]])
SHEARED = torch.tensor([[0.5, 0.2, 0.1], [0.1, 0.6, 0.1]])
MIRRORED = torch.tensor([[-0.8, 0.1, 0.85], [0.05, 0.8, 0.08]])


def slanted(mesh: FaceMesh, along_x: float, along_y: float) -> FaceMesh:
    """The plane with the displacement along_x x + along_y y, in mm."""
    height, width = mesh.displacement.shape[2:]
    v, u = torch.meshgrid(1 - (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    a = mesh.uvs[[0, 6, 28]]  # at (0, 0), (100, 0) and (0, 60) mm
    back = torch.linalg.inv(torch.stack((a[1] - a[0], a[2] - a[0]), dim=1))
    share = (torch.stack((u, v), dim=-1).to(a) - a[0]) @ back.T
    rise = along_x * 100 * share[..., 0] + along_y * 60 * share[..., 1]
    return dataclasses.replace(mesh, displacement=rise[None, None])


def decoded(mesh: FaceMesh, uv: torch.Tensor, vertex: torch.Tensor) -> torch.Tensor:
    """Apply a normal map as a viewer does: normals (N, 3) in the mesh's space, at pairs of UVs and vertices."""
    normals = vertex_normals(mesh.verts, mesh.faces)[0, vertex]
    frame = tangents(mesh, vertex, uv)[0]
    along, sign = frame[:, :3], frame[:, 3:]
    x, y, z = (2 * sample_texture(normal_map(mesh), mesh.uvs[uv])[0] - 1).unbind(-1)
    bitangent = sign * torch.linalg.cross(normals, along)
    found = x[:, None] * along + y[:, None] * bitangent + z[:, None] * normals
    return found / found.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize("affine", [UPRIGHT, SHEARED, MIRRORED])
@pytest.mark.parametrize("slope", [(0.3, 0.0), (0.0, 0.3), (-0.2, 0.5)])
def test_a_slanted_plane_has_its_true_normal(affine, slope):
    mesh = slanted(plane(affine), *slope)
    true = torch.tensor([-slope[0], -slope[1], 1.0], dtype=torch.float64)
    corner = torch.arange(35)
    assert (decoded(mesh, corner, corner) - true / true.norm()).abs().max() < 1e-6


def test_green_is_up_and_red_is_right():
    x, y, z = (2 * normal_map(slanted(plane(UPRIGHT), 0.3, 0.0))[0, :, 16, 24] - 1).tolist()
    assert x < -0.2 and abs(y) < 1e-6 and z > 0.9  # rising to the right, it faces left
    x, y, z = (2 * normal_map(slanted(plane(UPRIGHT), 0.0, 0.3))[0, :, 16, 24] - 1).tolist()
    assert y < -0.2 and abs(x) < 1e-6 and z > 0.9  # rising upward, it faces down


def test_a_larger_head_has_shallower_slopes():
    mesh = slanted(plane(UPRIGHT), 0.4, 0.0)
    larger = dataclasses.replace(mesh, verts=2 * mesh.verts)
    tilt = [(2 * normal_map(m)[0, :, 16, 24] - 1) for m in (mesh, larger)]
    assert float(tilt[1][0] / tilt[1][2]) == pytest.approx(float(tilt[0][0] / tilt[0][2]) / 2, rel=1e-5)


def test_flat_where_nothing_is_displaced_and_outside(tiny_mesh):
    even = dataclasses.replace(tiny_mesh, displacement=torch.full((1, 1, 64, 64), 0.7))
    assert (normal_map(even) - torch.tensor([0.5, 0.5, 1.0]).view(1, 3, 1, 1)).abs().max() < 1e-6
    mesh = plane(0.5 * UPRIGHT, (64, 64))
    mesh = slanted(mesh, 0.5, 0.5)
    assert (normal_map(mesh)[0, :, 0, 63] == torch.tensor([0.5, 0.5, 1.0])).all()


def test_the_border_of_a_chart_is_repeated_outside():
    mesh = slanted(plane(UPRIGHT), 0.3, 0.1)
    found = normal_map(mesh)
    texels = texels_of(mesh.uvs, mesh.faces_uvs, (32, 48))
    inside = found.flatten(2)[..., texels.inside[0]]
    assert (found.flatten(2)[0][:, texels.gutter] - inside[0, :, None]).abs().max() < 1e-5


def bumpy(**changes) -> FaceMesh:
    """A finer ellipsoid with a bump in front."""
    return dataclasses.replace(sphere(25, 36), **{"displacement": relief(256), **changes})


def test_a_bump_faces_away_from_its_centre_and_agrees_with_the_displaced_mesh():
    mesh = dataclasses.replace(sphere(61, 90), displacement=relief(256))
    fine = detailed_mesh(mesh, 2)
    count = mesh.verts.shape[1]
    pairs = torch.unique(torch.stack((mesh.faces.view(-1), mesh.faces_uvs.view(-1))), dim=1)
    mapped = decoded(mesh, pairs[1], pairs[0])
    true = fine.normals()[0, :count][pairs[0]]
    smooth = mesh.normals()[0][pairs[0]]
    inner = (mesh.uvs[pairs[1]] - 0.5).abs().amax(1) < 0.4  # the poles are open, their last ring has half its fan

    def angle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.rad2deg(torch.acos((a * b).sum(-1).clamp(-1, 1)))[inner]

    assert angle(mapped, true).mean() < 0.15 * angle(smooth, true).mean()
    # Around the bump's top, which faces +Z, normals lean outward.
    around = (mesh.uvs[pairs[1]] - 0.5).norm(dim=1)
    ring = (around > 0.05) & (around < 0.12)
    top = mesh.verts[0][:, 2].max()
    outward = mesh.verts[0][pairs[0]] - torch.stack((torch.tensor(0.0), torch.tensor(0.0), top))
    lean = ((mapped - smooth)[:, :2] * outward[:, :2]).sum(-1)[ring]
    assert len(lean) > 20 and (lean > 0).all()


def test_a_seam_has_one_normal():
    mesh = bumpy()
    v = 1 - (torch.arange(256) + 0.5) / 256
    mesh = dataclasses.replace(mesh, displacement=torch.sin(20 * v)[None, None, :, None].expand(1, 1, 256, 256))
    left = torch.arange(25) * 37  # the seam's first and last column of UVs belong to one column of vertices
    vertex = torch.arange(25) * 36
    both = [decoded(mesh, uv, vertex)[2:-2] for uv in (left, left + 36)]
    assert (both[0] * both[1]).sum(-1).min() > 0.998


# -- triangles --------------------------------------------------------------------------------------------------------


def closed(count: int = 1) -> FaceMesh:
    """A closed ball whose every triangle is a chart of its own, with one displacement inside the charts, 0 outside."""
    shape = trimesh.creation.icosphere(subdivisions=1, radius=50.0)
    faces = torch.tensor(shape.faces)
    corner = torch.tensor([[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]])
    cell = torch.stack((torch.arange(80) % 10, torch.arange(80) // 10), dim=1)
    uvs = (corner + cell[:, None]).view(-1, 2) / 10
    verts = torch.tensor(shape.vertices, dtype=torch.float32)[None] * (1 + 0.1 * torch.arange(count))[:, None, None]
    mesh = FaceMesh(verts, faces, uvs, torch.arange(240).view(80, 3))
    mask = texels_of(mesh.uvs, mesh.faces_uvs, (200, 200)).mask()
    return dataclasses.replace(mesh, displacement=0.8 * mask.expand(count, -1, -1, -1))


@pytest.mark.parametrize("level", [0, 1, 2])
def test_seams_neither_crack_nor_sink(level):
    mesh = closed()
    fine = detailed_mesh(mesh, level)
    shape = trimesh.Trimesh(fine.verts[0].numpy(), fine.faces.numpy(), process=False)
    assert shape.is_watertight and shape.is_winding_consistent
    assert len(fine.faces) == 80 * 4**level == len(fine.faces_uvs)
    still = detailed_mesh(dataclasses.replace(mesh, displacement=torch.zeros(1, 1, 200, 200)), level)
    assert ((fine.verts - still.verts).norm(dim=-1) - 0.8).abs().max() < 1e-3


def test_old_vertices_and_uvs_keep_their_index():
    mesh = bumpy()
    fine = detailed_mesh(mesh, 2)
    count = mesh.verts.shape[1]
    moved = fine.verts[:, :count] - mesh.verts
    assert (moved.norm(dim=-1) - (moved * mesh.normals()).sum(-1).abs()).abs().max() < 1e-3
    assert torch.equal(fine.uvs[: len(mesh.uvs)], mesh.uvs)
    assert torch.equal(fine.landmarks, mesh.landmarks)
    assert fine.texture is mesh.texture and fine.displacement is None
    assert fine.ao.shape == fine.parts.shape == fine.verts.shape[1:2]
    assert torch.equal(fine.parts[:count], mesh.parts) and fine.parts.dtype == mesh.parts.dtype
    # Each new UV lies in the middle of the triangle that its vertex does.
    corner = fine.verts[0][fine.faces].mean(1)
    expected = sample_texture(mesh.displacement, fine.uvs)[0, :, 0][fine.faces_uvs].mean(1)
    assert corner.shape == (16 * len(mesh.faces), 3) and expected.isfinite().all()


def test_a_new_vertex_between_parts_is_skin():
    mesh = bumpy()
    parts = (mesh.uvs[: mesh.verts.shape[1], 1] > 0.5).to(torch.uint8) * 3
    fine = detailed_mesh(dataclasses.replace(mesh, parts=parts), 1)
    assert sorted(fine.parts.unique().tolist()) == [0, 3]
    assert float((fine.parts == 3).float().mean()) <= float((parts == 3).float().mean())


def test_faces_of_a_batch_do_not_mix():
    mesh = closed(3)
    depth = torch.tensor([0.5, 1.0, -1.0]).view(3, 1, 1, 1)
    mesh = dataclasses.replace(mesh, displacement=mesh.displacement * depth)
    fine, maps = detailed_mesh(mesh, 1), normal_map(mesh)
    for k in range(3):
        assert torch.allclose(fine.verts[k], detailed_mesh(mesh[k], 1).verts[0], atol=1e-4)
        assert torch.allclose(maps[k], normal_map(mesh[k])[0], atol=1e-6)


def test_detail_finer_than_the_triangles_is_averaged_away():
    mesh = sphere()
    noise = torch.randn(1, 1, 512, 512, generator=torch.Generator().manual_seed(0))
    mesh = dataclasses.replace(mesh, displacement=noise)
    still = detailed_mesh(dataclasses.replace(mesh, displacement=torch.zeros(1, 1, 512, 512)), 1)
    assert (detailed_mesh(mesh, 1).verts - still.verts).norm(dim=-1).std() < 0.15


def test_on_the_default_head(default_pipeline):
    mesh = default_pipeline(seed=7).mesh
    mesh = dataclasses.replace(mesh, displacement=relief(256))
    fine = detailed_mesh(mesh, 1)
    assert len(fine.faces) == 4 * len(mesh.faces)
    assert float((fine.verts[:, : mesh.verts.shape[1]] - mesh.verts).norm(dim=-1).max()) <= 1.31
    assert normal_map(mesh).isfinite().all()


# -- refusals and gradients -------------------------------------------------------------------------------------------


def without_uvs() -> FaceMesh:
    mesh = bumpy()
    return dataclasses.replace(mesh, uvs=torch.zeros(1, 2), faces_uvs=torch.zeros_like(mesh.faces))


def spoilt(name: str) -> FaceMesh:
    value = getattr(bumpy(), name).clone()
    value.view(-1)[5] = float("nan")
    return bumpy(**{name: value})


@pytest.mark.parametrize("function", [normal_map, detailed_mesh])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (sphere, "displacement, got one without; make the face with detail=True"),
        (without_uvs, "a mesh with UVs"),
        (lambda: spoilt("verts"), "finite vertices"),
        (lambda: spoilt("displacement"), "finite displacement"),
    ],
)
def test_bad_meshes_are_refused(function, make, message):
    with pytest.raises(InputError, match=message):
        function(make())


@pytest.mark.parametrize("level", [-1, MAX_LEVEL + 1, 1.5, "2", None])
def test_bad_levels_are_refused(level):
    with pytest.raises(InputError, match=f"level as a whole number from 0 to {MAX_LEVEL}"):
        detailed_mesh(bumpy(), level)


def test_too_many_vertices_are_counted_before_they_are_made(monkeypatch):
    monkeypatch.setattr(displace, "MAX_VERTICES", 100_000)
    assert detailed_mesh(bumpy(), 2).verts.shape[1] < 100_000
    with pytest.raises(InputError, match=r"at most 100,000 vertices, got [\d,]+ at level 4"):
        detailed_mesh(bumpy(), 4)


@pytest.mark.parametrize("function", [normal_map, lambda mesh: detailed_mesh(mesh, 1).verts])
def test_gradients(function):
    mesh = slanted(plane(SHEARED, (6, 7)), 0.2, -0.1)
    verts = mesh.verts + mesh.verts.new_tensor([0.0, 0.0, 1.0]) * torch.sin(mesh.verts[..., :1] / 20)
    inputs = (verts.requires_grad_(), mesh.displacement.clone().requires_grad_())

    def run(v: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return function(dataclasses.replace(mesh, verts=v, displacement=d))

    assert torch.autograd.gradcheck(run, inputs, atol=1e-6)
