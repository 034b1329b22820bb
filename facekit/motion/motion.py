"""Motion: blendshapes and the head's pose over time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import finite
from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES, GAZE_ACROSS, GAZE_SHAPES, GAZE_UP
from facekit.errors import InputError
from facekit.latents import FaceLatents

if TYPE_CHECKING:
    from facekit.face import FaceOutput

#: Regions by the prefix of blendshape names; the first match counts.
_REGIONS = {"gaze": "eyeLook", "eyes": "eye", "brows": "brow", "nose": "nose", "cheeks": "cheek", "jaw": "jaw",
            "mouth": "mouth", "tongue": "tongue"}  # fmt: skip
_COLUMNS = {"blendshapes": (BLENDSHAPE_DIM,), "head": (3,), "gaze": (2, 3)}


def _region(shape: str) -> str:
    """Return the region of a blendshape."""
    return next(name for name, start in _REGIONS.items() if shape.startswith(start))


@dataclass(frozen=True)
class Motion:
    """T frames of facial motion, independent of the face.

    ``len(motion)`` is T; ``motion[10:20]`` picks frames, ``motion.slice(1.0, 2.5)`` seconds.

    Parameters
    ----------
    blendshapes:
        (T, 52) float32: weights of :data:`facekit.conventions.BLENDSHAPES`; values outside of [0, 1] are kept, and
        clamped when applied to a face.
    fps:
        Frames per second, for playback and files.
    head:
        (T, 3) float32 degrees: yaw to the subject's left, pitch up, and roll toward the subject's left shoulder, in
        this order. None for a still head.
    gaze:
        (T, 2, 3) float32 degrees: yaw to the subject's left, pitch up and roll of the right and the left eye, as stored
        by trackers beside the eight ``eyeLook…`` blendshapes. Faces are posed by the blendshapes. Optional.
    times:
        (T,) float64 seconds, ascending; None for frames at ``fps`` from 0.

    Raises
    ------
    InputError
        If shapes are wrong, numbers are not finite, there are no frames, or times decrease.
    """

    blendshapes: torch.Tensor
    fps: float = 30.0
    head: torch.Tensor = None  # type: ignore[assignment]  # a tensor once made: see __post_init__
    gaze: torch.Tensor | None = None
    times: torch.Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        fps = finite(self.fps, "fps")
        if fps <= 0:
            raise InputError("fps above 0", f"{fps:g}", "pass for instance fps=30")
        frames = len(torch.as_tensor(self.blendshapes))
        if self.head is None:
            object.__setattr__(self, "head", torch.zeros(frames, 3))
        if self.times is None:
            object.__setattr__(self, "times", torch.arange(frames, dtype=torch.float64) / fps)
        for name, shape in _COLUMNS.items():
            value = getattr(self, name)
            if value is None:
                continue
            value = torch.as_tensor(value, dtype=torch.float32)
            if value.shape != (frames, *shape):
                wanted = ", ".join(str(n) for n in ("T", *shape))
                raise InputError(f"{name} of shape ({wanted})", f"{tuple(value.shape)}", "give one row per frame")
            object.__setattr__(self, name, value)
        times = torch.as_tensor(self.times, dtype=torch.float64)
        object.__setattr__(self, "times", times)
        if not frames:
            raise InputError("at least one frame", "none", "check where the motion comes from")
        known = [getattr(self, name) for name in (*_COLUMNS, "times") if getattr(self, name) is not None]
        if not all(bool(value.isfinite().all()) for value in known):
            raise InputError("finite numbers in a motion", "NaN or infinity", "check where it comes from")
        if times.shape != (frames,) or bool((times.diff() <= 0).any()):
            raise InputError(f"{frames} ascending times", "other times", "give each frame its own, or leave times out")

    # -- making -----------------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, tracks: Mapping[str, Any], fps: float = 30.0, head: Any = None) -> Motion:
        """Make a motion from tracks by name: ``Motion.of({"jawOpen": [0, 0.5, 1]})``; other blendshapes are 0.

        Parameters
        ----------
        tracks:
            T numbers for each name in :data:`facekit.conventions.BLENDSHAPES`.
        head:
            (T, 3) degrees, or None.
        """
        unknown = [name for name in tracks if name not in BLENDSHAPES]
        if unknown:
            raise InputError("blendshapes of ARKit's 52", ", ".join(unknown), "see facekit.BLENDSHAPES")
        if not tracks:
            raise InputError("at least one track", "none", 'pass for instance {"jawOpen": [0, 1]}')
        columns = {name: torch.as_tensor(values, dtype=torch.float32) for name, values in tracks.items()}
        if len({tuple(column.shape) for column in columns.values()}) > 1:
            raise InputError("tracks of one length", "several", "give each the same number of frames")
        rows = torch.zeros(len(next(iter(columns.values()))), BLENDSHAPE_DIM)
        for name, column in columns.items():
            rows[:, BLENDSHAPES.index(name)] = column
        return cls(rows, fps, head)

    @classmethod
    def sample(cls) -> Motion:
        """Return a sample of ten seconds at 30 frames per second: blinks, looking around, a smile, five vowels."""
        from facekit.motion.made import sample

        return sample()

    @classmethod
    def idle(cls, seconds: float, seed: int = 0, fps: float = 30.0) -> Motion:
        """Return the motion of an idle, awake face: blinks, small movements of eyes and head, breathing.

        The same seed gives the same motion on every machine.
        """
        from facekit.motion.made import idle

        return idle(seconds, seed, fps)

    @classmethod
    def load(cls, path: str | Path, fps: float | None = None) -> Motion:
        """Read .json, .npz or .csv; see :mod:`facekit.motion.files`.

        ``fps`` is for tables without a rate; None derives it from their timestamps.
        """
        from facekit.motion.files import load

        return load(path, fps)

    # -- frames -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.blendshapes)

    def __getitem__(self, index: slice) -> Motion:
        if not isinstance(index, slice):
            raise InputError("a slice of frames", repr(index), "write motion[3:4] for the fourth")
        return self._each(lambda value: value[index])

    @property
    def duration(self) -> float:
        """Duration in seconds, from the first frame's beginning to the last one's end."""
        return float(self.times[-1] - self.times[0]) + 1 / self.fps

    def track(self, name: str) -> torch.Tensor:
        """Return one blendshape's weights, (T,) float32."""
        if name not in BLENDSHAPES:
            raise InputError("a blendshape of ARKit's 52", repr(name), "see facekit.BLENDSHAPES")
        return self.blendshapes[:, BLENDSHAPES.index(name)]

    def slice(self, start: float, stop: float) -> Motion:
        """Keep the frames from ``start`` up to ``stop``, seconds after the first."""
        since = self.times - self.times[0]
        kept = ((since >= start - 1e-9) & (since < stop - 1e-9)).nonzero()[:, 0]
        if not len(kept):
            raise InputError(f"a part of the {self.duration:.2f} s", f"{start:g} to {stop:g} s", "choose other seconds")
        return self._each(lambda value: value[kept])

    def resample(self, fps: float) -> Motion:
        """Return the motion at another frame rate, interpolated linearly."""
        fps = finite(fps, "fps")
        if fps <= 0:
            raise InputError("fps above 0", f"{fps:g}", "pass for instance fps=30")
        count = max(1, round(self.duration * fps))
        wanted = (self.times[0] + torch.arange(count, dtype=torch.float64) / fps).clamp_max(self.times[-1])
        after = torch.searchsorted(self.times, wanted).clamp(1, max(len(self) - 1, 1))
        if len(self) == 1:
            return dataclasses.replace(self._each(lambda value: value.expand(count, *value.shape[1:])), fps=fps)
        share = (wanted - self.times[after - 1]) / (self.times[after] - self.times[after - 1])
        share = share.clamp(0, 1).float()

        def between(value: torch.Tensor) -> torch.Tensor:
            weight = share.view(-1, *[1] * (value.ndim - 1)).to(value)
            return torch.lerp(value[after - 1], value[after], weight)

        times = torch.arange(count, dtype=torch.float64) / fps + self.times[0]
        return dataclasses.replace(self._each(between, times), fps=fps)

    def smooth(self, seconds: float = 0.08) -> Motion:
        """Return the motion smoothed by a Gaussian over time with a standard deviation of ``seconds``.

        The first and last values are repeated at the ends, so that the motion starts and stops in place.
        """
        sigma = finite(seconds, "seconds") * self.fps
        if sigma <= 0:
            return self
        reach = max(1, round(3 * sigma))
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma).square())
        kernel = kernel / kernel.sum()

        def smoothed(value: torch.Tensor) -> torch.Tensor:
            rows = value.flatten(1).T[:, None]
            padded = torch.cat((rows[..., :1].expand(-1, -1, reach), rows, rows[..., -1:].expand(-1, -1, reach)), 2)
            return torch.conv1d(padded, kernel[None, None].to(rows))[:, 0].T.reshape(value.shape)

        return self._each(smoothed, self.times)

    def blend(self, other: Motion, weight: float = 0.5) -> Motion:
        """Interpolate two motions frame by frame: 0 is this one, 1 the other; as long as the shorter, at this one's
        rate.
        """
        weight = finite(weight, "the weight")
        other = other if other.fps == self.fps else other.resample(self.fps)
        count = min(len(self), len(other))
        mixed = {name: torch.lerp(getattr(self, name)[:count], getattr(other, name)[:count], weight)
                 for name in ("blendshapes", "head")}  # fmt: skip
        return Motion(fps=self.fps, times=self.times[:count], **mixed)

    def added(self, other: Motion) -> Motion:
        """Add another motion, for instance speech to :meth:`idle`: weights (up to 1) and angles add up."""
        other = other if other.fps == self.fps else other.resample(self.fps)
        count = min(len(self), len(other))
        weights = (self.blendshapes[:count] + other.blendshapes[:count]).clamp(0, 1)
        return Motion(weights, self.fps, self.head[:count] + other.head[:count], times=self.times[:count])

    @staticmethod
    def cat(parts: list[Motion]) -> Motion:
        """Concatenate motions, at the first one's rate; ``a + b`` does the same for two."""
        if not parts:
            raise InputError("at least one motion", "none", "pass a list of them")
        fps = parts[0].fps
        parts = [part if part.fps == fps else part.resample(fps) for part in parts]
        gaze = None if any(part.gaze is None for part in parts) else torch.cat([p.gaze for p in parts])  # type: ignore
        return Motion(torch.cat([p.blendshapes for p in parts]), fps, torch.cat([p.head for p in parts]), gaze)

    def __add__(self, other: Motion) -> Motion:
        return Motion.cat([self, other])

    def with_gaze(self, across: Any, up: Any) -> Motion:
        """Return the motion with both eyes looking this many degrees to the subject's left and up, (T,) or a number."""
        turned = [
            torch.as_tensor(angle, dtype=torch.float32).expand(len(self)) / most
            for angle, most in ((across, GAZE_ACROSS), (up, GAZE_UP))
        ]
        rows = self.blendshapes.clone()
        for name, axis, way in GAZE_SHAPES:
            rows[:, BLENDSHAPES.index(name)] = (way * turned[axis]).clamp(0, 1)
        return dataclasses.replace(self, blendshapes=rows, gaze=None)

    def scaled(self, **gains: float) -> Motion:
        """Return the motion with parts of the face exaggerated or reduced: ``motion.scaled(mouth=1.2, brows=0.8)``.

        Parameters
        ----------
        gains:
            Non-negative factors by region: brows, eyes (lids), gaze, nose, cheeks, jaw, mouth, tongue; and head, for
            its angles. Weights are limited to 1.
        """
        unknown = [name for name in gains if name not in (*_REGIONS, "head")]
        if unknown:
            raise InputError(
                f"regions out of {', '.join((*_REGIONS, 'head'))}", ", ".join(unknown), "choose from these"
            )
        if any(finite(gain, name) < 0 for name, gain in gains.items()):
            raise InputError("gains from 0", f"{gains}", "1 leaves a region as it is")
        factor = torch.ones(BLENDSHAPE_DIM)
        for name, gain in gains.items():
            factor[[k for k, shape in enumerate(BLENDSHAPES) if _region(shape) == name]] = gain
        rows = self.blendshapes * factor
        rows = torch.where(factor > 1, rows.clamp_max(1.0), rows)
        gaze = None if self.gaze is None else self.gaze * gains.get("gaze", 1.0)
        return dataclasses.replace(self, blendshapes=rows, head=self.head * gains.get("head", 1.0), gaze=gaze)

    def latents(self, person: FaceLatents) -> FaceLatents:
        """Return latents of one person (B = 1) performing this motion, one row per frame; their expression is kept."""
        if len(person) != 1:
            raise InputError("codes of one person", f"{len(person)}", "pick one with latents[i]")
        codes = person.repeat(len(self))
        return codes.with_blendshapes(self.blendshapes.clamp(0, 1).to(codes.device))

    def _each(self, change: Any, times: torch.Tensor | None = None) -> Motion:
        """Apply a function to all columns, and to the times unless they are given."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        changed = {name: None if value is None else change(value) for name, value in columns.items()}
        times = change(self.times) if times is None and len(self) > 1 else times
        return dataclasses.replace(self, times=times, **changed)

    # -- files ------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path, face: FaceOutput | None = None, **options: Any) -> Path:
        """Write the motion; or, with a face, the animated face.

        The suffix decides. The motion alone: .json, .npz, .csv (``style="livelink"``, or "plain"). With a face (B = 1)
        of a pipeline: .glb, an animation of morph targets; .mp4 and .webp, rendered videos. See
        :func:`facekit.motion.files.save`, :func:`facekit.motion.glb.save_glb` and
        :func:`facekit.motion.video.save_video` for the options.
        """
        from facekit.motion.files import save

        return save(self, path, face, **options)
