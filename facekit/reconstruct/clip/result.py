"""ClipReconstruction: a person reconstructed from a video, and their motion."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.errors import InputError
from facekit.motion import Motion
from facekit.motion.mapping import action_units
from facekit.motion.units import ACTION_UNITS
from facekit.reconstruct.clip.follow import Followed
from facekit.reconstruct.result import Reconstruction
from facekit.render import Camera

#: Suffixes of files that hold the motion alone, and of those that hold the moving face.
MOTIONS, MOVING = (".csv", ".json", ".npz"), (".glb", ".mp4", ".webp")
_CAMERA = ("position", "look_at", "fov", "up")


@dataclass(frozen=True, kw_only=True)
class ClipReconstruction(Reconstruction):
    """A person reconstructed from a video, with their motion, in addition to what photographs give.

    Its "photographs" are the frames that the texture was made from. ``pipe.animate(latents, r.motion)`` transfers the
    motion to another face; ``r.motion.scaled(mouth=1.2)`` exaggerates parts of it.

    Parameters
    ----------
    motion:
        Motion of all T frames, with timestamps: weights, gaze, and the head's angles relative to the optical axis.
    frame_cameras:
        T cameras in the space of the neutral head.
    found:
        (T,) bool: frames in which the face was detected; in others the motion is interpolated.
    off:
        (T,) float32: mean distance between fitted and detected landmarks in % of the iris distance; NaN without
        detection.
    film_size:
        (height, width) of the frames as read.
    film:
        Path of the video; None after loading.
    """

    motion: Motion = dataclasses.field(repr=False)
    frame_cameras: Camera = dataclasses.field(repr=False)
    found: torch.Tensor = dataclasses.field(repr=False)
    off: torch.Tensor = dataclasses.field(repr=False)
    film_size: tuple[int, int] = (0, 0)
    film: Path | None = None

    @classmethod
    def of(
        cls,
        still: Reconstruction,
        motion: Motion,
        cameras: Camera,
        followed: Followed,
        size: tuple[int, int],
        film: Path,
        notes: list[str],
    ) -> ClipReconstruction:
        """Combine the person and the motion."""
        told = {field.name: getattr(still, field.name) for field in dataclasses.fields(Reconstruction)}
        told["notes"] = (*notes, *still.notes)
        found, off = torch.from_numpy(followed.found), torch.from_numpy(followed.off).float()
        return cls(**told, motion=motion, frame_cameras=cameras, found=found, off=off, film_size=size, film=film)

    def __repr__(self) -> str:
        """Summarise model, frames and quality in one line."""
        off = float(self.off[self.found].mean())
        seen = f"{int(self.found.sum())} of {len(self.motion)} frames"
        return f"ClipReconstruction({seen}, {self.motion.duration:.1f} s, off by {off:.1f} % of the eyes' distance)"

    @property
    def action_unit_tracks(self) -> dict[int, torch.Tensor]:
        """FACS action units of all frames by number, intensities (T,) 0 to 5."""
        said = action_units(self.motion.blendshapes.clamp(0, 1))
        assert isinstance(said, torch.Tensor)
        return dict(zip(ACTION_UNITS, said.unbind(dim=1), strict=True))

    def save(self, path: str | Path, photographs: bool = False, **options: Any) -> Path:
        """Write the moving face, the motion, or everything.

        The suffix decides: .glb is an animation of morph targets, .mp4 and .webp are rendered videos of the face; .csv,
        .json and .npz hold the motion alone; .facekit, or none, everything but the video.

        Parameters
        ----------
        photographs:
            For .facekit: whether to store the frames that the texture was made from.
        options:
            See :meth:`facekit.Motion.save`.
        """
        suffix = Path(path).suffix.lower()
        if suffix in (*MOTIONS, *MOVING):
            return self.motion.save(path, self.neutral if suffix in MOVING else None, **options)
        if options:
            raise InputError("no options for .facekit", ", ".join(options), "they are for .glb, .mp4, .webp, .csv")
        return super().save(path, photographs)

    def overlay_film(self, path: str | Path, film: str | Path | None = None, height: int = 480) -> Path:
        """Write an .mp4 with the video, the mesh on it, and the face rendered into it, side by side.

        Parameters
        ----------
        film:
            Path of the video, if the reconstruction was loaded or the video has moved.
        height:
            Height of the video in pixels, even.

        Raises
        ------
        FileError
            If the video is missing.
        """
        from facekit.reconstruct.clip.overlay import write_overlay

        return write_overlay(self, path, film, height)

    def _extra_arrays(self) -> dict[str, np.ndarray]:
        motion = self.motion
        arrays = {name: getattr(motion, name) for name in ("blendshapes", "head", "gaze", "times")}
        arrays |= {f"camera.{name}": getattr(self.frame_cameras, name) for name in _CAMERA}
        arrays |= {"found": self.found, "off": self.off}
        told = {f"clip.{name}": value.cpu().numpy() for name, value in arrays.items() if value is not None}
        return told | {"clip.rate": np.array([motion.fps]), "clip.size": np.array(self.film_size)}

    @classmethod
    def of_arrays(cls, still: Reconstruction, arrays: dict[str, np.ndarray]) -> ClipReconstruction:
        """Build the reconstruction from the arrays of a file."""
        given = {name: torch.from_numpy(value) for name, value in arrays.items()}
        motion = Motion(given["blendshapes"], float(given["rate"][0]), given["head"], given.get("gaze"), given["times"])
        placed: dict[str, Any] = {name: given[f"camera.{name}"] for name in _CAMERA}
        size = (int(given["size"][0]), int(given["size"][1]))
        told = {field.name: getattr(still, field.name) for field in dataclasses.fields(Reconstruction)}
        return cls(
            **told, motion=motion, frame_cameras=Camera(**placed), found=given["found"], off=given["off"],
            film_size=size,
        )  # fmt: skip
