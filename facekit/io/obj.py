"""Wavefront OBJ with MTL and PNG: the topology's vertex order and its separate UV indices are kept as they are."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write
from facekit.files.images import encode_png, load_image, to_float, to_uint8
from facekit.io.arrays import mesh_of
from facekit.io.maps import mtl_lines, save_maps
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput

_POSITION_DECIMALS = 4  # a tenth of a micrometre
_UV_DECIMALS = 6  # a 500th of a texel at 2048

# UVs and triangles are the same text for every face of one topology, and two thirds of the file.
_CACHE: OrderedDict[bytes, bytes] = OrderedDict()
_CACHE_ENTRIES = 4
_CACHE_TRIANGLES = 200_000  # a finer topology's text is large, and seldom wanted twice
_CACHE_LOCK = threading.Lock()


def write(subject: FaceOutput | FaceMesh, path: Path, level: int = 0, maps: bool = False) -> Path:
    """Write ``name.obj`` with ``name.mtl`` and ``name.png`` beside it (without texture and maps the .obj alone).

    Positions are in millimetres with four decimals, UVs with six; lines ``v`` stand in the order of ``verts``.
    The .obj is written last: where it is, the others are.

    Parameters
    ----------
    level:
        0 for the mesh as it is; above, it is subdivided so many times and displaced, see
        :func:`facekit.geometry.displace.detailed_mesh`.
    maps:
        Whether to write the maps of :func:`facekit.io.maps.save_maps` beside it, too, and to name them in the MTL:
        readers that know ``norm`` and ``disp`` use them, others pass them over.
    """
    mesh = mesh_of(subject)
    stem = file_stem(path)
    if level and maps:
        raise InputError("level or maps", "both, which would displace it twice", "leave one out")
    mesh = mesh.detailed(level) if level else mesh
    named = ""
    if maps:
        save_maps(mesh, path.parent, stem)
        named = mtl_lines(mesh, stem)
    material = mesh.texture is not None or maps
    if mesh.texture is not None:
        with atomic_write(path.with_name(f"{stem}.png")) as temporary:
            temporary.write_bytes(encode_png(to_uint8(mesh.texture)))
    if material:
        with atomic_write(path.with_name(f"{stem}.mtl")) as temporary:
            temporary.write_text(encode_mtl(f"{stem}.png" if mesh.texture is not None else None, named), "utf-8")
    with atomic_write(path) as temporary:
        temporary.write_bytes(encode_obj(mesh, f"{stem}.mtl" if material else None))
    return path


def file_stem(path: Path) -> str:
    """The stem for the files beside ``path``: without spaces, at which many readers of ``mtllib`` stop."""
    return "_".join(path.stem.split()) or "face"


def encode_mtl(texture_name: str | None, maps: str = "") -> str:
    """The material: the texture as it is (Kd 1), no highlights (Ks 0), plain diffuse light (illum 1), more lines."""
    texture = "" if texture_name is None else f"map_Kd {texture_name}\n"
    return f"# facekit\nnewmtl face\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\n{texture}{maps}"


def encode_obj(mesh: FaceMesh, mtl_name: str | None) -> bytes:
    """The text of the .obj file."""
    verts = mesh.verts[0].numpy()
    header = (
        "# facekit\n# units: millimetres; axes: +X subject's left, +Y up, +Z out of the face; UV origin bottom-left\n"
        f"# counts: {len(verts)} vertices {len(mesh.uvs)} uvs {len(mesh.faces)} triangles\n"
    )
    if mtl_name is not None:
        header += f"mtllib {mtl_name}\n"
    header += "o face\n"
    return b"".join([header.encode(), decimal_lines(b"v", verts, _POSITION_DECIMALS), _topology_text(mesh, mtl_name)])


def _topology_text(mesh: FaceMesh, mtl_name: str | None) -> bytes:
    """The lines ``vt``, ``usemtl`` and ``f``, from a small cache keyed by their content."""
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
    """Lines ``keyword a b c`` of fixed-point numbers, all at once.

    The text is laid out as one array of bytes with room for every digit; a mask then drops leading zeros and absent
    signs. That is five times as fast as one ``%`` over all numbers.

    Parameters
    ----------
    values:
        (N, K), finite.
    decimals:
        Digits after the point; 0 writes whole numbers.
    separators:
        K bytes, what stands before each number; spaces by default.
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


def read(path: Path) -> FaceMesh:
    """Read an OBJ with triangles or polygons (fans are cut into triangles) and the texture of its first material.

    Raises
    ------
    FileError
        For a file that is no OBJ, is cut off, or names an MTL or picture that is not there.
    """
    mesh, libraries = _parse(path)
    return dataclasses.replace(mesh, texture=_texture(path, libraries))


def read_untextured(path: Path) -> FaceMesh:
    """As :func:`read`, but the materials that the file names are left alone and need not be there."""
    return _parse(path)[0]


def _parse(path: Path) -> tuple[FaceMesh, list[bytes]]:
    """The mesh without its texture, and the material files that it names."""
    data = path.read_bytes()
    groups: dict[bytes, list[bytes]] = {b"v": [], b"vt": [], b"f": [], b"mtllib": [], b"#": []}
    for line in data.replace(b"\r", b"").split(b"\n"):
        keyword, _, rest = line.partition(b" ")
        if keyword in groups:
            groups[keyword].append(rest)
    if b"\0" in data or not groups[b"v"] or not groups[b"f"]:
        raise FileError("an OBJ file with lines v and f", f"{path}", "check that it is an OBJ and whole")
    try:
        verts = _floats(groups[b"v"], 3)
        uvs = _floats(groups[b"vt"], 2) if groups[b"vt"] else np.zeros((1, 2), np.float32)
        faces, faces_uvs = _corners(groups[b"f"])
        _check_counts(groups[b"#"], len(verts), len(uvs), len(faces))
        for name, index, limit in (("vertex", faces, len(verts)), ("UV", faces_uvs, len(uvs))):
            if index.min() < 0 or index.max() >= limit:
                raise ValueError(f"a triangle names {name} {index.max() + 1} of {limit}")
    except ValueError as error:
        raise FileError("a whole OBJ file", f"{path} ({error})", "check the file, or export it again") from error
    mesh = FaceMesh(
        verts=torch.from_numpy(verts)[None],
        faces=torch.from_numpy(faces),
        uvs=torch.from_numpy(uvs),
        faces_uvs=torch.from_numpy(faces_uvs),
    )
    return mesh, groups[b"mtllib"]


def _floats(lines: list[bytes], columns: int) -> np.ndarray:
    """The first ``columns`` numbers of each line (colours after a position are left out), (N, columns) float32."""
    per_line = len(lines[0].split())
    numbers = np.array(b" ".join(lines).split(), dtype=np.float64)
    if per_line < columns or numbers.size != per_line * len(lines):
        raise ValueError(f"lines with unequal or fewer than {columns} numbers")
    if not np.isfinite(numbers).all():
        raise ValueError("numbers that are not finite")
    return np.ascontiguousarray(numbers.reshape(-1, per_line)[:, :columns], dtype=np.float32)


def _corners(lines: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (F, 3) int64 of positions and of UVs, from 0, in the file's order."""
    kinds: dict[tuple[int, int], list[int]] = {}
    for row, line in enumerate(lines):
        kinds.setdefault((line.count(b"/"), len(line.split())), []).append(row)
    parts, order = [], []
    for (slashes, corners), rows in kinds.items():  # one kind in most files: all triangles with UVs
        fields = slashes // max(corners, 1) + 1
        if corners < 3 or slashes % corners or fields > 3:
            raise ValueError(f"a face line with {corners} corners and {slashes} slashes")
        text = b" ".join(lines[row] for row in rows).replace(b"//", b"/0/").replace(b"/", b" ")
        index = np.array(text.split(), dtype=np.int64).reshape(len(rows), corners, fields)
        if index[..., 0].min() < 1 or index.min() < 0:
            raise ValueError("face indices below 1 (relative indices are not supported)")
        fan = np.array([(0, k, k + 1) for k in range(1, corners - 1)])
        parts.append(index[:, fan].reshape(-1, 3, fields)[..., :2])
        order.append(np.repeat(rows, len(fan)))
    parts = [p if p.shape[-1] == 2 else np.concatenate([p, np.ones_like(p)], axis=-1) for p in parts]
    triangles = np.concatenate(parts)[np.argsort(np.concatenate(order), kind="stable")]
    return np.ascontiguousarray(triangles[..., 0] - 1), np.ascontiguousarray(np.maximum(triangles[..., 1], 1) - 1)


def _check_counts(comments: list[bytes], *got: int) -> None:
    """Compare with the counts in facekit's own header: text that ends at a line's end does not look cut off."""
    for line in comments:
        if line.startswith(b"counts:"):
            stated = tuple(int(word) for word in line.split() if word.isdigit())
            if stated != got:
                raise ValueError(f"{got} vertices, uvs and triangles where its header says {stated}")


def _texture(path: Path, libraries: list[bytes]) -> torch.Tensor | None:
    """The picture behind the first ``map_Kd``, (1, 3, H, W), or None when no material has one."""
    for name in libraries:
        library = path.parent / name.decode("utf-8", "replace").strip()
        if not library.is_file():
            raise FileError(f"the material file {library.name} beside {path.name}", "none", "copy it there too")
        for line in library.read_text(encoding="utf-8", errors="replace").splitlines():
            keyword, _, rest = line.strip().partition(" ")
            if keyword == "map_Kd":
                pixels = load_image(library.parent / rest.strip())
                pixels = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels[..., :3]
                return to_float(pixels)
    return None
