"""Wavefront OBJ with MTL and PNG; keeps the topology's vertex order and its separate UV indices."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.errors import InputError
from facekit.files.atomic import write_files
from facekit.files.images import encode_png, to_float, to_uint8
from facekit.forks import lock
from facekit.io.foreign.mtl import read_materials
from facekit.io.foreign.notes import ImportNotes
from facekit.io.hair import OBJECT, encode_hair, hair_material, hair_pictures, head_of, worn_by
from facekit.io.maps import encode_maps, mtl_lines
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput

_POSITION_DECIMALS = 4  # a tenth of a micrometre
_UV_DECIMALS = 6  # a 500th of a texel at 2048
_MARK = b"# facekit\n"
#: Counts and material are searched for in this many bytes at the beginning.
_HEAD = 4096

# The text of UVs and triangles is the same for every face of a topology, and two thirds of the file.
_CACHE: OrderedDict[bytes, bytes] = OrderedDict()
_CACHE_ENTRIES = 4
_CACHE_TRIANGLES = 200_000  # a finer topology's text is large, and rarely reused
_CACHE_LOCK = lock()


def write(subject: FaceOutput | FaceMesh, path: Path, level: int = 0, maps: bool = False) -> Path:
    """Write ``name.obj`` with ``name.mtl`` and ``name_albedo.png`` beside it (without texture and maps the .obj alone).

    Positions are in millimetres with four decimals, UVs with six; lines ``v`` are in the order of ``verts``. Hair
    follows as a second object with its own material, and ``name_hair.png`` beside it. Files are written all or none,
    the .obj last. A picture ``name.png`` is another file.

    Parameters
    ----------
    level:
        0 for the mesh as it is; above, the number of subdivisions before displacement, see
        :func:`facekit.geometry.displace.detailed_mesh`.
    maps:
        Whether to also write the maps of :func:`facekit.io.maps.save_maps` and name them in the MTL; readers that do
        not support ``norm`` and ``disp`` ignore them.
    """
    mesh, hair = head_of(subject), worn_by(subject)
    stem = file_stem(path)
    if level and maps:
        raise InputError("level or maps", "both, which would displace it twice", "leave one out")
    mesh = mesh.detailed(level) if level else mesh
    files: dict[str, bytes] = {}
    if maps:
        files |= encode_maps(mesh, stem)
    material = mesh.texture is not None or maps or hair is not None
    albedo = None
    if mesh.texture is not None:
        albedo = f"{stem}_albedo.png"
        files[albedo] = encode_png(to_uint8(mesh.texture))
    if material:
        files[f"{stem}.mtl"] = encode_mtl(albedo, mtl_lines(mesh, stem) if maps else "").encode()
    text = encode_obj(mesh, f"{stem}.mtl" if material else None)
    if hair is not None:
        files |= hair_pictures(hair, stem)
        files[f"{stem}.mtl"] += hair_material(stem).encode()
        text += encode_hair(hair, mesh.verts.shape[1], len(mesh.uvs))
    files[path.name] = text
    write_files({path.with_name(name): data for name, data in files.items()})
    return path


def file_stem(path: Path) -> str:
    """Return the stem of the files beside ``path``, without spaces, at which many readers of ``mtllib`` stop."""
    return "_".join(path.stem.split()) or "face"


def encode_mtl(texture_name: str | None, maps: str = "") -> str:
    """Return the material: unmodified texture (Kd 1), no highlights (Ks 0), diffuse light (illum 1), and additional
    lines.
    """
    texture = "" if texture_name is None else f"map_Kd {texture_name}\n"
    return f"# facekit\nnewmtl face\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\n{texture}{maps}"


def encode_obj(mesh: FaceMesh, mtl_name: str | None) -> bytes:
    """Return the text of the .obj file."""
    verts = mesh.verts[0].numpy()
    header = (
        f"{_MARK.decode()}# units: millimetres; axes: +X subject's left, +Y up, +Z out of the face; "
        "UV origin bottom-left\n"
        f"# counts: {len(verts)} vertices {len(mesh.uvs)} uvs {len(mesh.faces)} triangles\n"
    )
    if mtl_name is not None:
        header += f"mtllib {mtl_name}\n"
    header += "o face\n"
    if mesh.texture is None and mesh.vertex_colors is not None:  # after the positions, as in many tools
        verts = np.concatenate([verts, mesh.vertex_colors.numpy()], axis=1)
    return b"".join([header.encode(), decimal_lines(b"v", verts, _POSITION_DECIMALS), _topology_text(mesh, mtl_name)])


def _topology_text(mesh: FaceMesh, mtl_name: str | None) -> bytes:
    """Return the lines ``vt``, ``usemtl`` and ``f``, from a small cache keyed by their content."""
    uvs, faces, faces_uvs = mesh.uvs.numpy(), mesh.faces.numpy(), mesh.faces_uvs.numpy()
    digest = hashlib.sha1(b"mtl" if mtl_name else b"", usedforsecurity=False)
    for array in (uvs, faces, faces_uvs):
        digest.update(array.tobytes())
    key = digest.digest()
    with _CACHE_LOCK:
        if key in _CACHE:
            _CACHE.move_to_end(key)
            return _CACHE[key]
    corners = np.stack([faces, faces_uvs], axis=-1).reshape(-1, 6) + 1
    use = b"usemtl face\n" if mtl_name else b""
    text = decimal_lines(b"vt", uvs, _UV_DECIMALS) + use + b"s 1\n" + decimal_lines(b"f", corners, 0, b" / / /")
    if len(faces) > _CACHE_TRIANGLES:
        return text
    with _CACHE_LOCK:
        _CACHE[key] = text
        while len(_CACHE) > _CACHE_ENTRIES:
            _CACHE.popitem(last=False)
    return text


def decimal_lines(keyword: bytes, values: np.ndarray, decimals: int, separators: bytes | None = None) -> bytes:
    """Format lines ``keyword a b c`` of fixed-point numbers, all at once.

    The text is an array of bytes with room for every digit; a mask then drops leading zeros and absent signs. This is
    five times as fast as one ``%`` over all numbers.

    Parameters
    ----------
    values:
        (N, K), finite.
    decimals:
        Number of decimals; 0 writes integers.
    separators:
        K bytes, the separator before each number; spaces by default.
    """
    count, columns = values.shape
    scaled = np.rint(values.astype(np.float64) * 10**decimals).astype(np.int64)
    rest = np.abs(scaled)
    digits = max(len(str(int(rest.max(initial=0)))), decimals + 1)
    if digits < 10:
        rest = rest.astype(np.uint32)  # division by ten is twice as fast
    width = 2 + digits + (decimals > 0)
    head = len(keyword)
    line = head + columns * width + 1
    text = np.empty((count, line), dtype=np.uint8)
    keep = np.ones((count, line), dtype=bool)
    text[:, :head] = np.frombuffer(keyword, dtype=np.uint8)
    text[:, -1] = ord("\n")
    cells = text[:, head:-1].reshape(count, columns, width)
    kept = keep[:, head:-1].reshape(count, columns, width)
    cells[..., 0] = np.frombuffer(separators or b" " * columns, dtype=np.uint8)
    cells[..., 1] = ord("-")
    kept[..., 1] = scaled < 0
    if decimals:
        cells[..., -1 - decimals] = ord(".")
    for place in range(digits):
        column = width - 1 - place - (decimals > 0 and place >= decimals)
        if place > decimals:
            kept[..., column] = rest > 0
        quotient = rest // 10
        cells[..., column] = rest - quotient * 10 + ord("0")
        rest = quotient
    return text[keep].tobytes()


# -- reading ----------------------------------------------------------------------------------------------------------


def read_own(path: Path, data: bytes, notes: ImportNotes, textured: bool = True) -> FaceMesh | None:
    """Read an unmodified OBJ written by facekit; None for any other file.

    Parameters
    ----------
    notes:
        Receives a note if the material or the texture is missing.
    textured:
        Whether to read the file's material.
    """
    if not data.startswith(_MARK):
        return None
    data = data.partition(b"\n" + OBJECT)[0] + b"\n"  # hair is not part of the head
    try:
        verts, uvs = _numbers(data, b"v", 3, np.float32), _numbers(data, b"vt", 2, np.float32)
        index = _numbers(data, b"f", 6, np.int64).reshape(-1, 3, 2) - 1
        _check_counts(re.findall(rb"(?m)^# (.*counts:.*)$", data[:_HEAD]), len(verts), len(uvs), len(index))
        mesh = FaceMesh(
            verts=torch.from_numpy(verts)[None],
            faces=torch.from_numpy(np.ascontiguousarray(index[..., 0])),
            uvs=torch.from_numpy(uvs),
            faces_uvs=torch.from_numpy(np.ascontiguousarray(index[..., 1])),
        )
    except ValueError:  # also numbers out of range; the general reader reports the error
        return None
    names = re.findall(rb"(?m)^mtllib (.*)$", data[:_HEAD])
    libraries = [name.decode("utf-8", "replace").strip() for name in names]
    pixels = None
    if textured:
        materials = read_materials(path, libraries, notes).values()
        pixels = next((material.picture for material in materials if material.picture is not None), None)
    return mesh if pixels is None else dataclasses.replace(mesh, texture=to_float(pixels[..., :3]))


def _numbers(data: bytes, keyword: bytes, columns: int, kind: type) -> np.ndarray:
    """Return the numbers of all lines with a keyword, (N, columns), finite; the lines must be consecutive."""
    mark = b"\n" + keyword + b" "
    start, last = data.find(mark), data.rfind(mark)
    end = data.find(b"\n", last + 1)
    block = data[start : end if end > 0 else len(data)] if start >= 0 else b""
    lines = block.count(mark)
    if lines != block.count(b"\n"):
        raise ValueError(f"other lines between those of {keyword.decode()}")
    text = block.replace(mark, b"\n").replace(b"/", b" ")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy's warning for text that is not a number
        try:
            values = np.fromstring(text, dtype=np.float64 if kind is np.float32 else kind, sep=" ")
        except DeprecationWarning as error:
            raise ValueError(str(error)) from error
    if values.size != columns * lines or not np.isfinite(values).all():
        raise ValueError(f"lines that are not {columns} finite numbers")
    return values.reshape(-1, columns).astype(kind)


def _check_counts(comments: list[bytes], *got: int) -> None:
    """Compare with the counts in facekit's header: a file truncated at the end of a line does not look truncated."""
    stated = [tuple(int(word) for word in line.split() if word.isdigit()) for line in comments if b"counts:" in line]
    if stated != [got]:
        raise ValueError(f"{got} vertices, uvs and triangles where its header says {stated}")
