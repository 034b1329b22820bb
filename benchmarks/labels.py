"""Measure labels of generated pictures against judges that share nothing with what computed them.

Run: python benchmarks/labels.py [--count 40]

MediaPipe's landmarker (extra ``photo``) looks at pictures of the recipe "portrait" at 256²; its control are the labels
of the next picture, moved and scaled to this one's eyes. Rays are cast at 48², with the recipe "wild"
without hair, which is no surface that a ray could meet.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch

import facekit
from facekit.generate.recipe import LABELS, Recipe
from facekit.generate.sample import Sample, SampleMaker
from facekit.metrics.raycast import cast
from facekit.reconstruct.find import all_faces
from facekit.reconstruct.landmarker import OVAL, Landmarker

_SEED, _RAYS = 20, 48


def main() -> None:
    """Print the table of docs/data-sets.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="pictures that MediaPipe looks at (default: 40)")
    count = parser.parse_args().count
    torch.set_num_threads(1)
    pipe = facekit.FacePipeline.from_pretrained(device="cpu")
    print("| what | measured | asked for |\n| --- | ---: | ---: |")
    _landmarks(pipe, count)
    _surfaces(pipe, max(3, count // 10))


def _landmarks(pipe: facekit.FacePipeline, count: int) -> None:
    maker = SampleMaker(pipe, Recipe(labels=("rgb", "landmarks", "landmarks478")), _SEED)
    samples = [maker(index) for index in range(count)]
    away, control = [], []
    with Landmarker() as landmarker:
        for sample, other in zip(samples, samples[1:] + samples[:1], strict=True):
            picture = (sample.images["rgb"].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)
            found = all_faces(picture, landmarker)
            if found:
                own = points_of(sample)
                away.append(distances(found[0].points, own))
                control.append(distances(found[0].points, _at_eyes(points_of(other), own)))
    away, control = np.array(away), np.array(control)
    inner = np.delete(away, list(OVAL), axis=1)
    print(f"| faces that MediaPipe finds in {count} portraits | {len(away)} | |")
    print(f"| its 478 points from ours, median in % of the eyes' distance | {_percent(away)} | 3 |")
    print(f"| … control: from the next face's, at the same eyes | {_percent(control)} | |")
    print(f"| … without the outline, where its points slide | {_percent(inner)} | |")
    print(f"| … of the worst tenth of faces | {_percent(np.quantile(np.median(away, axis=1), 0.9))} | |")
    print(f"| … its irises from our pupils | {_percent(away[:, [468, 473]])} | |")


def points_of(sample: Sample) -> np.ndarray:
    """MediaPipe's points (478, 2) as a sample has them, pixels."""
    return np.array(sample.numbers["landmarks478"]["points"])


def distances(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Distances (478,) of points in parts of the distance between the irises of ``own``."""
    return np.linalg.norm(found - own, axis=1) / np.linalg.norm(own[468] - own[473])


def _at_eyes(points: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Points turned, scaled and moved so that the irises' middles lie at those of ``own``."""
    a, b = (p[:, 0] + 1j * p[:, 1] for p in (points, own))
    moved = (a - a[468]) * (b[473] - b[468]) / (a[473] - a[468]) + b[468]
    return np.stack((moved.real, moved.imag), axis=1)


def _percent(values: np.ndarray) -> str:
    return f"{100 * float(np.median(values)):.2f}"


def _surfaces(pipe: facekit.FacePipeline, count: int) -> None:
    recipe = dataclasses.replace(Recipe.preset("wild"), size=_RAYS, hair=False, labels=LABELS, detail=False)
    bare = dataclasses.replace(recipe, occluders=dataclasses.replace(recipe.occluders, glasses=0.0, blob=0.0))
    maker = SampleMaker(pipe, bare, _SEED)
    both, either, errors = 0, 0, []
    for index in range(count):
        sample, mesh = maker(index), maker.mesh(index)
        depth = cast(mesh.verts[0].cpu(), mesh.faces.cpu(), sample.numbers["camera"], _RAYS)
        mask, hit = sample.images["mask"] > 0, depth.isfinite()
        both, either = both + int((mask & hit).sum()), either + int((mask | hit).sum())
        errors.append((depth - sample.images["depth"])[mask & hit].abs())
    away = torch.cat(errors)
    print(f"| mask against a ray cast's silhouette, IoU over {either} pixels | {both / either:.5f} | 0.999 |")
    print(f"| depth against a ray cast, 99th percentile, mm | {float(away.quantile(0.99)):.4f} | |")


if __name__ == "__main__":
    main()
