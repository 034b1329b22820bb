"""Ambient occlusion per vertex by ray casting over several poses, so that opened lips and lids are not black."""

from __future__ import annotations

import numpy as np
import torch

from facekit.errors import optional_import
from facekit.geometry.angles import fibonacci_sphere
from facekit.geometry.normals import vertex_normals
from facekit.train.arrays import smoothstep
from facekit.train.head.topology import adjacency

# Weight of each pose in the blend, by part: (neutral, mouth open, grin).
POSES = (
    {},
    {"jawOpen": 0.8, "mouthUpperUp_L": 0.4, "mouthUpperUp_R": 0.4, "eyeWide_L": 0.6, "eyeWide_R": 0.6},
    {
        "mouthStretch_L": 0.8,
        "mouthStretch_R": 0.8,
        "mouthUpperUp_L": 0.8,
        "mouthUpperUp_R": 0.8,
        "mouthLowerDown_L": 0.8,
        "mouthLowerDown_R": 0.8,
        "mouthSmile_L": 0.5,
        "mouthSmile_R": 0.5,
        "eyeBlink_L": 0.25,
        "eyeBlink_R": 0.25,
    },
)
SKIN_WEIGHTS = (1.0, 0.0, 0.0)
INSIDE_WEIGHTS = (0.1, 0.3, 0.6)
# Exponent on the cast value by part id (skin, lips, lids, eyes, teeth, mouth, back of head, neck), for interreflection
# between wet surfaces.
BOUNCE = (1.0, 0.7, 0.7, 0.5, 0.5, 0.5, 1.0, 1.0)
# Teeth, gums and tongue are cast without the lips and cheeks in front, then darkened with depth (z, mm).
TEETH, MOUTH = 4, 5
DEPTH_FROM_MM, DEPTH_TO_MM, DEPTH_FLOOR, DEPTH_TOP = 30.0, 95.0, 0.06, 0.95
RAYS = 96


def cast(verts: np.ndarray, faces: np.ndarray, rays: int = RAYS) -> np.ndarray:
    """Return the cosine-weighted fraction ``(V,)`` of unoccluded sky over each vertex's hemisphere, 0..1."""
    trimesh = optional_import("trimesh", "train", "casting rays")
    mesh = trimesh.Trimesh(verts, faces, process=False)
    normals = vertex_normals(torch.from_numpy(verts)[None], torch.from_numpy(faces))[0].numpy()
    start = verts + 0.05 * normals
    free, total = np.zeros(len(verts)), np.zeros(len(verts))
    for direction in fibonacci_sphere(2 * rays).numpy():
        cosine = normals @ direction
        ask = np.flatnonzero(cosine > 0.05)
        hit = mesh.ray.intersects_any(start[ask], np.tile(direction, (len(ask), 1)))
        free[ask] += cosine[ask] * ~hit
        total[ask] += cosine[ask]
    return free / np.maximum(total, 1e-9)


def ambient_occlusion(
    verts: np.ndarray,
    faces: np.ndarray,
    shapes: np.ndarray,
    names: list[str],
    parts: np.ndarray,
) -> np.ndarray:
    """Return AO ``(V,)`` in 0..1: skin from the neutral pose, lips, lids and mouth mostly from poses that open them."""
    cast_in = []
    for pose in POSES:
        shift = sum((w * shapes[names.index(k)] for k, w in pose.items()), np.zeros_like(verts))
        cast_in.append(cast(verts + shift, faces))
    cast_in = np.stack(cast_in)
    inside = np.isin(parts, (1, 2, 3, 4, 5)).astype(float)
    links = adjacency(faces, len(verts))
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
    for _ in range(4):
        inside = 0.5 * inside + 0.5 * (links @ inside) / degree
    weights = np.outer(1 - inside, SKIN_WEIGHTS) + np.outer(inside, INSIDE_WEIGHTS)
    ao = (weights.T * cast_in).sum(0)
    open_most = cast_in.max(0)
    ao = ao + inside * 0.6 * (open_most - ao)
    # Interreflection in the mouth and between the lids: raise low cast values, more on wet surfaces.
    ao = ao ** (1 - inside * (1 - np.array(BOUNCE)[parts]))
    opened = verts + sum(w * shapes[names.index(k)] for k, w in POSES[1].items())
    ao = np.where(np.isin(parts, (TEETH, MOUTH)), mouth_occlusion(verts, opened, faces, parts, ao), ao)
    for _ in range(2):
        ao = 0.6 * ao + 0.4 * (links @ ao) / degree
    return np.clip(ao, 0.0, 1.0)


def mouth_occlusion(
    verts: np.ndarray,
    opened: np.ndarray,
    faces: np.ndarray,
    parts: np.ndarray,
    ao: np.ndarray,
) -> np.ndarray:
    """Return AO ``(V,)`` of teeth, gums, tongue and mouth socket; other vertices, including eye sockets, keep ``ao``.

    Cast with the mouth ``opened`` ``(V, 3)``: with closed teeth the tongue would be black.
    """
    in_mouth = np.isin(parts, (TEETH, MOUTH)) & (verts[:, 1] < 10)
    alone = cast(opened, faces[in_mouth[faces].all(1)])
    depth = DEPTH_FLOOR + (DEPTH_TOP - DEPTH_FLOOR) * smoothstep(verts[:, 2], DEPTH_FROM_MM, DEPTH_TO_MM)
    return np.where(in_mouth, np.clip(alone, 0, 1) ** 0.4 * depth, ao)
