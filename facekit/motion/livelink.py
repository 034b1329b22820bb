"""Blendshape tables: Live Link Face's CSV of 61 values per frame, and a plain one with ARKit's names.

Live Link Face (Epic Games, for iOS) writes a timecode ``HH:MM:SS:FF.mmm`` with frames and thousandths of a frame, the
count 61, ARKit's 52 weights with capitalised names, and nine angles in radians: of the head and of both eyes. The
angles follow ARKit's convention, right-handed about its axes: yaw to the subject's left, pitch *down*, roll toward the
right shoulder. The frame rate is not stored; it is derived from the timecodes.
"""

from __future__ import annotations

import csv
import io
import math

import torch

from facekit.conventions import BLENDSHAPES
from facekit.errors import InputError
from facekit.motion.motion import Motion

STYLES = ("livelink", "plain")
_COUNT = 61
#: Names that Live Link Face has in another order than ARKit.
_SWAPPED = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
_SHAPES = [_SWAPPED.get(name, name) for name in BLENDSHAPES]
_AXES = ("Yaw", "Pitch", "Roll")
_ANGLES = [f"{what}{axis}" for what in ("head", "leftEye", "rightEye") for axis in _AXES]
_SIGNS = torch.tensor([1.0, -1.0, -1.0])
#: Usual camera rates, for timecodes without a rate.
_RATES = (24, 25, 30, 48, 50, 60, 90, 120)


def write(motion: Motion, style: str) -> str:
    """Return a motion as a table: "livelink", or "plain" with seconds, ARKit's names and the head's angles in
    degrees.
    """
    rows = motion.blendshapes[:, [BLENDSHAPES.index(name) for name in _SHAPES]]
    if style == "plain":
        head = [f"head{axis}" for axis in _AXES]
        lines = [",".join(["time", *_SHAPES, *head])]
        columns = torch.cat((rows, motion.head), dim=1)
        for time, row in zip(motion.times.tolist(), columns.tolist(), strict=True):
            lines.append(",".join([f"{time:.6f}", *(_number(value) for value in row)]))
        return "\n".join(lines) + "\n"
    gaze = torch.zeros(len(motion), 2, 3) if motion.gaze is None else motion.gaze
    angles = torch.stack((motion.head, gaze[:, 1], gaze[:, 0]), dim=1).double() * _SIGNS
    columns = torch.cat((rows.double(), torch.deg2rad(angles).flatten(1)), dim=1)
    titles = ["Timecode", "BlendShapeCount", *(name[0].upper() + name[1:] for name in (*_SHAPES, *_ANGLES))]
    lines = [",".join(titles)]
    for time, row in zip(motion.times.tolist(), columns.tolist(), strict=True):
        lines.append(",".join([_timecode(time, motion.fps), str(_COUNT), *(_number(value) for value in row)]))
    return "\n".join(lines) + "\n"


def read(text: str, fps: float | None = None) -> Motion:
    """Read a table of either kind; unknown columns are ignored, missing blendshapes are 0.

    Raises
    ------
    ValueError
        If there are no blendshapes or timestamps, or rows are truncated or contain other than numbers.
    """
    table = [row for row in csv.reader(io.StringIO(text)) if row]
    if len(table) < 2:
        raise ValueError("no frames")
    titles = [title.strip().lower() for title in table[0]]
    short = next((k for k, row in enumerate(table[1:], 2) if len(row) != len(titles)), None)
    if short is not None:
        raise ValueError(f"line {short} has {len(table[short - 1])} values for {len(titles)} columns")
    columns = dict(zip(titles, zip(*table[1:], strict=True), strict=True))
    known = {name: columns[name.lower()] for name in (*BLENDSHAPES, *_ANGLES) if name.lower() in columns}
    if not any(name in known for name in BLENDSHAPES):
        raise ValueError("no column with the name of a blendshape")
    kind = torch.float64  # float32 would not reproduce degrees and radians exactly
    numbers = {name: torch.tensor([float(value) for value in column], dtype=kind) for name, column in known.items()}
    still = torch.zeros(len(table) - 1, dtype=kind)
    rows = torch.stack([numbers.get(name, still) for name in BLENDSHAPES], dim=1).float()
    angles = torch.stack([numbers.get(name, still) for name in _ANGLES], dim=1).unflatten(1, (3, 3))
    if "timecode" not in columns:
        times, rate = _times(columns, len(rows), fps)
        return Motion(rows, rate, angles[:, 0].float(), None, times)  # type: ignore[arg-type]  # None: at the rate
    rate = fps or _rate([code.split(":") for code in columns["timecode"]])
    times = torch.tensor([_seconds(code, rate) for code in columns["timecode"]], dtype=torch.float64)
    degrees = (torch.rad2deg(angles) * _SIGNS).float()
    gaze = degrees[:, [2, 1]] if any(name in known for name in _ANGLES[3:]) else None
    return Motion(rows, rate, degrees[:, 0], gaze, times)


def _number(value: float) -> str:
    """Format with ten decimals, as the app does; enough for float32 in [0, 1]. No negative zeros."""
    text = f"{value:.10f}"
    return text if text.strip("-0.") else "0.0000000000"


def _timecode(time: float, fps: float) -> str:
    """Format seconds as ``HH:MM:SS:FF.mmm``; the last digits are thousandths of a frame."""
    base = max(1, math.ceil(fps - 1e-9))
    ticks = round(time * base * 1000)
    second, tick = divmod(ticks, base * 1000)
    frame, part = divmod(tick, 1000)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{frame:02d}.{part:03d}"


def _seconds(code: str, fps: float) -> float:
    hour, minute, second, frame = code.split(":")
    return int(hour) * 3600 + int(minute) * 60 + int(second) + float(frame) / max(1, math.ceil(fps - 1e-9))


def _rate(codes: list[list[str]]) -> float:
    """Return the camera rate that fits the largest frame number within a second."""
    most = max(math.floor(float(code[3])) for code in codes) + 1
    return float(next((rate for rate in _RATES if rate >= most), most))


def _times(columns: dict[str, tuple[str, ...]], count: int, fps: float | None) -> tuple[torch.Tensor | None, float]:
    """Return timestamps and rate of a plain table: its column of times, or else frames at ``fps``."""
    title = next((name for name in ("time", "timestamp", "seconds") if name in columns), None)
    if title is None:
        if fps is None:
            raise InputError("a rate for a table without times", "none", "pass fps, for instance 30")
        return None, fps
    times = torch.tensor([float(value) for value in columns[title]], dtype=torch.float64)
    if fps is None:
        fps = 30.0 if count < 2 else round(float((count - 1) / (times[-1] - times[0])), 3)
    return times, fps
