"""A bun in place of the pack's ponytail: a coil of hair where the tail is tied."""

from __future__ import annotations

import numpy as np

from facekit.train.hair.clearance import Skin
from facekit.train.hair.pictures import welded

#: Cards that reach below this height, mm, belong to the tail.
_TAIL = -60.0
#: Place where the ponytail is tied, and middle of the skull, mm; angle in radians by which the hair is combed up, most
#: where it was tied, and the distance, mm, over which this falls to 1/e.
_TIED, _SKULL, _UP, _REACH = np.array([-3.0, 80.0, -98.0]), np.array([0.0, 62.0, -8.0]), 0.80, 95.0
#: Factor on distances downward: the nape's hair stays. Least height of the hair that moves above the skin, mm: its
#: triangles get longer, and would cut into the head.
_DOWN, _LEAST = 1.5, 10.0
#: Turns of the coil; its radius and height above the head, mm, outside and inside; radius of the strand that is coiled.
_TURNS, _RADIUS, _HEIGHT, _THICK = 2.15, (28.0, 5.0), (0.0, 20.0), (14.5, 10.5)
#: Vertices along and around the strand, and rows before its texture turns back.
_ALONG, _AROUND, _REPEAT = 57, 11, 8
#: Part of the pack's texture that is hair throughout, strands along v: u and v from and to.
_TEXTURE = ((0.467, 0.520), (0.27, 0.44))


def bunned(raw: dict[str, np.ndarray], skin: Skin) -> dict[str, np.ndarray]:
    """Replace the tail of the pack's ponytail with a bun that is seen from the front.

    Takes and returns ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` as for the pack's styles.
    """
    verts, faces = raw["verts"], raw["faces"].astype(np.int64)
    _, tris, cards = welded(verts, faces)
    part = cards[tris[:, 0]]
    lowest = np.full(len(cards), np.inf)
    np.minimum.at(lowest, part, verts[faces][..., 1].min(1))
    kept = lowest[part] > _TAIL
    points, uvs, quads = _coil(_combed_up(_TIED[None], skin)[0])
    return {
        "verts": np.concatenate((_combed_up(verts.astype(np.float64), skin), points)).astype(np.float32),
        "uvs": np.concatenate((raw["uvs"], uvs)).astype(np.float32),
        "faces": np.concatenate((faces[kept], quads + len(verts))),
        "faces_uvs": np.concatenate((raw["faces_uvs"].astype(np.int64)[kept], quads + len(raw["uvs"]))),
    }


def _combed_up(points: np.ndarray, skin: Skin) -> np.ndarray:
    """Move points (N, 3) mm toward the crown along the skin, most around where the hair is tied."""
    away = points - _TIED
    away[:, 1] *= np.where(away[:, 1] < 0, _DOWN, 1.0)
    angle = _UP * np.exp(-((away**2).sum(1) / _REACH**2))
    x, y, z = (points - _SKULL).T
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.stack((x, cos * y - sin * z, sin * y + cos * z), 1)
    height = np.maximum(skin.height(points), _LEAST * np.minimum(3 * angle / _UP, 1))
    return np.where(angle[:, None] < 1e-3, points, skin.laid(_SKULL + turned, height))


def _coil(centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices (N, 3) mm, UVs (N, 2) and triangles (F, 3) of the coil around a centre on the head, mm."""
    share = np.linspace(0, 1, _ALONG)
    axis = (centre - _SKULL) / np.linalg.norm(centre - _SKULL)
    right = np.cross([0.0, 1.0, 0.0], axis)
    right /= np.linalg.norm(right)
    up = np.cross(axis, right)
    turn = 2 * np.pi * _TURNS * share + 0.6
    radius, height, thick = (a + (b - a) * share for a, b in (_RADIUS, _HEIGHT, _THICK))
    # Both ends go under the coil.
    thick = thick * np.clip(share / 0.06 + 0.3, 0, 1) * np.clip((1 - share) / 0.10 + 0.15, 0, 1)
    out = np.cos(turn)[:, None] * right + np.sin(turn)[:, None] * up
    middle = centre + radius[:, None] * out + height[:, None] * axis
    around = np.linspace(0, 2 * np.pi, _AROUND)[None, :, None]
    ring = np.cos(around) * out[:, None] + np.sin(around) * axis
    points = middle[:, None] + thick[:, None, None] * ring
    (u0, u1), (v0, v1) = _TEXTURE
    fold = np.abs((np.arange(_ALONG) / _REPEAT + 1) % 2 - 1)[:, None]
    # Strands twist around the coil a little.
    u = u0 + (u1 - u0) * np.abs((np.arange(_AROUND)[None] * 2 / (_AROUND - 1) + share[:, None] * 3) % 2 - 1)
    uvs = np.stack(np.broadcast_arrays(u, v0 + (v1 - v0) * fold), -1)
    k = (np.arange(_ALONG - 1)[:, None] * _AROUND + np.arange(_AROUND - 1)).reshape(-1)
    quads = np.concatenate((np.stack((k, k + 1, k + _AROUND + 1), 1), np.stack((k, k + _AROUND + 1, k + _AROUND), 1)))
    return points.reshape(-1, 3), uvs.reshape(-1, 2), quads
