"""Lines along which skin folds, and the effect of each expression on folds and blood flow.

Polylines are in tile coordinates (x = u, y = 1 - v) for the image's left half, and mirrored unless the name ends in
``_left`` or ``_right``, the subject's sides.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from facekit.conventions import EXPRESSIONS
from facekit.train.skin.marks import smooth_path
from facekit.train.skin.photographs import ellipse

# Fold -> polylines and the half-width of a line in texels at 512².
FOLDS: dict[str, tuple[list[list[tuple[float, float]]], float]] = {
    "forehead": ([
        [(0.300, 0.158), (0.380, 0.142), (0.500, 0.150)],
        [(0.290, 0.130), (0.380, 0.114), (0.500, 0.122)],
        [(0.310, 0.101), (0.400, 0.088), (0.500, 0.094)],
        [(0.350, 0.074), (0.430, 0.066), (0.500, 0.070)],
    ], 1.7),
    "glabella": ([
        [(0.474, 0.170), (0.481, 0.200), (0.476, 0.228)],
        [(0.455, 0.178), (0.462, 0.192), (0.461, 0.206)],
    ], 1.7),
    "crow": ([
        [(0.290, 0.277), (0.270, 0.262), (0.250, 0.254)],
        [(0.288, 0.286), (0.265, 0.283), (0.240, 0.281)],
        [(0.290, 0.296), (0.268, 0.304), (0.248, 0.314)],
        [(0.300, 0.306), (0.282, 0.320), (0.266, 0.336)],
    ], 1.3),
    "under_eye": ([
        [(0.405, 0.312), (0.375, 0.326), (0.335, 0.324), (0.305, 0.312)],
    ], 2.0),
    "bunny": ([
        [(0.447, 0.282), (0.462, 0.296), (0.480, 0.302)],
        [(0.445, 0.302), (0.462, 0.318), (0.482, 0.324)],
    ], 1.5),
    "nasolabial_right": ([
        [(0.427, 0.425), (0.402, 0.452), (0.376, 0.490), (0.354, 0.530), (0.346, 0.565)],
    ], 3.0),
    "nasolabial_left": ([
        [(0.573, 0.425), (0.598, 0.452), (0.624, 0.490), (0.646, 0.530), (0.654, 0.565)],
    ], 3.0),
    "marionette": ([
        [(0.384, 0.580), (0.376, 0.606), (0.374, 0.635), (0.380, 0.662)],
    ], 2.2),
    "mentolabial": ([
        [(0.445, 0.668), (0.472, 0.662), (0.500, 0.660)],
    ], 3.0),
    "pucker": ([
        [(0.470, 0.470), (0.472, 0.488)],
        [(0.440, 0.480), (0.447, 0.498)],
        [(0.412, 0.497), (0.422, 0.514)],
        [(0.420, 0.642), (0.428, 0.626)],
        [(0.460, 0.655), (0.463, 0.638)],
    ], 1.3),
}  # fmt: skip

# Fold -> how much each expression compresses it.
FOLD_DRIVES: dict[str, dict[str, float]] = {
    "forehead": {"brow_raiser": 1.0, "sadness": 0.35},
    "glabella": {"brow_lower": 1.0, "anger": 0.9, "sadness": 0.35},
    "crow": {"smile": 0.65, "grin": 0.8, "eye_closed": 0.25, "anger": 0.2},
    "under_eye": {"smile": 0.5, "grin": 0.6, "eye_closed": 0.1},
    "bunny": {"anger": 0.9, "grin": 0.2},
    "nasolabial_right": {
        "smile": 0.8,
        "grin": 0.95,
        "anger": 0.5,
        "dimpler": 0.4,
        "mouth_right": 0.5,
        "mouth_stretch": 0.15,
    },
    "nasolabial_left": {
        "smile": 0.8,
        "grin": 0.95,
        "anger": 0.5,
        "dimpler": 0.4,
        "mouth_left": 0.5,
        "mouth_stretch": 0.15,
    },
    "marionette": {"sadness": 0.9, "chin_raiser": 0.35, "dimpler": 0.3},
    "mentolabial": {"chin_raiser": 0.9, "sadness": 0.3, "lip_roll": 0.3},
    "pucker": {"lip_puckerer": 0.7, "lip_roll": 0.35, "lip_funneler": 0.3},
    "chin": {"chin_raiser": 1.0, "sadness": 0.35, "lip_puckerer": 0.15},
}
# Zone -> how much each expression increases (or, when pressed or stretched, reduces) blood.
FLUSH_DRIVES: dict[str, dict[str, float]] = {
    "cheeks": {"smile": 0.12, "grin": 0.14, "anger": 0.16, "cheek_blowing": 0.16, "sadness": 0.10},
    "forehead": {"anger": 0.13, "brow_raiser": -0.10, "brow_lower": 0.06},
    "nose": {"anger": 0.10, "sadness": 0.16},
    "chin": {"chin_raiser": 0.22, "sadness": 0.06},
    "lids": {"sadness": 0.14, "eye_closed": 0.04},
    "jaw": {"jaw_forward": 0.03, "cheek_blowing": -0.08},
    "lips": {"lip_roll": -0.20, "chin_raiser": -0.12, "dimpler": -0.09, "mouth_stretch": -0.10,
             "lip_puckerer": 0.10,
             "jaw_left": -0.03, "jaw_right": -0.03},
}  # fmt: skip


def fold_layers(size: int) -> tuple[list[str], np.ndarray]:
    """Return names and shading (F, size, size) of the folds: near +1 on the line, negative on the ridges."""
    layers = []
    for name, (lines, width) in FOLDS.items():
        shade = np.zeros((size, size), np.float32)
        for line in lines:
            ends_at_middle = abs(line[-1][0] - 0.5) < 1e-6
            points = line + [(1 - a, b) for a, b in line[-2::-1]] if ends_at_middle else line
            path = smooth_path(points, 400)
            strength = np.sin(np.linspace(0.0, np.pi, 400)) ** 0.6
            one = np.zeros((size, size), np.float32)
            cell = (path * size).astype(int).clip(0, size - 1)
            np.maximum.at(one, (cell[:, 1], cell[:, 0]), strength.astype(np.float32))
            if not (ends_at_middle or name.endswith(("_left", "_right"))):
                one = one + one[:, ::-1]
            sigma = width * size / 512 / 1.3
            # A crease is a narrow line in a broad valley; the skin bulging beside it is slightly brighter.
            narrow, valley, bulge = (ndimage.gaussian_filter(one, k * sigma) * k * sigma * 2.5 for k in (1, 2.6, 5.5))
            shade += 0.5 * narrow + 0.65 * valley - 0.35 * bulge
        layers.append(shade)
    rng = np.random.default_rng(3)
    dimples = ndimage.gaussian_filter(rng.standard_normal((size, size)), 2.6 * size / 512)
    dimples = (dimples / dimples.std()).clip(-2, 2) * 0.45 * ellipse(size, 0.5, 0.705, 0.05, 0.03, 1.2)
    return [*FOLDS, "chin"], np.stack([*layers, dimples]).astype(np.float32)


def drive_matrix(drives: dict[str, dict[str, float]], names: list[str]) -> np.ndarray:
    """Return (20, len(names)) from the tables above; missing expressions and zones get 0."""
    matrix = np.zeros((len(EXPRESSIONS), len(names)), np.float32)
    for column, name in enumerate(names):
        for expression, value in drives.get(name, {}).items():
            matrix[EXPRESSIONS.index(expression), column] = value
    return matrix
