"""Long hair as two smooth sheets of fine strands, one on each side of the parting, with loose locks over them."""

from __future__ import annotations

import numpy as np

from facekit.train.hair.bangs import fringe_sheet
from facekit.train.hair.clearance import Skin
from facekit.train.hair.cuts import Cut, completed, fallen, parted, ragged, waved
from facekit.train.hair.sheet_picture import GAP, PATTERNS, SHEET, WIDE, sheet_picture

#: Rows of each sheet are denser at the root, by this power.
_DENSE = 1.35
#: Standard deviations, mm, of the smoothing along strands, and columns, across them.
_ALONG, _ACROSS = 14.0, 0.8
#: UVs of the pack beyond this u are loose strips, which cross the sheets.
_STRIPS = 0.63
#: Locks: how far they stand out of the sheet, mm, lean to a side, mm, and range of roots, as fractions of the sheet.
#: Flat on it they would be seen edge-on against the background, as pale stripes.
_STAND, _LEAN, _FROM = (3.0, 6.5), 3.0, (0.22, 0.55)
#: Number of columns at the front that are turned inward in the pack.
_TURNED = 1
#: Index along a column, out of 256, of the points whose mean between both sides is the parting.
_GROOVE = 5
#: A point inside of the head, mm; least height of strands above the skin, mm, above the shoulders' height, mm.
_INNER, _CLEAR, _SHOULDERS = np.array([0.0, 20.0, -20.0]), 2.2, -90.0
#: Share of the sheet's texture that a fringe has, across and from the tips up.
_BANGS, _BANGS_ROOT = (0.2, 0.75), 0.62


def long_cards(raw: dict[str, np.ndarray], size: int, cut: Cut, skin: Skin, seed: int = 21) -> dict[str, np.ndarray]:
    """Rebuild the pack's long hair.

    Its sheet is a grid of quads with a column per strand. These columns are cut at a height, smoothed and resampled.

    Parameters
    ----------
    raw:
        ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` of the pack's style, two triangles per quad.
    size:
        Side of the strand texture in texels, at least 512.
    cut:
        How it is parted and cut.
    skin:
        The head.

    Returns
    -------
    dict
        ``verts``, ``uvs``, ``faces``, ``faces_uvs`` as for the pack's styles, ``along`` (N, 3), the directions of
        strands, and ``strands`` (2, size, size).
    """
    rng = np.random.default_rng(seed)
    pairs = [completed(*pair) for pair in zip(*(side[_TURNED:] for side in _columns(raw)), strict=True)]
    left, right = ([_shortened(pair[k], cut.lowest) for pair in pairs] for k in (0, 1))
    roots = _smooth(np.stack([0.5 * (a[_GROOVE] + b[_GROOVE]) for a, b in zip(left, right, strict=True)]), 1.0)
    left, right, roots = parted(left, right, roots, cut.parting)
    left, right = ([_evened(column) for column in side] for side in (left, right))
    roots = _smooth(roots, 1.0)
    sides = ((left, cut.parting < 0), (right, cut.parting > 0))
    sheets = [_sheet(strands, roots, cut, skin, larger) for strands, larger in sides]
    columns, parts = cut.grid[0], []
    if cut.waves:
        sheets = [waved(sheet, _normals(sheet), cut.waves, rng) for sheet in sheets]
    # At the back both sheets end in the same column.
    seam = 0.5 * (sheets[0][-1] + sheets[1][-1])
    for side, sheet in enumerate(sheets):
        sheet += np.clip((np.arange(columns) - columns + 5) / 4, 0, 1)[:, None, None] * (seam - sheet[-1])
        sheet = _cleared(ragged(sheet, rng), skin)
        u = SHEET / size * np.linspace(0, 1, columns)
        u = np.stack((u[:-1], u[1:]), 1)
        if side:
            # Behind its front edge the second sheet runs the other way, so that the sides are no mirror images.
            u[1:] = SHEET / size + u[0, 1] - u[1:]
        parts.append(_quads(sheet, u, 1 - _heights(cut.grid[1])))
        parts += [_ribbon(lock, kind, size) for lock, kind in _locks(sheet, rng, cut.locks)]
    if cut.fringe:
        sheet = fringe_sheet(skin, rng)
        u = SHEET / size * np.linspace(*_BANGS, len(sheet))
        parts.append(_quads(sheet, np.stack((u[:-1], u[1:]), 1), np.linspace(_BANGS_ROOT, 0, sheet.shape[1])))
    starts = np.cumsum([[0, 0]] + [[len(part[0]), len(part[1])] for part in parts], axis=0)
    return {
        "verts": np.concatenate([part[0] for part in parts]).astype(np.float32),
        "along": np.concatenate([part[4] for part in parts]).astype(np.float32),
        "uvs": np.concatenate([part[1] for part in parts]).astype(np.float32),
        "faces": np.concatenate([part[2] + start for part, (start, _) in zip(parts, starts, strict=False)]),
        "faces_uvs": np.concatenate([part[3] + start for part, (_, start) in zip(parts, starts, strict=False)]),
        "strands": sheet_picture(size).numpy(),
    }


def _columns(raw: dict[str, np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the columns (n, 3) mm of both sides of the pack's sheet, from root to tip, front to back."""
    uvs, chart = raw["uvs"].astype(np.float64), raw["faces_uvs"].reshape(-1, 2, 3).astype(np.int64)
    place = np.zeros((len(uvs), 3))
    place[raw["faces_uvs"].reshape(-1)] = raw["verts"][raw["faces"].reshape(-1)]
    ways: dict[int, set[int]] = {}
    for one, two in chart:
        if uvs[one, 0].mean() > _STRIPS:
            continue
        first = next(k for k in range(3) if one[k] not in two)
        quad = [one[first], one[(first + 1) % 3], next(k for k in two if k not in one), one[(first + 2) % 3]]
        edge = np.roll(uvs[quad], -1, 0) - uvs[quad]
        steep = np.abs(edge[:, 1]) / np.linalg.norm(edge, axis=1)
        begin = 0 if steep[0] + steep[2] > steep[1] + steep[3] else 1
        for k in (begin, begin + 2):
            a, b = quad[k], quad[(k + 1) % 4]
            ways.setdefault(a, set()).add(b)
            ways.setdefault(b, set()).add(a)
    found = []
    for tip in (k for k, near in ways.items() if len(near) == 1 and uvs[k, 1] < 0.1):
        path, way = [tip], np.array([0.0, 1.0])
        while True:
            ahead = [k for k in ways[path[-1]] if k not in path[-2:]]
            turns = [float((uvs[k] - uvs[path[-1]]) @ way / np.linalg.norm(uvs[k] - uvs[path[-1]])) for k in ahead]
            if not turns or max(turns) < 0.3:
                break
            path.append(ahead[int(np.argmax(turns))])
            way = uvs[path[-1]] - uvs[path[-2]]
            way /= np.linalg.norm(way)
        found.append((uvs[tip, 0], place[path[::-1]]))
    # In the chart the front edges are the outer ones.
    found.sort(key=lambda pair: pair[0])
    half = len(found) // 2
    return [c for _, c in found[:half]], [c for _, c in found[: half - 1 : -1]]


def _shortened(column: np.ndarray, lowest: float) -> np.ndarray:
    """Return a column down to a height, mm, resampled to 256 points, and smoothed."""
    fine = _resampled(column, np.linspace(0, 1, 600))
    below = np.flatnonzero(fine[:, 1] < lowest)
    return _evened(fine[: below[0]] if len(below) else fine)


def _evened(column: np.ndarray) -> np.ndarray:
    """Return a column resampled to 256 points, and smoothed."""
    length = np.linalg.norm(np.diff(column, axis=0), axis=1).sum()
    return _smooth(_resampled(column, np.linspace(0, 1, 256)), _ALONG * 255 / length)


def _resampled(points: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return points at fractions of the arc length of a polyline (n, 3)."""
    arc = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    return np.stack([np.interp(share * arc[-1], arc, points[:, k]) for k in range(3)], 1)


def _smooth(points: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth a sequence (n, ...) with a Gaussian; the ends stay, for it is continued by point reflection there."""
    from scipy.ndimage import gaussian_filter1d

    count = min(len(points) - 1, int(4 * sigma) + 1)
    before, after = 2 * points[:1] - points[count:0:-1], 2 * points[-1:] - points[-2 : -count - 2 : -1]
    return gaussian_filter1d(np.concatenate((before, points, after)), sigma, axis=0)[count : count + len(points)]


def _heights(rows: int) -> np.ndarray:
    return np.linspace(0, 1, rows) ** _DENSE


def _sheet(columns: list[np.ndarray], roots: np.ndarray, cut: Cut, skin: Skin, larger: bool) -> np.ndarray:
    """Return a smooth grid (J, I, 3) mm through columns, whose first points become ``roots``."""
    from scipy.interpolate import CubicSpline

    across, rows = cut.grid
    grid = np.stack(columns)
    fade = np.clip(1 - np.linspace(0, 1, grid.shape[1]) / 0.12, 0, 1)[None, :, None]
    grid = grid + fade * (roots - grid[:, 0])[:, None]
    grid = _smooth(grid, _ACROSS)
    at = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(grid, axis=0), axis=2).mean(1))))
    grid = CubicSpline(at, grid)(np.linspace(0, at[-1], across))
    grid = np.stack([_resampled(column, _heights(rows)) for column in grid])
    # Fuller away from the parting and from the face.
    full = np.clip(_heights(rows) / 0.2, 0, 1)[None] * np.clip(np.arange(across) / 4, 0, 1)[:, None]
    grid = grid + cut.volume * full[..., None] * _normals(grid)
    return _cleared(fallen(grid, cut, larger), skin)


def _cleared(sheet: np.ndarray, skin: Skin) -> np.ndarray:
    """Return a sheet outside of the head and the neck; on shoulders it may lie as it falls."""
    return skin.cleared(sheet, np.where(sheet[..., 1] > _SHOULDERS, _CLEAR, -np.inf))


def _normals(sheet: np.ndarray) -> np.ndarray:
    """Return the unit normals of a grid (J, I, 3), pointing away from the head."""
    normal = np.cross(np.gradient(sheet, axis=0), np.gradient(sheet, axis=1))
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-9)
    return normal * np.sign((normal * (sheet - _INNER)).sum())


def _locks(sheet: np.ndarray, rng: np.random.Generator, counts: tuple[int, int]) -> list[tuple[np.ndarray, int]]:
    """Return ribbons (2, I, 3) mm that stand on a sheet, and the index of each one's pattern; ``counts`` of them and of
    rows.
    """
    across, rows, _ = sheet.shape
    normal, (count, steps) = _normals(sheet), counts
    width = np.linalg.norm(np.diff(sheet, axis=0), axis=2).sum(0).mean() / (across - 1)
    out = []
    for k in range(count):
        middle = (k + rng.uniform(0.2, 0.8)) / count * (across - 1)
        lean, drift = rng.uniform(-_LEAN, _LEAN) / width, rng.normal(0, 0.5)
        share = np.linspace(rng.uniform(*_FROM), 1, steps)
        row = share ** (1 / _DENSE) * (rows - 1)
        stand = rng.uniform(*_STAND) * np.minimum(1, (share - share[0]) / 0.15)[:, None]
        ribbon = []
        for end in (0, 1):
            j = np.clip(middle + end * lean + drift * (share - share[0]), 0, across - 1)
            ribbon.append(_at(sheet, j, row) + end * stand * _at(normal, j, row))
        out.append((np.stack(ribbon), int(rng.integers(PATTERNS))))
    return out


def _ribbon(lock: np.ndarray, kind: int, size: int) -> tuple[np.ndarray, ...]:
    first = SHEET + GAP + kind * (WIDE + GAP)
    return _quads(lock, np.array([[first, first + WIDE]]) / size, np.linspace(1, 0, lock.shape[1]))


def _at(grid: np.ndarray, j: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Interpolate a grid (J, I, 3) at indices (n,) linearly."""
    from scipy.ndimage import map_coordinates

    return np.stack([map_coordinates(grid[..., k], (j, i), order=1, mode="nearest") for k in range(3)], 1)


def _quads(grid: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return vertices, UVs, faces, UV faces and strand directions of a grid (J, I, 3), with u (J - 1, 2) at the sides
    of each strip of quads, and v (I,).
    """
    across, rows, _ = grid.shape
    first = np.arange(across - 1)[:, None]
    k, t = ((step * first * rows + np.arange(rows - 1)).reshape(-1) for step in (1, 2))
    chart = np.stack(np.broadcast_arrays(u[..., None], v), -1).reshape(-1, 2)
    faces, faces_uvs = (
        np.concatenate((np.stack((n, n + rows, n + rows + 1), 1), np.stack((n, n + rows + 1, n + 1), 1)))
        for n in (k, t)
    )
    along = np.gradient(grid, axis=1).reshape(-1, 3)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return grid.reshape(-1, 3), chart, faces, faces_uvs, along
