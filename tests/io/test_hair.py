"""Hair in files: a separate mesh that moves with the head and is not read back as part of it."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch

import facekit
from facekit.io.glb_read import read_rig


@pytest.fixture(scope="module")
def face(default_pipeline):
    return default_pipeline(seed=0, expression="eye_closed", hair="short04")


@pytest.fixture(scope="module")
def glb(face, tmp_path_factory):
    return face.save(tmp_path_factory.mktemp("hair") / "face.glb")


def test_glb_has_a_second_primitive(face, glb):
    data = glb.read_bytes()
    gltf = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    head, hair = gltf["meshes"][0]["primitives"]
    assert len(head["targets"]) == len(hair["targets"]) == 19
    assert gltf["materials"][hair["material"]]["alphaMode"] == "BLEND"
    moved = [gltf["accessors"][t["POSITION"]]["max"] for t in hair["targets"]]
    names = gltf["meshes"][0]["extras"]["targetNames"]
    assert max(moved[names.index("eye_closed")]) > 0 and any("sparse" in a for a in gltf["accessors"])


def test_the_head_is_read_alone(face, glb, tmp_path):
    back = read_rig(glb)
    assert back.neutral.verts.shape[1] == face.verts.shape[1]
    obj = face.save(tmp_path / "face.obj")
    head = facekit.load(obj)
    assert (head.verts - face.verts).abs().max() < 1e-4 and torch.equal(head.faces, face.mesh.faces)
    text = obj.read_text()
    assert text.count("usemtl hair") == 1 and "map_d face_hair_coverage.png" in obj.with_suffix(".mtl").read_text()
    last = max(int(word.split("/")[0]) for word in text.rstrip().rsplit("\n", 1)[1].split()[1:])
    assert last <= face.verts.shape[1] + len(face.hair[0].verts)


def test_lashes_close_in_the_rig(face):
    rig = face.rig()
    moved = rig.hair.deltas[rig.names.index("eye_closed")]
    lash = rig.hair.neutral.cards.lash
    assert float(moved[lash, 1].min()) < -4.0
    worn = rig.hair.neutral.verts + moved
    assert (worn - face.hair[0].verts)[lash].abs().max() < 0.05
    assert float(np.quantile(moved[~lash].norm(dim=1), 0.9)) < 1.0  # a closing eye is no storm


def test_cards_are_blended_from_the_skull_outward(face):
    # What blends the triangles in the order of the file needs no sorting for each view.
    cards = face.hair[0].cards
    away = cards.verts[cards.faces].mean(1) - torch.tensor([0.0, 20.0, -20.0])
    away[:, 1].clamp_(min=0.0)
    assert bool((away.norm(dim=1).diff() >= -1e-3).all())
    # Each triangle has kept its UVs.
    right = cards.uvs[cards.faces_uvs[:, 0], 0] >= cards.lash_from - 1e-4
    assert torch.equal(cards.part[cards.faces[:, 0]] == 3, right)
