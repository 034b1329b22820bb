"""Accuracy by number of frames of a person: network, ridge, encoder, and fits with them as priors, as Markdown::

    python benchmarks/frames.py --work .train [--people 16] [--weights FILE] [--others FILE ...]
        [--figure FILE]

The frames are renders of people whom nobody has seen: all of the pack's identity modes, random pose within 45°, lens,
light, background, expression and gaze. They are drawn from a seed that no training uses, and by another photographer
than the encoder's. Errors are mm at the landmarker's points, irises and outline apart: of the person at rest after
rigid alignment with known correspondence, in brackets with scale; and of the motion, which is what blendshapes add. "r"
is the median over blendshapes of their correlation with the true weights. Intervals hold the middle 95 of 100 draws of
as many people (bootstrap). Ablated encoders come from :func:`facekit.train.encoder.stage.trained`, with another
configuration (``graph``, ``temporal``, ``reading``), without ``units``, or with naive material. Needs the extra
``photo`` and what the head stage left in the work folder.
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
from facekit.geometry.correspond import similarity
from facekit.models.config import EncoderConfig
from facekit.models.encoder import Encoder
from facekit.motion.mapping import tables
from facekit.progress import progress
from facekit.reconstruct.api import FIRM, identity_prior, view_of
from facekit.reconstruct.dense import expected_identity, load_refiner
from facekit.reconstruct.encoded import STILLS, Reader
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import LEFT_IRIS, OVAL, POINTS, RIGHT_IRIS, FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.train.encoder.frames import ReadFrames, read_pictures
from facekit.train.landmarks.stage import default_anchors
from facekit.train.photos.photographs import Photographer, drawn_blendshapes, drawn_people

COUNTS, PICTURES, SEED, PART = (1, 3, 5, 9, 16), 16, 7100, 4
#: Largest number of groups of K frames of a person.
GROUPS = 4
#: Spread below which a blendshape's correlation tells nothing.
LEAST = 0.03
#: Beginnings of names whose correlations are told apart.
NAMED = ("mouthSmile", "jawOpen", "eyeBlink", "brow", "eyeLookDown")
#: Identity (in modes) and expression weights (frames, 52).
Answer = tuple[np.ndarray, np.ndarray]
Way = Callable[[torch.Tensor], Answer]


def rendered(pipe: FacePipeline, basis: Path, folder: Path, count: int) -> ReadFrames:
    """Frames of people, from the folder as far as they are there."""
    with np.load(basis) as data:
        modes = torch.from_numpy(data["identity_modes"])
    table, anchors = tables()["expressions", "blendshapes"].weights, default_anchors()
    generator, parts = torch.Generator().manual_seed(SEED), []
    refiner, _ = load_refiner(PhotoModel.of(pipe))
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
                read_pictures(taken, anchors, landmarker, refiner).save(path)
        parts.append(ReadFrames.load(path))
    return ReadFrames.cat(parts)


class Ways:
    """The ways to know people: each takes frames of one person and tells identity (M,) and blendshapes (K, 52)."""

    def __init__(self, pipe: FacePipeline, read: ReadFrames) -> None:
        self.photo, self.read = PhotoModel.of(pipe), read
        _, self.response = load_refiner(self.photo)
        self.faces, self.size = [read.face(k) for k in range(len(read))], (int(read.size), int(read.size))

    def mean(self, index: torch.Tensor) -> Answer:
        return np.zeros(len(self.photo.modes)), np.zeros((len(index), 52))

    def network(self, index: torch.Tensor) -> Answer:
        """The mean of what the landmark network reads in each frame."""
        faces = [self.faces[k] for k in index.tolist()]
        return expected_identity(faces)[0], np.stack([face.reading.shapes for face in faces if face.reading])

    def fitted(self, index: torch.Tensor) -> Answer:
        """The fit with the network's reading as its prior."""
        faces = [self.faces[k] for k in index.tolist()]
        return self._fit(faces, expected_identity(faces))

    def shipped(self, index: torch.Tensor) -> Answer:
        """The fit with the prior that reconstruct() takes."""
        faces = [self.faces[k] for k in index.tolist()]
        return self._fit(faces, identity_prior(self.photo, faces, [self.size] * len(faces)))

    def linear(self, model: Encoder) -> Way:
        """Ridge regression, on which the encoder builds, from each frame."""
        reader = Reader(self.photo.points, model)

        @torch.no_grad()
        def way(index: torch.Tensor) -> Answer:
            faces = [self.faces[k] for k in index.tolist()]
            first = model.first(model.used(reader.seen(faces, [self.size] * len(faces), times(faces))))[0]
            identity, shapes = first.double().numpy().mean(axis=0), first.double().numpy()
            modes = len(self.photo.modes)
            return identity[:modes], shapes[:, modes:].clip(0, 1)

        return way

    def encoder(self, model: Encoder) -> Way:
        reader = Reader(self.photo.points, model)

        def way(index: torch.Tensor) -> Answer:
            told = reader.stills([self.faces[k] for k in index.tolist()], [self.size] * len(index))
            return told.identity, told.shapes

        return way

    def refined(self, model: Encoder, shapes: bool) -> Way:
        """The fit with the encoder's identity as its prior, and its blendshapes or those that the network reads."""
        reader = Reader(self.photo.points, model)

        def way(index: torch.Tensor) -> Answer:
            faces = [self.faces[k] for k in index.tolist()]
            told = reader.stills(faces, [self.size] * len(faces))
            return self._fit(told.applied(faces) if shapes else faces, (told.identity, told.deviation))

        return way

    def _fit(self, faces: list[FaceLandmarks], prior: tuple[np.ndarray, np.ndarray]) -> Answer:
        views = [view_of(self.size, face, self.response, None) for face in faces]
        found = fit(self.photo.points, self.response, views, prior=(prior[0], FIRM * prior[1]))
        return found.identity, found.blendshapes


def times(faces: list[FaceLandmarks]) -> list[float]:
    return [STILLS * k for k in range(len(faces))]


def errors(points: np.ndarray, found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Mean distances of two people at rest, mm, rigid and with scale."""
    a, b = torch.from_numpy(found[points]), torch.from_numpy(true[points])
    size, turn, shift = similarity(a, b)
    scaled = float((size * a @ turn.T + shift - b).norm(dim=1).mean())
    shift = b.mean(dim=0) - turn @ a.mean(dim=0)
    return float((a @ turn.T + shift - b).norm(dim=1).mean()), scaled


def measured(ways: Ways, way: Way, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Errors (people, 3) mm, and blendshapes found and true (frames, 52)."""
    inner = np.ones(POINTS, dtype=bool)
    inner[[*OVAL, *RIGHT_IRIS, *LEFT_IRIS]] = False
    frames, points, rows, found, true = ways.read, ways.photo.points, [], [], []
    for number in frames.person.unique():
        person = torch.nonzero(frames.person == number)[:, 0]
        count = min(count, len(person))  # a face was missed in some
        groups = [person[k : k + count] for k in range(0, len(person) - count + 1, count)]
        groups = groups[:: -(-len(groups) // GROUPS)]
        each = []
        for index in groups:
            identity, shapes = way(index)
            rest, known = frames.neutral[index[0]].double().numpy(), frames.blendshapes[index].double().numpy()
            off = np.einsum("pcs,ks->kpc", points.shapes, shapes - known)[:, inner]
            each.append((*errors(inner, points.neutral(identity), rest), np.linalg.norm(off, axis=-1).mean()))
            found.append(shapes)
            true.append(known)
        rows.append(np.mean(each, axis=0))
    return np.array(rows), np.concatenate(found), np.concatenate(true)


def correlations(found: np.ndarray, true: np.ndarray) -> list[str]:
    """The median over blendshapes that move, and the means of :data:`NAMED`."""
    moving = [k for k in range(true.shape[1]) if true[:, k].std() > LEAST]
    alike = {
        BLENDSHAPES[k]: np.corrcoef(found[:, k], true[:, k])[0, 1] if found[:, k].std() > 0 else 0.0 for k in moving
    }
    named = [[value for name, value in alike.items() if name.startswith(start)] for start in NAMED]
    return [f"{np.median(list(alike.values())):.2f}", *(f"{np.mean(values):.2f}" for values in named)]


def bounds(values: np.ndarray) -> tuple[float, float]:
    """Bootstrap over people."""
    rng = np.random.default_rng(0)
    means = [rng.choice(values, len(values)).mean() for _ in range(1000)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def interval(values: np.ndarray) -> str:
    """The bounds as text."""
    low, high = bounds(values)
    return f"{low:.2f} to {high:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".train"), help="where the head stage's shape basis lies")
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--weights", type=Path, help="another encoder than the default's")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="ablated encoders, for a row each")
    parser.add_argument("--counts", type=int, nargs="*", default=COUNTS, help="numbers of frames; 1 goes first")
    parser.add_argument("--rows", nargs="*", help="only rows whose names begin with one of these")
    parser.add_argument("--figure", type=Path, help="a picture of the errors by number of frames")
    args = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    read = rendered(pipe, args.work / "shape_basis.npz", args.work / "encoder", args.people)
    ways, model = Ways(pipe, read), loaded(args.weights)
    rows: list[tuple[str, Way]] = [
        ("mean face", ways.mean),
        ("network alone", ways.network),
        ("ridge regression", ways.linear(model)),
        ("transformer alone", ways.encoder(model)),
        ("fit, network as prior", ways.fitted),
        ("fit, transformer's identity as prior", ways.refined(model, shapes=False)),
        ("fit, both identities as prior", ways.shipped),
        ("fit, transformer as prior", ways.refined(model, shapes=True)),
        *((f"transformer alone: {path.stem}", ways.encoder(loaded(path))) for path in args.others),
    ]
    chosen = [row for row in rows if args.rows is None or row[0].startswith(tuple(args.rows))]
    print(f"{len(read.person.unique())} people, {len(read)} frames\n")
    heads = (
        "way",
        "K",
        "at rest, rigid (scale)",
        "interval",
        "motion",
        "interval",
        "r",
        *NAMED,
        "gain on the first K, mm",
    )
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    curves: dict[str, list[np.ndarray]] = {}
    for name, way in chosen:
        alone = np.zeros(0)
        for count in args.counts:
            errors, found, true = measured(ways, way, count)
            rigid, scaled, motion = errors.mean(axis=0)
            alone = alone if len(alone) else errors
            fall = alone[:, 0] - errors[:, 0]
            curves.setdefault(name, []).append(errors)
            cells = [f"{rigid:.2f} ({scaled:.2f})", interval(errors[:, 0]), f"{motion:.2f}", interval(errors[:, 2])]
            cells += [*correlations(found, true), f"{fall.mean():.2f} ({interval(fall)})"]
            print(f"| {name} | {count} | {' | '.join(cells)} |", flush=True)
    if args.figure is not None:
        drawn(curves, args.counts, args.figure)


def drawn(curves: dict[str, list[np.ndarray]], counts: list[int], path: Path) -> None:
    """Draw the errors (people, 3) of all rows but the mean face by number of frames, with intervals over people."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for panel, column, title in ((panels[0], 1, "at rest, with scale"), (panels[1], 2, "motion")):
        for name, errors in curves.items():
            if name == "mean face":
                continue
            means = [e[:, column].mean() for e in errors]
            ends = np.array([bounds(e[:, column]) for e in errors])
            ablated = ":" in name
            (line,) = panel.plot(counts, means, "--" if ablated else "o-", lw=1 if ablated else 1.8, ms=4, label=name)
            if not ablated:
                panel.fill_between(counts, ends[:, 0], ends[:, 1], color=line.get_color(), alpha=0.07, lw=0)
        panel.set(xlabel="frames of a person", ylabel="mm", title=title, xscale="log", xticks=counts)
        panel.set_xticks(counts, [str(count) for count in counts])
        panel.minorticks_off()
    panels[1].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def loaded(path: Path | None) -> Encoder:
    """The encoder of a file, by default the embedded one; ablated parts are seen from the names and from what it
    lacks.
    """
    from safetensors.torch import load_file

    state = load_file(assets.verified("default", "encoder") if path is None else path)
    config = dataclasses.replace(
        EncoderConfig(),
        graph=any(name.startswith("graph.") for name in state),
        temporal=len({name.split(".")[1] for name in state if name.startswith("temporal.")}),
        reading=path is None or path.stem != "noreading",
    )
    model = Encoder(config)
    model.load_state_dict({name: value.float() for name, value in state.items()})
    return model.eval()


if __name__ == "__main__":
    main()
