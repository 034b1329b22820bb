"""Procedural marks on the face tile: hair strokes, lips, spots and soft zones.

Every function returns fixed float32 layers, which the teacher mixes with smooth weights. Positions are tile coordinates
(x = u, y = 1 - v, both in [0, 1]) on the pack's mean head. Shapes are given for the image's left half and mirrored;
names in ``_left`` and ``_right`` are the subject's sides.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from facekit.train.arrays import smoothstep
from facekit.train.pack import require
from facekit.train.skin.photographs import tile_grid

MM = np.array([0.0054, 0.0038])
"""Tile units per millimetre around eyes and brows, in x and y."""

BROW_X = np.linspace(0.462, 0.246, 48)
"""Columns, inner to outer end, at which a left brow's centre line is sampled."""

# Landmarks of the pack's topology (iBUG 48-59) with an added cupid's bow, clockwise from the left corner.
LIP_OUTLINE = [(0.386, 0.560), (0.421, 0.512), (0.452, 0.497), (0.478, 0.4915), (0.500, 0.4975),
               (0.522, 0.4915),
               (0.548, 0.497), (0.579, 0.512), (0.614, 0.560), (0.594, 0.613), (0.556, 0.634),
               (0.500, 0.640),
               (0.444, 0.634), (0.406, 0.613)]  # fmt: skip
LIP_INNER = [(0.420, 0.566), (0.456, 0.541), (0.5, 0.539), (0.544, 0.541), (0.580, 0.566), (0.552, 0.596),
             (0.5, 0.600), (0.448, 0.596)]  # fmt: skip


def smooth_path(points: list[tuple[float, float]], samples: int = 60, closed: bool = False) -> np.ndarray:
    """Return a smooth (C2) curve (samples, 2) through the points, evenly spaced in the spline's parameter."""
    from scipy.interpolate import CubicSpline

    knots = np.array(points + points[:1] if closed else points, float)
    if len(knots) == 2:
        return knots[0] + np.linspace(0, 1, samples)[:, None] * (knots[1] - knots[0])
    length = np.r_[0, np.cumsum(np.hypot(*np.diff(knots, axis=0).T))]
    spline = CubicSpline(length, knots, bc_type="periodic" if closed else "natural")
    return spline(np.linspace(0, length[-1], samples))


def polygon(size: int, outline: np.ndarray, blur: float) -> np.ndarray:
    """Return a filled outline (N, 2) as a mask (size, size) in [0, 1], blurred by `blur` tile units."""
    canvas = Image.new("L", (size * 2, size * 2))
    ImageDraw.Draw(canvas).polygon([tuple(p) for p in outline * size * 2], fill=255)
    mask = np.asarray(canvas, np.float32).reshape(size, 2, size, 2).mean((1, 3)) / 255
    return ndimage.gaussian_filter(mask, blur * size)


def draw_hairs(size: int, hairs: list[np.ndarray], widths: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Return the coverage (size, size) of hairs: paths (N, 2) root to tip, widths in texels, alphas in [0, 1]."""
    scale = 4
    canvas = Image.new("L", (size * scale, size * scale))
    draw = ImageDraw.Draw(canvas)
    for path, width, alpha in zip(hairs, widths, alphas, strict=True):
        points = path * size * scale
        for i in range(len(points) - 1):
            taper = 1 - 0.75 * (i / (len(points) - 1)) ** 1.5
            thick = max(1, round(float(width) * scale * taper))
            draw.line(
                [tuple(points[i]), tuple(points[i + 1])],
                fill=int(255 * alpha * (0.55 + 0.45 * taper)),
                width=thick,
            )
    return np.asarray(canvas, np.float32).reshape(size, scale, size, scale).mean((1, 3)) / 255


def brow_guides(pack: Path) -> np.ndarray:
    """Return the centre lines (12, 48) of the pack's left brows: y at the columns ``BROW_X``."""
    lines = []
    for path in sorted((require(pack, "brows_uv") / "brows_uv").glob("*.png")):
        alpha = np.asarray(Image.open(path).convert("L"), np.float32)
        size = len(alpha)
        columns = alpha[:, : size // 2]
        weight = columns.sum(0)
        rows = (np.arange(size)[:, None] * columns).sum(0) / np.maximum(weight, 1e-6) / size
        x = (np.arange(size // 2) + 0.5) / size
        seen = (weight > 0.15 * weight.max()) & (x > 0.24)
        fit = np.polynomial.Polynomial.fit(x[seen], rows[seen], 4)
        lines.append(fit(np.clip(BROW_X, x[seen].min(), x[seen].max())))
    return np.array(lines, np.float32)


def brow_hairs(
    centre: np.ndarray,
    count: int,
    spread: float,
    rng: np.random.Generator,
    upright: float = 1.0,
    long: float = 1.0,
    unruly: float = 0.10,
) -> tuple[list, np.ndarray]:
    """Return `count` hairs of a left brow: paths (7, 2), and each one's rank in [0, 1], low near the centre line.

    centre: (48,) y at ``BROW_X``. spread: half-thickness relative to a thick brow's 4.3 mm. upright, long: factors on
    how far hairs rise from the line and on their length. unruly: standard deviation of their direction, radians.
    """
    index = np.arange(len(centre))
    slope = np.gradient(centre, BROW_X) * MM[0] / MM[1]  # in millimetres, negative where the brow descends outward
    hairs, rank = [], []
    for _ in range(count):
        t, across = rng.random() ** 1.2, rng.uniform(-1, 1)
        half = 4.3 * spread * np.interp(t, [0, 0.08, 0.3, 0.6, 0.85, 1.0], [0.42, 0.85, 1.0, 0.78, 0.42, 0.18])
        at = t * index[-1]
        x, y = np.interp(at, index, BROW_X), np.interp(at, index, centre)
        # Inner hairs stand up, then fan out and lie down; above the centre line they point down, below it up.
        rise = (
            np.interp(t, [0, 0.12, 0.35, 1.0], [1.20, 0.80, 0.38, -0.05]) - np.interp(t, [0, 0.3], [0.1, 0.38]) * across
        )
        angle = upright * rise + np.arctan(np.interp(at, index, slope)) + rng.normal(0, unruly)
        length = long * rng.uniform(5.0, 8.0) * np.interp(t, [0, 0.15, 0.7, 1], [0.75, 1.0, 0.9, 0.6])
        bend = angle - 0.35 * np.linspace(0, 1, 7) * np.sign(angle)
        path = np.cumsum(np.stack([-np.cos(bend), -np.sin(bend)], 1) * length / 6, 0)
        hairs.append((path - 0.45 * path[-1] + [0, across * half]) * MM + [x, y])
        rank.append(abs(across) * 0.62 + rng.random() * 0.38)
    return hairs, np.array(rank)


def brow_layers(size: int, centre: np.ndarray) -> np.ndarray:
    """Return thin, medium and thick brows (3, size, size): nested sets of hairs along one line `centre` (48,)."""
    rng = np.random.default_rng(12)
    sides = [brow_hairs(centre, 620, 1.0, rng) for _ in range(2)]  # both halves of a face have different hairs
    layers = []
    for reach, width, alpha in ((0.34, 0.62, 0.68), (0.56, 0.72, 0.84), (0.80, 0.85, 0.97)):
        both = []
        for side, (hairs, rank) in enumerate(sides):
            order = np.nonzero(rank < reach)[0]
            shade = alpha * np.random.default_rng(side).uniform(0.55, 1, len(rank))[order]
            mask = draw_hairs(size, [hairs[i] for i in order], np.full(len(order), width * size / 512), shade)
            both.append(np.maximum(mask, 0.55 * ndimage.gaussian_filter(mask, 0.0045 * size)))  # hairs shade the skin
        layers.append(both[0] + both[1][:, ::-1])
    return np.stack(layers).clip(0, 1)


#: Growth patterns of brows: how upright, how long, how unruly, and thickness of a hair in texels.
BROW_GROWTH = ((1.0, 1.0, 0.10, 0.9), (0.55, 1.15, 0.07, 0.8), (1.35, 0.85, 0.16, 0.9), (0.85, 0.65, 0.28, 1.1))


def strand_layers(size: int, centre: np.ndarray) -> np.ndarray:
    """Return dense hairs in the whole brow area, one layer per growth pattern (4, size, size): fine strands, zero
    mean.
    """
    layers = []
    for seed, (upright, long, unruly, thick) in enumerate(BROW_GROWTH):
        rng = np.random.default_rng(33 + seed)
        both = []
        for _ in range(2):
            hairs, _ = brow_hairs(centre, 1500, 1.8, rng, upright, long, unruly)
            both.append(draw_hairs(size, hairs, np.full(len(hairs), thick), rng.uniform(0.2, 1, len(hairs))))
        fine = both[0] + both[1][:, ::-1]
        layers.append(fine - ndimage.gaussian_filter(fine, 2.0))
    return np.stack(layers)


def stubble_dots(size: int, spacing: float, seed: int) -> np.ndarray:
    """Return short hair stubs (size, size) in [0, 1], one about every `spacing` texels."""
    rng = np.random.default_rng(seed)
    dots = np.zeros((size, size), np.float32)
    count = int((size / spacing) ** 2)
    rows, columns = rng.integers(0, size, (2, count))
    strength = rng.uniform(0.4, 1.0, count).astype(np.float32)
    for step in range(2):
        np.maximum.at(dots, ((rows + step) % size, columns), strength * (1 - 0.4 * step))
    return ndimage.gaussian_filter(dots, 0.55).clip(0, 1) / 0.6


def scalp(size: int) -> np.ndarray:
    """Return the mask of cropped hair (size, size) in [0, 1]: cranium, temples, sideburns, not the ears."""
    half = [(-0.2, 0.30), (0.045, 0.30), (0.07, 0.315), (0.118, 0.345), (0.120, 0.43), (0.132, 0.40),
            (0.140, 0.35), (0.162, 0.30), (0.150, 0.235), (0.20, 0.16), (0.30, 0.10), (0.40, 0.075),
            (0.5, 0.07)]  # fmt: skip
    outline = half + [(1 - x, y) for x, y in half[-2::-1]] + [(1.2, -0.2), (-0.2, -0.2)]
    pad = 64  # blur without the tile's border
    big = polygon(size + 2 * pad, (np.array(outline) * size + pad) / (size + 2 * pad), 0.009)
    return big[pad:-pad, pad:-pad]


def lash_layers(size: int, openings: np.ndarray) -> np.ndarray:
    """Return upper and lower lashes (2, size, size) in the texels next to the eye openings (S, S mask)."""
    rng = np.random.default_rng(7)
    x, y = tile_grid(size)
    layers = []
    eye = (openings > 0.5) & (y < 0.4) & (x < 0.5)
    columns = np.nonzero(eye.any(0))[0]
    top = np.array([np.nonzero(eye[:, c])[0].min() for c in columns]) / size
    bottom = np.array([np.nonzero(eye[:, c])[0].max() + 1 for c in columns]) / size
    xs = (columns + 0.5) / size
    for edge, sign, count, reach in ((top, -1.0, 90, 3.0), (bottom, 1.0, 50, 1.5)):
        hairs = []
        for _ in range(count):
            t = rng.random()
            root = np.array(
                [np.interp(t, np.linspace(0, 1, len(xs)), xs), np.interp(t, np.linspace(0, 1, len(xs)), edge)]
            )
            lean = 0.9 * (0.45 - t) + rng.normal(0, 0.15)  # fans outward: left end to the left
            tip = np.array([-lean, sign]) * reach * MM * rng.uniform(0.6, 1.0)
            hairs.append(root - [0, sign * 0.002] + np.linspace(0, 1, 4)[:, None] * tip)
        mask = draw_hairs(size, hairs, np.full(count, 0.6 * size / 512), rng.uniform(0.5, 0.95, count))
        layers.append(mask + mask[:, ::-1])
    return np.stack(layers).clip(0, 1)


def spot_layers(
    size: int, freckle_steps: int = 6, moles: int = 40, seed: int = 5, fine: float = 1.0, count: int = 1500
) -> tuple[np.ndarray, np.ndarray]:
    """Return freckles (freckle_steps, size, size), each step adding more, and moles (moles, size, size).

    fine: factor on the freckles' radius. count: number of freckles in all steps together.
    """
    rng = np.random.default_rng(seed)
    x, y = tile_grid(size)

    def stamp(layer: np.ndarray, cx: float, cy: float, radius: float, height: float) -> None:
        reach = int(4 * radius * size) + 2
        rows = slice(max(0, int(cy * size) - reach), int(cy * size) + reach)
        cols = slice(max(0, int(cx * size) - reach), int(cx * size) + reach)
        squared = ((x[rows, cols] - cx) ** 2 + (y[rows, cols] - cy) ** 2) / radius**2
        layer[rows, cols] = np.maximum(layer[rows, cols], height * np.exp(-(squared**1.3)))

    freckles = np.zeros((freckle_steps, size, size), np.float32)
    for i in range(count):
        across = rng.choice([-1, 1]) * abs(rng.normal(0, 0.16))
        cx, cy = 0.5 + across, rng.normal(0.37 + 0.25 * abs(across), 0.085)
        if 0.03 < cx < 0.97 and 0.05 < cy < 0.95:
            stamp(freckles[i % freckle_steps], cx, cy, fine * rng.uniform(0.0013, 0.0033), rng.uniform(0.3, 1.0))
    spots = np.zeros((moles, size, size), np.float32)
    for layer in spots:
        cx, cy = rng.uniform(0.16, 0.84), rng.uniform(0.08, 0.85)
        while abs(cx - 0.5) < 0.13 and 0.46 < cy < 0.66 or 0.2 < abs(2 * cx - 1) < 0.5 and 0.18 < cy < 0.32:
            cx, cy = rng.uniform(0.16, 0.84), rng.uniform(0.08, 0.85)  # not on lips, brows and eyes
        stamp(layer, cx, cy, rng.uniform(0.0026, 0.0050), rng.uniform(0.6, 1.0))
    return freckles, spots


def zones(size: int, openings: np.ndarray) -> dict[str, np.ndarray]:
    """Return soft symmetric regions (size, size) in [0, 1] by name."""

    def blob(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        x, y = tile_grid(size)
        spot = np.exp(-0.5 * (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2))
        return np.maximum(spot, spot[:, ::-1]).astype(np.float32)

    lips = polygon(size, smooth_path(LIP_OUTLINE, 200, closed=True), 0.0028)
    beard = polygon(size, smooth_path([(0.15, 0.44), (0.20, 0.53), (0.29, 0.575), (0.35, 0.53), (0.41, 0.472),
                                       (0.5, 0.462), (0.59, 0.472), (0.65, 0.53), (0.71, 0.575),
                                       (0.80, 0.53), (0.85, 0.44), (0.87, 0.55), (0.82, 0.70),
                                       (0.68, 0.785), (0.5, 0.79), (0.32, 0.785), (0.18, 0.70),
                                       (0.13, 0.55)], 200, closed=True), 0.022)  # fmt: skip
    bare = polygon(size, smooth_path(LIP_OUTLINE, 200, closed=True), 0.005)
    soul_patch = np.maximum(blob(0.437, 0.668, 0.022, 0.018), blob(0.37, 0.60, 0.02, 0.03) * 0.6)
    ring = ndimage.gaussian_filter(openings, 0.005 * size)
    lids = blob(0.355, 0.262, 0.045, 0.014)
    return {
        "cheeks": blob(0.285, 0.425, 0.070, 0.062),
        "nose": blob(0.5, 0.405, 0.050, 0.045) + 0.5 * blob(0.44, 0.43, 0.025, 0.03),
        "forehead": blob(0.5, 0.115, 0.20, 0.055),
        "chin": blob(0.5, 0.705, 0.060, 0.032),
        "ears": blob(0.06, 0.42, 0.035, 0.09),
        "under_eye": blob(0.372, 0.318, 0.040, 0.014) * smoothstep(tile_grid(size)[1], 0.292, 0.315),
        "lids": lids,
        "lid_margin": (ring / max(float(ring.max()), 1e-6)) * smoothstep(tile_grid(size)[1], 0.42, 0.36),
        "socket": blob(0.405, 0.262, 0.028, 0.020),
        "nostrils": blob(0.458, 0.442, 0.013, 0.008),
        "jaw": blob(0.26, 0.66, 0.09, 0.07),
        "neck": smoothstep(tile_grid(size)[1], 0.80, 0.92),
        "lips": lips,
        "mouth": polygon(size, smooth_path(LIP_INNER, 200, closed=True), 0.008),
        "beard": beard * (1 - bare) * (1 - 0.45 * soul_patch),
    }


def lip_lines(size: int) -> np.ndarray:
    """Return fine creases of the lips (size, size), zero mean, about unit standard deviation, fanning out to the
    corners.
    """
    x, y = tile_grid(size)
    rng = np.random.default_rng(9)
    fan = (x - 0.5) / (1 + 2.2 * np.abs(y - 0.568))
    noise = ndimage.gaussian_filter1d(rng.standard_normal(4096), 5)
    fine = np.interp((fan * 5200 + 2048 + 30 * np.sin(40 * y)).clip(0, 4095), np.arange(4096), noise / noise.std())
    depth = ndimage.gaussian_filter(rng.standard_normal((size, size)), 0.012 * size)
    return (fine * (0.6 + 0.4 * np.tanh(depth / depth.std()))).astype(np.float32)
