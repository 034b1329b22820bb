"""The compact file of identity modes."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import WeightsError
from facekit.models.modes import STEP, IdentityModes, pack, spanning_tree, unpack


@pytest.fixture
def smooth(tiny_mesh) -> IdentityModes:
    verts = tiny_mesh.verts[0] / 100
    waves = [torch.sin(verts * k + k) * 2 for k in range(1, 5)]
    return IdentityModes(torch.stack(waves))


def test_every_vertex_has_a_parent_nearer_to_a_root(tiny_mesh):
    parent = spanning_tree(tiny_mesh.faces, tiny_mesh.verts.shape[1])
    place = torch.arange(len(parent))
    for _ in range(len(parent)):
        place = parent[place]
    assert (parent[place] == place).all()
    assert (parent == torch.arange(len(parent))).sum() == 1  # one piece, one root


def test_what_is_packed_comes_back_to_half_a_step(tiny_mesh, smooth):
    again = unpack(pack(smooth, tiny_mesh.faces))
    assert again.deltas.shape == smooth.deltas.shape
    assert float((again.deltas - smooth.deltas).abs().max()) <= STEP / 2 + 1e-5


def test_weights_add_up(smooth):
    one, two = smooth.displacements(torch.eye(4)[:2])
    both = smooth.displacements(torch.tensor([[1.0, 1.0, 0.0, 0.0]]))[0]
    torch.testing.assert_close(both, one + two)


def test_steps_that_are_too_large_are_refused(tiny_mesh):
    with pytest.raises(ValueError, match="a step of"):
        pack(IdentityModes(torch.randn(1, tiny_mesh.verts.shape[1], 3) * 50), tiny_mesh.faces)


@pytest.mark.parametrize("fault", ["missing", "loop"])
def test_damaged_arrays_are_told(tiny_mesh, smooth, fault):
    arrays = pack(smooth, tiny_mesh.faces)
    if fault == "missing":
        del arrays["steps"]
    else:
        first, second = arrays["parent"][1].clone(), torch.tensor(1)
        arrays["parent"][1], arrays["parent"][first] = 2, second
        arrays["parent"][2] = 1
    with pytest.raises(WeightsError):
        unpack(arrays)
