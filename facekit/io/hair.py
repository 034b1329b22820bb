"""Hair in OBJ files: a second object with a second material."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from facekit.files.images import encode_png, to_uint8
from facekit.hair import Hair
from facekit.io.arrays import mesh_of
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput

#: First line of the hair; the reader of the head stops there.
OBJECT = b"o hair\n"


def worn_by(subject: FaceOutput | FaceMesh) -> Hair | None:
    """Return the hair of one face on the CPU; None for a face without hair, and for meshes."""
    hair = None if isinstance(subject, FaceMesh) or not subject.hair else subject.hair[0]
    return None if hair is None else hair.to("cpu")


def head_of(subject: FaceOutput | FaceMesh) -> FaceMesh:
    """Return the mesh on the CPU, with the hair's tone on the scalp if there is hair."""
    mesh, hair = mesh_of(subject), worn_by(subject)
    return mesh if hair is None else dataclasses.replace(mesh, texture=hair.capped(mesh))


def encode_hair(hair: Hair, verts: int, uvs: int) -> bytes:
    """Return the lines of the hair, which follow a head with this number of vertices and UVs."""
    from facekit.io.obj import decimal_lines

    cards = hair.cards
    corners = np.stack([cards.faces.numpy() + verts, cards.faces_uvs.numpy() + uvs], axis=-1).reshape(-1, 6) + 1
    return b"".join(
        (
            OBJECT,
            decimal_lines(b"v", hair.verts.numpy(), 4),
            decimal_lines(b"vt", cards.uvs.numpy(), 6),
            b"usemtl hair\ns 1\n",
            decimal_lines(b"f", corners, 0, b" / / /"),
        )
    )


def hair_pictures(hair: Hair, stem: str) -> dict[str, bytes]:
    """Return the pictures by name: colour with coverage as alpha, and coverage alone for tools that need it
    separately.
    """
    picture = hair.texture
    return {
        f"{stem}_hair.png": encode_png(to_uint8(picture)),
        f"{stem}_hair_coverage.png": encode_png(to_uint8(picture[3:])),
    }


def hair_material(stem: str) -> str:
    """Return the hair's material for the MTL."""
    maps = f"map_Kd {stem}_hair.png\nmap_d {stem}_hair_coverage.png\n"
    return f"newmtl hair\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\n{maps}"
