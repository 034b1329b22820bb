"""Errors of heads from photographs, as Markdown::

    python benchmarks/reconstruct.py [--pack path/to/training-pack] [--people 12] [--seed 9000]
    python benchmarks/reconstruct.py --time [PHOTOGRAPH …] [--repeat 5]

The photographs are synthetic, drawn from the seed: random pose within 45°, lens, light, background and expression.
People of "pack" are drawn from all of the pack's identity modes and make faces with its own 57 muscles, which the fit
does not know; those of "default" are seeds of the embedded default. Nobody here was seen in training: the landmarker's
response was measured on other draws. Figures are mm, means over the face (skin, lips and lids within 95 mm of the tip
of the nose), at rest, after rigid alignment with known correspondence; in brackets with scale, which one photograph of
unknown focal length does not tell. Controls: the mean face; fits of the landmarker's points, without and with its
response; and the identity as the network reads it, without a fit. Needs the extra ``photo``.

``--time`` prints what one photograph takes instead, all stages from ``import facekit`` on, each time in a fresh
process: median and least clock, processor's time, which other work on the machine changes less, and peak memory. The
default is the package's sample photograph.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from facekit import FaceLatents, FacePipeline
from facekit.conventions import NOSE_TIP
from facekit.geometry.correspond import similarity
from facekit.person import Person
from facekit.reconstruct.api import refine_and_fit, views_of
from facekit.reconstruct.dense import expected_identity, load_refiner
from facekit.reconstruct.find import average_close_ups
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture
from facekit.reconstruct.response import Response
from facekit.reconstruct.sample import PHOTOGRAPH
from facekit.train.photos.photographs import FOV, Photograph, Photographer, Pose, drawn_people
from facekit.train.shape.data import ShapeBasis, ShapeTeacher, random_expressions, soft_cap

PICTURES, REACH_MM = 5, 95.0
#: What one photograph may take: seconds of clock on two quiet cores, and MB.
ASKED_S, ASKED_MB = 8, 1500
#: Photographs after the first of a process, for the time of each.
_FURTHER = 3
Sample = tuple[Photograph, FaceLandmarks]


def pack_people(pipe: FacePipeline, basis: Path, count: int, seed: int) -> Iterator[list[Photograph]]:
    """Photographs of people from all of the pack's modes, whose faces its own muscles move."""
    template, generator = pipe.template, torch.Generator().manual_seed(seed)
    span = ShapeBasis.load(basis, template.parts)
    teacher = ShapeTeacher(span)
    with np.load(basis) as data:
        modes = torch.from_numpy(data["identity_modes"])
    people = drawn_people(modes, template.verts, count, generator)
    # What closing lids add is linear in the person: the part of the modes that says so.
    weights = torch.linalg.lstsq(modes.flatten(1).T[::7], (people - template.verts).flatten(1).T[::7]).solution.T
    photographer = Photographer(pipe, seed)
    assert pipe.contact is not None
    for number, neutral in enumerate(people):
        mixed = 0.7 * random_expressions(PICTURES, generator) + 0.6 * random_expressions(PICTURES, generator)
        muscles = (mixed @ teacher.recipes) * (0.6 + 0.8 * torch.rand(PICTURES, len(span.names), generator=generator))
        muscles = soft_cap(muscles, teacher.caps)
        shut = torch.einsum("m,smk->sk", weights[number], span.blink)
        moved = span.vertices(muscles @ span.expression + muscles[:, teacher.blinks] @ shut)
        posed = pipe.contact[2](neutral + moved)
        yield taken(photographer, number, neutral, posed)


def default_people(pipe: FacePipeline, count: int, seed: int) -> Iterator[list[Photograph]]:
    """Photographs of seeds of the embedded default."""
    generator, photographer = torch.Generator().manual_seed(seed), Photographer(pipe, seed + 1)
    for number in range(count):
        rest = FaceLatents.sample(seed + number, intensity=0.0)
        codes = dataclasses.replace(rest.repeat(PICTURES), expression=random_expressions(PICTURES, generator))
        neutral = pipe.decode_shape(rest)[0]
        yield taken(photographer, number, neutral, pipe.decode_shape(codes))


def taken(photographer: Photographer, number: int, neutral: torch.Tensor, posed: torch.Tensor) -> list[Photograph]:
    """Pictures of one person's vertices (K, V, 3), all through one lens."""
    codes = FaceLatents.sample(700_000 + 1000 * photographer.seed + number, intensity=0.0)
    person = photographer.pipe.with_person(Person(neutral, codes, photographer.pipe.skin(codes)))
    fov = float(photographer.rng.uniform(*FOV))
    return [photographer.take(number, person, codes, verts, Pose.drawn(photographer.rng, fov)) for verts in posed]


def error(found: torch.Tensor, true: torch.Tensor, scaled: bool) -> float:
    """Mean distance of points (N, 3), mm, after alignment."""
    size, turn, shift = similarity(found, true, scaled)
    return float((size * found.double() @ turn.T + shift - true.double()).norm(dim=1).mean())


class Judge:
    """Fits photographs and holds them against the truth."""

    def __init__(self, pipe: FacePipeline) -> None:
        self.pipe, self.photo = pipe, PhotoModel.of(pipe)
        self.refiner, _ = load_refiner(self.photo)
        template = pipe.template
        nose = template.verts[template.landmarks[NOSE_TIP]]
        self.region = ((template.verts - nose).norm(dim=1) < REACH_MM) & (template.parts <= 2)

    def mean_face(self, samples: list[Sample]) -> tuple[float, float, float]:
        """Errors of the template."""
        true = samples[0][0]
        return (*self._errors(self.pipe.template.verts, true.neutral), self._motion(None, samples))

    def fitted(self, samples: list[Sample], response: Response | None) -> tuple[float, float, float]:
        """Errors of a fit of the landmarker's points with a response, or of the default's: at rest, scaled, motion."""
        pictures = [Picture(photo.pixels, "render") for photo, _ in samples]
        faces = [marks for _, marks in samples]
        if response is None:
            found, _ = refine_and_fit(self.photo, pictures, faces)
        else:
            found = fit(self.photo.points, response, views_of(pictures, faces, response))
        neutral = self.photo.head(self.pipe.template, found)
        rest = FaceLatents.sample(0, intensity=0.0, truncation=0.0)
        person = self.pipe.with_person(Person(neutral, rest))
        weights = torch.from_numpy(found.blendshapes).float()
        posed = person.decode_shape(rest.repeat(len(samples)).with_blendshapes(weights))
        return (*self._errors(neutral, samples[0][0].neutral), self._motion(posed - neutral, samples))

    def read(self, samples: list[Sample]) -> tuple[float, float, float]:
        """Errors of the identity that the network reads; nobody reads the motion."""
        identity, _ = expected_identity([self.refiner(photo.pixels, marks) for photo, marks in samples])
        neutral = self.photo.neutral(self.pipe.template.verts, torch.from_numpy(identity))
        return (*self._errors(neutral, samples[0][0].neutral), float("nan"))

    def _errors(self, neutral: torch.Tensor, true: torch.Tensor) -> tuple[float, float]:
        a, b = neutral[self.region], true[self.region]
        return error(a, b, False), error(a, b, True)

    def _motion(self, moved: torch.Tensor | None, samples: list[Sample]) -> float:
        true = torch.stack([photo.verts - photo.neutral for photo, _ in samples])[:, self.region]
        away = true if moved is None else moved[:, self.region] - true
        return float(away.norm(dim=-1).mean())


def found_in(photographs: list[Photograph], landmarker: Landmarker, mirror: np.ndarray) -> list[Sample]:
    """The photographs in which a face was found."""
    pairs = [(photo, landmarker(photo.pixels)) for photo in photographs]
    return [(photo, average_close_ups(photo.pixels, marks[0], landmarker, mirror)) for photo, marks in pairs if marks]


def spent(file: Path, times: int = 1) -> tuple[float, float, float]:
    """Seconds of clock and of processor, and peak MB, of a process that reconstructs one photograph some times."""
    program = f"import facekit, sys\nfor _ in range({times}):\n    facekit.reconstruct(sys.argv[1])"
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, str(file)], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    clock, process.returncode = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, program)
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024
    return clock, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def print_times(files: list[Path], repeat: int) -> None:
    """Print the table of what one photograph takes."""
    asked = f"clock, s (asked {ASKED_S}) | least | processor, s | memory, MB (asked {ASKED_MB})"
    print(f"| photograph | {asked} | each further one in a process, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for file in files:
        clock, busy, memory = zip(*(spent(file) for _ in range(repeat)), strict=True)
        middle = statistics.median
        further = (spent(file, 1 + _FURTHER)[0] - middle(clock)) / _FURTHER
        cells = f"{middle(clock):.1f} | {min(clock):.1f} | {middle(busy):.1f} | {max(memory):.0f} | {further:.1f}"
        print(f"| {file.name} | {cells} |", flush=True)


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pack", type=Path, help="folder of the training pack, for its people")
    parser.add_argument("--work", type=Path, default=Path(".train"), help="where the head stage's shape basis lies")
    parser.add_argument("--people", type=int, default=12, help="of each set (default 12)")
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--time", type=Path, nargs="*", metavar="PHOTOGRAPH", help="print what one photograph takes")
    parser.add_argument("--repeat", type=int, default=5, help="processes for each photograph (default 5)")
    args = parser.parse_args()
    if args.time is not None:
        print_times(args.time or [PHOTOGRAPH], args.repeat)
        return
    pipe = FacePipeline.from_pretrained(device="cpu")
    judge, sets = Judge(pipe), {"default": default_people(pipe, args.people, args.seed)}
    basis = args.work / "shape_basis.npz"
    if args.pack is not None and not basis.is_file():
        from facekit.train.head.stage import write_assets

        write_assets(args.pack, args.work / "head", basis)
    if basis.is_file():
        sets = {"pack": pack_people(pipe, basis, args.people, args.seed)} | sets
    ways = ["mean face", "landmarker, without its response", "landmarker", "network alone", "fit"]
    print(f"| set | photographs | {' | '.join(ways)} | motion, likewise | fits |")
    print("| --- " * (len(ways) + 4) + "|")
    for name, people in sets.items():
        with Landmarker() as landmarker:
            samples = [found_in(photographs, landmarker, judge.photo.mirror) for photographs in people]
        for count in (1, PICTURES):
            groups = [person[k : k + count] for person in samples for k in range(0, len(person) - count + 1, count)]
            print(row(name, count, groups, judge), flush=True)


def row(name: str, count: int, groups: list[list[Sample]], judge: Judge) -> str:
    """One line of the table."""
    response = judge.photo.response
    ways: list[Callable[[list[Sample]], tuple[float, float, float]]] = [
        judge.mean_face,
        lambda group: judge.fitted(group, response.without()),
        lambda group: judge.fitted(group, response),
        judge.read,
        lambda group: judge.fitted(group, None),
    ]
    means = [np.mean([way(group) for group in groups], axis=0) for way in ways]
    cells = " | ".join(f"{rigid:.2f} ({scaled:.2f})" for rigid, scaled, _ in means)
    motion = ", ".join(f"{moved:.2f}" for _, _, moved in means)
    return f"| {name} | {count} | {cells} | {motion} | {len(groups)} |"


if __name__ == "__main__":
    main()
