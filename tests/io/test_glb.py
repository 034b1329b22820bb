"""GLB: round trip of mesh and morph targets, glTF rules that readers depend on, and damaged files."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch

import facekit
from facekit.conventions import MORPH_TARGETS
from facekit.errors import FileError, InputError
from facekit.files.images import decode, to_uint8
from facekit.io.glb import Clip, encode_glb
from facekit.io.glb_primitives import TOLERANCE
from facekit.io.glb_read import Accessors, chunks, read_rig


def document(path) -> dict:
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def test_rig_loads_back_equal(tiny_face, tmp_path):
    rig, back = tiny_face.rig(), read_rig(facekit.save(tiny_face, tmp_path / "face.glb"))
    assert (back.neutral.verts - rig.neutral.verts).abs().max() <= 1e-2
    assert torch.equal(back.neutral.faces, rig.neutral.faces)
    uv_of = [mesh.uvs[mesh.faces_uvs] for mesh in (back.neutral, rig.neutral)]
    assert (uv_of[0] - uv_of[1]).abs().max() < 1e-6
    assert torch.equal(back.neutral.texture, rig.neutral.texture)
    assert back.names == MORPH_TARGETS
    assert (back.deltas - rig.deltas).norm(dim=2).max() < TOLERANCE["expression"] + 0.03
    assert (back.weights - rig.weights).abs().max() < 1e-6
    exact = read_rig(facekit.save(tiny_face, tmp_path / "face.glb", quantize=False))
    assert (exact.deltas - rig.deltas).abs().max() <= 1.001e-3  # what is below a micrometre is dropped


@pytest.mark.parametrize(("quantize", "tolerance"), [(True, 0.15), (False, 0.01)])
def test_posed_weights_give_the_posed_face(tiny_face, tmp_path, quantize, tolerance):
    back = read_rig(facekit.save(tiny_face, tmp_path / "face.glb", quantize=quantize))
    posed = back.neutral.verts + torch.einsum("k,kvc->vc", back.weights, back.deltas)
    assert (posed - tiny_face.verts).abs().max() < tolerance


@pytest.mark.parametrize(("rig", "count"), [("expressions", 19), ("arkit", 52), ("both", 71)])
def test_rigs_by_name(tiny_pipe, tmp_path, rig, count):
    face = tiny_pipe(seed=7, expression="smile", blendshapes={"jawOpen": 0.5})
    path = facekit.save(face, tmp_path / "face.glb", rig=rig)
    back, made = read_rig(path), face.rig(rig)
    assert back.names == made.names and len(made.names) == count
    assert (back.weights - made.weights).abs().max() < 1e-6
    assert (back.deltas - made.deltas).norm(dim=2).max() < 0.13
    if rig == "arkit":  # finer, since nothing has to be hidden
        assert (back.deltas - made.deltas).norm(dim=2).max() < TOLERANCE["blendshape"] + 0.03
    assert document(path)["extensionsRequired"] == ["KHR_mesh_quantization"]


def test_what_the_face_wears_decides_without_a_name(tiny_pipe, tmp_path):
    face = tiny_pipe(seed=7, expression="smile", blendshapes={"jawOpen": 0.5})
    back = read_rig(facekit.save(face, tmp_path / "face.glb"))
    assert len(back.names) == 71
    posed = back.neutral.verts + torch.einsum("k,kvc->vc", back.weights, back.deltas)
    assert (posed - face.verts).norm(dim=2).max() < 0.25
    with pytest.raises(InputError, match="expressions, arkit, both, got 'facs'"):
        facekit.save(face, tmp_path / "face.glb", rig="facs")
    with pytest.raises(InputError, match="with morph targets for a rig"):
        facekit.save(face.mesh, tmp_path / "face.glb", rig="arkit")


def test_a_clip_turns_the_head_about_its_pivot(tiny_face, tmp_path):
    weights = np.linspace(0, 1, 5 * 52, dtype=np.float32).reshape(5, 52)
    turns = np.tile(np.float32([0, 0, 0, 1]), (5, 1))
    clip = Clip(np.arange(5) / 30, weights, turns, (0.0, -60.0, 0.0))
    path = tmp_path / "face.glb"
    path.write_bytes(encode_glb(tiny_face, rig="arkit", clip=clip))
    gltf, binary = chunks(path.read_bytes())
    (animation,) = gltf["animations"]
    paths = {channel["target"]["path"]: channel for channel in animation["channels"]}
    assert gltf["nodes"][paths["weights"]["target"]["node"]]["mesh"] == 0
    assert gltf["nodes"][paths["rotation"]["target"]["node"]]["translation"] == pytest.approx([0, -0.06, 0])
    sampler = animation["samplers"][paths["weights"]["sampler"]]
    reader = Accessors(gltf, [binary])
    assert np.array_equal(reader.read(sampler["output"]).reshape(5, 52), weights.astype(np.float64))
    assert {"min", "max"} <= set(gltf["accessors"][sampler["input"]])
    assert (read_rig(path).neutral.verts - tiny_face.rig().neutral.verts).abs().max() < 1e-2


def test_units_are_metres_and_v_counts_from_the_top(tiny_face, tmp_path):
    path = facekit.save(tiny_face, tmp_path / "face.glb")
    gltf = document(path)
    attributes = gltf["meshes"][0]["primitives"][0]["attributes"]
    position = gltf["accessors"][attributes["POSITION"]]
    high = tiny_face.rig().neutral.verts[0].amax(0) / 1000
    assert np.allclose(position["max"], high.numpy(), atol=1e-7)
    trimesh = pytest.importorskip("trimesh")
    other = trimesh.load(path, process=False, force="mesh")
    # trimesh turns V over again while it reads, so its UVs are facekit's.
    assert other.visual.uv[:, 1].min() == pytest.approx(0.02, abs=1e-6)
    assert np.asarray(other.visual.material.baseColorTexture).shape == (64, 64, 3)


def test_names_weights_and_one_material(tiny_face, tmp_path):
    gltf = document(facekit.save(tiny_face, tmp_path / "face.glb"))
    (mesh,) = gltf["meshes"]
    (primitive,) = mesh["primitives"]
    assert mesh["extras"]["targetNames"] == list(MORPH_TARGETS)
    assert mesh["weights"] == pytest.approx([0.8] + [0.0] * 18)
    assert len(primitive["targets"]) == len(MORPH_TARGETS)
    assert all(set(target) == {"POSITION", "NORMAL"} for target in primitive["targets"])
    (material,) = gltf["materials"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert material["doubleSided"]  # the ellipsoid is open at its poles
    assert gltf["asset"]["extras"]["seed"] == 7


def test_accessors_follow_the_rules(tiny_face, tmp_path):
    gltf = document(facekit.save(tiny_face, tmp_path / "face.glb"))
    views, size = gltf["bufferViews"], gltf["buffers"][0]["byteLength"]
    assert all(view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= size for view in views)
    primitive = gltf["meshes"][0]["primitives"][0]
    for holder in (primitive["attributes"], *primitive["targets"]):
        assert {"min", "max"} <= set(gltf["accessors"][holder["POSITION"]])
    sparse = [accessor for accessor in gltf["accessors"] if "sparse" in accessor]
    assert sparse, "local morph targets take less room when sparse"
    for accessor in sparse:
        assert 0 < accessor["sparse"]["count"] <= accessor["count"]
        # A sparse accessor's own views carry no target: the validator minds.
        for part in ("indices", "values"):
            assert "target" not in views[accessor["sparse"][part]["bufferView"]]


def test_normals_are_unit(tiny_face, tmp_path):
    gltf, binary = chunks(facekit.save(tiny_face, tmp_path / "face.glb").read_bytes())
    normals = Accessors(gltf, [binary]).read(gltf["meshes"][0]["primitives"][0]["attributes"]["NORMAL"])
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 1e-5


def test_a_mesh_alone_is_plain(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "face.glb")
    assert "targets" not in document(path)["meshes"][0]["primitives"][0]
    back = facekit.load(path)
    assert (back.verts - tiny_mesh.verts).abs().max() < 1e-4
    assert torch.equal(back.faces, tiny_mesh.faces)


def test_texture_as_jpeg(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "face.glb", texture_format="jpg")
    assert document(path)["images"][0]["mimeType"] == "image/jpeg"
    assert (facekit.load(path).texture - tiny_mesh.texture).abs().mean() < 0.03
    with pytest.raises(InputError, match="png, jpg"):
        facekit.save(tiny_mesh, path, texture_format="tiff")


@pytest.mark.parametrize("cut", [5, 40, 0.5, 0.99])
def test_a_truncated_file_is_refused(tiny_face, tmp_path, cut):
    path = facekit.save(tiny_face, tmp_path / "face.glb")
    data = path.read_bytes()
    path.write_bytes(data[: cut if cut >= 1 else int(len(data) * cut)])
    with pytest.raises(FileError, match="GLB"):
        facekit.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"\0" * 40, b"glTF" + b"\xff" * 40])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "face.glb"
    path.write_bytes(content)
    with pytest.raises(FileError, match="GLB"):
        facekit.load(path)


def test_views_beyond_the_end_are_refused(tiny_mesh, tmp_path):
    path = facekit.save(tiny_mesh, tmp_path / "face.glb")
    path.write_bytes(path.read_bytes().replace(b'"byteOffset":0', b'"byteOffset":9', 1))
    back = path.read_bytes().replace(b'"count":247', b'"count":999')
    path.write_bytes(back)
    with pytest.raises(FileError):
        facekit.load(path)


# -- detail -----------------------------------------------------------------------------------------------------------


def test_the_neutral_faces_normal_map_is_inside(bumpy_face, tmp_path):
    path = facekit.save(bumpy_face, tmp_path / "face.glb")
    gltf = document(path)
    assert [image["name"] for image in gltf["images"]] == ["albedo", "normal"]
    (material,) = gltf["materials"]
    assert material["pbrMetallicRoughness"]["baseColorTexture"] == {"index": 0}
    assert material["normalTexture"] == {"index": 1}
    neutral = bumpy_face.rig().neutral
    assert torch.equal(picture(path, 1), torch.from_numpy(to_uint8(neutral.normal_map())))
    back = facekit.load(path)
    assert torch.equal(back.texture, neutral.texture) and back.displacement is None


def test_no_normal_map_where_none_is_wanted_or_known(bumpy_face, tiny_face, tmp_path):
    for face, options in ((tiny_face, {}), (bumpy_face, {"normal_map": False})):
        gltf = document(face.save(tmp_path / "face.glb", **options))
        assert len(gltf["images"]) == 1 and "normalTexture" not in gltf["materials"][0]
        assert "TANGENT" not in gltf["meshes"][0]["primitives"][0]["attributes"]


def test_another_program_finds_the_normal_map(bumpy_face, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    other = trimesh.load(facekit.save(bumpy_face, tmp_path / "face.glb"), process=False, force="mesh")
    pixels = np.asarray(other.visual.material.normalTexture)
    assert (pixels == to_uint8(bumpy_face.rig().neutral.normal_map())).all()


def test_a_bump_faces_away_from_its_centre_as_gltf_reads_it(bumpy_face, tmp_path):
    """From the file alone, by the rules of the glTF specification: bitangent w (normal x tangent), green along it."""
    path = facekit.save(bumpy_face, tmp_path / "face.glb", morph_targets=False)
    gltf, binary = chunks(path.read_bytes())
    reader = Accessors(gltf, [binary])
    attributes = reader.gltf["meshes"][0]["primitives"][0]["attributes"]
    position, normal, uv, tangent = (
        reader.read(attributes[name]) for name in ("POSITION", "NORMAL", "TEXCOORD_0", "TANGENT")
    )
    assert np.abs(np.linalg.norm(tangent[:, :3], axis=1) - 1).max() < 1e-5, "without morph targets all is in floats"
    assert np.abs((tangent[:, :3] * normal).sum(1)).max() < 1e-5
    assert set(tangent[:, 3]) == {1.0}
    pixels = picture(path, 1).numpy()
    row, column = (np.clip((uv[:, k] * 64).astype(int), 0, 63) for k in (1, 0))  # V counts from the first row here
    x, y, z = (pixels[row, column] / 127.5 - 1).T[..., None]
    found = x * tangent[:, :3] + y * tangent[:, 3:] * np.cross(normal, tangent[:, :3]) + z * normal
    around = np.linalg.norm(uv - 0.5, axis=1)
    ring = (around > 0.03) & (around < 0.16)
    outward = (position - position[around.argmin()])[ring]
    lean = ((found - normal)[ring, :2] * outward[:, :2]).sum(1)
    assert ring.sum() >= 12 and (lean > 0).all()


def test_a_displaced_mesh(bumpy_face, tmp_path):
    path = bumpy_face.save(tmp_path / "face.glb", level=2, morph_targets=False)
    gltf = document(path)
    assert "targets" not in gltf["meshes"][0]["primitives"][0] and len(gltf["images"]) == 1
    fine = bumpy_face.detailed_mesh(2)
    back = facekit.load(path)
    assert torch.equal(back.faces, fine.faces) and (back.verts - fine.verts).abs().max() < 1e-3
    assert len(facekit.load(facekit.save(bumpy_face.mesh, path, level=1)).faces) == 4 * len(bumpy_face.mesh.faces)
    with pytest.raises(InputError, match="level 0 with morph targets, got level 2; pass morph_targets=False"):
        bumpy_face.save(path, level=2)


def picture(path, index: int) -> torch.Tensor:
    gltf, binary = chunks(path.read_bytes())
    view = gltf["bufferViews"][gltf["images"][index]["bufferView"]]
    return torch.from_numpy(decode(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]))
