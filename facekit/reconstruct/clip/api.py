"""reconstruct_clip(): turn a video of one person into their head and their motion."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES, GAZE_ACROSS, GAZE_SHAPES, GAZE_UP
from facekit.errors import InputError
from facekit.motion import Motion
from facekit.motion.head import angles
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.api import assembled, cameras_at, refine_and_fit, view_of
from facekit.reconstruct.clip.film import Film
from facekit.reconstruct.clip.follow import Followed, follow, personal_bias_of
from facekit.reconstruct.clip.result import ClipReconstruction
from facekit.reconstruct.clip.track import Track, Tracker
from facekit.reconstruct.clip.views import Pool, for_skin
from facekit.reconstruct.dense import LandmarkRefiner, load_refiner
from facekit.reconstruct.find import average_close_ups
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.model import PhotoModel, loaded
from facekit.reconstruct.observe import Picture
from facekit.reconstruct.response import Response
from facekit.reconstruct.unknowns import View

#: Standard deviation of the log focal length in single frames, where it is already known from the key frames.
_FOCAL = 1e-3
#: Relative tolerance between the container's frame rate and the frames' timestamps; beyond it the container's rate is
#: rejected.
_SAME_RATE = 0.02


def reconstruct_clip(
    path: str | Path,
    *,
    texture: str = "blend",
    face: int | None = None,
    calm: float = 1.0,
    texture_size: int = 1024,
    hair: str | None = "auto",
    model: str | Path | FacePipeline = "default",
) -> ClipReconstruction:
    """Reconstruct a person and their motion from a video; see :func:`facekit.reconstruct` for the arguments.

    The video is read once. Identity and focal length are fitted to up to eight good, different frames and then fixed;
    expression, gaze and pose are fitted in every frame and smoothed over time.

    Raises
    ------
    FacekitError
        If the video cannot be read or shows no face, or if the extra is not installed.
    """
    film = Film.open(path)
    pipe = loaded(model)
    photo = PhotoModel.of(pipe)
    refiner, response = load_refiner(photo)
    notes: list[str] = []
    with contextlib.closing(Track()) as track, Landmarker() as finder:
        pool, count = _tracked(film, track, finder, refiner, photo.mirror, face)
        if not len(pool):
            raise InputError(
                "a face in the video",
                f"none in {len(track)} frames of {film.path.name}",
                "use a video with a sharp, well-lit face of more than 60 pixels; turn the video upright",
            )
        if count > 1 and face is None:
            notes.append(f"{film.path.name} shows {count} faces: the largest, most central one was followed; see face=")
        keys = pool.chosen()
        faces = [average_close_ups(key.frame.pixels, key.face, finder, photo.mirror) for key in keys]
        pictures = [Picture(key.frame.pixels, f"{film.path.name} at {key.frame.time:.2f} s") for key in keys]
        fitted, faces = refine_and_fit(photo, pictures, faces)
        times, focal = np.array(track.times), (float(np.log(fitted.focal[0])), _FOCAL)
        frames = progress(_views(track, calm, film.size, response, focal), len(track), "expressions")
        followed = follow(photo, response, fitted, frames, times, personal_bias_of(response, fitted, faces), calm)
    if not followed.found.any():
        raise InputError("a face that can be tracked", f"none in {film.path.name}", "take a sharper, larger one")
    picked = for_skin([float(np.degrees(np.arctan2(turn[0, 2], turn[2, 2]))) for turn in fitted.rotation])
    still = assembled(
        fitted.picked(picked),
        [pictures[k] for k in picked],
        [faces[k] for k in picked],
        pipe,
        photo,
        texture,
        texture_size,
        hair,
    )
    missing = int((~followed.found).sum())
    if missing:
        notes.append(f"No face is seen in {missing} of {len(track)} frames: there the motion is bridged.")
    heights = np.full(len(times), float(film.size[0]))
    focals = np.full(len(times), followed.focal)
    cameras = cameras_at(followed.rotation, followed.translation, focals, heights)
    return ClipReconstruction.of(
        still, motion_of(followed, times, film.fps), cameras, followed, film.size, film.path, notes
    )


def motion_of(followed: Followed, times: np.ndarray, fps: float) -> Motion:
    """Return the motion of a tracked face: blendshape weights, and the head's angles relative to the optical axis."""
    weights = torch.from_numpy(followed.blendshapes).float()
    turned = torch.zeros(len(weights), 2, 3)
    most = (GAZE_ACROSS, GAZE_UP)
    for name, axis, way in GAZE_SHAPES:
        turned[:, 1 if name.endswith("Left") else 0, axis] += way * most[axis] * weights[:, BLENDSHAPES.index(name)]
    head = angles(torch.from_numpy(followed.rotation).float())
    if len(times) > 1:  # with dropped frames or a variable rate the container's frame rate is wrong
        mean = float((len(times) - 1) / (times[-1] - times[0]))
        fps = fps if abs(fps / mean - 1) < _SAME_RATE else mean
    return Motion(weights, fps, head, turned, torch.from_numpy(times))


def _tracked(
    film: Film, track: Track, finder: Landmarker, refiner: LandmarkRefiner, mirror: np.ndarray, face: int | None
) -> tuple[Pool, int]:
    """Track the face through the video; return the key frame candidates and the number of faces in the first frame with
    any.
    """
    pool = Pool()
    with Tracker(finder, mirror, face) as tracker:
        for seen in progress(tracker.follow(film), film.count, "frames"):
            if seen.face is None:
                track.add(seen.frame.time, None)
            else:
                track.add(seen.frame.time, refiner.refine_once(seen.frame.pixels, seen.face))
                pool.offer(seen.frame, seen.face)
    return pool, tracker.faces


def _views(
    track: Track, calm: float, size: tuple[int, int], response: Response, focal: tuple[float, float]
) -> Iterator[View | None]:
    """Yield the fit's input for every frame, with the network's reading as the prior of expression.

    Not the encoder's, though it sees the neighbours and is closer on stills: after the fit it follows a film less well
    (docs/from-a-video.md).
    """
    for face in track.faces(calm):
        yield None if face is None else view_of(size, face, response, focal)
