"""A fringe across the forehead: a sheet that falls from the top of the head and ends above the brows."""

from __future__ import annotations

import numpy as np

from facekit.train.hair.clearance import Skin

#: Columns and rows of the sheet.
COLUMNS, ROWS = 21, 15
#: Half widths of the root line and of the tips, mm; place of the root line; the centre that strands fan out around.
_ROOT_HALF, _TIP_HALF, _ROOT, _CENTRE = 30.0, 63.0, (138.0, 42.0), np.array([0.0, 70.0, 0.0])
#: Height of the tips in the middle and at the temples, mm, and standard deviation of their heights, mm.
_TIPS, _UNEVEN = (75.0, 56.0), 2.0
#: Heights above the skin, mm, at the root, at its greatest, and at the tips, in the middle and at the temples.
_LOW, _HIGH, _END = (2.0, 2.0), (11.0, 6.0), (6.5, 2.0)


def fringe_sheet(skin: Skin, rng: np.random.Generator) -> np.ndarray:
    """Return the sheet (COLUMNS, ROWS, 3) mm from the left temple to the right one, each column from root to tip."""
    side, share = np.linspace(1, -1, COLUMNS)[:, None], np.linspace(0, 1, ROWS)[None]
    outer = np.abs(side) ** 2.2
    uneven = np.interp(side, np.linspace(-1, 1, 9), rng.normal(0, _UNEVEN, 9))
    root = np.stack((_ROOT_HALF * side, _ROOT[0] - 6 * outer, _ROOT[1] + 0 * side), -1)
    y = _TIPS[0] + (_TIPS[1] - _TIPS[0]) * outer + uneven
    x = _TIP_HALF * side
    tip = np.stack((x, y, 108 - 44 * np.abs(side) ** 2.6), -1)
    one, two = root - _CENTRE, tip - _CENTRE
    points = _CENTRE + _slerp(one, two, share)
    low, high, end = (a + (b - a) * outer for a, b in (_LOW, _HIGH, _END))
    rise = np.sin(np.pi / 2 * np.clip(share / 0.45, 0, 1))
    height = low + (high - low) * rise + (end - high) * np.clip((share - 0.45) / 0.55, 0, 1) ** 1.5
    return skin.laid(points, height)


def _slerp(one: np.ndarray, two: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate between vectors (J, 1, 3) on the arc between them at shares (1, I); lengths linearly."""
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (one, two)]
    a, b = one / lengths[0], two / lengths[1]
    angle = np.arccos(np.clip((a * b).sum(-1, keepdims=True), -1, 1))
    t = share[..., None]
    way = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return way * (lengths[0] * (1 - t) + lengths[1] * t)
