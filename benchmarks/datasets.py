"""Measure how fast labelled pictures are made: faces a second by recipe, and what a second worker adds.

Run: python benchmarks/datasets.py [--count 60]

A face alone, without labels and background, is the reference of the same run.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time

import torch

import facekit
from facekit.generate.job import generate_pictures
from facekit.generate.recipe import LABELS, Recipe


def main() -> None:
    """Print the table of docs/figures.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="samples of each row (default: 60)")
    count = parser.parse_args().count
    small = Recipe()
    large = dataclasses.replace(Recipe.preset("wild"), size=512, labels=LABELS)
    print("| what | workers | faces a second |\n| --- | ---: | ---: |")
    print(f"| a face and its picture alone, 256², one thread | 1 | {_alone(count):.2f} |")
    for name, recipe in {"portrait, 256², picture, mask, landmarks": small, "wild, 512², every label": large}.items():
        for workers in (1, 2):
            print(f"| {name} | {workers} | {_speed(recipe, count, workers):.2f} |")


def _alone(count: int) -> float:
    torch.set_num_threads(1)
    pipe = facekit.FacePipeline.from_pretrained(device="cpu")
    pipe(seed=0).render(image_size=256)
    start = time.perf_counter()
    for seed in range(count):
        pipe(seed=seed, expression="smile").render(image_size=256)
    return count / (time.perf_counter() - start)


def _speed(recipe: Recipe, count: int, workers: int) -> float:
    """Faces a second of the long run: what the processes need to begin is measured apart and taken away."""
    times = []
    for samples in (workers, workers + count):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            generate_pictures(recipe, folder, samples, workers=workers, shard=-(-samples // workers))
            times.append(time.perf_counter() - start)
    return count / (times[1] - times[0])


if __name__ == "__main__":
    main()
