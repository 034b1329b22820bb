"""Synthetic motions: a sample of ten seconds, and an idle face."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from facekit.checks import finite, whole
from facekit.conventions import BLENDSHAPES
from facekit.errors import InputError
from facekit.motion.motion import Motion

_FPS = 30.0


def _both(**weights: float) -> dict[str, float]:
    return {f"{name}{side}": weight for name, weight in weights.items() for side in ("Left", "Right")}


#: Mouth shapes of the five vowels.
VOWELS: dict[str, dict[str, float]] = {
    "a": {"jawOpen": 0.50, **_both(mouthLowerDown=0.20, mouthUpperUp=0.12)},
    "e": {"jawOpen": 0.24, **_both(mouthStretch=0.30, mouthSmile=0.25, mouthLowerDown=0.28, mouthUpperUp=0.10)},
    "i": {"jawOpen": 0.10, **_both(mouthSmile=0.45, mouthStretch=0.30, mouthLowerDown=0.30, mouthUpperUp=0.15)},
    "o": {"jawOpen": 0.32, "mouthFunnel": 0.60},
    "u": {"jawOpen": 0.12, "mouthPucker": 0.80},
}
SMILE = _both(mouthSmile=0.75, cheekSquint=0.45, eyeSquint=0.25, mouthDimple=0.15, mouthUpperUp=0.15)
SURPRISE = {"browInnerUp": 0.7, **_both(browOuterUp=0.6, eyeWide=0.45), "jawOpen": 0.15}
#: Blink: a lid takes a twelfth of a second to close and twice as long to open; times in seconds, and weights.
_BLINK_S, _BLINK = (0.0, 0.08, 0.12, 0.30), (0.0, 1.0, 1.0, 0.0)


def sample() -> Motion:
    """Return ten seconds of motion: a blink, a look around, a smile, a surprise, the five vowels, with head
    movements.
    """
    count = round(10 * _FPS)
    time = torch.arange(count) / _FPS
    rows = torch.zeros(count, len(BLENDSHAPES))
    _add(rows, SMILE, _curve(time, (3.2, 3.7, 4.7, 5.2), (0, 1, 1, 0)))
    _add(rows, SURPRISE, _curve(time, (5.1, 5.4, 5.8, 6.2), (0, 1, 1, 0)))
    for k, mouth in enumerate(VOWELS.values()):
        start = 6.3 + 0.66 * k
        _add(rows, mouth, _curve(time, (start, start + 0.2, start + 0.46, start + 0.72), (0, 1, 1, 0)))
    for start in (0.4, 2.9, 6.0, 9.6):
        _add(rows, _both(eyeBlink=1.0), _pulse(time, start))
    across = _curve(time, (0.9, 1.1, 1.5, 1.7, 2.1, 2.35, 2.9), (0, 24, 24, -26, -26, 0, 0))
    up = _curve(time, (1.5, 1.7, 2.1, 2.3, 2.5, 2.7, 2.9), (0, -4, -4, 14, 14, 0, 0))
    nod = _curve(time, (5.0, 5.4, 5.8, 6.3, 6.6, 7.0, 8.2, 9.6), (0, 5, 5, 0, -3, 2, -2, 0))
    turn = 0.35 * _curve(time, (1.0, 1.3, 1.6, 1.9, 2.2, 2.6, 2.9), (0, 24, 24, -26, -26, 0, 0))
    tilt = _curve(time, (3.3, 3.9, 4.8, 5.4), (0, 4, 4, 0))
    head = torch.stack((turn + 1.5 * torch.sin(0.9 * time), nod, tilt), dim=1)
    return Motion(rows.clamp(0, 1), _FPS, head).with_gaze(across, up)


def idle(seconds: float, seed: int = 0, fps: float = _FPS) -> Motion:
    """Return an idle face: see :meth:`facekit.Motion.idle`.

    People blink some 15 times per minute at fairly regular intervals; between blinks the gaze jumps by a degree or two
    a few times per second and drifts back.
    """
    seconds, seed = finite(seconds, "seconds"), whole(seed, "seed", 0)
    if seconds <= 0:
        raise InputError("seconds above 0", f"{seconds:g}", "pass for instance 5")
    generator = torch.Generator().manual_seed(seed)
    count = max(1, round(seconds * fps))
    time = torch.arange(count) / fps
    rows = torch.zeros(count, len(BLENDSHAPES))
    for start in _events(seconds, 4.0, 1.2, generator):
        _add(rows, _both(eyeBlink=1.0), _pulse(time, start))
    gaze = torch.zeros(count, 2)
    since, jump = [*_events(seconds, 0.7, 0.25, generator), math.inf], torch.zeros(2)
    for start, end in zip(since[:-1], since[1:], strict=True):
        jump = 0.3 * jump + torch.randn(2, generator=generator) * torch.tensor([1.3, 0.8])
        gaze[(time >= start) & (time < end)] = jump
    phase = torch.rand(6, generator=generator) * 2 * math.pi
    slow = [torch.sin(2 * math.pi * rate * time + p) for rate, p in zip((0.11, 0.07, 0.05, 0.25), phase, strict=False)]
    head = torch.stack((0.9 * slow[0], 0.5 * slow[1] + 0.25 * slow[3], 0.5 * slow[2]), dim=1)
    _add(rows, {"mouthShrugLower": 0.03, **_both(browInnerUp=0.0, mouthPress=0.04)}, 0.5 + 0.5 * slow[1])
    return Motion(rows.clamp(0, 1), fps, head).with_gaze(gaze[:, 0], gaze[:, 1])


def _add(rows: torch.Tensor, weights: Mapping[str, float], amount: torch.Tensor) -> None:
    """Add weights to rows (T, 52), scaled per frame by ``amount`` (T,)."""
    for name, weight in weights.items():
        if weight:
            rows[:, BLENDSHAPES.index(name)] += weight * amount


def _events(seconds: float, mean: float, least: float, generator: torch.Generator) -> list[float]:
    """Return random event times with mean interval ``mean`` and least interval ``least``, in seconds."""
    found, at = [], 0.0
    while True:
        at += least + (mean - least) * float(-torch.log(1 - torch.rand((), generator=generator)))
        if at >= seconds:
            return found
        found.append(at)


def _pulse(time: torch.Tensor, start: float) -> torch.Tensor:
    """Return the weight (T,) of a blink that begins at ``start`` seconds."""
    return _curve(time - start, _BLINK_S, _BLINK)


def _curve(time: torch.Tensor, knots: tuple[float, ...], values: tuple[float, ...]) -> torch.Tensor:
    """Interpolate a track (T,) between knots with S-curves; constant before the first and after the last."""
    at, level = torch.tensor(knots), torch.tensor(values, dtype=torch.float32)
    after = torch.searchsorted(at, time).clamp(1, len(knots) - 1)
    share = ((time - at[after - 1]) / (at[after] - at[after - 1])).clamp(0, 1)
    return torch.lerp(level[after - 1], level[after], share * share * (3 - 2 * share))
