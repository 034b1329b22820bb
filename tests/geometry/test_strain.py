"""Tension and directional strain: what they are under simple motions, gradients, and bad input."""

from __future__ import annotations

import math

import pytest
import torch

from facekit.errors import InputError
from facekit.geometry.strain import StrainGraph, lines_across


def grid(n: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A flat n x n sheet: verts (1, n², 3) float64, faces, and UVs that are its x and y."""
    y, x = torch.meshgrid(torch.arange(n).double(), torch.arange(n).double(), indexing="ij")
    verts = torch.stack((x, y, torch.zeros_like(x)), dim=-1).reshape(1, -1, 3)
    at = torch.arange(n * n).view(n, n)
    a, b, c, d = (at[r, s].reshape(-1) for r, s in
                  ((slice(0, -1), slice(0, -1)), (slice(0, -1), slice(1, None)),
                   (slice(1, None), slice(1, None)), (slice(1, None), slice(0, -1))))  # fmt: skip
    faces = torch.cat((torch.stack((a, b, c), -1), torch.stack((a, c, d), -1)))
    return verts, faces, verts[0, :, :2] / (n - 1)


def turned(verts: torch.Tensor) -> torch.Tensor:
    """Rotated about a skew axis and moved."""
    axis = torch.tensor([0.3, -0.8, 0.52], dtype=torch.float64)
    skew = torch.linalg.cross(torch.eye(3).double(), (axis / axis.norm() * 0.9).expand(3, 3))
    return verts @ torch.matrix_exp(skew).to(verts) + verts.new_tensor([12.0, -7.0, 30.0])


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=["float64", "float32"])
def head(request, default_pipeline):
    template = default_pipeline.template
    graph = StrainGraph.of(template.faces, len(template.verts))
    along = torch.tensor([[1.0, 0.0]]).expand(len(template.faces), 2)
    lines = lines_across(template.verts, template.faces, template.uvs, template.faces_uvs, along)
    tolerance = 1e-9 if request.param == torch.float64 else 1e-4
    return template.verts[None].to(request.param), graph, lines, tolerance


def test_rigid_motion_strains_nothing(head):
    verts, graph, lines, tolerance = head
    moved = turned(verts)
    assert float(graph.tension(verts, moved).abs().max()) < tolerance
    # A line across a sliver is shorter than its edges, so rounding of these counts more.
    assert float(graph.along(verts, moved, lines).abs().max()) < 20 * tolerance


@pytest.mark.parametrize("k", [0.5, 0.93, 1.4])
def test_scaling_by_k_gives_one_minus_k(head, k):
    verts, graph, lines, tolerance = head
    for strain, used in ((graph.tension(verts, verts * k), graph.share > 0),
                         (graph.along(verts, verts * k, lines), lines.share > 0)):  # fmt: skip
        assert float((strain[:, used] - (1 - k)).abs().max()) < 20 * tolerance
        assert float(strain[:, ~used].abs().sum()) == 0


def test_tension_is_the_mean_over_a_vertexs_own_edges():
    verts, faces, _ = grid()
    posed = verts.clone()
    posed[0, 40] += torch.tensor([0.2, -0.1, 0.4]).double()
    found = StrainGraph.of(faces, 81).tension(verts, posed)[0]
    pairs = {tuple(sorted(p)) for f in faces.tolist() for p in ((f[0], f[1]), (f[1], f[2]), (f[2], f[0]))}
    for vertex in (0, 39, 40, 41):
        around = [a + b - vertex for a, b in pairs if vertex in (a, b)]
        ratios = [
            float((posed[0, n] - posed[0, vertex]).norm() / (verts[0, n] - verts[0, vertex]).norm()) for n in around
        ]
        assert float(found[vertex]) == pytest.approx(1 - sum(ratios) / len(ratios), abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
def test_directional_strain_sees_what_cancels_in_the_mean(angle):
    """Squeezed by a fifth across the furrow and stretched by a fifth along it."""
    verts, faces, uvs = grid()
    turn = math.radians(angle)
    furrow = torch.tensor([math.cos(turn), math.sin(turn), 0.0], dtype=torch.float64)
    across = torch.tensor([-math.sin(turn), math.cos(turn), 0.0], dtype=torch.float64)
    posed = verts + 0.2 * (verts @ furrow)[..., None] * furrow - 0.2 * (verts @ across)[..., None] * across
    graph = StrainGraph.of(faces, 81)
    lines = lines_across(verts[0], faces, uvs, faces, furrow[:2].expand(len(faces), 2))
    strain = graph.along(verts, posed, lines)
    torch.testing.assert_close(strain, torch.full_like(strain, 0.2), atol=1e-12, rtol=0)
    assert float(graph.tension(verts, posed).abs().mean()) < 0.12, "half of it is lost"


def test_lines_are_at_a_right_angle_and_of_unit_length_on_the_surface(default_pipeline):
    t = default_pipeline.template
    along = torch.nn.functional.normalize(torch.randn(len(t.faces), 2, generator=torch.Generator().manual_seed(0)))
    lines = lines_across(t.verts, t.faces, t.uvs, t.faces_uvs, along)
    a, b, c = (t.verts[corner].double() for corner in lines.faces)
    line = lines.weights[0, :, None] * (b - a) + lines.weights[1, :, None] * (c - a)
    torch.testing.assert_close(line.norm(dim=1), torch.ones(len(line)).double())
    assert lines.faces.shape[1] > 0.99 * len(t.faces)
    # Where a small step along the UV direction leads on the surface, the line has no part in.
    keep = torch.isin(
        t.faces @ torch.tensor([1, 30000, 900000000]), lines.faces.t() @ torch.tensor([1, 30000, 900000000])
    )
    p, q, r = (t.uvs[t.faces_uvs[keep, k]].double() for k in range(3))
    inverse = torch.linalg.inv(torch.stack((q - p, r - p), dim=-1))
    u, v = (inverse @ along[keep].double()[..., None])[..., 0].unbind(-1)
    furrow = torch.nn.functional.normalize(u[:, None] * (b - a) + v[:, None] * (c - a))
    assert float((line * furrow).sum(1).abs().max()) < 1e-6


def test_no_direction_no_line():
    verts, faces, uvs = grid()
    along = torch.zeros(len(faces), 2)
    along[:10, 0] = 1
    lines = lines_across(verts[0], faces, uvs, faces, along)
    assert lines.faces.shape == (3, 10)
    strain = StrainGraph.of(faces, 81).along(verts, verts * 0.5, lines)
    assert int((strain != 0).sum()) == int((lines.share > 0).sum()) < 40


def test_batches_share_a_rest_shape():
    verts, faces, _ = grid()
    graph = StrainGraph.of(faces, 81)
    batch = torch.cat((verts, verts * 0.9, verts * 1.2))
    single = torch.cat([graph.tension(verts, one[None]) for one in batch])
    assert torch.equal(graph.tension(verts, batch), single)


def test_gradients():
    verts, faces, uvs = grid(4)
    graph = StrainGraph.of(faces, 16)
    lines = lines_across(verts[0], faces, uvs, faces, torch.tensor([[0.6, 0.8]]).expand(len(faces), 2))
    posed = (turned(verts) + 0.1 * torch.randn(1, 16, 3, generator=torch.Generator().manual_seed(1))).requires_grad_()
    rest = verts.clone().requires_grad_()
    assert torch.autograd.gradcheck(graph.tension, (rest, posed))
    assert torch.autograd.gradcheck(lambda a, b: graph.along(a, b, lines), (rest, posed))
    assert torch.autograd.gradcheck(
        lambda values: graph.smooth(values, 2), (torch.rand(2, 16).double().requires_grad_(),)
    )


def test_gradient_of_an_edge_that_vanished_is_finite():
    verts, faces, _ = grid(4)
    posed = verts.clone()
    posed[0, 5] = posed[0, 6]
    posed.requires_grad_()
    StrainGraph.of(faces, 16).tension(verts, posed).sum().backward()
    assert bool(posed.grad.isfinite().all())


def test_smoothing_keeps_constants_and_spreads_a_spot():
    _, faces, _ = grid()
    graph = StrainGraph.of(faces, 81)
    torch.testing.assert_close(graph.smooth(torch.full((1, 81), 0.3), 5), torch.full((1, 81), 0.3))
    spot = torch.zeros(1, 81)
    spot[0, 40] = 1
    spread = graph.smooth(spot, 2)[0]
    assert 0.2 < float(spread[40]) < 0.5
    assert float(spread[41]) > 0.03 > float(spread[0])


@pytest.mark.parametrize("which", ["rest", "posed"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_vertices_that_are_not_finite(which, value):
    verts, faces, _ = grid()
    broken = verts.clone()
    broken[0, 17, 1] = value
    pair = (broken, verts) if which == "rest" else (verts, broken)
    with pytest.raises(InputError, match="finite"):
        StrainGraph.of(faces, 81).tension(*pair)


def test_other_topologies_and_orders_are_refused(default_pipeline):
    verts, faces, uvs = grid()
    graph = StrainGraph.of(faces, 81)
    with pytest.raises(InputError, match=r"\(B, 81, 3\)"):
        graph.tension(verts, verts[:, :80])
    with pytest.raises(InputError, match="as many rest shapes"):
        graph.tension(verts.expand(2, -1, -1), verts.expand(3, -1, -1))
    lines = lines_across(verts[0], faces, uvs, faces, torch.ones(len(faces), 2))
    template = default_pipeline.template
    head = StrainGraph.of(template.faces, len(template.verts))
    shuffled = template.verts[None, torch.randperm(len(template.verts), generator=torch.Generator().manual_seed(0))]
    for call in (
        lambda: head.tension(template.verts[None], shuffled),
        lambda: head.tension(shuffled, template.verts[None]),
    ):
        with pytest.raises(InputError, match="in the same order"):
            call()
    broken = verts.clone()
    broken[0, 17, 1] = float("nan")
    with pytest.raises(InputError, match="finite"):
        graph.along(verts, broken, lines)


def test_edges_without_length_are_refused():
    verts, faces, _ = grid()
    flat = verts.clone()
    flat[0, 41] = flat[0, 40]
    with pytest.raises(InputError, match="1 of zero length"):
        StrainGraph.of(faces, 81).tension(flat, verts)


def test_bad_topologies_are_refused():
    _, faces, _ = grid()
    for wrong, count in ((faces[:, :2], 81), (faces.double(), 81), (faces, 80), (faces - 1, 81)):
        with pytest.raises(InputError):
            StrainGraph.of(wrong, count)
