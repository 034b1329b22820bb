"""Measure how fast labelled pictures are made, what a second worker adds, and whether a worker's memory grows.

Run: python benchmarks/datasets.py [--count 60] [--cost 40] [--memory 2000]

A face alone, without labels and background, is the reference of the same run. The cost of a face is the time that a
processor spends on it, which other programs change little; from it follows what a cluster would do if none of its
cores waited for another. Memory is watched from outside while one worker makes a set (Linux); small pictures, since it
is the number of samples that could make it grow.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import facekit
from facekit.generate.job import generate_pictures
from facekit.generate.recipe import LABELS, Recipe

#: Cores of the cluster that figures are extrapolated to.
_CLUSTER = 8 * 32


def main() -> None:
    """Print the table of docs/figures.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="samples of each row (default: 60)")
    parser.add_argument("--cost", type=int, default=40, help="samples whose cost is measured (default: 40)")
    parser.add_argument("--memory", type=int, default=2000, help="samples while memory is watched (default: 2000)")
    args = parser.parse_args()
    small = Recipe()
    large = dataclasses.replace(Recipe.preset("wild"), size=512, labels=LABELS)
    rows = {"portrait, 256², picture, mask, landmarks": small, "wild, 512², every label": large}
    if args.count:
        print("| what | workers | faces a second |\n| --- | ---: | ---: |")
        print(f"| a face and its picture alone, 256², one thread | 1 | {_alone(args.count):.2f} |")
        for name, recipe in rows.items():
            for workers in (1, 2):
                print(f"| {name} | {workers} | {_speed(recipe, args.count, workers):.2f} |")
    if args.cost:
        print(
            "| what | processor, s a face | extrapolated to 8 × 32 cores, faces a second | … 100,000 faces, minutes |"
        )
        print("| --- | ---: | ---: | ---: |")
        for name, recipe in rows.items():
            cost = _cost(recipe, args.cost)
            print(f"| {name} | {cost:.3f} | {_CLUSTER / cost:.0f} | {100_000 * cost / _CLUSTER / 60:.0f} |")
    if args.memory and Path("/proc/self/statm").is_file():
        print("| memory of a worker | samples | MB after a twentieth | at the end | most | largest change, MB |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        tiny = dataclasses.replace(small, size=64)
        for name, recipe, samples in (
            ("portrait, 64²", tiny, args.memory),
            ("wild, 512², every label", large, max(20, args.memory // 25)),
        ):
            seen = _memory(recipe, samples)
            change = max(abs(value - seen[0]) for value in seen)
            print(f"| {name} | {samples} | {seen[0]:.0f} | {seen[-1]:.0f} | {max(seen):.0f} | {change:.0f} |")


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


def _cost(recipe: Recipe, count: int) -> float:
    """Seconds that a processor spends on a face and on writing it."""
    times = []
    for samples in (1, 1 + count):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            generate_pictures(recipe, folder, samples, shard=samples)
            times.append(time.process_time() - start)
    return (times[1] - times[0]) / count


def _memory(recipe: Recipe, count: int) -> list[float]:
    """Resident MB of a worker, twice a second from the first shard on, a twentieth of the set."""
    found, page = [], os.sysconf("SC_PAGE_SIZE") / 1e6
    with tempfile.TemporaryDirectory() as folder:
        place, wish = Path(folder) / "set", Path(folder) / "recipe.json"
        wish.write_text(json.dumps(recipe.to_dict()))
        options = f"--count {count} --shard {-(-count // 20)} --workers 1".split()
        command = [sys.executable, "-m", "facekit.cli", "generate", str(wish), "--out", str(place), *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as worker:
            while worker.poll() is None:
                if (place / "faces-00000.json").is_file() and not (place / "manifest.json").is_file():
                    with contextlib.suppress(OSError, IndexError):  # it ended meanwhile
                        pages = int(Path(f"/proc/{worker.pid}/statm").read_text().split()[1])
                        found += [pages * page] if pages else []
                time.sleep(0.5)
            if worker.returncode:
                raise SystemExit(f"facekit generate ended with {worker.returncode}")
    return found


if __name__ == "__main__":
    main()
