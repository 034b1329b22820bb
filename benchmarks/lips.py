"""Tone of lips beside photographs, as Markdown: python benchmarks/lips.py FOLDER [--people 60] [--first 2201]

The folder has photographs of people from the front, for instance the neutral faces of the Face Research Lab London Set
(DeBruine and Jones 2017, CC BY 4.0, doi 10.6084/m9.figshare.5047666). Ours are bare heads in daylight. Figures are
natural logarithms of linear light on the lips over that on the cheeks, within MediaPipe's points: mean and standard
deviation over people, by how light the cheeks are. Constants of :mod:`facekit.models.composers.lips` were set on such a
run. Needs the extra ``photo``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from facekit import FaceLatents, FacePipeline
from facekit.color import LUMINANCE, srgb_to_linear
from facekit.files.images import to_uint8
from facekit.progress import progress
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.observe import read

#: MediaPipe's points around each region.
REGIONS = {
    "upper": (61, 40, 37, 0, 267, 270, 291, 310, 312, 13, 82, 80),
    "lower": (61, 91, 84, 17, 314, 321, 291, 318, 317, 14, 87, 88),
    "right cheek": (50, 117, 118, 101, 205),
    "left cheek": (280, 346, 347, 330, 425),
}
#: Luminance of the cheeks in the picture up to which skin is dark, and middling.
CLASSES = {"dark": (0.0, 0.14), "middling": (0.14, 0.28), "light": (0.28, np.inf)}
SIZE = 640


def tones(pixels: np.ndarray, points: np.ndarray) -> list[float]:
    """The cheeks' luminance; luminance, red over green and blue over green of both lips, relative to the cheeks."""
    light = srgb_to_linear(torch.from_numpy(pixels).float() / 255).numpy()
    means = {}
    for name, corners in REGIONS.items():
        mask = np.zeros(pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [points[list(corners)].round().astype(np.int32)], 1)
        means[name] = light[mask > 0].mean(axis=0)
    cheek = (means["right cheek"] + means["left cheek"]) / 2
    row = [float(cheek @ LUMINANCE)]
    for name in ("upper", "lower"):
        red, green, blue = np.log(means[name] / cheek)
        row += [float(np.log(means[name] @ LUMINANCE / (cheek @ LUMINANCE))), red - green, blue - green]
    return row


def found(pictures: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Those pictures in which a face is found, and its points (478, 2)."""
    with Landmarker() as landmarker:
        for pixels in pictures:
            if faces := landmarker(pixels):
                yield pixels, faces[0].points


def measured(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Tones (N, 7) of those pictures in which a face is found."""
    return np.array([tones(*face) for face in found(pictures)])


def photographs(files: Iterable[Path]) -> Iterator[np.ndarray]:
    """Pictures in files."""
    for path in progress(sorted(files), desc="photographs"):
        yield read(path).pixels


def renders(people: list[FaceLatents]) -> Iterator[np.ndarray]:
    """Pictures of people, one per code."""
    pipe = FacePipeline.from_pretrained(device="cpu")
    for codes in progress(people, desc="people"):
        rgb = pipe(latents=codes, hair="bald+shaven").render(image_size=SIZE, lights="daylight").rgb[0]
        yield to_uint8(rgb)


def sampled(first: int, count: int) -> list[FaceLatents]:
    """People of seeds from ``first`` on."""
    return [FaceLatents.sample(seed) for seed in range(first, first + count)]


def arguments(doc: str | None, people: int, first: int) -> argparse.ArgumentParser:
    """Parser of the command line: a folder of photographs, and how many of our people from which seed on."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=people)
    parser.add_argument("--first", type=int, default=first)
    return parser


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, people=60, first=2201).parse_args()
    people, ours = measured(photographs(args.folder.glob("*.jpg"))), measured(renders(sampled(args.first, args.people)))
    groups = [
        (some, rows[(rows[:, 0] > low) & (rows[:, 0] <= high)])
        for low, high in CLASSES.values()
        for some, rows in (("photographs", people), ("of ours", ours))
    ]
    heads = [
        f"{len(rows)} {some}, {name}" for (some, rows), name in zip(groups, np.repeat(list(CLASSES), 2), strict=True)
    ]
    print(f"| logarithm | {' | '.join(heads)} |\n{'| --- ' * (len(heads) + 1)}|")
    names = [
        f"{what}, {lip} lip" for lip in ("upper", "lower") for what in ("luminance", "red / green", "blue / green")
    ]
    for k, name in enumerate(names, 1):
        cells = (f"{rows[:, k].mean():.2f} ± {rows[:, k].std():.2f}" for _, rows in groups)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
