"""Files of all formats, small and made in code, and ways to damage them."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import trimesh

from facekit.face import FaceOutput
from facekit.io import save
from facekit.io.glb_read import chunks

FORMATS = ("obj", "own.obj", "ply", "ascii.ply", "glb", "own.glb", "gltf", "stl", "ascii.stl", "off")


def originals(face: FaceOutput, folder: Path) -> dict[str, bytes]:
    """A whole file of each format, of facekit's and of trimesh's making; pictures and materials lie in ``folder``."""
    made = {}
    for suffix in ("obj", "ply", "glb"):
        made[f"own.{suffix}"] = save(face, folder / f"own.{suffix}").read_bytes()
    shape = trimesh.load(folder / "own.glb", process=False, force="mesh")
    scene = trimesh.Scene([shape, shape.copy().apply_translation([0.3, 0.0, 0.0])])
    made["glb"] = trimesh.exchange.gltf.export_glb(scene)
    made["gltf"] = _with_data(made["own.glb"])
    made["obj"] = made["own.obj"].replace(b"# facekit\n", b"# somebody\n").replace(b"# counts", b"# about")
    made["ply"] = shape.export(file_type="ply")
    plain = dataclasses.replace(face.mesh, texture=None)
    bare = trimesh.Trimesh(plain.verts[0].numpy(), plain.faces.numpy(), process=False)
    made["ascii.ply"] = bare.export(file_type="ply", encoding="ascii")
    made["stl"] = bare.export(file_type="stl")
    made["ascii.stl"] = bare.export(file_type="stl_ascii").encode()
    made["off"] = bare.export(file_type="off").encode()
    return {name: made[name] for name in FORMATS}


def _with_data(glb: bytes) -> bytes:
    """A GLB as JSON with its buffer written out."""
    import base64
    import json

    gltf, binary = chunks(glb)
    gltf["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
    return json.dumps(gltf).encode()


def damaged(data: bytes, draw: np.random.Generator) -> bytes:
    """Damage data in one way: flip bytes, truncate, repeat or drop a piece, shuffle lines, or enlarge numbers."""
    kind = draw.integers(6)
    if kind == 0:
        values = np.frombuffer(data, dtype=np.uint8).copy()
        # Headers are where it hurts, and short.
        reach = len(values) if draw.random() < 0.5 else min(len(values), 2000)
        values[draw.integers(0, reach, draw.integers(1, 20))] = draw.integers(0, 256)
        return values.tobytes()
    if kind == 1:
        return data[: draw.integers(0, len(data))]
    start = int(draw.integers(0, len(data)))
    stop = min(len(data), start + int(draw.integers(1, 400)))
    if kind == 2:
        return data[:start] + data[stop:]
    if kind == 3:
        return data[:stop] + data[start:]
    if kind == 4:
        lines = data.split(b"\n")
        some = draw.integers(0, len(lines), min(len(lines), 30))
        moved = [lines[k] for k in draw.permutation(some)]
        for k, line in zip(some, moved, strict=True):
            lines[k] = line
        return b"\n".join(lines)
    digits = [k for k in range(min(len(data), 3000)) if 48 <= data[k] <= 57]
    if not digits:
        return _blown_up(data, draw)
    out = io.BytesIO()
    place = 0
    for k in sorted(draw.choice(digits, min(len(digits), int(draw.integers(1, 5))), replace=False)):
        out.write(data[place:k] + draw.choice([b"9999999999", b"-1", b"4294967295", b"1e308", b"nan", b"0"]))
        place = int(k) + 1
    return out.getvalue() + data[place:]


def _blown_up(data: bytes, draw: np.random.Generator) -> bytes:
    """A binary number near the beginning as large as can be."""
    at = int(draw.integers(0, max(1, min(len(data) - 4, 100))))
    return data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :]
