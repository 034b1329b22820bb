"""Drawn occluders for synthetic photographs: fringes, glasses, hats, hands and scarves.

Their look is deliberately simple, their placement is not: the experiment measures whether they are kept off the skin.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

#: Names of the occluders.
OCCLUDERS = ("fringe", "glasses", "hat", "hand", "scarf")
#: Supersampling factor of the drawing.
_FINE = 2
_HAIR = ((24, 18, 16), (54, 36, 26), (96, 64, 42), (168, 128, 84), (120, 62, 34), (150, 146, 140))

Points = np.ndarray
Colour = tuple[int, ...]


def occlude(
    picture: np.ndarray, landmarks: Points, top: Points, kind: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an occluder in front of a face.

    Parameters
    ----------
    picture:
        (H, W, 3) float32 sRGB in [0, 1].
    landmarks:
        (68, 2) float: landmarks in pixels.
    top:
        (2,) float: top of the head in pixels.
    kind:
        One of :data:`OCCLUDERS`.
    rng:
        Random generator for everything else.

    Returns
    -------
    tuple
        The picture, and the occluder's opacity, (H, W) float32 in [0, 1].
    """
    height, width = picture.shape[:2]
    layer = Image.new("RGBA", (width * _FINE, height * _FINE), (0, 0, 0, 0))
    _DRAW[kind](ImageDraw.Draw(layer), landmarks * _FINE, top * _FINE, rng)
    blur = rng.uniform(0.4, 1.2) * _FINE
    drawn = np.asarray(layer.filter(ImageFilter.GaussianBlur(blur)).resize((width, height), Image.Resampling.BOX))
    drawn = drawn.astype(np.float32) / 255
    cover = drawn[..., 3:]
    return picture * (1 - cover) + drawn[..., :3] * cover, cover[..., 0]


def _shade(colour: Colour, rng: np.random.Generator, spread: float, alpha: int = 255) -> tuple[int, int, int, int]:
    factor = np.exp(rng.normal(0, spread))
    r, g, b = (int(np.clip(c * factor, 0, 255)) for c in colour[:3])
    return r, g, b, alpha


def _frame(landmarks: Points, top: Points) -> tuple[Points, Points, Points, float]:
    """Return the point between the eyes, unit vectors along the eyes to the image right and up to the crown, and the
    eye distance.
    """
    right, left = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    centre = (right + left) / 2
    across = (left - right) / max(float(np.linalg.norm(left - right)), 1e-6)
    up = (top - centre) / max(float(np.linalg.norm(top - centre)), 1e-6)
    return centre, across, up, max(float(np.linalg.norm(left - right)), 0.35 * float(np.linalg.norm(top - centre)))


def _fringe(draw: ImageDraw.ImageDraw, landmarks: Points, top: Points, rng: np.random.Generator) -> None:
    centre, across, up, unit = _frame(landmarks, top)
    colour = _HAIR[rng.integers(len(_HAIR))]
    crown = float(np.linalg.norm(top - centre)) / unit
    length, parting, lean = crown * rng.uniform(0.55, 0.9), rng.uniform(-0.7, 0.7), rng.uniform(-0.5, 0.5)
    sides = rng.uniform(0, 1) < 0.5
    for _ in range(int(rng.uniform(500, 900))):
        x = rng.normal(0, 0.75)
        side = sides and abs(x) > 0.85
        start = centre + up * unit * crown * rng.uniform(0.95, 1.1) + across * unit * x * 0.8
        fall = (
            (length if not side else 1.8 * crown)
            * rng.uniform(0.75, 1.1)
            * (1 - 0.3 * np.exp(-(((x - parting) / 0.2) ** 2)))
        )
        ends = [start + (across * (lean * t * t + x * 0.35 * t) - up * fall * t) * unit for t in (0, 0.35, 0.7, 1.0)]
        draw.line([tuple(p) for p in ends], fill=_shade(colour, rng, 0.3), width=int(rng.uniform(2, 5)))


def _glasses(draw: ImageDraw.ImageDraw, landmarks: Points, top: Points, rng: np.random.Generator) -> None:
    _, across, up, unit = _frame(landmarks, top)
    dark = rng.uniform(0, 1) < 0.3
    frame = _shade((30, 26, 24) if rng.uniform(0, 1) < 0.6 else (150, 110, 60), rng, 0.4)
    lens = (
        *((20, 18, 18) if dark else (225, 235, 240)),
        int(rng.uniform(190, 240)) if dark else int(rng.uniform(0, 30)),
    )
    wide, tall, line = (
        unit * rng.uniform(0.42, 0.5),
        unit * rng.uniform(0.28, 0.42),
        int(unit * rng.uniform(0.03, 0.08)),
    )
    angle = np.linspace(0, 2 * np.pi, 48)
    rims = []
    for side, eye in ((-1, landmarks[36:42].mean(0)), (1, landmarks[42:48].mean(0))):
        form = (
            np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7,
            np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7,
        )
        rim = eye - up * 0.06 * unit + form[0][:, None] * across * wide + form[1][:, None] * up * tall
        rims.append((side, eye, rim))
        draw.polygon([tuple(p) for p in rim], fill=lens)
        if rng.uniform(0, 1) < 0.4 and not dark:  # reflection of a window
            glare = eye + across * wide * rng.uniform(-0.4, 0.4) + up * tall * rng.uniform(-0.2, 0.4)
            patch = [
                glare + across * a * unit + up * b * unit
                for a, b in ((0, 0), (0.16, 0.02), (0.12, 0.16), (-0.02, 0.14))
            ]
            draw.polygon([tuple(p) for p in patch], fill=(255, 255, 255, 200))
        draw.line([tuple(p) for p in rim] + [tuple(rim[0])], fill=frame, width=max(line, 2))
        outer = eye + across * side * wide
        draw.line([tuple(outer), tuple(outer + across * side * 0.5 * unit)], fill=frame, width=max(line, 2))
    bridge = [rims[0][1] + across * wide, rims[1][1] - across * wide]
    draw.line([tuple(p) for p in bridge], fill=frame, width=max(line, 2))


def _hat(draw: ImageDraw.ImageDraw, landmarks: Points, top: Points, rng: np.random.Generator) -> None:
    centre, across, up, unit = _frame(landmarks, top)
    colour = tuple(int(v) for v in rng.uniform(15, 235, 3))
    crown = float(np.linalg.norm(top - centre)) / unit
    low, tilt = crown * rng.uniform(0.3, 0.6), rng.uniform(-0.15, 0.15)
    ring = [
        (-1.9, low - 0.1),
        (-0.9, low + 0.08),
        (0, low + 0.12),
        (0.9, low + 0.08),
        (1.9, low - 0.1),
        (1.6, 1.35 * crown),
        (-1.6, 1.35 * crown),
    ]
    outline = [centre + across * a * unit + up * (b + tilt * a) * unit for a, b in ring]
    draw.polygon([tuple(p) for p in outline], fill=(*colour, 255))
    for k in range(40):  # knitted pattern
        a = -1.9 + 3.8 * k / 39
        draw.line(
            [
                tuple(centre + across * a * unit + up * (low + tilt * a) * unit),
                tuple(centre + across * a * 0.8 * unit + up * 1.35 * crown * unit),
            ],
            fill=_shade(colour, rng, 0.15),
            width=max(2, int(0.04 * unit)),
        )


def _hand(draw: ImageDraw.ImageDraw, landmarks: Points, top: Points, rng: np.random.Generator) -> None:
    centre, across, up, unit = _frame(landmarks, top)
    tone = np.array(((224, 178, 152), (190, 136, 104), (128, 84, 58), (70, 46, 34))[rng.integers(4)])
    side = rng.choice((-1.0, 1.0))
    root = centre + across * side * rng.uniform(0.9, 1.4) * unit - up * rng.uniform(1.6, 2.4) * unit
    aim = rng.uniform(0.1, 0.7)
    for finger in range(4):
        angle = aim + 0.16 * (finger - 1.5)
        tip = root + (-across * side * np.sin(angle) + up * np.cos(angle)) * unit * rng.uniform(1.3, 1.7)
        base = root + across * (finger - 1.5) * 0.2 * unit
        for width, factor in ((0.24, 0.8), (0.19, 1.0), (0.1, 1.07)):
            fill = _shade(tuple(tone * factor), rng, 0.02)
            draw.line([tuple(base), tuple(tip)], fill=fill, width=int(width * unit))
            r = width * unit / 2
            draw.ellipse((tip[0] - r, tip[1] - r, tip[0] + r, tip[1] + r), fill=fill)
    r = 0.55 * unit
    draw.ellipse((root[0] - r, root[1] - r, root[0] + r, root[1] + 1.6 * r), fill=_shade(tuple(tone), rng, 0.02))


def _scarf(draw: ImageDraw.ImageDraw, landmarks: Points, top: Points, rng: np.random.Generator) -> None:
    centre, across, up, unit = _frame(landmarks, top)
    colour = tuple(int(v) for v in rng.uniform(15, 235, 3))
    high = rng.uniform(-1.9, -1.2)
    ring = [(-2.2, high + 0.2), (-0.8, high), (0.8, high), (2.2, high + 0.2), (2.4, -4), (-2.4, -4)]
    draw.polygon([tuple(centre + across * a * unit + up * b * unit) for a, b in ring], fill=(*colour, 255))
    for _ in range(30):
        b = rng.uniform(-3.5, high)
        points = [centre + across * a * unit + up * (b + rng.normal(0, 0.08)) * unit for a in (-2, -0.7, 0.7, 2)]
        draw.line([tuple(p) for p in points], fill=_shade(colour, rng, 0.2), width=max(2, int(0.07 * unit)))


_DRAW = {"fringe": _fringe, "glasses": _glasses, "hat": _hat, "hand": _hand, "scarf": _scarf}
