"""Ray-triangle intersections of samples, against a reference in float64."""

import torch

from facekit.render.surface import Facets, surface


def scene(frames: int = 2, count: int = 40):
    """Random triangles before the camera, and samples at known places on them."""
    random = torch.Generator().manual_seed(5)

    def uniform(*shape, low=-1.0, high=1.0):
        return torch.rand(*shape, generator=random) * (high - low) + low

    verts, faces = (
        uniform(frames, 30, 3) * 30 - torch.tensor([0.0, 0.0, 200.0]),
        torch.stack([torch.randperm(30, generator=random)[:3] for _ in range(count)]),
    )
    normals = torch.nn.functional.normalize(uniform(frames, 30, 3) * 0.3 + torch.tensor([0.0, 0.0, 1.0]), dim=-1)
    frame, face = torch.randint(0, frames, (500,), generator=random), torch.randint(0, count, (500,), generator=random)
    share = torch.softmax(uniform(500, 3), 1)
    return verts, normals, uniform(4, 30, low=0.0), faces, uniform(30, 2, low=0.0), frame, face, share


def facets_of(verts, normals, values, faces, uvs, frame, face):
    rows = (t.permute(2, 0, 1).reshape(3, -1) for t in (verts, normals))
    turned = faces.t().contiguous()
    return Facets.of(*rows, values, turned, uvs.t().contiguous(), turned, frame * len(faces) + face, batch=len(verts))


def test_samples_meet_the_places_they_were_made_from():
    verts, normals, values, faces, uvs, frame, face, share = scene()
    corner = faces[face]
    place = (verts[frame[:, None], corner] * share[..., None]).sum(1)
    facets, index = facets_of(verts, normals, values, faces, uvs, frame, face)
    assert facets.planes.shape[1] == (frame * 100 + face).unique().numel()  # each face once
    ray = (place[:, :2] / -place[:, 2:]).t().contiguous()
    found = surface(facets, index, frame, ray, torch.full((2,), 1e-3))
    edge = verts[frame[:, None], corner]
    flat = torch.nn.functional.normalize(torch.linalg.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0]), dim=1)
    fair = (flat * torch.nn.functional.normalize(place, dim=1)).sum(1).abs() > 0.1  # not seen edge-on
    assert int(fair.sum()) > 300
    assert torch.allclose(found.depth[fair], -place[fair, 2], rtol=1e-4)
    assert torch.allclose(found.values[:, fair], ((values[:, corner] * share).sum(-1))[:, fair], atol=1e-3)
    assert torch.allclose(found.uv[:, fair], (uvs[corner] * share[..., None]).sum(1).t()[:, fair], atol=1e-3)
    view = torch.nn.functional.normalize(-place, dim=1)
    assert torch.allclose(found.view, view.t(), atol=1e-5)
    normal = torch.nn.functional.normalize((normals[frame[:, None], corner] * share[..., None]).sum(1), dim=1)
    seen = fair & ((normal * view).sum(1) > 0.05)
    assert torch.allclose(found.normal[:, seen], normal[seen].t(), atol=1e-3)
    assert found.smooth is found.normal  # without a relief


def test_a_pixel_covers_the_uv_length_that_a_step_across_it_makes():
    verts = torch.tensor([[[-50.0, -50, -100], [50, -50, -100], [50, 50, -100]]])
    uvs, faces = torch.tensor([[0.0, 0], [1, 0], [1, 1]]), torch.tensor([[0, 1, 2]])
    zero = torch.zeros(1, dtype=torch.int64)
    normals = torch.tensor([0.0, 0, 1]).expand(1, 3, 3)
    facets, index = facets_of(verts, normals, torch.zeros(1, 3), faces, uvs, zero, zero)
    found = surface(facets, index, zero, torch.tensor([[0.2], [-0.2]]), torch.tensor([0.01]))
    # A pixel is 0.01 x 100 mm of 100 mm wide.
    assert abs(float(found.span) - float(torch.log2(torch.tensor(0.01)))) < 0.01


def test_faces_seen_edge_on_are_finite_with_finite_gradients():
    verts = torch.tensor([[[0.0, -50, -100], [0, 50, -100], [0, 0, -200]]], requires_grad=True)
    faces, zero = torch.tensor([[0, 1, 2]]), torch.zeros(1, dtype=torch.int64)
    normals = torch.tensor([1.0, 0, 0]).expand(1, 3, 3)
    facets, index = facets_of(verts, normals, torch.zeros(1, 3), faces, torch.rand(3, 2), zero, zero)
    found = surface(facets, index, zero, torch.zeros(2, 1), torch.tensor([0.01]))
    total = found.depth.sum() + found.normal.sum() + found.uv.sum()
    total.backward()
    assert bool(torch.isfinite(total)) and bool(torch.isfinite(verts.grad).all())
    assert 100.0 <= float(found.depth.detach()) <= 200.0
