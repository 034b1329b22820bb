"""The landmarks stage: the network that looks again at the landmarker's points, and how surely it knows; two files.

``dense.safetensors`` is the network, ``looked.npz`` its response, measured as the landmarker's is on people whom it
has not seen. Both stay in the work folder, for :func:`facekit.reconstruct.dense.load`: no part of the default is made.
Needs the head stage's shape basis and the extra ``photo``. Pictures lie in the work folder as well, part by part.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from facekit import weights
from facekit.files.readers import load_arrays
from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import UNIT, DenseLandmarks
from facekit.pipeline import FacePipeline
from facekit.reconstruct.dense import NETWORK, RESPONSE, Looker
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import OVAL, FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.response import Response
from facekit.train import export
from facekit.train.context import Context
from facekit.train.landmarks.data import Samples, make_frames, make_shard
from facekit.train.landmarks.studio import Studio
from facekit.train.loop import Average, Checkpoint, cosine, descend, set_rate, step_generator
from facekit.train.photos import response
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames
from facekit.train.photos.stage import write_arrays

#: Strangers, and those of one file; pictures of each; skins; strangers of the response, a file's, and their pictures.
_PEOPLE, _PART, _LOOKS, _SKINS, _RESPONSE, _RESPONSE_PART, _SHOTS = 3250, 250, 2, 150, 240, 20, 4
#: Numbers of strangers from which on they are those of the response.
_OTHERS = 100_000
#: Steps, pictures a step, the highest rate; pictures that are held out to watch by.
_STEPS, _BATCH, _RATE, _WATCHED = 4200, 24, 2e-3, 240


def run(context: Context) -> None:
    """Take pictures, train, and measure the response."""
    torch.manual_seed(0)
    folder = context.work / "landmarks"
    folder.mkdir(exist_ok=True)
    pipe = FacePipeline.from_pretrained(device="cpu")
    photo, anchors = PhotoModel.of(pipe), default_anchors()
    studio = Studio(pipe, context.shape_basis, context.scaled(_SKINS, 2))
    people, others = context.scaled(_PEOPLE, 8), context.scaled(_RESPONSE, 8)
    with Landmarker() as landmarker:
        frames = taken_frames(studio, anchors, landmarker, folder, others)
        files = taken(studio, anchors, landmarker, folder, people)
    samples = Samples(files, Normaliser(photo.points), photo.mirror)
    model = DenseLandmarks(dataclasses.replace(DenseConfig(), widths=context.widths(*DenseConfig().widths)))
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    model = trained(model, samples, folder, context.scaled(_STEPS))
    export.round_rows(model)
    export.write_weights(model, folder / NETWORK)
    seen, told = looked(frames, Looker(photo.points, photo.mirror, model))
    write_arrays(folder / RESPONSE, rounded(response.measured(seen, photo.points, told)).pack())


def default_anchors() -> Anchors:
    """Where the landmarker's points lie on the default that is installed."""
    arrays = load_arrays(weights.verified("default", "landmarks"))
    return Anchors(arrays["corners"].long(), arrays["shares"].float(), arrays["mirror"].long())


def taken(studio: Studio, anchors: Anchors, landmarker: Landmarker, folder: Path, people: int) -> list[Path]:
    """Pictures to learn from, as far as they are not in the folder; returns their files."""
    return _shards(
        folder / "pictures",
        people,
        _PART,
        lambda path, start, count: make_shard(studio, anchors, landmarker, path, start, count, _LOOKS),
    )


def taken_frames(studio: Studio, anchors: Anchors, landmarker: Landmarker, folder: Path, people: int) -> list[Path]:
    """Frames to measure the response on, likewise."""
    return _shards(
        folder / "frames",
        people,
        _RESPONSE_PART,
        lambda path, start, count: make_frames(studio, anchors, landmarker, path, _OTHERS + start, count, _SHOTS),
    )


def _shards(stem: Path, people: int, each: int, make: Callable[[Path, int, int], object]) -> list[Path]:
    """Files of so many people each, those made that are not there."""
    files = []
    for start in range(0, people, each):
        count = min(each, people - start)
        files.append(stem.with_name(f"{stem.name}_{start}_{count}.npz"))
        if not files[-1].is_file():
            make(files[-1], start, count)
    return files


def trained(
    model: DenseLandmarks, samples: Samples, folder: Path, steps: int, total: int | None = None
) -> DenseLandmarks:
    """Train, going on from the checkpoint in ``folder``; returns the moving average.

    Parameters
    ----------
    total:
        Of how many steps these are the first, for the rates; None for all.
    """
    average = Average(model, min(0.998, 1 - 10 / max(steps, 11)))
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    parts = {"model": model, "average": average, "optimiser": optimiser}
    watched = np.arange(max(1, len(samples) - _WATCHED), len(samples))
    began, whole = time.monotonic(), steps if total is None else total
    for step in Checkpoint(folder / "dense.pt", parts).steps(steps, "looking again"):
        set_rate(optimiser, cosine(step, whole, _RATE, warmup=min(200, max(1, whole // 4))))
        draw = step_generator(17, step)
        index = torch.randint(max(1, len(samples) - _WATCHED), (_BATCH,), generator=draw).numpy()
        batch = samples.batch(index, np.random.default_rng((17, step)))
        moved, spread = model(*batch.given)
        lost = loss(moved, spread, batch.target)
        descend(lost, model, optimiser, average)
        if step % 100 == 0:
            row = [step, round(time.monotonic() - began), f"{lost.item():.4f}"]
            row += [f"{value:.4f}" for value in watch(average.module, samples, watched)]
            with (folder / "dense_log.csv").open("a") as file:
                file.write(",".join(str(cell) for cell in row) + "\n")
    return average.module.eval()


def loss(moved: torch.Tensor, spread: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Twice the negative logarithm of the likelihood, as Wood et al. (2022), equation 1, without constants.

    Each point's own scale is taken out of the slope of the means (Seitzer et al., ICLR 2022, beta = 0.5): else points
    that are hard at first stay so.
    """
    return (_terms(moved, spread, target) * spread.detach().exp()).mean()


def _terms(moved: torch.Tensor, spread: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The likelihood's, a point each: (B, 478)."""
    return (moved - target).square().sum(dim=-1) * (-2 * spread).exp() + 4 * spread


@torch.no_grad()
def watch(model: DenseLandmarks, samples: Samples, index: np.ndarray) -> list[float]:
    """On held-out pictures, mm: the landmarker's error, what is left with its offsets and without, and the loss."""
    inner = torch.ones(samples.points.shape[1], dtype=torch.bool)
    inner[list(OVAL)] = False
    figures = []
    for blind in (False, True):
        parts = []
        for some in np.array_split(index, max(1, len(index) // 40)):
            batch = samples.batch(some, None)
            crops, places, offsets, pose = batch.given
            moved, spread = model(crops, places, torch.zeros_like(offsets) if blind else offsets, pose)
            before, after = (UNIT * t.norm(dim=-1)[:, inner].mean() for t in (batch.target, moved - batch.target))
            parts.append([float(before), float(after), float(_terms(moved, spread, batch.target).mean())])
        figures += np.mean(parts, axis=0).tolist()
    return figures


def rounded(found: Response) -> Response:
    """Round a response to steps that matter, so that its file is small: 1/64 mm, and 1/128 of a deviation."""
    weights, factor = (np.round(array * steps) / steps for array, steps in ((found.weights, 64), (found.factor, 128)))
    return dataclasses.replace(found, weights=weights, factor=factor)


def looked(files: list[Path], looker: Looker) -> tuple[Frames, np.ndarray]:
    """Frames as they are when the network has looked at them, and the deviations (N, 478) mm that it told."""
    corrected, spreads = [], []
    for path in files:
        frames, pixels = Frames.load(path), np.load(path.with_suffix(".npy"), mmap_mode="r")
        faces = [
            looker(np.asarray(picture), FaceLandmarks(points.double().numpy(), {}, np.eye(4)))
            for picture, points in zip(pixels, frames.points, strict=True)
        ]
        points = torch.from_numpy(np.stack([face.points for face in faces])).float()
        corrected.append(dataclasses.replace(frames, points=points))
        spreads += [face.spread for face in faces]
    return Frames.cat(corrected), np.stack(spreads)
