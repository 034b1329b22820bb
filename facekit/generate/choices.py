"""Sections of a recipe: the distributions that pictures are sampled from. Defaults are those of the preset
``portrait``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facekit.errors import InputError

Range = tuple[float, float]


@dataclass(frozen=True)
class People:
    """People of the set. ``count``: number of different people, repeated in turn; None for a new person per sample
    (clip). ``truncation``: diversity, 1 is full, 0 the mean face.
    """

    count: int | None = None
    truncation: float = 1.0

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        need(self.count is None or self.count >= 1, "people.count of 1 or more", self.count)
        _between("people.truncation", self.truncation, 0, 1)


@dataclass(frozen=True)
class Expression:
    """Distribution of expressions. ``neutral`` (nearly), ``single`` of the 20 expressions, ``mixed`` of two, and random
    ``blendshapes`` are fractions of the samples; ``intensity``: range for expressions. ``asymmetry``: fraction of
    blendshape faces with different halves. ``blink``: fraction with (half) closed lids. ``gaze``: standard deviations
    in degrees, horizontal and vertical.
    """

    neutral: float = 0.4
    single: float = 0.25
    mixed: float = 0.15
    blendshapes: float = 0.2
    intensity: Range = (0.2, 1.2)
    asymmetry: float = 0.4
    blink: float = 0.06
    gaze: Range = (9.0, 5.0)

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        _shares("expression", self, "neutral", "single", "mixed", "blendshapes")
        _range("expression.intensity", self.intensity, 0, 1.5)
        for name in ("asymmetry", "blink"):
            _between(f"expression.{name}", getattr(self, name), 0, 1)
        need(min(self.gaze) >= 0 and max(self.gaze) <= 25, "expression.gaze of 0 to 25 degrees", self.gaze)


@dataclass(frozen=True)
class Pose:
    """Distribution of the head's pose relative to the camera: standard deviations in degrees, and ``most``, the largest
    absolute values. ``neck``: fraction of the rotation that the neck makes; the camera moves for the rest.
    """

    yaw: float = 14.0
    pitch: float = 7.0
    roll: float = 5.0
    most: tuple[float, float, float] = (45.0, 25.0, 20.0)
    neck: float = 0.5

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        for name in ("yaw", "pitch", "roll"):
            _between(f"pose.{name}", getattr(self, name), 0, 90)
        need(all(0 <= most <= 90 for most in self.most), "pose.most of 0 to 90 degrees each", self.most)
        _between("pose.neck", self.neck, 0, 1)


@dataclass(frozen=True)
class CameraChoice:
    """Distribution of lens and framing. ``fov``: range of the vertical field of view, degrees. ``face``: height of the
    face from brows to chin, as a fraction of the picture's height. ``shift``: standard deviation of its position, as a
    fraction of the picture. ``roll``: standard deviation, degrees.
    """

    fov: Range = (12.0, 35.0)
    face: Range = (0.48, 0.62)
    shift: float = 0.03
    roll: float = 2.0

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        _range("camera.fov", self.fov, 5, 90)
        _range("camera.face", self.face, 0.05, 1)
        _between("camera.shift", self.shift, 0, 0.3)
        _between("camera.roll", self.roll, 0, 90)


@dataclass(frozen=True)
class LightChoice:
    """Distribution of lights: fractions of the renderer's ``preset`` lights, of random ``softboxes``, and of random
    spherical ``harmonics`` with a key light; ``strength``: standard deviation of the exposure in stops.
    """

    preset: float = 0.4
    softboxes: float = 0.4
    harmonics: float = 0.2
    strength: float = 0.2

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        _shares("light", self, "preset", "softboxes", "harmonics")
        _between("light.strength", self.strength, 0, 2)


@dataclass(frozen=True)
class BackgroundChoice:
    """Fractions of ``plain``, ``gradient`` and ``procedural`` backgrounds, and of ``pictures`` from ``folder``."""

    plain: float = 0.3
    gradient: float = 0.4
    procedural: float = 0.3
    pictures: float = 0.0
    folder: str | None = None

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        _shares("background", self, "plain", "gradient", "procedural", "pictures")
        need(not self.pictures or self.folder is not None, "background.folder with background.pictures", None)


@dataclass(frozen=True)
class Augment:
    """Camera artifacts; each number is a maximum or a standard deviation, and 0 disables it.

    ``exposure`` in stops; ``white_balance`` in stops between red and blue; ``blur`` and ``motion_blur`` in thousandths
    of the picture's height; ``noise`` at mid grey, in 8-bit steps; ``jpeg``: range of qualities, None for PNG.
    """

    exposure: float = 0.0
    white_balance: float = 0.0
    blur: float = 0.0
    motion_blur: float = 0.0
    noise: float = 0.0
    jpeg: Range | None = None

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        for name, most in {"exposure": 3, "white_balance": 2, "blur": 30, "motion_blur": 60, "noise": 60}.items():
            _between(f"augment.{name}", getattr(self, name), 0, most)
        if self.jpeg is not None:
            _range("augment.jpeg", self.jpeg, 1, 100)


@dataclass(frozen=True)
class Occluders:
    """Fractions of samples with ``glasses`` (class 16 of the mask) and with a ``blob`` in front of the face (class
    255).
    """

    glasses: float = 0.0
    blob: float = 0.0

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        for name in ("glasses", "blob"):
            _between(f"occluders.{name}", getattr(self, name), 0, 1)


@dataclass(frozen=True)
class Clip:
    """Length of clips: ``frames`` of one person with smooth motion at ``fps``; 1 for single pictures."""

    frames: int = 1
    fps: float = 25.0

    def check(self) -> None:
        """Raise InputError for numbers out of range."""
        need(1 <= self.frames <= 10_000, "clip.frames of 1 to 10000", self.frames)
        _between("clip.fps", self.fps, 1, 240)


def need(fits: bool, expected: str, got: Any) -> None:
    """Raise InputError unless a recipe's value is valid."""
    if not fits:
        raise InputError(expected, repr(got), "correct the recipe")


def _between(name: str, value: float, low: float, high: float) -> None:
    need(low <= value <= high, f"{name} of {low:g} to {high:g}", value)


def _range(name: str, value: Range, low: float, high: float) -> None:
    need(low <= value[0] <= value[1] <= high, f"{name} as two numbers from {low:g} to {high:g}, low first", value)


def _shares(name: str, part: Any, *kinds: str) -> None:
    values = [getattr(part, kind) for kind in kinds]
    need(min(values) >= 0 and sum(values) > 0, f"shares of {', '.join(kinds)} in {name}, not all 0", values)
