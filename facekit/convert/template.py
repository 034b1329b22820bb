"""Properties of upstream's template that its files lack: parts, landmarks, occlusion, and which side is left.

The template is FaceScape's topologically uniform mesh (Yang et al., CVPR 2020): 26,317 vertices, a head with open eyes
and lips and no eyeballs, teeth or cavity of the mouth. Measured on it: +X is the subject's left, +Y up, +Z out of the
face (the tip of the nose is its foremost vertex, the 37th to 42nd landmark, iBUG's right eye, lie at x < 0).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.conventions import CHIN, LANDMARK_GROUPS, NOSE_TIP, PARTS
from facekit.errors import WeightsError
from facekit.geometry.angles import fibonacci_sphere
from facekit.geometry.charts import open_edges
from facekit.geometry.coverage import prepare
from facekit.geometry.normals import vertex_normals
from facekit.render.camera import Camera
from facekit.render.rasterize import pixel_points

if TYPE_CHECKING:
    pass

#: Number of vertices of upstream's template.
VERTICES = 26317

#: Vertex indices of the 68 iBUG landmarks, as published by FaceScape's authors for this topology (github.com/
#: zhuhao-nju/facescape, toolkit, "v10"); checked in pictures and by :func:`describe`.
LANDMARKS: tuple[int, ...] = (
    23404, 4607, 4615, 4655, 20356, 4643, 5022, 5013, 1681, 1692, 11470, 10441, 1336, 1343, 1303, 1295, 2372,
    6143, 6141, 6126, 6113, 6109, 2844, 2762, 2765, 2774, 2789, 6053, 6041, 1870, 1855, 4728, 4870, 1807, 1551, 1419,
    3434, 3414, 3447, 3457, 3309, 3373, 3179, 151, 127, 143, 3236, 47, 21018, 4985, 4898, 6571, 1575, 1663, 1599, 1899,
    12138, 5231, 21978, 5101, 21067, 21239, 11378, 11369, 11553, 12048, 5212, 21892,
)  # fmt: skip

# Upper end of the neck, mm: heights at depths z, from under the chin to the nape.
_NECK_Z, _NECK_Y = (-110.0, -30.0, 0.0, 40.0), (-45.0, -62.0, -88.0, -100.0)
# Hairline: from behind the ear (z, y) to the top of the forehead, excluding the ears.
_HAIRLINE = ((-40.0, 10.0), (35.0, 105.0))
_EAR_X, _EAR_Y, _EAR_Z = 84.0, (-30.0, 62.0), -58.0
# Distance, mm, that lids extend from the rim of the eye opening.
_LID_MM = 4.0
# Occlusion: number of light directions, side of each depth map in pixels, depth tolerance in mm.
_DIRECTIONS, _MAP, _BIAS_MM = 96, 320, 1.5
# Exponent on the occlusion of lips and lids, to account for interreflection in folds.
_BOUNCE = 0.6


def describe(verts: np.ndarray, faces: np.ndarray, uvs: np.ndarray, faces_uvs: np.ndarray) -> dict[str, np.ndarray]:
    """Measure what :class:`facekit.template.Template` needs besides the topology. Takes some seconds, once.

    Parameters
    ----------
    verts:
        (26317, 3) float, mm.
    faces, faces_uvs:
        (F, 3) integers.
    uvs:
        (T, 2) float, origin bottom-left.

    Returns
    -------
    dict
        ``parts`` (V,) uint8, indices into :data:`facekit.conventions.PARTS`; ``landmarks`` (68,) int64, vertex indices
        in iBUG order; ``ao`` (V,) float32 in [0, 1].

    Raises
    ------
    WeightsError
        If this is not upstream's template: other counts, or implausible landmarks.
    """
    verts, uvs = (np.asarray(a, dtype=np.float64) for a in (verts, uvs))
    faces, faces_uvs = (np.asarray(a, dtype=np.int64) for a in (faces, faces_uvs))
    landmarks = np.array(LANDMARKS, dtype=np.int64)
    _check(verts, landmarks)
    parts = _parts(verts, faces, _vertex_uvs(uvs, faces, faces_uvs), landmarks)
    ao = occlusion(verts, faces)
    folds = np.isin(parts, (PARTS.index("lips"), PARTS.index("lids")))
    return {"parts": parts, "landmarks": landmarks, "ao": np.where(folds, ao**_BOUNCE, ao).astype(np.float32)}


def occlusion(verts: np.ndarray, faces: np.ndarray, directions: int = _DIRECTIONS) -> np.ndarray:
    """Return ambient occlusion (V,) float64 in [0, 1]: the cosine-weighted fraction of sky visible from each vertex.

    Uses one depth map per direction around the head: points behind the first surface are in shade. ``verts`` (V, 3) mm,
    ``faces`` (F, 3).
    """
    points, triangles = torch.as_tensor(verts, dtype=torch.float32)[None], torch.as_tensor(faces)
    normals = vertex_normals(points, triangles)[0].double()
    centre = (points[0].amax(0) + points[0].amin(0)) / 2
    radius = float((points[0] - centre).norm(dim=1).max())
    distance = 20 * radius
    fov = 2 * math.degrees(math.asin(radius / distance)) * 1.02
    lit, total = torch.zeros(len(verts), dtype=torch.float64), torch.zeros(len(verts), dtype=torch.float64)
    for toward in fibonacci_sphere(directions):
        up = (0.0, 0.0, 1.0) if abs(toward[1]) > 0.9 else (0.0, 1.0, 0.0)
        camera = Camera(centre + distance * toward.float(), centre, fov, up=up)
        seen_at = pixel_points(points, camera, _MAP, _MAP)[0]
        _, depth = prepare(seen_at[None], triangles, _MAP, _MAP, near=camera.near_plane(points)).nearest()
        cosine = (normals @ toward).clamp_min(0)
        own = seen_at[:, 2]
        column, row = ((seen_at[:, k] / own - 0.5).clamp(0, _MAP - 1.001) for k in (0, 1))
        # On slanted surfaces a texel of the map covers a range of depths, so the bias grows with the slant.
        texel = 2 * radius / _MAP
        limit = own - _BIAS_MM - texel * (1 - cosine.square()).sqrt() / cosine.clamp_min(0.2)
        seen = torch.zeros_like(own)
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            left, top = column.floor() + x, row.floor() + y
            weight = (1 - (column - left).abs()) * (1 - (row - top).abs())
            seen += weight * (depth.view(-1)[(top * _MAP + left).long()] >= limit)
        lit += cosine * seen
        total += cosine
    return (lit / total.clamp_min(1e-9)).clamp(0, 1).numpy()


def _check(verts: np.ndarray, landmarks: np.ndarray) -> None:
    remedy = "import data/template_mesh.obj of the public 3DFaceCAM repository as it is"
    if verts.shape != (VERTICES, 3) or not np.isfinite(verts).all():
        raise WeightsError(f"upstream's template of {VERTICES} finite vertices", f"{verts.shape}", remedy)
    points = verts[landmarks]
    extent = verts.max(0) - verts.min(0)
    nose, chin = points[NOSE_TIP], points[CHIN]
    right_eye, left_eye = (points[LANDMARK_GROUPS[name]].mean(0) for name in ("right_eye", "left_eye"))
    good = (
        verts[:, 2].max() - nose[2] < 0.05 * extent[2]
        and right_eye[0] < nose[0] < left_eye[0]
        and chin[1] < points[LANDMARK_GROUPS["outer_lips"], 1].min() < nose[1] < min(right_eye[1], left_eye[1])
    )
    if not good:
        raise WeightsError("upstream's template with plausible landmarks", "another mesh", remedy)


def _vertex_uvs(uvs: np.ndarray, faces: np.ndarray, faces_uvs: np.ndarray) -> np.ndarray:
    """Return one UV per vertex (V, 2); on a seam, any of its UVs."""
    found = np.zeros((faces.max() + 1, 2))
    found[faces.ravel()] = uvs[faces_uvs.ravel()]
    return found


def _parts(verts: np.ndarray, faces: np.ndarray, uvs: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Return part ids (V,) uint8, assigned from the largest part to the smallest."""
    x, y, z = verts.T
    (z0, y0), (z1, y1) = _HAIRLINE
    ear = (np.abs(x) > _EAR_X) & (y > _EAR_Y[0]) & (y < _EAR_Y[1]) & (z > _EAR_Z)
    parts = np.full(len(verts), PARTS.index("skin"), np.uint8)
    parts[(y > y0 + (z - z0) * (y1 - y0) / (z1 - z0)) & ~ear] = PARTS.index("back_of_head")
    parts[y < np.interp(z, _NECK_Z, _NECK_Y)] = PARTS.index("neck")
    open_rim = open_edges(torch.as_tensor(faces)).unique().numpy()
    for eye in (landmarks[LANDMARK_GROUPS[name]] for name in ("right_eye", "left_eye")):
        centre, width = verts[eye].mean(0), np.ptp(verts[eye, 0])
        rim = open_rim[np.linalg.norm(verts[open_rim] - centre, axis=1) < width]
        near = np.flatnonzero(np.linalg.norm(verts - centre, axis=1) < 1.5 * width)
        gap = np.linalg.norm(verts[near, None] - verts[None, rim], axis=-1).min(1)
        parts[near[gap < _LID_MM]] = PARTS.index("lids")
    parts[_inside(uvs, uvs[landmarks[LANDMARK_GROUPS["outer_lips"]]]) & (z > 0)] = PARTS.index("lips")
    return parts


def _inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Return which points (N, 2) lie in a polygon (K, 2), by the parity of crossings: (N,) bool."""
    inside = np.zeros(len(points), bool)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        rise = b[1] - a[1] if b[1] != a[1] else 1.0
        inside ^= crosses & (points[:, 0] < a[0] + (points[:, 1] - a[1]) / rise * (b[0] - a[0]))
    return inside
