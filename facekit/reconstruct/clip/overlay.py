"""Visualise the fit of a video: each frame, the mesh on it, and the face rendered into it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from facekit.checks import whole
from facekit.errors import FileError, InputError
from facekit.files.atomic import expanded
from facekit.files.film import write_mp4
from facekit.mesh import FaceMesh
from facekit.progress import progress
from facekit.reconstruct.clip.film import Film
from facekit.reconstruct.overlay import cropped
from facekit.render import Camera, render

if TYPE_CHECKING:
    from facekit.reconstruct.clip.result import ClipReconstruction

#: Opacity of the mesh on the video; margin around the head's path in head sizes; number of frames rendered at once.
_CLAY, _MARGIN, _CHUNK = 0.8, 0.22, 8


def write_overlay(clip: ClipReconstruction, path: str | Path, film: str | Path | None, height: int) -> Path:
    """Write the overlay; see :meth:`facekit.reconstruct.clip.result.ClipReconstruction.overlay_film`."""
    height = whole(height, "height", 64, 2160)
    path = expanded(path)
    if height % 2:
        raise InputError("an even height for .mp4", f"{height}", "add 1")
    if path.suffix.lower() != ".mp4":
        raise InputError("a name that ends in .mp4", f"{path.name!r}", "rename it")
    source = clip.film if film is None else film
    if source is None:
        raise FileError("the video", "a reconstruction that was loaded without", "pass film=")
    frames = progress(_pictures(clip, Film.open(source), height), len(clip.motion), "overlay")
    return write_mp4(_even(frames, clip), path, clip.motion.fps)


def _pictures(clip: ClipReconstruction, film: Film, height: int) -> Iterator[np.ndarray]:
    """Yield a row of pictures (height, 3 * height, 3) uint8 for every frame of the motion."""
    still = dataclasses.replace(clip.motion, head=torch.zeros(len(clip.motion), 3))
    faces = clip.pipe.animate(clip.latents[:1].at_rest(), still, _CHUNK, detail=False)
    meshes = (some[k].mesh for some in faces for k in range(len(some)))
    top, left, side = _square(clip)
    # The lights are fixed to the camera, which moves around the head: shadows of the head on the trunk move with it.
    light = clip.lights[0] if clip.lights else "studio"
    for k, (frame, mesh) in enumerate(zip(film, meshes, strict=False)):
        if frame.pixels.shape[:2] != clip.film_size:
            raise FileError("the video of this reconstruction", f"another one, {film.path.name}", "pass its own")
        photo = cropped(frame.pixels, top, left, side, height)
        row = [photo, photo, photo]
        if bool(clip.found[k]):
            view = clip.frame_cameras[k].crop(top, left, (side, side), clip.film_size)
            plain = FaceMesh(mesh.verts, mesh.faces, mesh.uvs, mesh.faces_uvs, ao=mesh.ao)
            for place, (one, lights, share) in enumerate(((plain, "studio", _CLAY), (mesh, light, 1.0)), 1):
                made = render(one, view, height, lights=lights, background="transparent")
                row[place] = torch.lerp(photo, made.rgb[0].cpu(), made.alpha[0].cpu() * share)
        picture = torch.cat(row, dim=2).clamp(0, 1)
        yield (picture.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)


def _even(frames: Iterator[np.ndarray], clip: ClipReconstruction) -> Iterator[np.ndarray]:
    """Resample frames to a constant rate, as files need: each is shown until the next one's timestamp."""
    times = (clip.motion.times - clip.motion.times[0]).tolist()
    shown = 0
    for k, picture in enumerate(frames):
        until = times[k + 1] if k + 1 < len(times) else times[k] + 1 / clip.motion.fps
        wanted = max(round(until * clip.motion.fps), shown + (k + 1 == len(times) and not shown))
        for _ in range(wanted - shown):
            yield picture
        shown = max(shown, wanted)


def _square(clip: ClipReconstruction) -> tuple[int, int, int]:
    """Return top, left and side, in pixels, of a square that contains the head in nearly all frames."""
    mesh = clip.neutral.mesh
    assert mesh.landmarks is not None
    verts = mesh.verts[0]
    above = verts[verts[:, 1] > verts[mesh.landmarks[8], 1] - 15][::16]
    places = []
    for k in range(0, len(clip.motion), max(1, len(clip.motion) // 200)):
        camera: Camera = clip.frame_cameras[k]
        flat = camera.project(above[None].cpu(), clip.film_size)[0, :, :2]
        places.append(torch.cat((flat.amin(dim=0), flat.amax(dim=0))))
    low, high = torch.stack(places)[:, :2].quantile(0.02, dim=0), torch.stack(places)[:, 2:].quantile(0.98, dim=0)
    side = max(8, int(float((high - low).max()) * (1 + _MARGIN)))
    middle = (low + high) / 2
    return int(middle[1] - side / 2), int(middle[0] - side / 2), side
