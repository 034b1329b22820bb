"""Cuts of long hair: where it is parted, how it falls, waves and ends, as changes of its columns and sheets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cut:
    """One cut of the pack's long hair.

    Parameters
    ----------
    lowest:
        Height of the tips, mm.
    parting:
        Distance of the parting from the middle at the forehead, mm, to the left if positive.
    volume:
        How far the sheets are moved outward, mm.
    sweep:
        How far the front edge of the larger side is let down over the forehead, mm.
    forward:
        How far the front columns are moved forward below the cheekbones, mm.
    inward:
        How far the ends are turned toward the neck, mm.
    waves:
        Amplitude of waves at the ends, mm.
    fringe:
        Whether a fringe covers the forehead.
    grid, locks:
        Columns and rows of each sheet; number of locks per side, and rows of each.
    """

    lowest: float
    parting: float = 0.0
    volume: float = 3.0
    sweep: float = 0.0
    forward: float = 0.0
    inward: float = 0.0
    waves: float = 0.0
    fringe: bool = False
    grid: tuple[int, int] = (27, 31)
    locks: tuple[int, int] = (14, 15)


#: Cuts by name of style.
CUTS = {
    "long01": Cut(-255.0),
    "mid01": Cut(-112.0),
    "side01": Cut(-235.0, parting=27.0, volume=5.0, sweep=19.0, forward=14.0),
    "wavy01": Cut(-165.0, parting=-20.0, volume=8.0, sweep=18.0, forward=42.0, waves=7.5, grid=(22, 43), locks=(5, 24)),
    "bob03": Cut(-80.0, volume=6.0, forward=10.0, inward=12.0, fringe=True, grid=(24, 27), locks=(12, 13)),
}
#: Columns, out of all, over which the parting returns to the middle, the sweep ends, and hair falls forward.
_PARTED, _SWEPT, _FALLING = 0.72, 0.45, 0.42
#: Height by which a parting on the side raises the hairline, and half of the width, mm.
_RISE, _PEAK = 11.0, 16.0
#: Place where the larger side is let down most, mm from the middle, and half of the width, mm.
_CORNER = (31.0, 17.0)
#: Length of waves, mm, share of the strand from which on they rise to their full amplitude, and columns per bundle.
_WAVE, _FROM, _BUNDLE = 68.0, (0.14, 0.5), 3.2
#: Heights, mm: hair falls forward from the first to the second; ends turn inward within the third above the tips.
_CHEEK, _JAW, _TURNED = 30.0, -70.0, 45.0
#: Standard deviation, mm, of the front edge, its number of knots, and the columns over which it vanishes.
_RAGGED, _KNOTS, _INNER = 1.8, 22, 3.0


def completed(left: np.ndarray, right: np.ndarray, apart: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Complete the shorter of two columns (n, 3) mm whose roots should meet, if they are further apart, mm."""
    for one, two in ((left, right), (right, left)):
        if np.abs(one[0, 0]) > np.abs(two[0, 0]) + apart:
            ahead = two[np.abs(two[:, 0]) < np.abs(one[0, 0]) - apart / 2] * [-1, 1, 1]
            longer = np.concatenate((ahead, one))
            return (longer, right) if one is left else (left, longer)
    return left, right


def parted(
    left: list[np.ndarray], right: list[np.ndarray], roots: np.ndarray, where: float
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Move the parting sideways by ``where`` mm at the front: columns of one side are cut, those of the other go on
    across the middle, along the columns that were cut.

    ``roots`` (n, 3) mm are the points of the parting in the middle. Returns both sides and the parting.
    """
    if where < 0:
        flip = np.array([-1.0, 1.0, 1.0])
        sides = parted([c * flip for c in right], [c * flip for c in left], roots * flip, -where)
        return [c * flip for c in sides[1]], [c * flip for c in sides[0]], sides[2] * flip
    share = np.clip(1 - np.linspace(0, 1, len(left)) / _PARTED, 0, 1)
    offset = where * share * (2 - share)
    short, long, line = [], [], []
    for a, b, root, off in zip(left, right, roots, offset, strict=True):
        if off == 0:
            short.append(a)
            long.append(b)
            line.append(root)
            continue
        a, b = a[int(np.argmax(a[:, 0] > root[0] + 1)) :], b[int(np.argmax(b[:, 0] < root[0] - 1)) :]
        across = np.concatenate((root[None], a))
        cut = int(np.argmax(across[:, 0] >= root[0] + off))
        short.append(across[cut:])
        long.append(np.concatenate((across[: cut + 1][::-1], b)))
        line.append(across[cut])
    return short, long, np.array(line)


def fallen(sheet: np.ndarray, cut: Cut, larger: bool) -> np.ndarray:
    """Return a sheet (J, I, 3) mm that falls as the cut says; ``larger`` for the side that is swept."""
    sheet = sheet.copy()
    place = np.linspace(0, 1, len(sheet))[:, None]
    height = sheet[..., 1]
    if cut.sweep:
        # The hairline rises to the parting and falls from it to both sides.
        near = np.exp(-(((sheet[..., 0] - cut.parting) / _PEAK) ** 2)) * (height > 0)
        sheet += (_RISE * np.clip(1 - place / _SWEPT, 0, 1) * near)[..., None] * [0.0, 1.0, -0.8]
    if larger and cut.sweep:
        # Over the forehead's corner: from the middle to the temple.
        wide = np.exp(-(((-np.sign(cut.parting) * sheet[..., 0] - _CORNER[0]) / _CORNER[1]) ** 2)) * (height > 0)
        sheet[..., 1] -= cut.sweep * np.clip(1 - place / _SWEPT, 0, 1) * wide
    fall = np.clip((_CHEEK - height) / (_CHEEK - _JAW), 0, 1)
    front = np.clip(1 - place / _FALLING, 0, 1)
    sheet[..., 2] += cut.forward * _eased(fall) * _eased(front)
    turn = _eased(np.clip((cut.lowest + _TURNED - height) / _TURNED, 0, 1))
    out = sheet * [1, 0, 1] - [0, 0, -30.0]
    out /= np.maximum(np.linalg.norm(out, axis=2, keepdims=True), 1e-9)
    return sheet - cut.inward * (turn**2)[..., None] * out


def ragged(sheet: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a sheet (J, I, 3) mm with an irregular front edge."""
    across, rows, _ = sheet.shape
    shift = _RAGGED * np.interp(np.linspace(0, 1, rows), np.linspace(0, 1, _KNOTS), rng.normal(0, 1, _KNOTS))
    way = sheet[1] - sheet[0]
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    fade = np.exp(-np.arange(across) / _INNER)
    return sheet + fade[:, None, None] * (shift[:, None] * way)[None]


def waved(sheet: np.ndarray, normal: np.ndarray, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Return a sheet (J, I, 3) mm in waves along its columns, in bundles of columns with phases of their own.

    ``normal`` (J, I, 3) are its unit normals.
    """
    across, rows, _ = sheet.shape
    length = np.linalg.norm(np.diff(sheet, axis=1), axis=2)
    arc = np.concatenate((np.zeros((across, 1)), length.cumsum(1)), 1)
    knots = max(2, round(across / _BUNDLE))
    at, knot = np.linspace(0, 1, across), np.linspace(0, 1, knots)
    phase = np.interp(at, knot, rng.uniform(-1.6, 1.6, knots).cumsum())[:, None]
    stretch = np.interp(at, knot, rng.uniform(0.75, 1.3, knots))[:, None]
    low, high = _FROM
    rise = amplitude * _eased(np.clip((arc / arc[:, -1:] - low) / (high - low), 0, 1))
    turn = 2 * np.pi * arc / (_WAVE * stretch) + phase
    along = np.gradient(sheet, axis=1)
    side = np.cross(along, normal)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-9)
    return sheet + rise[..., None] * (0.55 * np.sin(turn)[..., None] * normal + np.cos(turn)[..., None] * side)


def _eased(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)
