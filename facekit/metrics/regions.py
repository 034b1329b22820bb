"""The REALY benchmark's measure (Chai et al., ECCV 2022): a scan's regions, each aligned and registered by itself.

Written from the protocol that its public tools state (https://github.com/czh-98/REALY), not from their code.
"""

from __future__ import annotations

import numpy as np

from facekit.metrics.nonrigid import deformed
from facekit.metrics.scans import Surface, aligned

REGIONS: tuple[str, ...] = ("nose", "mouth", "forehead", "cheek")
#: The benchmark's keypoints: the 68 of iBUG and 17 on nose and cheeks.
KEYPOINTS = 85
_LIPS = (*range(48, 61), 64)
_EYES, _BROWS, _NOSE = tuple(range(36, 48)), tuple(range(17, 27)), tuple(range(27, 36))
#: Those that the whole face is aligned by, those that each region is aligned by, and those that lead its registration.
WHOLE: tuple[int, ...] = (36, 39, 42, 45, 33, 48, 54)
RIGID: dict[str, tuple[int, ...]] = {
    "nose": (*_NOSE, 70, 71),
    "mouth": _LIPS,
    "forehead": (*_EYES, *_BROWS),
    "cheek": (*_LIPS, 76, 77, 36, 41, 40, 39, 42, 47, 46, 45, 7, 8, 9),
}
LEADING: dict[str, tuple[int, ...]] = {"nose": _NOSE, "mouth": _LIPS, "forehead": (*_EYES, *_BROWS), "cheek": ()}
#: Steps of a region's alignment, when it ends (mean squared distance), and the share of keypoints' weight on the cheek.
_STEPS, _SETTLED, _CHEEK = 100, 1e-6, 0.25


def by_keypoints(points: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that lay keypoints (K, 3) over those of the scan.

    The rotation is that of least squares; the scale is the ratio of the sums of absolute coordinates about the means.
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
    """Move a surface and its keypoints (K, 3) rigidly over a region of the scan (N, 3): iterated closest points.

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
    """Distances (N,) from a region's own points to where they belong on an aligned surface, in the scan's unit.

    The region is laid over the surface without tearing; the place that is then nearest to a point is its counterpart.

    Parameters
    ----------
    surface:
        The prediction.
    scan:
        The region.
    marks, scan_marks:
        (K, 3), leading keypoints of both; none with K = 0.
    """
    known = np.isfinite(marks).all(axis=1)
    distance = np.linalg.norm(scan.verts[:, None] - scan_marks[known], axis=-1) if known.any() else None
    places = None if distance is None else distance.argmin(axis=0)
    laid = deformed(scan, surface.nearest(scan.verts)[0], places, marks[known])
    return np.linalg.norm(surface.nearest(laid)[0] - scan.verts, axis=1)


def realy_errors(
    surface: Surface, keypoints: np.ndarray, regions: dict[str, Surface], scan_keypoints: np.ndarray
) -> dict[str, float]:
    """Mean error of each region in the scan's unit.

    Parameters
    ----------
    surface, keypoints:
        The prediction and its keypoints (85, 3); NaN for those that it does not have.
    regions, scan_keypoints:
        The scan's, by name, and (85, 3).
    """
    scale, turn, shift = by_keypoints(keypoints[list(WHOLE)], scan_keypoints[list(WHOLE)])
    surface, keypoints = surface.moved(scale, turn, shift), scale * keypoints @ turn.T + shift
    errors = {}
    for region, scan in regions.items():
        rigid, leading = list(RIGID[region]), list(LEADING[region])
        # What leads is among what aligns: one move serves both.
        laid, moved = by_region(surface, keypoints[rigid], scan.verts, scan_keypoints[rigid], region)
        own = moved[[rigid.index(k) for k in leading]]
        errors[region] = float(region_errors(laid, scan, own, scan_keypoints[leading]).mean())
    return errors
