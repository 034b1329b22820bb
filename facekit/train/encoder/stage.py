"""The encoder stage: the linear path in closed form, then the transformer; one file, ``encoder.safetensors``.

Needs the frames of the photos stage in the work folder. Takes a quarter of an hour on one core.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from facekit.models.config import EncoderConfig
from facekit.models.encoder import Encoder
from facekit.motion.mapping import WORDS, tables
from facekit.pipeline import FacePipeline
from facekit.reconstruct.model import PhotoModel
from facekit.train import export
from facekit.train.context import Context
from facekit.train.encoder.data import Clips, Renders, Simulator, load_frames
from facekit.train.encoder.losses import Losses
from facekit.train.loop import Average, Checkpoint, cosine, descend, set_rate, step_generator

_FILE = "encoder.safetensors"
#: Steps, frames per step, fraction of them that are renders, and peak learning rate.
_STEPS, _FRAMES, _RENDERED, _RATE = 2000, 96, 0.4, 1e-3
#: Lengths of clips, drawn with equal probability.
_LENGTHS = (1, 1, 2, 3, 4, 6, 8, 12)
#: Least standard deviation of a blendshape.
_LEAST_SHAPE = 0.03
#: Number of simulated frames to solve the linear path, weight of a render in it, ridge, frames per chunk.
_LINEAR, _WEIGHT, _RIDGE, _AT_ONCE = 24000, 3.0, 30.0, 1500


@dataclass(frozen=True)
class Material:
    """Training data and its sources."""

    simulator: Simulator
    renders: Renders
    losses: Losses

    @classmethod
    def of(cls, folder: Path, config: EncoderConfig, biased: bool = True) -> Material:
        """Read frames from a folder; the rest comes from the installed default."""
        pipe = FacePipeline.from_pretrained(device="cpu")
        photo = PhotoModel.of(pipe)
        frames = load_frames(folder)
        table = tables()["expressions", "blendshapes"].weights
        simulator = Simulator(photo.points, photo.response, table, frames, biased)
        recipes = tables()["units", "blendshapes"].weights[[WORDS["units"].index(unit) for unit in config.units]]
        losses = Losses(photo.points, recipes, tables()["blendshapes", "units"].weights, config.units)
        return cls(simulator, Renders(frames, photo.points, simulator.normaliser), losses)


def run(context: Context) -> None:
    """Train on the installed default, and write ``encoder.safetensors``."""
    config = replace(EncoderConfig(), width=context.widths(EncoderConfig().width)[0])
    material = Material.of(context.work, config)
    model = trained(config, material, context.work, context.scaled(_STEPS), linear=context.scaled(_LINEAR, 100))
    model.missed.copy_(missed(model, material))
    export.write_weights(model, context.out / _FILE)


@torch.no_grad()
def missed(model: Encoder, material: Material) -> torch.Tensor:
    """Return the covariance (52, 52) of blendshape errors on renders of held-out people."""
    off = []
    for person in material.renders.split()[1]:
        clips = material.renders.clips([person], len(person), None)
        off.append((model(*clips.given).shapes - clips.shapes)[0])
    left = torch.cat(off).double()
    return (left.T @ left / len(left) + _LEAST_SHAPE**2 * torch.eye(left.shape[1])).float()


def trained(
    config: EncoderConfig,
    material: Material,
    folder: Path,
    steps: int,
    *,
    units: bool = True,
    rendered: float = _RENDERED,
    total: int | None = None,
    linear: int = _LINEAR,
    name: str = "encoder",
) -> Encoder:
    """Train, resuming from the checkpoint in ``folder``; return the moving average.

    Parameters
    ----------
    units:
        Whether the loss includes action units.
    rendered:
        Fraction of renders.
    total:
        Total number of steps for the learning rate schedule; None for ``steps``.
    linear:
        Number of simulated frames to solve the linear path.
    """
    torch.manual_seed(0)
    model = Encoder(config)
    model.regions.copy_(material.losses.regions)
    people, held = material.renders.split()
    solve_linear(model, material, people, linear, rendered > 0)
    model.linear.requires_grad_(False)  # thousands of inputs: the learning rate of the other parameters would ruin it
    average = Average(model, 0.997)
    optimiser = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], weight_decay=0.02, betas=(0.9, 0.98)
    )
    parts = {"model": model, "average": average, "optimiser": optimiser}
    began, whole = time.monotonic(), steps if total is None else total
    for step in Checkpoint(folder / f"{name}.pt", parts).steps(steps, "encoder"):
        set_rate(optimiser, cosine(step, whole, _RATE, warmup=min(200, max(1, whole // 4))))
        g = step_generator(11, step)
        clips = drawn_clips(material, people, rendered, g)
        terms = material.losses(model(*clips.given), clips, units)
        loss = torch.stack(list(terms.values())).sum()
        descend(loss, model, optimiser, average)
        if step % 100 == 0:
            _log(folder / f"{name}_log.csv", step, time.monotonic() - began, terms, average.module, material, held)
    return average.module.eval()


def drawn_clips(material: Material, people: list[torch.Tensor], rendered: float, g: torch.Generator) -> Clips:
    """Return clips of one random length, some of them of renders."""
    length = _LENGTHS[int(torch.randint(len(_LENGTHS), (), generator=g))]
    count = max(1, _FRAMES // length)
    some = 0
    if length <= 5:
        some = round(rendered * count * 1.6)
    parts = [material.simulator.clips(count - min(some, count - 1), length, g)]
    if some:
        picked = [people[k] for k in torch.randint(len(people), (min(some, count - 1),), generator=g).tolist()]
        if picked:
            parts.append(material.renders.clips(picked, length, g))
    clips = Clips.cat(parts)
    jitter = 1 + 0.02 * torch.randn(clips.scores.shape, generator=g)
    return replace(clips, scores=(clips.scores * jitter).clamp(0, 1))


@torch.no_grad()
def solve_linear(model: Encoder, material: Material, people: list[torch.Tensor], count: int, rendered: bool) -> None:
    """Solve the linear path by ridge regression on single frames."""
    size = model.linear.in_features + 1
    gram, right = torch.zeros(size, size, dtype=torch.float64), 0.0

    def add(clips: Clips, weight: float) -> torch.Tensor:
        rows = model.flat(clips.offsets[:, 0], clips.scores[:, 0], clips.pose[:, 0])
        rows = torch.cat((rows, torch.ones(len(rows), 1)), dim=1).double()
        wanted = torch.cat((clips.shapes[:, 0], clips.identity), dim=1).double()
        gram.addmm_(rows.T, rows, alpha=weight)
        return weight * rows.T @ wanted

    g = torch.Generator().manual_seed(5)
    for _ in range(max(1, count // _AT_ONCE)):
        right = right + add(material.simulator.clips(min(_AT_ONCE, count), 1, g), 1.0)
    if rendered:
        every = [frame[None] for person in people for frame in person]
        right = right + add(material.renders.clips(every, 1, None), _WEIGHT)
    ridge = torch.full((size,), _RIDGE, dtype=torch.float64)
    ridge[-1] = 1e-3
    found = torch.linalg.solve(gram + torch.diag(ridge), right).float()
    model.linear.weight.copy_(found[:-1].T)
    model.linear.bias.copy_(found[-1])


@torch.no_grad()
def _log(
    path: Path, step: int, seconds: float, terms: dict, model: Encoder, material: Material, held: list[torch.Tensor]
) -> None:
    """Log errors on held-out people in mm: expression and identity, from one frame and from five."""
    figures = []
    for length in (1, 5):
        clips = material.renders.clips(held, length, None)
        told = model(*clips.given)
        off, who = told.shapes - clips.shapes, told.identity - clips.identity
        losses = material.losses
        figures += [float(((off @ losses.shapes) * off).sum(-1).mean().sqrt()),
                    float(((who @ losses.modes) * who).sum(-1).mean().sqrt())]  # fmt: skip
    row = [step, round(seconds), *(round(f, 4) for f in figures), *(round(float(t), 4) for t in terms.values())]
    with path.open("a") as file:
        file.write(",".join(str(cell) for cell in row) + "\n")
