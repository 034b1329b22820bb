"""Proportions of faces beside photographs, as Markdown: python benchmarks/proportions.py FOLDER [--info CSV]

The folder is that of ``lips.py``: photographs of people from the front. Lengths are percent of the distance between the
pupils, by MediaPipe's points: mean and standard deviation over photographs, our people, and heads that are drawn from
the head model's modes under the mean skin; in brackets the deviation over that of the photographs. With the set's
table of people (its ``face_id``, ``face_age`` and ``face_gender``) a second one has women and men apart, and for every
person photographed one of ours of the same sex and age; the changes of :mod:`facekit.models.proportions` were set on
other people of ours. Needs the extra ``photo``.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from lips import SIZE, arguments, found, photographs, renders, sampled
from portraits import SEXES

from facekit import FaceLatents, FacePipeline
from facekit.evaluate.people import modes_people
from facekit.files.images import to_uint8
from facekit.progress import progress
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS
from facekit.render import render

#: From points (478, 2) in percent, from the middle of the pupils, x to the image's right and y down, to a length.
Length = Callable[[np.ndarray], float]


def between(a: int, b: int) -> Length:
    """Distance of two points."""
    return lambda points: float(np.linalg.norm(points[a] - points[b]))


def below(*points: int) -> Length:
    """Mean distance of points below the pupils."""
    return lambda all_points: float(all_points[list(points), 1].mean())


LENGTHS: dict[str, Length] = {
    "width of the cheeks": between(234, 454),
    "width of the jaw": between(172, 397),
    "chin below the pupils": below(152),
    "mouth below the pupils": below(13, 14),
    "base of the nose below the pupils": below(2),
    "width of the nose": between(129, 358),
    "width of the mouth": between(61, 291),
    "height of the upper lip": between(0, 13),
    "height of the lower lip": between(14, 17),
    "philtrum": between(2, 0),
    "wings of the nose above its base": lambda points: below(2)(points) - below(64, 294)(points),
    "width of the nose's tip": between(45, 275),
    "corners of the mouth below its middle": lambda points: below(61, 291)(points) - below(13, 14)(points),
    "between the eyes": between(133, 362),
    "height of the eyes": lambda points: (between(159, 145)(points) + between(386, 374)(points)) / 2,
    "brows above the pupils": lambda points: -below(105, 334)(points),
    "inner ends of brows above the pupils": lambda points: -below(107, 336)(points),
}


def percent(points: np.ndarray) -> np.ndarray:
    """Points (478, 2) in percent of the distance of the pupils, from their middle, level."""
    ends = sorted((points[list(iris)].mean(axis=0) for iris in (LEFT_IRIS, RIGHT_IRIS)), key=lambda end: end[0])
    across = ends[1] - ends[0]
    size = float(np.linalg.norm(across))
    level = np.array([[across[0], across[1]], [-across[1], across[0]]]) / size
    return 100 / size * (points - (ends[0] + ends[1]) / 2) @ level.T


def measured(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Lengths (N, L) in those pictures in which a face is found."""
    places = [percent(points) for _, points in found(pictures)]
    return np.array([[length(points) for length in LENGTHS.values()] for points in places])


def drawn(count: int) -> Iterator[np.ndarray]:
    """Pictures of heads drawn from the head model's modes, under the mean skin."""
    pipe = FacePipeline.from_pretrained(device="cpu")
    mesh = pipe(latents=FaceLatents.sample(0, truncation=0.0), hair=None).mesh
    for verts in progress(modes_people(pipe, count, ("neutral",)).verts, desc="modes"):
        yield to_uint8(render(dataclasses.replace(mesh, verts=verts), image_size=SIZE, lights="daylight").rgb[0])


def alike(people: Iterable[dict[str, str]], first: int) -> list[FaceLatents]:
    """People of ours of the same sexes and ages."""
    return [
        FaceLatents.sample(seed, masculinity=SEXES[person["face_gender"]], age=float(person["face_age"]))
        for seed, person in enumerate(people, first)
    ]


def compare_sexes(folder: Path, info: Path, first: int) -> None:
    """Print lengths of women and men, photographed and ours, how far ours are off, and how much larger men's are than
    women's, in standard deviations of the photographed.
    """
    with info.open(newline="") as file:
        known = [row for row in csv.DictReader(file) if row["face_age"].isdecimal()]
    print("\n| % of the pupils' distance | women | ours | off by | men | ours | off by | men over women | ours |")
    print("| --- |" + " ---: |" * 8)
    cells: list[list[str]] = [[] for _ in LENGTHS]
    means, spreads = [], []
    for sex in SEXES:
        files = {next(folder.glob(f"{row['face_id']}_*.jpg")): row for row in known if row["face_gender"] == sex}
        people, ours = measured(photographs(files)), measured(renders(alike(files.values(), first)))
        means.append(np.array([people.mean(axis=0), ours.mean(axis=0)]))
        spreads.append(people.std(axis=0))
        for k, row in enumerate(cells):
            row += [f"{some[:, k].mean():.1f} ± {some[:, k].std():.1f}" for some in (people, ours)]
            row.append(f"{(means[-1][1, k] - means[-1][0, k]) / spreads[-1][k]:+.2f}")
    excess = (means[1] - means[0]) / np.sqrt(np.mean(np.square(spreads), axis=0))
    for name, row, more in zip(LENGTHS, cells, excess.T, strict=True):
        print(f"| {name} | {' | '.join([*row, *(f'{value:+.2f}' for value in more)])} |")


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__, people=80, first=9200)
    parser.add_argument("--info", type=Path, help="CSV with face_id, face_age and face_gender")
    args = parser.parse_args()
    files, ours = args.folder.glob("*.jpg"), sampled(args.first, args.people)
    pictures = photographs(files), renders(ours), drawn(args.people)
    people, ours, modes = (measured(some) for some in pictures)
    print(f"| % of the pupils' distance | {len(people)} photographs | {len(ours)} of ours | {len(modes)} from modes |")
    print("| --- | ---: | ---: | ---: |")
    for name, known, *others in zip(LENGTHS, people.T, ours.T, modes.T, strict=True):
        cells = [f"{rows.mean():.1f} ± {rows.std():.1f} ({rows.std() / known.std():.2f})" for rows in others]
        print(f"| {name} | {known.mean():.1f} ± {known.std():.1f} | {' | '.join(cells)} |")
    if args.info:
        compare_sexes(args.folder, args.info, args.first)


if __name__ == "__main__":
    main()
