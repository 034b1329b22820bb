"""The encoder stage: the linear path in closed form, then the transformer; one file, ``encoder.safetensors``.

Needs the head stage's shape basis, the extra ``photo``, and the landmark network of the installed default, which looks
at renders of people outside of its own training. These take ten minutes on one core; the training takes half an
hour there, and three minutes on a GPU.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from facekit.assembly import pick_device
from facekit.models.config import EncoderConfig
from facekit.models.encoder import Encoder
from facekit.motion.mapping import WORDS, tables
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.dense import load_refiner
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.train import export
from facekit.train.context import Context
from facekit.train.encoder.data import Clips, Renders, Simulator
from facekit.train.encoder.errors import Errors
from facekit.train.encoder.frames import ReadFrames, read_pictures
from facekit.train.encoder.losses import Losses
from facekit.train.landmarks.stage import SKINS, default_anchors
from facekit.train.landmarks.studio import Studio
from facekit.train.loop import Average, Checkpoint, cosine, descend, set_rate, step_generator

_FILE = "encoder.safetensors"
#: Steps, frames per step, fraction of them that are renders, and peak learning rate.
_STEPS, _FRAMES, _RENDERED, _RATE = 3336, 96, 0.5, 1e-3
#: Lengths of clips, drawn with equal probability.
_LENGTHS = (1, 1, 2, 3, 5, 8, 9, 16)
#: Number of rendered people, people per file, pictures per person, and number of the first person: the landmark
#: network has seen none of them.
PEOPLE, PART, SHOTS, FIRST = 170, 10, 9, 2_000_000
#: Numbers of frames for calibration; errors beyond this many deviations count as that many.
_CALIBRATED, _WRONG = (1, 3, 9), 5.0
#: Number of simulated frames to solve the linear path, weight of a render in it, ridge, frames per chunk.
_LINEAR, _WEIGHT, _RIDGE, _AT_ONCE = 24000, 10.0, 100.0, 1500


@dataclass(frozen=True)
class Material:
    """Training data and its sources."""

    simulator: Simulator
    renders: Renders
    losses: Losses

    @classmethod
    def of(cls, read: ReadFrames, config: EncoderConfig, naive: bool = False) -> Material:
        """Prepare renders; the rest comes from the installed default.

        Parameters
        ----------
        naive:
            Whether to simulate without the measured error model, see :meth:`Errors.naive`.
        """
        photo = PhotoModel.of(FacePipeline.from_pretrained(device="cpu"))
        renders = Renders(read, photo.points, Normaliser(photo.points), photo.mirror)
        errors = Errors.measured(read[torch.cat(renders.split()[0])], photo.points)
        if naive:
            errors = errors.naive(len(photo.modes))
        simulator = Simulator(photo.points, errors, tables()["expressions", "blendshapes"].weights)
        recipes = tables()["units", "blendshapes"].weights[[WORDS["units"].index(unit) for unit in config.units]]
        losses = Losses(photo.points, recipes, tables()["blendshapes", "units"].weights, config.units)
        return cls(simulator, renders, losses)


def run(context: Context) -> None:
    """Render people, train on the installed default, and write ``encoder.safetensors``."""
    config = replace(EncoderConfig(), width=context.widths(EncoderConfig().width)[0])
    folder = context.work / "encoder"
    folder.mkdir(exist_ok=True)
    read = rendered(context.shape_basis, folder, context.scaled(PEOPLE, 2 * PART), context.scaled(SKINS, 1))
    material = Material.of(read, config)
    model = trained(config, material, folder, context.scaled(_STEPS), linear=context.scaled(_LINEAR, 100)).cpu()
    calibrate(model, material)
    export.write_weights(model, context.out / _FILE)


def rendered(basis: Path, folder: Path, people: int, skins: int) -> ReadFrames:
    """Return renders of people, from the folder if they exist."""
    pipe = FacePipeline.from_pretrained(device="cpu")
    refiner, _ = load_refiner(PhotoModel.of(pipe))
    studio, anchors, parts = Studio(pipe, basis, skins), default_anchors(), []
    for start in progress(range(0, people, PART), desc="renders"):
        path = folder / f"read_{start}.npz"
        if not path.is_file():
            pictures = (shot for k in range(start, start + PART) for shot in studio.pictures(FIRST + k, SHOTS))
            with Landmarker() as landmarker:
                read_pictures(pictures, anchors, landmarker, refiner).save(path)
        parts.append(ReadFrames.load(path))
    return ReadFrames.cat(parts)


@torch.no_grad()
def calibrate(model: Encoder, material: Material) -> tuple[float, float]:
    """Scale the predicted deviations to the errors on renders of held-out people; return the factors of blendshapes
    and identity.
    """
    off, who = [], []
    for count in _CALIBRATED:
        clips = material.renders.clips(material.renders.split()[1], count, None)
        told = model(clips.seen)
        off.append(((told.shapes - clips.shapes).square() * (-told.shapes_spread).exp()).flatten())
        who.append(((told.identity - clips.identity).square() * (-told.identity_spread).exp()).flatten())
    factors = []
    for squares, head, count in (
        (off, model.shapes_out[1], model.config.shapes),
        (who, model.identity_out[1], model.config.modes),
    ):
        assert isinstance(head, torch.nn.Linear)
        factor = torch.cat(squares).clamp(max=_WRONG**2).mean()
        head.bias[-count:] += factor.log()
        factors.append(float(factor.sqrt()))
    return factors[0], factors[1]


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
    device = pick_device(None)
    model = Encoder(config)
    model.regions.copy_(material.losses.regions)
    people, held = material.renders.split()
    solve_linear(model, material, people, linear, rendered > 0)
    model, losses = model.to(device), material.losses.to(device)
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
        clips = drawn_clips(material, people, rendered, g).to(device)
        terms = losses(model(clips.seen), clips, units)
        loss = torch.stack(list(terms.values())).sum()
        descend(loss, model, optimiser, average)
        if step % 100 == 0:
            _log(folder / f"{name}_log.csv", step, time.monotonic() - began, terms, average.module, material, held)
    return average.module.eval()


def drawn_clips(material: Material, people: list[torch.Tensor], rendered: float, g: torch.Generator) -> Clips:
    """Return clips of one random length, some of them of renders."""
    length = _LENGTHS[int(torch.randint(len(_LENGTHS), (), generator=g))]
    count = max(1, _FRAMES // length)
    some = min(round(rendered * count), count - 1) if length <= SHOTS else 0
    parts = [material.simulator.clips(count - some, length, g)]
    if some:
        picked = [people[k] for k in torch.randint(len(people), (some,), generator=g).tolist()]
        clips = material.renders.clips(picked, length, g)
        parts.append(material.renders.mirrored(clips) if torch.rand((), generator=g) < 0.5 else clips)
    return Clips.cat(parts)


@torch.no_grad()
def solve_linear(model: Encoder, material: Material, people: list[torch.Tensor], count: int, rendered: bool) -> None:
    """Solve the linear path by ridge regression on single frames."""
    size = model.linear.in_features + 1
    gram, right = torch.zeros(size, size, dtype=torch.float64), 0.0

    def add(clips: Clips, weight: float) -> torch.Tensor:
        seen = model.used(clips.seen)
        rows = model.flat(seen)[:, 0]
        rows = torch.cat((rows, torch.ones(len(rows), 1)), dim=1).double()
        wanted = (torch.cat((clips.identity, clips.shapes[:, 0]), dim=1) - seen.reading[:, 0]).double()
        gram.addmm_(rows.T, rows, alpha=weight)
        return weight * rows.T @ wanted

    g = torch.Generator().manual_seed(5)
    for _ in range(max(1, count // _AT_ONCE)):
        right = right + add(material.simulator.clips(min(_AT_ONCE, count), 1, g), 1.0)
    if rendered:  # all frames of all people, as they are and mirrored
        every = [frame[None] for person in people for frame in person]
        clips = material.renders.clips(every, 1, None)
        right = right + add(clips, _WEIGHT) + add(material.renders.mirrored(clips), _WEIGHT)
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
    device = model.cls.device
    for length in (1, 5):
        clips = material.renders.clips(held, length, None).to(device)
        told = model(clips.seen)
        off, who = told.shapes - clips.shapes, told.identity - clips.identity
        losses = material.losses
        figures += [float(((off @ losses.shapes) * off).sum(-1).mean().sqrt()),
                    float(((who @ losses.modes) * who).sum(-1).mean().sqrt())]  # fmt: skip
    row = [step, round(seconds), *(round(f, 4) for f in figures), *(round(float(t), 4) for t in terms.values())]
    with path.open("a") as file:
        file.write(",".join(str(cell) for cell in row) + "\n")
