"""Long hair as two smooth sheets of fine strands, one on each side of the parting, with loose locks over them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from facekit.train.hair.pictures import blurred

#: Columns and rows of each sheet, and rows of each lock; rows are denser at the root, by this power.
_COLUMNS, _ROWS, _LOCK_ROWS, _DENSE = 27, 31, 15, 1.35
#: Standard deviations, mm, of the smoothing along strands, and columns, across them.
_ALONG, _ACROSS = 14.0, 0.8
#: UVs of the pack beyond this u are loose strips, which cross the sheets.
_STRIPS = 0.63
#: Texels of the strand texture that each sheet spans, and each of the locks' patterns after them.
_SHEET, _GAP, _PATTERNS, _WIDE = 440, 4, 2, 30
#: Number of locks per side, their width, mm, height above the sheet, mm, and range of roots, as fractions of the sheet.
_LOCKS, _LOCK_WIDTH, _ABOVE, _FROM = 14, (7.0, 15.0), (2.2, 4.2), (0.22, 0.55)
#: Number of columns at the front that are turned inward in the pack.
_TURNED = 1
#: Index along a column, out of 256, of the points whose mean between both sides is the parting, and how far the sheets
#: are moved outward, mm.
_GROOVE, _VOLUME = 5, 3.0
#: Texels over which the front edge frays, and a point inside of the head, mm.
_RIM, _INNER = 14.0, np.array([0.0, 20.0, -20.0])
#: Contrast of strands by width in texels, and lengths, in texels, over which they vary.
_CONTRASTS = ((0, 0.16, 64), (1, 0.15, 110), (5, 0.07, 200))
#: Sideways shift of strands, texels; darkening at the root.
_BEND, _PARTING = 3.5, 0.7


def long_cards(raw: dict[str, np.ndarray], size: int, lowest: float, seed: int = 21) -> dict[str, np.ndarray]:
    """Rebuild the pack's long hair.

    Its sheet is a grid of quads with a column per strand. These columns are cut at a height, smoothed and resampled.

    Parameters
    ----------
    raw:
        ``verts``, ``uvs``, ``faces`` and ``faces_uvs`` of the pack's style, two triangles per quad.
    size:
        Side of the strand texture in texels, at least 512.
    lowest:
        Height of the tips, mm.

    Returns
    -------
    dict
        ``verts``, ``uvs``, ``faces``, ``faces_uvs`` as for the pack's styles, and ``strands`` (2, size, size).
    """
    rng = np.random.default_rng(seed)
    left, right = ([_cut(column, lowest) for column in side[_TURNED:]] for side in _columns(raw))
    roots = _smooth(np.stack([0.5 * (a[_GROOVE] + b[_GROOVE]) for a, b in zip(left, right, strict=True)]), 1.0)
    parts, sheets = [], [_sheet(columns, roots) for columns in (left, right)]
    # At the back both sheets end in the same column.
    seam = 0.5 * (sheets[0][-1] + sheets[1][-1])
    for side, sheet in enumerate(sheets):
        sheet += np.clip((np.arange(_COLUMNS) - _COLUMNS + 5) / 4, 0, 1)[:, None, None] * (seam - sheet[-1])
        across, rows, _ = sheet.shape
        u = _SHEET / size * np.linspace(0, 1, across)
        u = np.stack((u[:-1], u[1:]), 1)
        if side:
            # Behind its front edge the second sheet runs the other way, so that the sides are no mirror images.
            u[1:] = _SHEET / size + u[0, 1] - u[1:]
        parts.append(_quads(sheet, u, 1 - _heights(rows)))
        for lock, kind in _locks(sheet, rng):
            first = _SHEET + _GAP + kind * (_WIDE + _GAP)
            parts.append(_quads(lock, np.array([[first, first + _WIDE]]) / size, np.linspace(1, 0, lock.shape[1])))
    starts = np.cumsum([[0, 0]] + [[len(verts), len(uvs)] for verts, uvs, _, _ in parts], axis=0)
    return {
        "verts": np.concatenate([part[0] for part in parts]).astype(np.float32),
        "uvs": np.concatenate([part[1] for part in parts]).astype(np.float32),
        "faces": np.concatenate([part[2] + start for part, (start, _) in zip(parts, starts, strict=False)]),
        "faces_uvs": np.concatenate([part[3] + start for part, (_, start) in zip(parts, starts, strict=False)]),
        "strands": sheet_picture(size).numpy(),
    }


def sheet_picture(size: int, seed: int = 22) -> torch.Tensor:
    """Draw straight strands along v, grey and coverage (2, size, size) in [0, 1]: the sheet with frayed tips and
    edges on the left, sparse locks on the right.
    """
    generator = torch.Generator().manual_seed(seed)
    out = torch.zeros(size, size)
    for radius, contrast, length in _CONTRASTS:
        noise = torch.randn(1, 1, size // length + 3, size, generator=generator)
        noise = F.interpolate(noise, size=(size, size), mode="bicubic", align_corners=True)[0]
        noise = blurred(F.pad(noise, (16, 16), mode="reflect"), radius)[0, :, 16:-16] if radius else noise[0]
        out = out + contrast * noise / noise.std()
    out = _waved(out, generator)
    row = torch.linspace(0, 1, size)[:, None]
    # At the root strands are in each other's shade: the parting is a dark line.
    out = out - _PARTING * torch.exp(-((row * size / 7) ** 2))
    grey = (0.5 * out.clamp(-1.0, 0.7).exp()).clamp(0.2, 1)
    # Each strand has a length of its own, in bundles.
    single, bundle = (torch.randn(1, 1, 1, n, generator=generator) for n in (size, size // 9))
    bundle = F.interpolate(bundle, size=(1, size), mode="bicubic")
    noise = (0.6 * single + 0.8 * bundle)[0, 0, 0]
    column = torch.arange(size)[None]
    end = (0.955 + 0.03 * noise[None]).clamp_max(0.985)
    cover = ((end - row) / 0.012).clamp(0, 1)
    # The front edge is ragged too: every strand there is visible along a part of its way only.
    reach = F.interpolate(torch.randn(1, 1, 20, size, generator=generator), size=(size, size), mode="bicubic")[0, 0]
    rim = (column / _RIM).clamp(0, 1)
    cover = cover * (1.6 * rim - 0.3 + 0.35 * reach * (1 - rim)).clamp(0, 1)
    locks = column >= _SHEET + _GAP // 2
    place = (column - _SHEET - _GAP) % (_WIDE + _GAP)
    middle = (1 - (2 * place / (_WIDE - 1) - 1).abs()).clamp(0, 1)
    noise = F.avg_pool1d(noise[None], 3, 1, 1)[0] * 1.5
    thin = (middle * 1.6 + 0.9 * noise[None] - 0.5 - 1.2 * row.square()).clamp(0, 1)
    thin = thin * (row / 0.2).clamp(0, 1) * (((0.97 + 0.06 * noise[None]).clamp_max(0.985) - row) / 0.05).clamp(0, 1)
    inside = (place < _WIDE) & (place >= 0)
    cover = torch.where(locks, thin * inside, cover)
    return torch.stack((grey, cover.clamp(0, 1)))


def _waved(picture: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Shift the strands of a picture (N, N) sideways by smooth noise: they are neither straight nor parallel."""
    size = len(picture)
    bend = torch.randn(1, 1, size // 80, size // 12, generator=generator)
    bend = _BEND * F.interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)[0, 0]
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    grid = torch.stack((column + bend, row.float()), -1) * (2 / (size - 1)) - 1
    return F.grid_sample(picture[None, None], grid[None], padding_mode="reflection", align_corners=True)[0, 0]


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


def _cut(column: np.ndarray, lowest: float) -> np.ndarray:
    """Return a column down to a height, mm, resampled to one point per 2 mm of arc, and smoothed."""
    fine = _resampled(column, np.linspace(0, 1, 600))
    below = np.flatnonzero(fine[:, 1] < lowest)
    fine = fine[: below[0]] if len(below) else fine
    length = np.linalg.norm(np.diff(fine, axis=0), axis=1).sum()
    fine = _resampled(fine, np.linspace(0, 1, 256))
    return _smooth(fine, _ALONG * 255 / length)


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


def _sheet(columns: list[np.ndarray], roots: np.ndarray) -> np.ndarray:
    """Return a smooth grid (_COLUMNS, _ROWS, 3) mm through columns, whose first points become ``roots``."""
    from scipy.interpolate import CubicSpline

    grid = np.stack(columns)
    fade = np.clip(1 - np.linspace(0, 1, grid.shape[1]) / 0.12, 0, 1)[None, :, None]
    grid = grid + fade * (roots - grid[:, 0])[:, None]
    grid = _smooth(grid, _ACROSS)
    at = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(grid, axis=0), axis=2).mean(1))))
    grid = CubicSpline(at, grid)(np.linspace(0, at[-1], _COLUMNS))
    grid = np.stack([_resampled(column, _heights(_ROWS)) for column in grid])
    # Fuller away from the parting and from the face.
    full = np.clip(_heights(_ROWS) / 0.2, 0, 1)[None] * np.clip(np.arange(_COLUMNS) / 4, 0, 1)[:, None]
    return grid + _VOLUME * full[..., None] * _normals(grid)


def _normals(sheet: np.ndarray) -> np.ndarray:
    """Return the unit normals of a grid (J, I, 3), pointing away from the head."""
    normal = np.cross(np.gradient(sheet, axis=0), np.gradient(sheet, axis=1))
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-9)
    return normal * np.sign((normal * (sheet - _INNER)).sum())


def _locks(sheet: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, int]]:
    """Return ribbons (2, _LOCK_ROWS, 3) mm over a sheet, and the index of each one's pattern."""
    across, rows, _ = sheet.shape
    normal = _normals(sheet)
    width = np.linalg.norm(np.diff(sheet, axis=0), axis=2).sum(0).mean() / (across - 1)
    out = []
    for k in range(_LOCKS):
        middle = (k + rng.uniform(0.2, 0.8)) / _LOCKS * (across - 1)
        half, drift = 0.5 * rng.uniform(*_LOCK_WIDTH) / width, rng.normal(0, 0.5)
        share = np.linspace(rng.uniform(*_FROM), 1, _LOCK_ROWS)
        row = share ** (1 / _DENSE) * (rows - 1)
        lift = rng.uniform(*_ABOVE) * np.minimum(1, 0.4 + (share - share[0]) / 0.15)[:, None]
        ribbon = []
        for end in (-half, half):
            j = np.clip(middle + end + drift * (share - share[0]), 0, across - 1)
            ribbon.append(_at(sheet, j, row) + lift * _at(normal, j, row))
        out.append((np.stack(ribbon), int(rng.integers(_PATTERNS))))
    return out


def _at(grid: np.ndarray, j: np.ndarray, i: np.ndarray) -> np.ndarray:
    """Interpolate a grid (J, I, 3) at indices (n,) linearly."""
    from scipy.ndimage import map_coordinates

    return np.stack([map_coordinates(grid[..., k], (j, i), order=1, mode="nearest") for k in range(3)], 1)


def _quads(grid: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices, UVs, faces and UV faces of a grid (J, I, 3), with u (J - 1, 2) at the sides of each strip of
    quads, and v (I,).
    """
    across, rows, _ = grid.shape
    first = np.arange(across - 1)[:, None]
    k, t = ((step * first * rows + np.arange(rows - 1)).reshape(-1) for step in (1, 2))
    chart = np.stack(np.broadcast_arrays(u[..., None], v), -1).reshape(-1, 2)
    faces, faces_uvs = (
        np.concatenate((np.stack((n, n + rows, n + rows + 1), 1), np.stack((n, n + rows + 1, n + 1), 1)))
        for n in (k, t)
    )
    return grid.reshape(-1, 3), chart, faces, faces_uvs
