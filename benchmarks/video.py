"""Errors of motion from a video: a known motion, and a still face::

    python benchmarks/video.py --work .train [--seconds 10] [--seed 41]

A person of all of the pack's identity modes makes ``Motion.sample()`` before a camera; the film is H.264 with noise.
Then what a frame takes: tracking by the landmarker, the network's reading, and all that a further frame costs a
reconstruction, without the tracking. Then the person looks around, and one frame is repeated with noise. Needs the
extras ``photo`` and ``video``, and what the head stage left in the work folder.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import facekit
from facekit import Camera, FaceLatents, FacePipeline, Motion, render
from facekit.conventions import BLENDSHAPES
from facekit.files.film import write_mp4
from facekit.person import Person
from facekit.reconstruct.clip.film import Film
from facekit.reconstruct.clip.result import ClipReconstruction
from facekit.reconstruct.clip.track import Tracker
from facekit.reconstruct.dense import load_refiner
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.train.photos.photographs import drawn_background, drawn_people

SIZE, STILL, NOISE, LAGS = 360, 60, 2.5, 6
#: Largest angle in degrees of eyes that look around, across and up or down.
AROUND = 25.0
#: Spreads from which a track's correlation and its lag tell something.
MOVES, CLEAR = 0.03, 0.08


def filmed(pipe: FacePipeline, neutral: torch.Tensor, motion: Motion, seed: int) -> Iterator[np.ndarray]:
    """Frames of a person (V, 3) who makes a motion."""
    rng = np.random.default_rng(seed)
    codes = FaceLatents.sample(900_000 + seed, intensity=0.0)
    person = pipe.with_person(Person(neutral, codes, pipe.skin(codes)))
    behind, camera = drawn_background(rng, SIZE), Camera.orbit(8.0, 3.0, 900.0, (6.0, 4.0, 10.0), 24.0)
    for some in person.animate(codes, motion, 4, detail=False):
        made = render(some.mesh, camera, SIZE, background="transparent")
        for rgb, alpha in zip(made.rgb.float(), made.alpha.float(), strict=True):
            yield noisy(torch.lerp(behind, rgb, alpha).permute(1, 2, 0).numpy() * 255, rng)


def noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (picture + rng.normal(0, NOISE, picture.shape)).clip(0, 255).round().astype(np.uint8)


def tremble(points: np.ndarray) -> float:
    """Median second difference of points (T, N, 2), % of the distance between the irises."""
    apart = np.linalg.norm(points[:, LEFT_IRIS[0]] - points[:, RIGHT_IRIS[0]], axis=1).mean()
    return float(100 * np.median(np.sqrt((np.diff(points, 2, axis=0) ** 2).sum(axis=2).mean(axis=0))) / apart)


def laid(found: ClipReconstruction) -> np.ndarray:
    """The fitted face's points in every frame, (T, 478, 2) pixels."""
    points, identity = PhotoModel.of(found.pipe).points, found.identity.double().numpy()
    rows = []
    for k, weights in enumerate(found.motion.blendshapes.double().numpy()):
        places = torch.from_numpy(points.places(identity, weights)).float()[None]
        rows.append(found.frame_cameras[k].project(places, found.film_size)[0, :, :2].numpy())
    return np.stack(rows)


def compared(found: np.ndarray, true: np.ndarray) -> str:
    """Correlations, lags and blinks of tracks (T, 52)."""
    moving = [k for k in range(true.shape[1]) if true[:, k].std() > MOVES]
    alike = {BLENDSHAPES[k]: float(np.corrcoef(found[:, k], true[:, k])[0, 1]) for k in moving}
    lags = []
    for k in moving:
        if true[:, k].std() > CLEAR:
            a, b, count = found[:, k] - found[:, k].mean(), true[:, k] - true[:, k].mean(), len(true)
            shifted = [
                a[max(0, s) : count + min(0, s)] @ b[max(0, -s) : count - max(0, s)] for s in range(-LAGS, LAGS + 1)
            ]
            lags.append(int(np.argmax(shifted)) - LAGS)
    blink = BLENDSHAPES.index("eyeBlinkLeft")
    shut = true[:, blink] > 0.99
    named = ", ".join(f"{name} {value:.2f}" for name, value in sorted(alike.items(), key=lambda item: -item[1]))
    return (
        f"median correlation {np.median(list(alike.values())):.3f} of {len(alike)}; lag, median {np.median(lags):.0f}, "
        f"largest {np.abs(lags).max()} frames; blink where it is 1: {found[shut, blink].mean():.2f}\n{named}"
    )


def gazed(pipe: FacePipeline, neutral: torch.Tensor, seed: int, folder: str, fps: float) -> str:
    """Film eyes that go around twice across while they go once up and down; return the shares of their angles found."""
    phase = 2 * np.pi * np.arange(STILL) / STILL
    across, up = AROUND * np.sin(2 * phase), AROUND * np.sin(phase)
    motion = Motion(torch.zeros(STILL, len(BLENDSHAPES)), fps).with_gaze(across, up)
    path = write_mp4(filmed(pipe, neutral, motion, seed), Path(folder) / "around.mp4", fps)
    found = facekit.reconstruct(path, texture="gan", texture_size=512, model=pipe)
    assert isinstance(found, ClipReconstruction) and found.motion.gaze is not None
    told = found.motion.gaze.mean(1).numpy()
    shares = []
    ways = (("across", 0, across, slice(None)), ("up", 1, up, up >= 0), ("down", 1, up, up <= 0))
    for name, axis, true, kept in ways:
        slope = np.polyfit(true[kept], told[kept, axis], 1)[0]
        shares.append(f"{name} {slope:.2f}")
    return ", ".join(shares)


def times(pipe: FacePipeline, path: Path, fps: float) -> str:
    """Seconds a frame of tracking, of the network, and of all but the tracking."""
    photo = PhotoModel.of(pipe)
    refiner, _ = load_refiner(photo)
    with Landmarker() as finder, Tracker(finder, photo.mirror) as tracker:
        began = time.perf_counter()
        seen = list(tracker.follow(Film.open(path)))
        tracking = (time.perf_counter() - began) / len(seen)
    faces = [(one.frame.pixels, one.face) for one in seen if one.face is not None]
    began = time.perf_counter()
    for pixels, face in faces:
        refiner.refine_once(pixels, face)
    reading = (time.perf_counter() - began) / len(faces)
    half = len(seen) // 2
    short = write_mp4((frame.pixels for frame in itertools.islice(Film.open(path), half)), path.with_stem("half"), fps)
    took = []
    for film in (short, path, short, path):
        began = time.perf_counter()
        facekit.reconstruct(film, texture="gan", texture_size=512, model=pipe)
        took.append(time.perf_counter() - began)
    whole = (min(took[1::2]) - min(took[::2])) / (len(seen) - half)
    return (
        f"{tracking:.3f} s the landmarker, {reading:.3f} s the network, {whole - tracking:.3f} s all but the landmarker"
    )


@torch.no_grad()
def main() -> None:
    """Film, reconstruct and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".train"), help="where the head stage's shape basis lies")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=41)
    args = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    with np.load(args.work / "shape_basis.npz") as data:
        modes = torch.from_numpy(data["identity_modes"])
    neutral = drawn_people(modes, pipe.template.verts, 1, torch.Generator().manual_seed(args.seed))[0]
    motion, rng = Motion.sample().slice(0.0, args.seconds), np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        moving = write_mp4(filmed(pipe, neutral, motion, args.seed), Path(folder) / "moving.mp4", motion.fps)
        first = next(iter(Film.open(moving))).pixels.astype(float)
        still = write_mp4(
            (noisy(first, rng) for _ in range(STILL)), Path(folder) / "still.mp4", motion.fps, quality=100
        )
        print(f"eyes that look around, share of the angle: {gazed(pipe, neutral, args.seed, folder, motion.fps)}")
        for name, path in (("moving", moving), ("still", still)):
            found = facekit.reconstruct(path, texture="gan", texture_size=512, model=pipe)
            assert isinstance(found, ClipReconstruction)
            with Landmarker(1) as landmarker:
                seen = np.stack([landmarker(frame.pixels)[0].points for frame in Film.open(path)])
            print(f"{name}: {found}; tremble {tremble(laid(found)):.3f}, of the landmarker {tremble(seen):.3f}")
            if name == "moving":
                print(compared(found.motion.blendshapes.numpy(), motion.blendshapes.numpy()))
                print(f"a frame: {times(pipe, path, motion.fps)}")


if __name__ == "__main__":
    main()
