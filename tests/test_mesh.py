"""FaceMesh and FaceOutput: shapes are checked, indexing keeps a batch, morph data belongs to one face."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from facekit import FaceLatents, FaceMesh, FaceOutput
from facekit.errors import InputError


def triangle(**changes) -> FaceMesh:
    fields = {
        "verts": torch.tensor([[[0.0, 0, 0], [10, 0, 0], [0, 10, 0]]]),
        "faces": torch.tensor([[0, 1, 2]]),
        "uvs": torch.tensor([[0.0, 0], [1, 0], [0, 1]]),
        "faces_uvs": torch.tensor([[0, 1, 2]]),
        "texture": torch.full((1, 3, 4, 4), 0.5),
    }
    return FaceMesh(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verts": torch.zeros(3, 3)}, "verts"),
        ({"verts": torch.zeros(1, 3, 2)}, "verts"),
        ({"verts": [[0.0, 0, 0]]}, "list"),
        ({"verts": torch.zeros(1, 3, 3, dtype=torch.int64)}, "int64"),
        ({"faces": torch.zeros(1, 3)}, "faces as an? integer tensor"),
        ({"faces": torch.tensor([[0, 1, 3]])}, "faces between 0 and 2"),
        ({"faces": torch.tensor([[0, 1, -1]])}, "faces between 0 and 2"),
        ({"uvs": torch.zeros(3, 3)}, "uvs"),
        ({"faces_uvs": torch.tensor([[0, 1, 2], [0, 1, 2]])}, "one row of faces_uvs per face"),
        ({"faces_uvs": torch.tensor([[0, 1, 5]])}, "faces_uvs between 0 and 2"),
        ({"texture": torch.zeros(2, 3, 4, 4)}, "texture"),
        ({"texture": torch.zeros(1, 4, 4, 4)}, "texture"),
        ({"texture": torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}, "uint8"),
    ],
)
def test_bad_meshes_are_told(changes, message):
    with pytest.raises(InputError, match=message):
        triangle(**changes)


def test_mesh_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        triangle().verts = torch.zeros(1, 3, 3)


def test_mesh_indexing_keeps_the_batch_dimension(tiny_mesh):
    verts, texture = tiny_mesh.verts * torch.tensor([1.0, 2, 3])[:, None, None], tiny_mesh.texture.repeat(3, 1, 1, 1)
    batch = dataclasses.replace(tiny_mesh, verts=verts, texture=texture)
    assert len(batch) == 3
    assert batch[1].verts.shape == (1, *tiny_mesh.verts.shape[1:])
    assert batch[-1].texture.shape[0] == 1
    torch.testing.assert_close(batch[-1].verts, tiny_mesh.verts * 3)
    assert len(batch[1:]) == 2
    assert batch[0].faces is batch.faces, "the topology is shared"
    for index in (3, -4):
        with pytest.raises(IndexError):
            batch[index]


def test_normals_point_outward_and_are_unit(tiny_mesh):
    normals = tiny_mesh.normals()
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(normals.shape[:2]), atol=1e-5, rtol=0)
    middle = tiny_mesh.verts[0].mean(dim=0)
    assert bool(((tiny_mesh.verts[0] - middle) * normals[0]).sum(dim=1).gt(0).all())


def test_to_copies_every_field(tiny_mesh):
    mesh = dataclasses.replace(tiny_mesh, displacement=torch.rand(1, 1, 8, 8))
    moved = mesh.to("cpu")
    for field in dataclasses.fields(mesh):
        if field.name.startswith("_") or getattr(mesh, field.name) is None:
            assert field.name in ("_known", "vertex_colors", "openings", "rig")
            continue
        assert torch.equal(getattr(moved, field.name), getattr(mesh, field.name)), field.name


def test_displacement_is_one_channel_a_face_and_indexed(tiny_mesh):
    maps = torch.rand(3, 1, 8, 8)
    batch = dataclasses.replace(tiny_mesh, verts=tiny_mesh.verts.expand(3, -1, -1), texture=None, displacement=maps)
    assert torch.equal(batch[1].displacement, maps[1:2])
    for wrong in (torch.rand(3, 3, 8, 8), torch.rand(2, 1, 8, 8), torch.rand(1, 8, 8)):
        with pytest.raises(InputError, match="displacement"):
            dataclasses.replace(batch, displacement=wrong)


# -- FaceOutput -------------------------------------------------------------------------------------------------------


def test_output_indexing_splits_what_is_per_face(tiny_sweep):
    face = dataclasses.replace(tiny_sweep, metadata={**tiny_sweep.metadata, "seed": 7})
    assert len(face) == 20
    one = face[1]
    assert one.metadata["expression"] in ("smile", ["smile"])
    assert one.metadata["seed"] == 7
    assert len(one) == len(one.latents) == 1
    assert one.expression_weights() == [{"smile": 1.0}]
    assert len(face[2:5].metadata["expression"]) == 3
    assert [len(single) for single in face] == [1] * 20
    with pytest.raises(IndexError):
        face[20]


def test_output_shortcuts(tiny_face):
    assert tiny_face.verts is tiny_face.mesh.verts
    assert tiny_face.texture is tiny_face.mesh.texture
    assert tiny_face.expression_weights() == [{"smile": pytest.approx(0.8)}]


def test_rig_wants_one_face_that_knows_its_expressions(tiny_face, tiny_sweep):
    rig = tiny_face.rig()
    assert rig.deltas.shape == (19, tiny_face.verts.shape[1], 3)
    with pytest.raises(InputError, match="one face, got a batch of 20"):
        tiny_sweep.rig()
    with pytest.raises(InputError, match="with a source"):
        dataclasses.replace(tiny_face, source=None).rig()


def test_save_wants_one_face(tiny_sweep, tmp_path):
    with pytest.raises(InputError, match="batch of 20"):
        tiny_sweep.save(tmp_path / "face.ply")
    assert not list(tmp_path.iterdir())


def test_outputs_can_be_made_by_hand():
    face = FaceOutput(mesh=triangle(), latents=FaceLatents.sample(1))
    assert len(face) == 1
    assert face.model == "default"
