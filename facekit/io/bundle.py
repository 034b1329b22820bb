"""Zip bundle of one face: meshes, texture, latents, metadata and a preview."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from facekit.conventions import AXES
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write
from facekit.files.images import encode_png, to_uint8
from facekit.io.glb import encode_glb
from facekit.io.hair import encode_hair, hair_material, hair_pictures, head_of, worn_by
from facekit.io.maps import encode_maps, mtl_lines
from facekit.io.obj import encode_mtl, encode_obj, file_stem
from facekit.io.ply import encode_ply
from facekit.mesh import FaceMesh
from facekit.version import __version__

# Earliest date in a zip: the same face gives the same bytes on every day.
_DATE = (1980, 1, 1, 0, 0, 0)
_PACKED = (".png", ".jpg")  # already compressed
_LEVEL = 3  # level 6 takes three times as long and saves 5 %


def write(subject: FaceOutput | FaceMesh, path: Path, preview: bool = True, preview_size: int = 512) -> Path:
    """Write ``name.zip``: name.obj with name.mtl and name_albedo.png, name.ply, name.glb, codes, metadata, a preview.

    A face with displacement adds name_displacement.png with its .json, and name_normal.png. The same face and options
    give the same bytes.

    Parameters
    ----------
    preview:
        Whether to render preview.png in high quality, with a side of ``preview_size`` pixels.
    """
    if not isinstance(subject, FaceOutput):
        raise InputError("a FaceOutput with latents", "a FaceMesh", "save it as .obj, .ply or .glb")
    files = _encode(subject, file_stem(path), preview_size if preview else None)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=_DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(_PACKED) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=_LEVEL)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
    return path


def _encode(face: FaceOutput, stem: str, preview_size: int | None) -> dict[str, bytes]:
    """Return the files by name, in the order of the archive."""
    mesh, hair = head_of(face), worn_by(face)
    albedo = f"{stem}_albedo.png"
    jobs: dict[str, Callable[[], bytes]] = {}
    named = "" if mesh.displacement is None else mtl_lines(mesh, stem)
    if mesh.texture is not None:
        jobs[albedo] = lambda: encode_png(to_uint8(mesh.need("texture")))
        named = named if hair is None else named + hair_material(stem)
        jobs[f"{stem}.mtl"] = lambda: encode_mtl(albedo, named).encode()
    cards = b"" if hair is None else encode_hair(hair, mesh.verts.shape[1], len(mesh.uvs))
    jobs[f"{stem}.obj"] = lambda: encode_obj(mesh, f"{stem}.mtl" if mesh.texture is not None else None) + cards
    jobs[f"{stem}.ply"] = lambda: encode_ply(mesh)
    jobs[f"{stem}.glb"] = lambda: encode_glb(face)
    jobs["latents.json"] = lambda: _json(face.latents.to_dict())
    if preview_size is not None:
        jobs["preview.png"] = lambda: _preview(face, preview_size)
    # Encoders spend their time in zlib, numpy and torch, which release the interpreter lock.
    with ThreadPoolExecutor(2) as pool:
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        maps = None if mesh.displacement is None else pool.submit(encode_maps, mesh, stem)
        files = {name: future.result() for name, future in futures.items()}
        files |= {} if hair is None else hair_pictures(hair, stem)
        files |= {} if maps is None else maps.result()
    files["metadata.json"] = _json(metadata(face, {name: len(data) for name, data in files.items()}))
    return files


def metadata(face: FaceOutput, files: dict[str, int] | None = None) -> dict[str, Any]:
    """Return the content of metadata.json for one face.

    Parameters
    ----------
    files:
        Names and sizes in bytes of the files in the bundle.
    """
    scalars = {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in face.metadata.items()
    }
    return {
        "generator": f"facekit {__version__}",
        "model": face.model,
        **_sources(face.model),
        "seed": scalars.pop("seed", None),
        "expression_weights": face.expression_weights()[0],
        "blendshape_weights": face.blendshape_weights()[0],
        "units": {"obj": "millimetres", "ply": "millimetres", "glb": "metres"},
        "axes": AXES,
        "uv_origin": {"obj": "bottom-left", "glb": "top-left"},
        "albedo": "sRGB, 8 bits",
        "hair": face.hair[0].style if face.hair and face.hair[0] is not None else None,
        "detail_strength": None if face.detail is None else face.detail.strength,
        **_about_maps(face),
        "counts": {"vertices": face.verts.shape[1], "triangles": len(face.mesh.faces), "uvs": len(face.mesh.uvs)},
        "details": scalars,
        "latents": face.latents.to_dict(),
        "files": files or {},
    }


def _about_maps(face: FaceOutput) -> dict[str, str]:
    if face.displacement is None:
        return {}
    return {
        "displacement": "linear, 16 bits; its .json tells how to read it",
        "normal_map": "linear, 8 bits; tangent space of MikkTSpace, OpenGL's +Y; in the GLB the neutral face's",
    }


def _sources(model: str) -> dict[str, str]:
    """Return licence and origin of the model from the weights manifest; empty for other models."""
    from facekit.weights import models

    record = models().get(model)
    return {} if record is None else {"licence": record.licence, "origin": record.origin}


def _preview(face: FaceOutput, size: int) -> bytes:
    return encode_png(to_uint8(face.to("cpu").render(image_size=size, quality="high").rgb))


def _json(data: dict[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=False, default=str) + "\n").encode()
