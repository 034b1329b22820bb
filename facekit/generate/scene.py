"""Scene: all numbers of one sample, sampled from the set's seed and the sample's index alone."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from facekit.conventions import BLENDSHAPES, EXPRESSIONS, GAZE_ACROSS, GAZE_SHAPES, GAZE_UP, muscle_of
from facekit.generate.recipe import Recipe

#: One random stream per choice, so that a new choice, appended at the end, does not shift the others.
_STREAMS = (
    "person", "choice", "expression", "gaze", "motion", "pose", "camera", "light", "background", "augment", "glasses",
    "blob",
)  # fmt: skip
_LIGHT_PRESETS = ("studio", "daylight", "rim")
#: Antagonists by parts of names; :func:`facekit.metrics.contact.opposed` has more, but would change the samples.
_OPPOSED = (
    ("Smile", "Frown"), ("Pucker", "Stretch"), ("Funnel", "Press"), ("Wide", "Squint"), ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
)  # fmt: skip
#: Blendshapes of random faces, without side.
_MUSCLES = tuple(
    dict.fromkeys(
        muscle_of(name)
        for name in BLENDSHAPES
        if not name.startswith(("eyeLook", "eyeBlink")) and name not in ("tongueOut", "mouthClose")
    )
)


@dataclass(frozen=True)
class Scene:
    """Parameters of one sample.

    Parameters
    ----------
    index:
        Index of the sample; ``clip`` and ``frame`` are its position among clips.
    person:
        Seed of :meth:`facekit.FaceLatents.sample`.
    expression:
        Weights of the 20 expressions by name.
    blendshapes:
        Weights of ARKit's 52 blendshapes by name, including gaze and blinks.
    gaze:
        Degrees to the subject's left and up, relative to the head.
    head:
        Head rotation on the neck in degrees: yaw to the subject's left, pitch up, roll to the left shoulder.
    view:
        Position of the camera in degrees to the subject's left and up, and its roll.
    camera:
        ``fov``, ``face`` and ``shift``, see :class:`facekit.generate.choices.CameraChoice`.
    light, background, augment, glasses, blob:
        Parameters for :mod:`facekit.generate.surroundings`; None for no glasses or blob.
    """

    index: int
    clip: int
    frame: int
    person: int
    expression: dict[str, float]
    blendshapes: dict[str, float]
    gaze: tuple[float, float]
    head: tuple[float, float, float]
    view: tuple[float, float, float]
    camera: dict[str, Any]
    light: dict[str, Any]
    background: dict[str, Any]
    augment: dict[str, Any]
    glasses: dict[str, Any] | None
    blob: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dictionaries, for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """Return the random generator for one choice of one sample: Philox, counter-based (Salmon et al., *Parallel random
    numbers: as easy as 1, 2, 3*, 2011), so that samples are independent of earlier ones.
    """
    return np.random.Generator(np.random.Philox(key=[seed, _STREAMS.index(name)], counter=[0, 0, index, 0]))


def draw_scene(recipe: Recipe, seed: int, index: int) -> Scene:
    """Sample the scene of a sample.

    Parameters
    ----------
    seed, index:
        Seed of the set, and index of the sample; each 0 or more.
    """
    clip, frame = divmod(index, recipe.clip.frames)

    def numbers(name: str) -> np.random.Generator:
        return stream(seed, clip, name)

    expression, blendshapes = _expression(recipe, numbers("expression"))
    gaze = _gaze(recipe, numbers("gaze"))
    head, view = _pose(recipe, numbers("pose"))
    if recipe.clip.frames > 1:
        gain, blink, sway, glance = _moving(recipe, numbers("motion"), frame)
        expression = {name: _short(weight * gain) for name, weight in expression.items()}
        blendshapes = {name: _short(weight * gain) for name, weight in blendshapes.items()}
        blendshapes |= {f"eyeBlink{side}": _short(blink) for side in ("Left", "Right") if blink > 0}
        head = (_short(head[0] + sway[0]), _short(head[1] + sway[1]), _short(head[2] + sway[2]))
        gaze = (_short(gaze[0] + glance[0]), _short(gaze[1] + glance[1]))
    count = recipe.people.count
    who = clip if count is None else int(numbers("choice").integers(count))
    return Scene(
        index=index,
        clip=clip,
        frame=frame,
        person=int(stream(seed, who, "person").integers(1 << 31)),
        expression=expression,
        blendshapes=blendshapes | _gaze_weights(gaze),
        gaze=gaze,
        head=head,
        view=view,
        camera=_camera(recipe, numbers("camera")),
        light=_light(recipe, numbers("light")),
        background=_background(recipe, numbers("background")),
        augment=_augment(recipe, numbers("augment")),
        glasses=_glasses(recipe, numbers("glasses")),
        blob=_blob(recipe, numbers("blob")),
    )


def _short(value: float) -> float:
    """Round a number to the label's precision before it is used, so that the label is exact."""
    return round(float(value), 5)


def _pick(random: np.random.Generator, shares: dict[str, float]) -> str:
    values = np.array(list(shares.values()))
    return str(random.choice(list(shares), p=values / values.sum()))


def _expression(recipe: Recipe, random: np.random.Generator) -> tuple[dict[str, float], dict[str, float]]:
    wish = recipe.expression
    kind = _pick(random, {name: getattr(wish, name) for name in ("neutral", "single", "mixed", "blendshapes")})
    names = random.choice(EXPRESSIONS[1:], size=2, replace=False)
    strength = random.uniform(*wish.intensity, size=2)
    faint = 0.15 * random.random(2)
    weights = {
        "neutral": {str(names[0]): _short(faint[0])},
        "single": {str(names[0]): _short(strength[0])},
        "mixed": {str(name): _short(0.6 * value) for name, value in zip(names, strength, strict=True)},
        "blendshapes": {},
    }[kind]
    shapes = _muscles(recipe, random) if kind == "blendshapes" else {}
    if random.random() < wish.blink:
        shut = random.uniform(0.4, 1.0)
        shapes |= {f"eyeBlink{side}": _short(shut) for side in ("Left", "Right")}
    return weights, shapes


def _muscles(recipe: Recipe, random: np.random.Generator) -> dict[str, float]:
    """Activate three to seven muscles, none with its antagonist, symmetrically or not."""
    chosen: list[str] = []
    for muscle in random.permutation(_MUSCLES):
        clash = any(a in muscle and b in c or b in muscle and a in c for c in chosen for a, b in _OPPOSED)
        if not clash:
            chosen.append(str(muscle))
    chosen = chosen[: int(random.integers(3, 8))]
    uneven = random.random() < recipe.expression.asymmetry
    weights: dict[str, float] = {}
    for muscle in chosen:
        weight = random.beta(1.3, 1.7)
        sides = [1.0, random.random() if uneven else random.uniform(0.85, 1.0)]
        names = (
            [muscle] if muscle in BLENDSHAPES else [f"{muscle}{side}" for side in random.permutation(["Left", "Right"])]
        )
        weights |= {name: _short(weight * side) for name, side in zip(names, sides, strict=False)}
    return weights


def _gaze(recipe: Recipe, random: np.random.Generator) -> tuple[float, float]:
    across, up = random.normal(size=2) * recipe.expression.gaze
    return _short(np.clip(across, -GAZE_ACROSS, GAZE_ACROSS)), _short(np.clip(up, -GAZE_UP, GAZE_UP))


def _gaze_weights(gaze: tuple[float, float]) -> dict[str, float]:
    """Return gaze blendshapes for both eyes toward the same distant point."""
    turned = gaze[0] / GAZE_ACROSS, gaze[1] / GAZE_UP
    return {name: _short(min(1, way * turned[axis])) for name, axis, way in GAZE_SHAPES if way * turned[axis] > 0}


def _pose(recipe: Recipe, random: np.random.Generator) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    wish = recipe.pose
    angles = np.clip(random.normal(size=3) * (wish.yaw, wish.pitch, wish.roll), -np.array(wish.most), wish.most)
    neck, around = angles * wish.neck, angles * (1 - wish.neck)
    # If the head turns to its left, the camera moves to its right side.
    return (
        (_short(neck[0]), _short(neck[1]), _short(neck[2])),
        (_short(-around[0]), _short(np.clip(-around[1], -60, 60)), _short(around[2])),
    )


def _moving(recipe: Recipe, random: np.random.Generator, frame: int) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Return a frame's expression gain, lid closure, and changes of head pose and gaze, for clips.

    Sums of slow sines with random phases; a blink every four seconds or so.
    """
    time = frame / recipe.clip.fps
    rate, phase = random.uniform(0.15, 0.6, size=(6, 2)), random.uniform(0, 2 * math.pi, size=(6, 2))
    waves = np.sin(2 * math.pi * rate * time + phase).sum(axis=1) / 2
    gain = 0.55 + 0.45 * waves[0]
    since = (time + random.uniform(0, 4)) % random.uniform(3, 5)
    blink = float(np.interp(since, (0.0, 0.08, 0.12, 0.30), (0.0, 1.0, 1.0, 0.0)))
    return gain, blink, waves[1:4] * (6, 3, 2), waves[4:6] * (5, 2)


def _camera(recipe: Recipe, random: np.random.Generator) -> dict[str, Any]:
    wish = recipe.camera
    return {
        "fov": _short(math.exp(random.uniform(*np.log(wish.fov)))),
        "face": _short(random.uniform(*wish.face)),
        "shift": [_short(s) for s in np.clip(random.normal(size=2), -2.5, 2.5) * wish.shift],
        "roll": _short(random.normal() * wish.roll),
    }


def _light(recipe: Recipe, random: np.random.Generator) -> dict[str, Any]:
    wish = recipe.light
    kind = _pick(random, {name: getattr(wish, name) for name in ("preset", "softboxes", "harmonics")})
    found: dict[str, Any] = {"kind": kind, "stops": _short(np.clip(random.normal(), -2, 2) * wish.strength)}
    if kind == "preset":
        return found | {"preset": str(random.choice(_LIGHT_PRESETS))}
    boxes = 1 if kind == "harmonics" else int(random.integers(2, 4))
    found["boxes"] = [
        {
            "azimuth": _short(random.uniform(-110, 110) if k else random.uniform(-70, 70)),
            "elevation": _short(random.uniform(-10, 65)),
            "strength": _short(random.uniform(0.15, 0.5) if k else random.uniform(0.35, 0.85)),
            "colour": _tint(random),
            "size": _short(random.uniform(6, 30)),
        }
        for k in range(boxes)
    ]
    found["sky"] = [_short(random.uniform(0.15, 0.4) * c) for c in _tint(random)]
    found["ground"] = [_short(random.uniform(0.05, 0.25) * c) for c in _tint(random)]
    if kind == "harmonics":
        rows = random.normal(size=(9, 3)) * 0.10 + random.normal(size=(9, 1)) * 0.22
        rows[0] = random.uniform(0.9, 1.7) * np.array(_tint(random))
        found["sh"] = [[_short(value) for value in row] for row in rows]
    return found


def _tint(random: np.random.Generator) -> list[float]:
    """Sample a light's colour between candle light and shade, with luminance near 1."""
    warm = random.normal() * 0.12
    return [_short(1 + warm), 1.0, _short(1 - warm)]


def _background(recipe: Recipe, random: np.random.Generator) -> dict[str, Any]:
    wish = recipe.background
    kind = _pick(random, {name: getattr(wish, name) for name in ("plain", "gradient", "procedural", "pictures")})
    return {
        "kind": kind,
        "seed": int(random.integers(1 << 31)),
        "colours": [[_short(v) for v in random.uniform(0.03, 0.95, size=3)] for _ in range(3)],
        "angle": _short(random.uniform(0, 360)),
        "pick": _short(random.random()),
    }


def _augment(recipe: Recipe, random: np.random.Generator) -> dict[str, Any]:
    wish, normal = recipe.augment, np.clip(random.normal(size=3), -2.5, 2.5)
    uniform = random.random(5)
    quality = None if wish.jpeg is None else int(round(wish.jpeg[0] + uniform[3] * (wish.jpeg[1] - wish.jpeg[0])))
    return {
        "exposure": _short(normal[0] * wish.exposure),
        "white_balance": _short(normal[1] * wish.white_balance),
        "blur": _short(uniform[0] ** 2 * wish.blur),
        "motion_blur": _short(uniform[1] ** 4 * wish.motion_blur),
        "motion_angle": _short(180 * uniform[4]),
        "noise": _short(uniform[2] ** 2 * wish.noise),
        "jpeg": quality,
        "seed": int(random.integers(1 << 31)),
    }


def _glasses(recipe: Recipe, random: np.random.Generator) -> dict[str, Any] | None:
    worn = random.random() < recipe.occluders.glasses
    found = {
        "width": _short(random.uniform(46, 56)),
        "height": _short(random.uniform(30, 46)),
        "power": _short(random.uniform(2.0, 4.5)),
        "rim": _short(random.uniform(1.2, 3.5)),
        "colour": [_short(v) for v in random.uniform(0.02, 0.5) * random.uniform(0.6, 1.4, size=3)],
        "tint": _short(max(0.0, random.normal() * 0.06)),
    }
    return found if worn else None


def _blob(recipe: Recipe, random: np.random.Generator) -> dict[str, Any] | None:
    there = random.random() < recipe.occluders.blob
    found = {
        "place": [_short(v) for v in random.uniform(-0.55, 0.55, size=2)],
        "size": _short(random.uniform(0.18, 0.45)),
        "waves": [[_short(v) for v in row] for row in random.normal(size=(4, 2)) * 0.16],
        "colours": [[_short(v) for v in random.uniform(0.03, 0.9, size=3)] for _ in range(2)],
    }
    return found if there else None
