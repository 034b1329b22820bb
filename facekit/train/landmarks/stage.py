"""The landmarks stage: train the landmark refinement network, and measure its error model; two files.

``dense.safetensors`` is the network, ``looked.npz`` the error model of its landmarks, measured like the landmarker's on
people outside of the training set. Training continues from the installed network, which learned from renders of earlier
faces. Needs the head stage's shape basis and the extra ``photo``. Pictures are stored in the work folder in parts;
worker processes render them while the network already trains on finished ones.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from facekit import weights
from facekit.assembly import pick_device
from facekit.files.readers import load_arrays
from facekit.models.config import DenseConfig
from facekit.models.dense_landmarks import SHAPE_UNIT, UNIT, DenseLandmarks, DenseOutput
from facekit.pipeline import FacePipeline
from facekit.reconstruct.dense import LandmarkRefiner, load_refiner
from facekit.reconstruct.landmarker import OVAL, FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.response import Response
from facekit.train import export
from facekit.train.context import Context
from facekit.train.landmarks.data import Batch, Samples, make_frames, make_shard
from facekit.train.landmarks.studio import Studio
from facekit.train.loop import Average, Checkpoint, cosine, descend, set_rate, step_generator
from facekit.train.photos import response
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames
from facekit.train.photos.stage import write_arrays

#: Number of people, people per file, expressions per person, pictures per expression; number of skins.
PEOPLE, PART, SHOTS, VIEWS, SKINS = 6000, 10, 2, 2, 120
#: Number of people for the error model, people per file, and pictures per person.
_RESPONSE, _RESPONSE_PART, _RESPONSE_SHOTS = 170, 10, 9
#: First number of the people for the error model: those that the encoder learns from.
_OTHERS = 2_000_000
#: Steps, batch size, and peak learning rate: ten minutes on a GPU. Divisor of the batch size without one:
#: an hour and a half on two cores.
STEPS, _BATCH, RATE = 7800, 256, 1e-3
_SMALLER = 8
#: Number of files for validation; number of files to wait for before training begins.
WATCHED, _ENOUGH = 10, 14
#: Loss weights of first landmarks, identity, and blendshapes, relative to landmarks.
_FIRST, _IDENTITY, _SHAPES = 0.3, 0.5, 0.5


def run(context: Context) -> None:
    """Render pictures, train, and measure the error model."""
    torch.manual_seed(0)
    folder = context.work / "landmarks"
    folder.mkdir(exist_ok=True)
    pipe = FacePipeline.from_pretrained(device="cpu")
    photo, anchors = PhotoModel.of(pipe), default_anchors()
    device = pick_device(None)
    people, steps = context.scaled(PEOPLE, 4 * PART), context.scaled(STEPS)
    with shards(context.shape_basis, folder / "pictures", people, context.scaled(SKINS, 1)) as coming:
        samples = Samples(photo, people * SHOTS * VIEWS, device)
        model = new_network(photo, device)
        model.load_state_dict(load_refiner(photo)[0].network.state_dict())
        model = trained(model, samples, coming, folder, steps).cpu()
    export.round_rows(model)
    export.write_weights(model, context.out / "dense.safetensors")
    measure(context, LandmarkRefiner(photo.points, photo.mirror, model), pipe, photo, anchors)


def measure(
    context: Context, refiner: LandmarkRefiner, pipe: FacePipeline, photo: PhotoModel, anchors: Anchors
) -> None:
    """Write the error model of a network's landmarks on held-out people."""
    folder = context.work / "landmarks"
    studio = Studio(pipe, context.shape_basis, context.scaled(SKINS, 1))
    people, files = context.scaled(_RESPONSE, 8), []
    with Landmarker() as landmarker:
        for start in range(0, people, _RESPONSE_PART):
            count = min(_RESPONSE_PART, people - start)
            files.append(folder / f"frames_{start}_{count}.npz")
            if not files[-1].is_file():
                make_frames(studio, anchors, landmarker, files[-1], _OTHERS + start, count, _RESPONSE_SHOTS)
    seen, told = refined(files, refiner)
    write_arrays(context.out / "looked.npz", rounded(response.measured(seen, photo.points, told)).pack())


def default_anchors() -> Anchors:
    """Return the landmarks' positions on the installed default."""
    arrays = load_arrays(weights.verified("default", "landmarks"))
    return Anchors(arrays["corners"].long(), arrays["shares"].float(), arrays["mirror"].long())


@contextmanager
def shards(basis: Path, stem: Path, people: int, skins: int) -> Iterator[list[Future]]:
    """Render pictures in worker processes; yield finished files in order, beginning with existing ones."""
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(mp_context=spawn, initializer=_opened, initargs=(basis, skins))
    coming: list[Future] = []
    for start in range(0, people, PART):
        path = stem.with_name(f"{stem.name}_{start}.npz")
        if path.is_file():
            coming.append(Future())
            coming[-1].set_result(path)
        else:
            coming.append(pool.submit(_taken, path, start))
    try:
        yield coming
    finally:
        pool.shutdown(cancel_futures=True)


_STUDIO: list[tuple[Studio, Anchors, PhotoModel]] = []


def _opened(basis: Path, skins: int) -> None:
    torch.set_num_threads(1)
    pipe = FacePipeline.from_pretrained(device="cpu")
    _STUDIO.append((Studio(pipe, basis, skins), default_anchors(), PhotoModel.of(pipe)))


def _taken(path: Path, start: int) -> Path:
    studio, anchors, photo = _STUDIO[0]
    make_shard(studio, anchors, photo, path, start, PART, SHOTS, VIEWS)
    return path


def new_network(photo: PhotoModel, device: torch.device, config: DenseConfig | None = None) -> DenseLandmarks:
    """Create a network that initially predicts the mean head's landmarks."""
    model = DenseLandmarks(config or DenseConfig())
    base = torch.from_numpy(photo.points.base[:, :2] * (1, -1)).float()
    inner = torch.ones(len(base), dtype=torch.bool)
    inner[list(OVAL)] = False
    with torch.no_grad():
        model.first.bias.copy_(((base - base[inner].mean(dim=0)) / UNIT).flatten())
    return model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def trained(
    model: DenseLandmarks,
    samples: Samples,
    coming: list[Future],
    folder: Path,
    steps: int,
    total: int | None = None,
) -> DenseLandmarks:
    """Train, resuming from the checkpoint in ``folder``; return the moving average.

    Parameters
    ----------
    total:
        Total number of steps for the learning rate schedule; None for ``steps``.
    """
    waiting = list(coming)
    for future in waiting[: WATCHED + _ENOUGH]:
        samples.add(future.result())
    del waiting[: WATCHED + _ENOUGH]
    smaller = 1 if samples.device.type == "cuda" else _SMALLER
    size = (_BATCH // smaller,)
    watched = torch.arange(min(WATCHED * PART * SHOTS * VIEWS, len(samples) // 2), device=samples.device)
    whole = steps if total is None else total
    average = Average(model, min(0.998, 1 - 10 / max(whole, 11)))
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    parts = {"model": model, "average": average, "optimiser": optimiser}
    began = time.monotonic()
    for step in Checkpoint(folder / "dense.pt", parts).steps(steps, "looking again"):
        while waiting and waiting[0].done():
            samples.add(waiting.pop(0).result())
        set_rate(optimiser, cosine(step, whole, RATE / smaller**0.5, warmup=min(300, max(1, whole // 10))))
        generator = step_generator(17, step, samples.device)
        index = torch.randint(len(watched), len(samples), size, generator=generator, device=samples.device)
        lost = learned(model, samples.batch(index, generator))
        descend(lost, model, optimiser, average)
        if step % 250 == 0:
            row = [step, round(time.monotonic() - began), len(samples), f"{lost.item():.4f}"]
            row += [f"{value:.4f}" for value in watch(average.module, samples, watched)]
            with (folder / "dense_log.csv").open("a") as file:
                file.write(",".join(str(cell) for cell in row) + "\n")
    return average.module.eval()


def learned(model: DenseLandmarks, batch: Batch) -> torch.Tensor:
    """Return the loss of a batch."""
    with torch.autocast(batch.crops.device.type, torch.bfloat16):
        told = model(batch.crops)
    return loss(told, batch)


def loss(told: DenseOutput, batch: Batch) -> torch.Tensor:
    """Return twice the negative log likelihood, as in Wood et al. (2022), equation 1, without constants.

    The gradient of the means is rescaled by the predicted variance (Seitzer et al., ICLR 2022, beta = 0.5): otherwise
    outputs that are hard at first are not learned.
    """
    points = (_terms((told.points - batch.points).square().sum(dim=-1), told.spread, 2)).mean()
    first = F.smooth_l1_loss(told.first, batch.points)
    identity = _terms((told.identity - batch.identity).square(), told.identity_spread, 1).mean()
    known = ~batch.shapes.isnan()
    away = torch.where(known, told.shapes - batch.shapes.nan_to_num(), 0.0) / SHAPE_UNIT
    shapes = (_terms(away.square(), told.shapes_spread, 1) * known).sum() / known.sum().clamp_min(1)
    return points + _FIRST * first + _IDENTITY * identity + _SHAPES * shapes


def _terms(squares: torch.Tensor, spread: torch.Tensor, axes: int) -> torch.Tensor:
    return (squares * (-2 * spread).exp() + 2 * axes * spread) * spread.detach().exp()


@torch.no_grad()
def watch(model: DenseLandmarks, samples: Samples, index: torch.Tensor) -> list[float]:
    """Return errors on held-out pictures: first and final landmarks, mm; unexplained fractions of identity and
    blendshapes.
    """
    inner = torch.ones(samples.true.shape[1], dtype=torch.bool, device=samples.device)
    inner[list(OVAL)] = False
    figures = []
    for some in index.split(64):
        batch = samples.batch(some, None)
        told = model(batch.crops)
        first, points = (UNIT * (p - batch.points).norm(dim=-1)[:, inner].mean() for p in (told.first, told.points))
        person = (told.identity - batch.identity).square().mean() / batch.identity.square().mean()
        known = ~batch.shapes.isnan()
        shapes = (told.shapes - batch.shapes)[known].square().mean() / batch.shapes[known].square().mean()
        figures.append(torch.stack((first, points, person, shapes)))
    return torch.stack(figures).mean(dim=0).tolist()


def rounded(found: Response) -> Response:
    """Quantise an error model so that its file is small: 1/64 mm, and 1/128 of a standard deviation."""
    weights, factor = (np.round(array * steps) / steps for array, steps in ((found.weights, 64), (found.factor, 128)))
    return dataclasses.replace(found, weights=weights, factor=factor)


def refined(files: list[Path], refiner: LandmarkRefiner) -> tuple[Frames, np.ndarray]:
    """Return frames with refined landmarks, and their predicted standard deviations (N, 478) in mm."""
    corrected, spreads = [], []
    for path in files:
        frames, pixels = Frames.load(path), np.load(path.with_suffix(".npy"), mmap_mode="r")
        faces = [
            refiner(np.asarray(picture), FaceLandmarks(points.double().numpy(), {}, np.eye(4)))
            for picture, points in zip(pixels, frames.points, strict=True)
        ]
        points = torch.from_numpy(np.stack([face.points for face in faces])).float()
        corrected.append(dataclasses.replace(frames, points=points))
        spreads += [face.spread for face in faces]
    return Frames.cat(corrected), np.stack(spreads)
