"""Accuracy by number of frames of a person, with and without the encoder, as Markdown::

    python benchmarks/frames.py --work .train [--people 24] [--weights encoder.safetensors]

The frames are renders of people whom nobody has seen: all of the pack's identity modes, random pose within 45°, lens,
light, background, expression and gaze. They are drawn from a seed that the training does not use. Errors are mm at the
landmarker's points, irises and outline apart: of the person at rest after rigid alignment with known correspondence,
in brackets with scale; and of the motion, which is what blendshapes add. "r" is the median over blendshapes of their
correlation with the true weights. Intervals hold the middle 95 of 100 draws of as many people (bootstrap). Needs the
extra ``photo`` and what the head stage left in the work folder.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from facekit import FacePipeline
from facekit import weights as assets
from facekit.conventions import BLENDSHAPES
from facekit.files.readers import load_arrays
from facekit.geometry.correspond import similarity
from facekit.models.config import EncoderConfig
from facekit.models.encoder import Encoder
from facekit.motion.mapping import tables
from facekit.progress import progress
from facekit.reconstruct.api import TONGUE, certainty_of, view_of
from facekit.reconstruct.clip.api import DOUBT
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import LEFT_IRIS, OVAL, POINTS, RIGHT_IRIS, FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.response import certainty
from facekit.train.encoder.data import Renders
from facekit.train.photos.anchors import Anchors
from facekit.train.photos.frames import Frames, observed
from facekit.train.photos.photographs import Photographer, drawn_blendshapes, drawn_people

COUNTS, PICTURES, SEED, PART = (1, 3, 5, 9), 9, 7100, 4
#: Spread below which a blendshape's correlation tells nothing.
LEAST = 0.03
#: Identity (in modes) and expression weights (frames, 52).
Answer = tuple[np.ndarray, np.ndarray]


def rendered(pipe: FacePipeline, basis: Path, folder: Path, count: int) -> Frames:
    """Frames of people, from the folder as far as they are there."""
    arrays = load_arrays(assets.verified("default", "landmarks"))
    anchors = Anchors(arrays["corners"].long(), arrays["shares"].float(), arrays["mirror"].long())
    table = tables()["expressions", "blendshapes"].weights
    with np.load(basis) as data:
        modes = torch.from_numpy(data["identity_modes"])
    generator, parts = torch.Generator().manual_seed(SEED), []
    for start in progress(range(0, count, PART), desc="renders"):
        people = drawn_people(modes, pipe.template.verts, PART, generator)
        shapes = [drawn_blendshapes(table, PICTURES, generator) for _ in range(PART)]
        path = folder / f"test_{start}.npz"
        if not path.is_file():
            photographer = Photographer(pipe, SEED + start)
            taken = (
                dataclasses.replace(picture, person=start + k)
                for k in range(PART)
                for picture in photographer.pictures(k, people[k], shapes[k])
            )
            with Landmarker() as landmarker:
                observed(taken, anchors, landmarker).save(path)
        parts.append(Frames.load(path))
    return Frames.cat(parts)


class Ways:
    """The ways to know people: each takes frames of one person and tells identity (M,) and blendshapes (K, 52)."""

    def __init__(self, pipe: FacePipeline, frames: Frames, model: Encoder | None) -> None:
        self.photo, self.frames, self.model = PhotoModel.of(pipe), frames, model
        self.renders = Renders(frames, self.photo.points, Normaliser(self.photo.points))
        self.certainty = certainty_of(self.photo.response)

    def mean(self, index: torch.Tensor) -> Answer:
        return np.zeros(len(self.photo.modes)), np.zeros((len(index), 52))

    @torch.no_grad()
    def linear(self, index: torch.Tensor) -> Answer:
        assert self.model is not None
        given = [getattr(self.renders, name)[index] for name in ("offsets", "scores", "pose")]
        shapes, identity = self.model.linear(self.model.flat(*given)).split((52, len(self.photo.modes)), dim=-1)
        return identity.mean(dim=0).double().numpy(), shapes.double().numpy().clip(0, 1)

    @torch.no_grad()
    def encoder(self, index: torch.Tensor) -> Answer:
        assert self.model is not None
        told = self.model(*self.renders.clips([index], len(index), None).given)
        return told.identity[0].double().numpy(), told.shapes[0].double().numpy().clip(0, 1)

    def fitted(self, index: torch.Tensor) -> Answer:
        return self._fit(index, None)

    def refined(self, index: torch.Tensor) -> Answer:
        """The fit with the encoder's mean and deviation as its prior."""
        return self._fit(index, self.model)

    @torch.no_grad()
    def _fit(self, index: torch.Tensor, model: Encoder | None) -> Answer:
        side, faces, prior = int(self.frames.size), [], None
        for k in index.tolist():
            scores = dict(zip(BLENDSHAPES, self.frames.scores[k].tolist(), strict=True))
            matrix = np.eye(4)
            matrix[:3, :3] = self.frames.matrices[k].double().numpy()
            faces.append(FaceLandmarks(self.frames.points[k].double().numpy(), scores, matrix))
        views = [view_of((side, side), face, self.photo.response, self.certainty, None) for face in faces]
        if model is not None:
            told = model(*self.renders.clips([index], len(index), None).given)
            sure = certainty(model.missed.double().numpy(), DOUBT, (TONGUE,))
            views = [
                dataclasses.replace(view, expected=row.clip(0, 1), certainty=sure)
                for view, row in zip(views, told.shapes[0].double().numpy(), strict=True)
            ]
            prior = told.identity[0].double().numpy(), (0.5 * told.identity_spread[0]).exp().double().numpy()
        found = fit(self.photo.points, self.photo.response, views, prior=prior)
        return found.identity, found.blendshapes


def errors(points: np.ndarray, found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Mean distances of two people at rest, mm, rigid and with scale."""
    a, b = torch.from_numpy(found[points]), torch.from_numpy(true[points])
    size, turn, shift = similarity(a, b)
    scaled = float((size * a @ turn.T + shift - b).norm(dim=1).mean())
    shift = b.mean(dim=0) - turn @ a.mean(dim=0)
    return float((a @ turn.T + shift - b).norm(dim=1).mean()), scaled


def measured(
    ways: Ways, way: Callable[[torch.Tensor], Answer], count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (people, 3) mm, and blendshapes found and true (frames, 52)."""
    inner = np.ones(POINTS, dtype=bool)
    inner[[*OVAL, *RIGHT_IRIS, *LEFT_IRIS]] = False
    points, rows, found, true = ways.photo.points, [], [], []
    for person in ways.renders.people:
        groups = [person[k : k + count] for k in range(0, len(person) - count + 1, count)]
        each = []
        for index in groups:
            identity, shapes = way(index)
            rest = ways.frames.neutral[index[0]].double().numpy()
            known = ways.frames.blendshapes[index].double().numpy()
            off = np.einsum("pcs,ks->kpc", points.shapes, shapes - known)[:, inner]
            each.append((*errors(inner, points.neutral(identity), rest), np.linalg.norm(off, axis=-1).mean()))
            found.append(shapes)
            true.append(known)
        rows.append(np.mean(each, axis=0))
    return np.array(rows), np.concatenate(found), np.concatenate(true)


def correlation(found: np.ndarray, true: np.ndarray) -> float:
    """The median over blendshapes that move."""
    moving = [k for k in range(true.shape[1]) if true[:, k].std() > LEAST]
    return float(
        np.median([np.corrcoef(found[:, k], true[:, k])[0, 1] if found[:, k].std() > 0 else 0 for k in moving])
    )


def interval(values: np.ndarray) -> str:
    """Bootstrap over people."""
    rng = np.random.default_rng(0)
    means = [rng.choice(values, len(values)).mean() for _ in range(1000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{low:.2f}|{high:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".train"), help="where the head stage's shape basis lies")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--weights", type=Path, help="another encoder than the default's")
    args = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    frames = rendered(pipe, args.work / "shape_basis.npz", args.work, args.people)
    ways = Ways(pipe, frames, loaded(args.weights))
    named = [("mean face", ways.mean), ("linear path alone", ways.linear), ("encoder", ways.encoder),
             ("fit", ways.fitted), ("fit, the encoder as prior", ways.refined)]  # fmt: skip
    print(f"{len(ways.renders.people)} people, {len(frames)} frames\n")
    print("| way | K | at rest, rigid (scale) | interval | motion | interval | r |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, way in named:
        for count in COUNTS:
            rows, found, true = measured(ways, way, count)
            rigid, scaled, motion = rows.mean(axis=0)
            cells = [f"{rigid:.2f} ({scaled:.2f})", interval(rows[:, 0]), f"{motion:.2f}", interval(rows[:, 2])]
            print(f"| {name} | {count} | {' | '.join(cells)} | {correlation(found, true):.2f} |", flush=True)


def loaded(path: Path | None) -> Encoder:
    """The encoder of a file, by default the embedded one."""
    from safetensors.torch import load_file

    model = Encoder(EncoderConfig())
    state = load_file(assets.verified("default", "encoder") if path is None else path)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model.eval()


if __name__ == "__main__":
    main()
