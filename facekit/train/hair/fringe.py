"""Loose strands along the front edges of a style, which break up the straight ends of its cards."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from facekit.models.facial_hair import BEARD_PICTURE, card_faces
from facekit.train.hair.facial import tuft_picture
from facekit.train.hair.light import covered_points
from facekit.train.hair.sampling import apart

#: Front edges have greater y and greater z than these, mm.
_HEIGHT, _FRONT = 30.0, 58.0
#: Number of random points on the cards, and coverage from which on they count as hair. A point is on an edge if, moved
#: by the first distance, mm, it has no other within the second, and there is bare skin within the third.
_SAMPLES, _SEEN, _BEYOND, _GAP, _OVER = 60_000, 0.55, 6.0, 3.2, 16.0
#: Point that loose strands are directed at, mm.
_FACE = np.array([0.0, 0.0, 95.0])
#: Distance between neighbouring tufts, mm, and between the edge and their roots.
_SPACING, _INSIDE = 1.7, 5.0
#: Range of the tufts' length, mm, half of their width, mm, standard deviation of their direction, radians, and bend of
#: the outer half toward the head, relative to its length.
_LENGTH, _HALF, _UNRULY, _BEND = (8.0, 15.0), 2.2, 0.22, 0.25


def with_fringe(
    raw: dict[str, np.ndarray], strands: np.ndarray, along: np.ndarray, bare: np.ndarray, seed: int = 12
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Add tufts along the front edges of a style. Returns its cards, strand texture and strand directions with them.

    Parameters
    ----------
    raw:
        ``verts`` (N, 3) mm, ``uvs`` (T, 2), ``faces`` and ``faces_uvs`` (F, 3).
    strands:
        (2, H, W) in [0, 1], grey and coverage; the tufts are appended on the right.
    along:
        (N, 3), directions of strands.
    bare:
        (n, 3) mm, vertices of the forehead and temples without hair.
    """
    verts, faces = raw["verts"].astype(np.float64), raw["faces"].astype(np.int64)
    root, way = _roots(raw, strands, bare, np.random.default_rng(seed))
    if not len(root):
        return raw, strands, along
    rng = np.random.default_rng(seed + 1)
    normal = root - np.array([0.0, 60.0, 0.0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    side = np.cross(way, normal)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    turn = rng.normal(0, _UNRULY, len(root))[:, None]
    way = np.cos(turn) * way + np.sin(turn) * side
    length = rng.uniform(*_LENGTH, len(root))[:, None]
    middle = root + 0.5 * length * way
    tip = middle + 0.5 * length * (way - _BEND * normal)
    rows = np.stack((root, middle, tip), 1) + 0.6 * normal[:, None]
    half = (_HALF * rng.uniform(0.7, 1.2, len(root)))[:, None, None] * side[:, None]
    cards = np.stack((rows - half, rows + half), 2).reshape(-1, 3)
    picture, uvs = _picture(strands, len(root), rng)
    tris = card_faces(len(root)).numpy()
    scale = np.array([strands.shape[2] / picture.shape[2], 1.0])
    joined = {
        "verts": np.concatenate((verts, cards)),
        "uvs": np.concatenate((raw["uvs"] * scale, uvs)),
        "faces": np.concatenate((faces, tris + len(verts))),
        "faces_uvs": np.concatenate((raw["faces_uvs"], tris + len(raw["uvs"]))),
    }
    return {**raw, **joined}, picture, np.concatenate((along, np.repeat(way, 6, axis=0)))


def _roots(
    raw: dict[str, np.ndarray], strands: np.ndarray, bare: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return roots (n, 3) mm of tufts, a little inside of the visible edges near bare skin, and their unit directions
    (n, 3) along the skin.
    """
    from scipy.spatial import KDTree

    verts, faces = raw["verts"].astype(np.float64), raw["faces"].astype(np.int64)
    point, cover = covered_points(verts, faces, raw["uvs"], raw["faces_uvs"], strands[1], _SAMPLES, rng)
    point = point[cover > _SEEN]
    point = point[(point[:, 1] > _HEIGHT) & (point[:, 2] > _FRONT)]
    distance, place = KDTree(bare).query(point)
    near = distance < _OVER
    # Toward the middle of the face, along the skin.
    way = _FACE - point
    out = (point - bare[place]) / np.maximum(distance, 1e-6)[:, None]
    way -= out * (way * out).sum(1, keepdims=True)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    # A point is on an edge if there is no hair further on in that direction.
    beyond = KDTree(point).query(point + _BEYOND * way)[0]
    edge = np.flatnonzero(near & (beyond > _GAP))
    kept = edge[apart(point[edge], _SPACING, np.ones(len(edge), bool))]
    root, way = point[kept], way[kept]
    return root - rng.uniform(0.5, 1.5, (len(root), 1)) * _INSIDE * way, way


def _picture(strands: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the strand texture with tufts on its right, and UVs (count * 6, 2) of the tufts."""
    first, last, kinds = BEARD_PICTURE
    tufts = torch.from_numpy(tuft_picture())
    width = tufts.shape[2]
    tufts = tufts[:, :, round(first * width) : round(last * width)]
    size = (strands.shape[1], tufts.shape[2] // 2)
    tufts = F.interpolate(tufts[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0].numpy()
    picture = np.concatenate((strands, tufts.astype(strands.dtype)), axis=2)
    begin = strands.shape[2] / picture.shape[2]
    kind = rng.integers(0, kinds, count)[:, None]
    u = begin + (1 - begin) * (kind + np.tile([0.05, 0.95], 3)) / kinds
    v = np.repeat([0.005, 0.5, 0.995], 2) * np.ones_like(u)
    return picture, np.stack((u, v), -1).reshape(-1, 2)
