"""REALY benchmark (Chai et al., ECCV 2022): each region of a scan is aligned and registered separately.

Implemented from the protocol as stated by its public tools (https://github.com/czh-98/REALY), not from their code.
"""

from __future__ import annotations

import numpy as np

from facekit.metrics.nonrigid import deformed
from facekit.metrics.scans import Surface, aligned

REGIONS: tuple[str, ...] = ("nose", "mouth", "forehead", "cheek")
#: Number of keypoints in the benchmark: the 68 of iBUG and 17 on nose and cheeks.
KEYPOINTS = 85
_LIPS = (*range(48, 61), 64)
_EYES, _BROWS, _NOSE = tuple(range(36, 48)), tuple(range(17, 27)), tuple(range(27, 36))
#: Keypoints to align the whole face, to align each region, and to guide each region's registration.
WHOLE: tuple[int, ...] = (36, 39, 42, 45, 33, 48, 54)
RIGID: dict[str, tuple[int, ...]] = {
    "nose": (*_NOSE, 70, 71),
    "mouth": _LIPS,
    "forehead": (*_EYES, *_BROWS),
    "cheek": (*_LIPS, 76, 77, 36, 41, 40, 39, 42, 47, 46, 45, 7, 8, 9),
}
LEADING: dict[str, tuple[int, ...]] = {"nose": _NOSE, "mouth": _LIPS, "forehead": (*_EYES, *_BROWS), "cheek": ()}
#: Alignment of a region: number of steps, convergence threshold (mean squared distance), factor on the keypoints'
#: weight for the cheek.
_STEPS, _SETTLED, _CHEEK = 100, 1e-6, 0.25


def by_keypoints(points: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return scale, rotation and translation that align keypoints (K, 3) with those of the scan.

    The rotation is the least-squares one; the scale is the ratio of the sums of absolute coordinates about the means.
    """
    known = np.isfinite(points).all(axis=1)
    p, t = points[known], target[known]
    _, turn, _ = aligned(p, t, scaled=False)
    middle, wanted = p.mean(axis=0), t.mean(axis=0)
    scale = float(np.abs(t - wanted).sum() / np.abs((p - middle) @ turn.T).sum())
    return scale, turn, wanted - scale * turn @ middle


def by_region(
    surface: Surface, keypoints: np.ndarray, scan: np.ndarray, scan_keypoints: np.ndarray, region: str
) -> tuple[Surface, np.ndarray]:
    """Align a surface and its keypoints (K, 3) rigidly with a region of the scan (N, 3) by iterated closest points.

    All keypoints together weigh as much as the region's points, on the cheek a quarter.
    """
    known = np.isfinite(keypoints).all(axis=1)
    marks, wanted = keypoints[known], scan_keypoints[known]
    repeat = int(len(scan) / max(len(marks), 1) * (_CHEEK if region == "cheek" else 1.0))
    target = np.concatenate([scan, np.tile(wanted, (repeat, 1))])
    before = 0.0
    for _ in range(_STEPS):
        found = np.concatenate([surface.nearest(scan)[0], np.tile(marks, (repeat, 1))])
        _, turn, shift = aligned(found, target, scaled=False)
        now = float(((found @ turn.T + shift - target) ** 2).sum(axis=1).mean())
        if abs(now - before) < _SETTLED:
            break
        before = now
        surface, marks = surface.moved(1.0, turn, shift), marks @ turn.T + shift
    moved = keypoints.copy()
    moved[known] = marks
    return surface, moved


def region_errors(surface: Surface, scan: Surface, marks: np.ndarray, scan_marks: np.ndarray) -> np.ndarray:
    """Return distances (N,) from a region's points to their counterparts on an aligned surface, in the scan's unit.

    The region is registered non-rigidly to the surface; a point's counterpart is then the closest point on it.

    Parameters
    ----------
    surface:
        The prediction.
    scan:
        The region.
    marks, scan_marks:
        (K, 3): guiding keypoints of both; K may be 0.
    """
    known = np.isfinite(marks).all(axis=1)
    distance = np.linalg.norm(scan.verts[:, None] - scan_marks[known], axis=-1) if known.any() else None
    places = None if distance is None else distance.argmin(axis=0)
    laid = deformed(scan, surface.nearest(scan.verts)[0], places, marks[known])
    return np.linalg.norm(surface.nearest(laid)[0] - scan.verts, axis=1)


def realy_errors(
    surface: Surface, keypoints: np.ndarray, regions: dict[str, Surface], scan_keypoints: np.ndarray
) -> dict[str, float]:
    """Return the mean error of each region in the scan's unit.

    Parameters
    ----------
    surface, keypoints:
        The prediction and its keypoints (85, 3); NaN for missing ones.
    regions, scan_keypoints:
        The scan's regions by name, and its keypoints (85, 3).
    """
    scale, turn, shift = by_keypoints(keypoints[list(WHOLE)], scan_keypoints[list(WHOLE)])
    surface, keypoints = surface.moved(scale, turn, shift), scale * keypoints @ turn.T + shift
    errors = {}
    for region, scan in regions.items():
        rigid, leading = list(RIGID[region]), list(LEADING[region])
        # The guiding keypoints are among the aligning ones: move all at once.
        laid, moved = by_region(surface, keypoints[rigid], scan.verts, scan_keypoints[rigid], region)
        own = moved[[rigid.index(k) for k in leading]]
        errors[region] = float(region_errors(laid, scan, own, scan_keypoints[leading]).mean())
    return errors
