"""glTF from other writers: nodes, modes, colours, textures, morph targets, skins; warnings and errors."""

from __future__ import annotations

import base64
import copy
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image

import facekit
from facekit.errors import FileError, MissingDependencyError
from facekit.files.images import encode_png
from facekit.io.glb_builder import GlbBuilder
from facekit.io.glb_read import chunks, read_rig

CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) / 10
UVS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
FACES = np.array([0, 1, 2, 0, 2, 3], np.uint16)


class Maker:
    """A glTF with one square, to be modified."""

    def __init__(self, picture: np.ndarray | None = None) -> None:
        self.builder = GlbBuilder()
        add = self.builder.accessor
        primitive = {"attributes": {"POSITION": add(CORNERS), "TEXCOORD_0": add(UVS)}, "indices": add(FACES)}
        self.json = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [primitive]}],
        }
        if picture is not None:
            surface = {"baseColorTexture": self.builder.texture("skin", encode_png(picture), "image/png")}
            self.json["materials"] = [{"name": "skin", "pbrMetallicRoughness": surface}]
            primitive["material"] = 0
        self.primitive, self.mesh, self.node = primitive, self.json["meshes"][0], self.json["nodes"][0]

    def add(self, array, **more) -> int:
        index = self.builder.accessor(np.ascontiguousarray(array))
        self.builder.accessors[index] |= more
        return index

    def bytes(self) -> bytes:
        return self.builder.pack({**self.builder.tables(), **copy.deepcopy(self.json)})

    def load(self, folder, **options):
        path = folder / "face.glb"
        path.write_bytes(self.bytes())
        return facekit.load(path, **options)


def quadrants() -> np.ndarray:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, :4], pixels[:4, 4:], pixels[4:, :4], pixels[4:, 4:] = 250, (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return pixels


def seen(mesh) -> list[list[int]]:
    """The texture at the centres of the four quadrants of the square, from the bottom left, around."""
    spots = torch.tensor([[-0.05, -0.05], [0.05, -0.05], [0.05, 0.05], [-0.05, 0.05]]) * mesh.verts[0].abs().max() / 0.1
    flat, found = mesh.verts[0, :, :2], []
    for spot in spots:
        for face, uv in zip(mesh.faces, mesh.faces_uvs, strict=True):
            a, b, c = flat[face]
            weights = torch.linalg.solve(torch.stack([b - a, c - a], 1), spot - a)
            if weights.min() >= -1e-4 and weights.sum() <= 1 + 1e-4:
                u, v = mesh.uvs[uv[0]] + weights @ (mesh.uvs[uv[1:]] - mesh.uvs[uv[0]])
                height, width = mesh.texture.shape[2:]
                pixel = mesh.texture[0, :, int((1 - v) * height), int(u * width)]
                found.append((pixel * 255).round().int().tolist())
                break
    return found


RIGHT = [[0, 250, 0], [0, 0, 250], [250, 0, 0], [250, 250, 250]]


def test_plain(tmp_path):
    mesh = Maker(quadrants()).load(tmp_path)
    assert mesh.verts[0, 2].tolist() == pytest.approx([100, 100, 0]) and seen(mesh) == RIGHT


@pytest.mark.parametrize(("mode", "order"), [(4, FACES), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (4, None)])
def test_modes(tmp_path, mode, order):
    maker = Maker(quadrants())
    maker.primitive["mode"] = mode
    if order is None:
        del maker.primitive["indices"]
        maker.primitive["attributes"] = {"POSITION": maker.add(CORNERS[FACES]), "TEXCOORD_0": maker.add(UVS[FACES])}
    else:
        maker.primitive["indices"] = maker.add(np.array(order, np.uint16))
    mesh = maker.load(tmp_path)
    assert seen(mesh) == RIGHT and mesh.verts.shape[1] == 4
    assert (mesh.normals()[0, :, 2] > 0.99).all()


def test_nodes_place_meshes(tmp_path):
    maker = Maker()
    maker.json["nodes"] = [
        {"children": [1, 2, 3], "scale": [2, 2, 2]},
        {"mesh": 0, "translation": [1, 0, 0]},
        {"mesh": 0, "scale": [-1, 1, 1], "rotation": [0, 0, 1, 0]},
        {"camera": 0, "children": [4]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 5, 0, 1]},
        {"mesh": 0},
    ]
    maker.json["cameras"] = [{"type": "perspective", "perspective": {"yfov": 0.5, "znear": 0.1}}]
    mesh = maker.load(tmp_path)
    assert len(mesh.faces) == 6  # the last node is not in the scene
    low, high = mesh.verts[0].amin(0).tolist(), mesh.verts[0].amax(0).tolist()
    assert low == pytest.approx([-200, -200, 0]) and high == pytest.approx([2200, 10200, 0])
    assert (mesh.normals()[0, mesh.used(), 2] > 0.99).all()  # the mirrored one, too


@pytest.mark.parametrize("change", ["no scene", "no scenes", "no nodes"])
def test_scenes_may_be_left_out(tmp_path, change):
    maker = Maker(quadrants())
    maker.json.pop("scene")
    if change != "no scene":
        maker.json.pop("scenes")
    if change == "no nodes":
        maker.json.pop("nodes")
    assert seen(maker.load(tmp_path)) == RIGHT


def test_seams_are_smooth_and_creases_stay(tmp_path):
    maker = Maker(quadrants())
    tent = np.array([[-1, 0, 0], [1, 0, 0], [0, 0, 1], [-1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32)
    for normals, count in ((np.tile([0, 0, 1], (6, 1)), 4), (np.repeat([[0, -1, 0], [-1, 1, 1]], 3, axis=0), 6)):
        flat = np.ascontiguousarray(normals, dtype=np.float32)
        maker.primitive["attributes"] = {"POSITION": maker.add(tent), "NORMAL": maker.add(flat)}
        maker.primitive["indices"] = maker.add(np.arange(6, dtype=np.uint16))
        assert maker.load(tmp_path).verts.shape[1] == count


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint8, np.uint16])
def test_quantized(tmp_path, kind):
    maker, top = Maker(quadrants()), np.iinfo(kind).max
    code = {np.int8: 5120, np.uint8: 5121, np.int16: 5122, np.uint16: 5123}[kind]
    positions = np.rint((CORNERS * 10 if top in (127, 32767) else CORNERS * 5 + 0.5) * top).astype(kind)
    rows = np.zeros((4, 4), kind)
    rows[:, :3] = positions
    view = maker.builder.view(rows.tobytes())
    maker.builder.views[view]["byteStride"] = rows.strides[0]
    entry = {"bufferView": view, "componentType": code, "count": 4, "type": "VEC3", "normalized": True}
    maker.builder.accessors.append(entry)
    maker.primitive["attributes"]["POSITION"] = len(maker.builder.accessors) - 1
    signed = top in (127, 32767)
    maker.node |= {"scale": [0.1] * 3} if signed else {"scale": [0.2] * 3, "translation": [-0.1, -0.1, 0]}
    maker.json["extensionsRequired"] = maker.json["extensionsUsed"] = ["KHR_mesh_quantization"]
    mesh = maker.load(tmp_path)
    assert (mesh.verts[0, :, :2] - torch.from_numpy(CORNERS)[:, :2] * 1000).abs().max() < 1.0
    assert seen(mesh) == RIGHT


def test_texture_transform_and_second_uvs(tmp_path):
    maker = Maker(quadrants())
    moved = {"offset": [0, 1], "scale": [1, -1]}
    slot = maker.json["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    slot |= {"extensions": {"KHR_texture_transform": moved}, "texCoord": 1}
    turned = UVS * np.float32([1, -1]) + np.float32([0, 1])
    maker.primitive["attributes"] |= {"TEXCOORD_0": maker.add(UVS * 0), "TEXCOORD_1": maker.add(turned)}
    assert seen(maker.load(tmp_path)) == RIGHT


@pytest.mark.parametrize(("wrap", "first"), [(10497, RIGHT), (33648, [RIGHT[1], RIGHT[0], RIGHT[3], RIGHT[2]])])
def test_wrap_modes(tmp_path, wrap, first):
    maker = Maker(quadrants())
    maker.primitive["attributes"]["TEXCOORD_0"] = maker.add(UVS + np.float32([3, 0]))
    sampler = {"wrapS": wrap, "wrapT": wrap}
    maker.json |= {"samplers": [sampler], "textures": [{"sampler": 0, "source": 0}]}
    assert seen(maker.load(tmp_path)) == first


def test_colours(tmp_path):
    maker = Maker()
    maker.primitive["attributes"]["COLOR_0"] = maker.add(np.float32([[1, 0, 0], [0.5, 0.5, 0.5], [0, 0, 1], [1, 1, 1]]))
    mesh = maker.load(tmp_path)
    assert mesh.vertex_colors[0].tolist() == pytest.approx([1, 0, 0], abs=1e-5)
    assert float(mesh.vertex_colors[1, 0]) == pytest.approx(0.7354, abs=1e-3)  # linear in the file, sRGB here
    back = facekit.load(facekit.save(mesh, tmp_path / "back.glb"))
    assert (back.vertex_colors - mesh.vertex_colors).abs().max() < 1e-5
    maker.json["materials"] = [{"pbrMetallicRoughness": {"baseColorFactor": [0.0, 1.0, 0.0, 1.0]}}]
    maker.primitive["material"] = 0
    assert maker.load(tmp_path).vertex_colors[3].tolist() == pytest.approx([0, 1, 0], abs=1e-5)


def test_a_factor_tints_the_texture(tmp_path):
    maker = Maker(quadrants())
    maker.json["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [1, 0, 0, 1]
    assert seen(maker.load(tmp_path)) == [[0, 0, 0], [0, 0, 0], [250, 0, 0], [250, 0, 0]]


def test_clear_faces_are_not_there(tmp_path):
    clear = np.dstack([quadrants(), np.full((8, 8), 255, np.uint8)])
    clear[:4, :4, 3] = 0
    maker = Maker(clear)
    maker.json["materials"][0] |= {"alphaMode": "MASK", "alphaCutoff": 0.5}
    corner = UVS * 0.3
    maker.primitive["attributes"]["TEXCOORD_0"] = maker.add(corner.astype(np.float32))
    with pytest.raises(FileError, match="faces"):
        maker.load(tmp_path)
    maker.primitive["attributes"]["TEXCOORD_0"] = maker.add(UVS)
    with pytest.warns(UserWarning, match="transparency of 'skin'"):
        assert len(maker.load(tmp_path).faces) == 2
    maker.json["materials"][0].pop("alphaMode")
    assert len(maker.load(tmp_path).faces) == 2  # opaque: alpha is nothing


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16", "RGBA", "CMYK"])
@pytest.mark.parametrize("where", ["view", "uri", "beside"])
def test_pictures_of_all_kinds(tmp_path, mode, where):
    import io

    grey = Image.fromarray(np.full((8, 8), 255, np.uint8))
    picture = Image.fromarray(np.full((8, 8), 65535, np.uint16)) if mode == "I;16" else grey.convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    maker = Maker(quadrants())
    if where == "view":
        maker.builder.images[0]["bufferView"] = maker.builder.view(buffer.getvalue())
    elif where == "uri":
        uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        maker.builder.images[0] = {"uri": uri}
    else:
        (tmp_path / "a skin.png").write_bytes(buffer.getvalue())
        maker.builder.images[0] = {"uri": "a%20skin.png"}
    assert (maker.load(tmp_path).texture > 0.99).all()


def morphing(**mesh):
    maker = Maker(quadrants())
    up = np.tile(np.float32([0, 0, 0.02]), (4, 1))
    maker.primitive["targets"] = [{"POSITION": maker.add(up)}, {"NORMAL": maker.add(up)}]
    maker.mesh |= mesh
    return maker


def test_weights_are_worn(tmp_path):
    maker = morphing(weights=[0.5, 1.0], extras={"targetNames": ["jawOpen", "still"]})
    mesh = maker.load(tmp_path)
    assert mesh.verts[0, :, 2].tolist() == pytest.approx([10] * 4, abs=1e-4)
    assert mesh.rig.names == ("jawOpen", "still") and mesh.rig.weights.tolist() == [0.5, 1.0]
    assert mesh.rig.neutral.verts[0, :, 2].abs().max() == 0
    assert torch.allclose(mesh.rig.deltas[:, :, 2], torch.tensor([[20.0], [0.0]]), atol=1e-4)
    rest = maker.load(tmp_path, rest=True)
    assert rest.verts[0, :, 2].abs().max() == 0 and rest.rig.names == mesh.rig.names
    maker.node["weights"] = [1.0, 0.0]  # the node's own go first
    assert maker.load(tmp_path).verts[0, 0, 2] == pytest.approx(20, abs=1e-4)


def test_names_in_other_places(tmp_path):
    maker = morphing(weights=[1.0, 0.0])
    assert maker.load(tmp_path).rig.names == ("target_0", "target_1")
    maker.primitive["extras"] = {"targetNames": ["a", "b"]}
    assert maker.load(tmp_path).rig.names == ("a", "b")
    maker.primitive["extras"] = {"targetNames": ["a"]}
    with pytest.warns(UserWarning, match="1 names for 2 morph targets"):
        assert maker.load(tmp_path).rig.names == ("a", "target_1")


def test_a_smiling_file_of_our_own_smiles(tiny_face, tmp_path):
    path = facekit.save(tiny_face, tmp_path / "face.glb")
    mesh = facekit.load(path)
    assert (mesh.verts - tiny_face.verts).abs().max() < 0.1  # what moves less is left out of the targets
    assert torch.equal(facekit.load(path, rest=True).verts, mesh.rig.neutral.verts)


def test_seam_copies_are_trusted_where_they_lie(tiny_face, tmp_path):
    """A tool that reorders vertices may keep facekit's metadata."""
    path = facekit.save(tiny_face, tmp_path / "face.glb", morph_targets=False)
    own = facekit.load(path)
    gltf, binary = chunks(path.read_bytes())
    primitive, data = gltf["meshes"][0]["primitives"][0], bytearray(binary)
    order = np.random.default_rng(0).permutation(gltf["accessors"][primitive["attributes"]["POSITION"]]["count"])
    for index in primitive["attributes"].values():
        view = gltf["bufferViews"][gltf["accessors"][index]["bufferView"]]
        span = slice(view["byteOffset"], view["byteOffset"] + view["byteLength"])
        rows = np.frombuffer(bytes(data[span]), np.float32).reshape(len(order), -1)
        data[span] = rows[order].tobytes()
    view = gltf["bufferViews"][gltf["accessors"][primitive["indices"]]["bufferView"]]
    span = slice(view["byteOffset"], view["byteOffset"] + view["byteLength"])
    place = np.argsort(order).astype(np.uint16)
    data[span] = place[np.frombuffer(bytes(data[span]), np.uint16)].tobytes()
    text = json.dumps(gltf).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(data)) + struct.pack("<II", len(text), 0x4E4F534A)
    path.write_bytes(head + text + struct.pack("<II", len(data), 0x004E4942) + bytes(data))
    mesh = facekit.load(path)
    assert mesh.verts.shape == own.verts.shape  # the seam is closed again
    key = [m.verts[0][m.faces].reshape(-1, 9)[:, :].sum(1).sort().values for m in (mesh, own)]
    assert torch.allclose(*key, atol=1e-3)


def test_skins_pose(tmp_path):
    maker = Maker(quadrants())
    maker.json["nodes"] = [{"mesh": 0, "skin": 0, "translation": [9, 9, 9]}, {"translation": [0, 0, 0.5]}]
    maker.json["scenes"] = [{"nodes": [0, 1]}]
    maker.json["skins"] = [{"joints": [1]}]
    maker.primitive["attributes"] |= {
        "JOINTS_0": maker.add(np.zeros((4, 4), np.float32)),
        "WEIGHTS_0": maker.add(np.float32([[1, 0, 0, 0]] * 4)),
    }
    mesh = maker.load(tmp_path)
    assert mesh.verts[0, 2].tolist() == pytest.approx([100, 100, 500], abs=1e-3)  # the mesh's own node is nothing


def test_lines_are_told(tmp_path):
    maker = Maker(quadrants())
    maker.mesh["primitives"].append({"attributes": {"POSITION": maker.primitive["attributes"]["POSITION"]}, "mode": 1})
    with pytest.warns(UserWarning, match="lines were left out"):
        assert len(maker.load(tmp_path).faces) == 2


@pytest.mark.parametrize("where", ["text", "uri", "beside"])
def test_json_files(tmp_path, where):
    gltf, binary = chunks(Maker(quadrants()).bytes())
    gltf["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    if where == "beside":
        (tmp_path / "the data.bin").write_bytes(binary)
        gltf["buffers"][0]["uri"] = "the%20data.bin"
    path = tmp_path / "face.gltf"
    path.write_bytes((b"\xef\xbb\xbf" if where == "text" else b"") + json.dumps(gltf).encode())
    assert seen(facekit.load(path)) == RIGHT
    if where == "beside":
        (tmp_path / "the data.bin").write_bytes(binary[:-5])
        with pytest.raises(FileError, match="cut off"):
            facekit.load(path)
        (tmp_path / "the data.bin").unlink()
        with pytest.raises(FileError, match="the%20data.bin"):
            facekit.load(path)


def test_bytes_behind_the_end(tmp_path):
    path = tmp_path / "face.glb"
    path.write_bytes(Maker(quadrants()).bytes() + b"\n")
    assert seen(facekit.load(path)) == RIGHT


@pytest.mark.parametrize(
    ("extension", "package"),
    [("KHR_draco_mesh_compression", "DracoPy"), ("EXT_meshopt_compression", "meshoptimizer")],
)
def test_compressed_files_name_their_package(tmp_path, monkeypatch, extension, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    maker = Maker(quadrants())
    maker.json["extensionsRequired"] = [extension]
    packed = {"bufferView": 0, "attributes": {"POSITION": 0}}
    if package == "DracoPy":
        maker.primitive["extensions"] = {extension: packed}
    else:
        maker.builder.views[0]["extensions"] = {extension: {"buffer": 0, "byteLength": 9, "byteStride": 12, "count": 4}}
    with pytest.raises(MissingDependencyError, match=rf"{package}.*install.*\[files\]"):
        maker.load(tmp_path)


@pytest.mark.parametrize("change", ["index", "no mesh", "version", "accessor", "cycle", "huge", "nan", "lengths"])
def test_what_is_refused(tmp_path, change):
    maker = Maker(quadrants())
    accessor = maker.builder.accessors[maker.primitive["attributes"]["POSITION"]]
    if change == "index":
        maker.primitive["indices"] = maker.add(np.array([0, 1, 9], np.uint16))
    elif change == "no mesh":
        maker.json["meshes"] = []
    elif change == "version":
        maker.json["asset"]["version"] = "1.0"
    elif change == "accessor":
        maker.primitive["attributes"]["POSITION"] = 99
    elif change == "cycle":
        maker.node["children"] = [0]
    elif change == "huge":
        accessor["count"] = 2**40
        del accessor["bufferView"]
    elif change == "nan":
        maker.primitive["attributes"]["POSITION"] = maker.add(CORNERS * np.float32("nan"))
    else:
        maker.primitive["attributes"]["TEXCOORD_0"] = maker.add(UVS[:3])
    with pytest.raises(FileError, match="face.glb"):
        maker.load(tmp_path)


def test_rigs_of_plain_files_are_empty(tmp_path):
    path = tmp_path / "face.glb"
    path.write_bytes(Maker().bytes())
    rig = read_rig(path)
    assert rig.names == () and rig.deltas.shape == (0, 4, 3) and facekit.load(path).rig is None
