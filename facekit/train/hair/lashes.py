"""Lashes: a card strip along the margin of each lid, and the texture of lashes on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from facekit.conventions import PARTS
from facekit.models.eyes import AHEAD, Eyeball
from facekit.template import Template

#: Number of vertex columns along a lid, and of rows from root to tip.
_COLUMNS, _ROWS = 26, 5
#: Largest distance of the lid margin's vertices from the eyeball, mm; width without lashes at the inner and the outer
#: corner, as fractions of the opening's width.
_NEAR, _FREE = 2.2, (0.10, 0.03)
#: For the upper and the lower lid: length, mm, near the inner corner, the middle and the outer corner; direction at the
#: root, as components out of the face and away from the opening; curl away from the opening. For both: sideways splay.
_LENGTHS = ((3.5, 7.2, 7.6), (1.8, 3.4, 3.8))
_LEAN, _CURL, _SPLAY = ((1.0, 0.05), (0.9, 0.30)), (0.62, 0.25), 0.75
#: Size of the texture (height, width) in texels, fraction of its height for the upper lid, and supersampling factor of
#: its drawing.
SIZE, _UPPER, _FINE = (128, 384), 0.62, 6
#: Sets of lashes by name: numbers of lashes on the upper and the lower lid, and their thickness at the root in texels.
SETS = {"lashes01": ((74, 40), 1.9), "lashes02": ((112, 52), 2.4)}


def lash_cards(template: Template, name: str) -> dict[str, np.ndarray]:
    """Build one set of lashes: ``verts`` (N, 3) mm, ``uvs`` (N, 2), ``faces`` and ``faces_uvs`` (F, 3), and the texture
    ``strands`` (2, H, W) in [0, 1].
    """
    verts, uvs, faces = [], [], []
    for left in (False, True):
        for lower in (False, True):
            points, chart = _strip(template, left, lower)
            start = sum(len(v) for v in verts)
            k = np.arange(_COLUMNS - 1)[:, None] * _ROWS + np.arange(_ROWS - 1) + start
            a, b, c, d = (t.reshape(-1) for t in (k, k + _ROWS, k + _ROWS + 1, k + 1))
            faces += [np.stack((a, b, c), 1), np.stack((a, c, d), 1)]
            verts.append(points)
            uvs.append(chart)
    tris = np.concatenate(faces)
    strands = np.stack((np.full(SIZE, 0.5), _picture(*SETS[name])))
    return {
        "verts": np.concatenate(verts), "uvs": np.concatenate(uvs), "faces": tris, "faces_uvs": tris,
        "strands": strands.astype(np.float32),
    }  # fmt: skip


def _strip(template: Template, left: bool, lower: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (columns * rows, 3) mm and UVs (columns * rows, 2) of one lid's lashes, from the inner to the
    outer corner.
    """
    eye = Eyeball(template, left)
    centre = eye.centre(template.verts[None])[0]
    ray = template.verts - centre
    distance = ray.norm(dim=1)
    gap = eye.gap(template.verts)
    lids = (template.parts == PARTS.index("lids")) & ((template.verts[:, 0] > 0) == left)
    rim = (lids & (gap.abs() < _NEAR) & (ray[:, 2] > AHEAD * distance)).numpy()
    head, middle = template.verts.numpy().astype(np.float64), centre[0].numpy().astype(np.float64)
    inner, outer = (head[template.landmarks[k]] for k in ((42, 45) if left else (39, 36)))
    # The edge of the opening consists of the vertices nearest to the line between the corners, on the lid's side.
    across = (outer - inner) / np.linalg.norm(outer - inner)
    away = head[rim] - inner
    along = away @ across / np.linalg.norm(outer - inner)
    rise = (away[:, 1] - along * (outer - inner)[1]) * (-1 if lower else 1)
    places = np.linspace(_FREE[0], 1 - _FREE[1], _COLUMNS)
    roots = []
    for place in places:
        near = (np.abs(along - place) < 0.045) & (rise > 0.2)
        chosen = head[rim][near]
        # Among these, prefer those near the line and far in front: the lid's front edge, where lashes grow.
        score = rise[near] - 0.6 * (head[rim][near] - middle)[:, 2]
        roots.append(chosen[score.argsort()[:2]].mean(0))
    root = _smooth(np.array(roots))
    out = root - middle
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    run = np.gradient(root, axis=0)
    run /= np.linalg.norm(run, axis=1, keepdims=True)
    off = np.cross(run, out)
    off *= np.where(off[:, 1:2] * (-1 if lower else 1) < 0, -1, 1)
    off /= np.linalg.norm(off, axis=1, keepdims=True)
    length = np.interp(places, (0.05, 0.55, 0.9), _LENGTHS[int(lower)])[:, None]
    splay = (_SPLAY * (places - 0.42))[:, None] * run
    (lean, rise_), curl = _LEAN[int(lower)], _CURL[int(lower)]
    points, charts = [], []
    for step in np.linspace(0, 1, _ROWS):
        way = lean * (step - 0.25 * step**2) * out + (rise_ * step + curl * step**2) * off + splay * step
        points.append(root + length * way + 0.05 * out)
        # Root at the bottom of the band, tip at its top.
        low, high = (0.0, 1 - _UPPER) if lower else (1 - _UPPER, 1.0)
        charts.append(np.stack((0.01 + 0.98 * places, np.full(_COLUMNS, low + (high - low) * (0.02 + 0.96 * step))), 1))
    return np.stack(points, 1).reshape(-1, 3).astype(np.float32), np.stack(charts, 1).reshape(-1, 2).astype(np.float32)


def _smooth(points: np.ndarray) -> np.ndarray:
    for _ in range(3):
        points[1:-1] = 0.5 * points[1:-1] + 0.25 * (points[:-2] + points[2:])
    return points


def _picture(counts: tuple[int, int], thick: float, seed: int = 4) -> np.ndarray:
    """Draw the coverage (H, W) of lashes in two bands, the upper lid's at the top.

    Lashes are tapered, slightly bent and in loose groups.
    """
    high, wide = SIZE[0] * _FINE, SIZE[1] * _FINE
    picture = Image.new("L", (wide, high), 0)
    pen, rng = ImageDraw.Draw(picture), np.random.default_rng(seed)
    for lower, count in enumerate(counts):
        bottom, top = (high, high * _UPPER) if lower else (high * _UPPER, 0.0)
        room = bottom - top
        roots = (np.arange(count) + 0.5 + rng.normal(0, 0.28, count)) / count
        # Tips of neighbours converge in groups of three or four lashes.
        groups = np.round(roots * count / 3.4) * 3.4 / count
        for x, group in zip(roots, groups, strict=True):
            tip = x + 0.45 * (group - x) + rng.normal(0, 0.25) / count
            reach, bend = rng.uniform(0.62, 0.97), rng.normal(0, 0.4) / count
            steps = np.linspace(0, 1, 22)
            px = (x + (tip - x) * steps + bend * np.sin(np.pi * steps)) * wide
            py = bottom - room * (0.03 + reach * steps)
            for k, step in enumerate(steps[:-1]):
                width = max(1, round(_FINE * thick * (1 - 0.88 * step)))
                pen.line([(px[k], py[k]), (px[k + 1], py[k + 1])], fill=255, width=width)
    small = picture.resize((SIZE[1], SIZE[0]), Image.Resampling.BOX)
    return np.asarray(small, np.float64) / 255
