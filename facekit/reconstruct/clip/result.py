"""ClipReconstruction: a person out of a film, and how they moved."""

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

#: Files that hold the motion alone, and those that hold the face that makes it.
MOTIONS, MOVING = (".csv", ".json", ".npz"), (".glb", ".mp4", ".webp")
_CAMERA = ("position", "look_at", "fov", "up")


@dataclass(frozen=True, kw_only=True)
class ClipReconstruction(Reconstruction):
    """A person out of a film, with their motion; besides what a reconstruction from photographs has.

    Its "photographs" are the frames that gave the skin. ``pipe.animate(latents, r.motion)`` lets another make the
    motion; ``r.motion.scaled(mouth=1.2)`` makes parts of it stronger.

    Parameters
    ----------
    motion:
        Of all T frames, with their times: weights, gaze, and the head's angles against the camera's axis.
    frame_cameras:
        T cameras in the space of the head at rest: where the camera stood, seen from the head.
    found:
        (T,) bool: in which frames the face was seen; in others the motion is bridged.
    off:
        (T,) float32: mean distance of the fitted points from those seen, in % of the distance between the irises; NaN
        where none were.
    film_size:
        (height, width) of the frames as they were read.
    film:
        The file; None after loading.
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
        """Put the person and the motion together."""
        told = {field.name: getattr(still, field.name) for field in dataclasses.fields(Reconstruction)}
        told["notes"] = (*notes, *still.notes)
        found, off = torch.from_numpy(followed.found), torch.from_numpy(followed.off).float()
        return cls(**told, motion=motion, frame_cameras=cameras, found=found, off=off, film_size=size, film=film)

    def __repr__(self) -> str:
        """What it is made of and how good it is, in one line."""
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
        """Write the face that moves, the motion, or all of it.

        The suffix decides: .glb is an animation of morph targets, .mp4 and .webp are pictures of the face that makes
        the motion; .csv, .json and .npz hold the motion alone; .facekit, or none, everything but the film.

        Parameters
        ----------
        photographs:
            For .facekit: whether to keep the frames that gave the skin.
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
        """Write an .mp4: the film, the mesh on it, and the face rendered into it, side by side.

        Parameters
        ----------
        film:
            The file, where this was loaded or the film has moved.
        height:
            Of the picture, pixels, even.

        Raises
        ------
        FileError
            For a film that is no longer there.
        """
        from facekit.reconstruct.clip.overlay import write_overlay

        return write_overlay(self, path, film, height)

    def _more(self) -> dict[str, np.ndarray]:
        motion = self.motion
        arrays = {name: getattr(motion, name) for name in ("blendshapes", "head", "gaze", "times")}
        arrays |= {f"camera.{name}": getattr(self.frame_cameras, name) for name in _CAMERA}
        arrays |= {"found": self.found, "off": self.off}
        told = {f"clip.{name}": value.cpu().numpy() for name, value in arrays.items() if value is not None}
        return told | {"clip.rate": np.array([motion.fps]), "clip.size": np.array(self.film_size)}

    @classmethod
    def of_arrays(cls, still: Reconstruction, arrays: dict[str, np.ndarray]) -> ClipReconstruction:
        """Put together what a file holds."""
        given = {name: torch.from_numpy(value) for name, value in arrays.items()}
        motion = Motion(given["blendshapes"], float(given["rate"][0]), given["head"], given.get("gaze"), given["times"])
        placed: dict[str, Any] = {name: given[f"camera.{name}"] for name in _CAMERA}
        size = (int(given["size"][0]), int(given["size"][1]))
        told = {field.name: getattr(still, field.name) for field in dataclasses.fields(Reconstruction)}
        return cls(
            **told, motion=motion, frame_cameras=Camera(**placed), found=given["found"], off=given["off"],
            film_size=size,
        )  # fmt: skip
