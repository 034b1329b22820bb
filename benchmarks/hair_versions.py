"""Cost of hair today and in another checkout of the code: python benchmarks/hair_versions.py CHECKOUT [--size 512]

Prints a Markdown table: for each look and view the processors' milliseconds for hair alone, as in benchmarks/hair.py,
there and here; and how much the pictures differ, in steps of 255 over hair's pixels, the most of all views. Each
version runs in a process of its own, on one thread. They draw in turn, one frame each, and the least of all runs
counts: that is what other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

#: Azimuth of each view, degrees; and coverage by hair from which a pixel counts.
VIEWS, LEAST = {"front": 0.0, "40°": 40.0, "behind": 180.0}, 0.05
LOOKS = ("bob02+shaven", "afro01+shaven", "long01+shaven", "short01+shaven", "wavy01+shaven", "ponytail01+shaven")


def work(size: int, seed: int) -> None:
    """Draw what lines on the standard input ask for: a look and an azimuth, a file for the picture, or nothing to draw
    hair once more and print the processors' seconds.
    """
    import torch

    from facekit import FaceLatents, FacePipeline
    from facekit.render import Camera, render
    from facekit.render.camera import HAIR_FRAMING
    from facekit.render.lights import Lights
    from facekit.render.worn import Worn

    torch.set_num_threads(1)
    pipe, code = FacePipeline.from_pretrained(device="cpu"), FaceLatents.sample(seed)
    bare, lights = pipe(latents=code, hair=None).mesh, Lights.preset("studio")
    face = camera = head = None
    for line in sys.stdin:
        words = line.split()
        if len(words) == 2:
            face, camera = pipe(latents=code, hair=words[0]), Camera.orbit(float(words[1]), 4.0, **HAIR_FRAMING)
            head = render(bare, camera, size)
        elif words:
            drawn = render(face.mesh, camera, size, hair=face.hair[0])
            np.savez(words[0], rgb=drawn.rgb[0].numpy(), cover=drawn.hair[0, 0].numpy())
        else:
            start = time.process_time()
            Worn.of(face.hair, camera, lights, camera.near_plane(bare.verts), head.depth, head.alpha)
            print(f"={time.process_time() - start}", flush=True)
            continue
        print("=0", flush=True)


def started(checkout: Path, arguments: list[str]) -> subprocess.Popen[str]:
    """Start a worker with the code of a checkout."""
    command = [sys.executable, str(Path(__file__).resolve()), str(checkout), "--work", *arguments]
    place = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, env=place, text=True, **pipes)


def ask(worker: subprocess.Popen[str], line: str) -> float:
    """Send a line to a worker. Returns the number that it answers."""
    assert worker.stdin is not None and worker.stdout is not None
    print(line, file=worker.stdin, flush=True)
    for answer in worker.stdout:
        if answer.startswith("="):
            return float(answer[1:])
    raise SystemExit("a worker ended early: see its message above")


def row(least: np.ndarray) -> str:
    """Cells of a Markdown table for milliseconds (2, views)."""
    return " | ".join(f"{before:.1f} → {now:.1f}" for before, now in least.T)


def main() -> None:
    """Print the table, or work for the process that does."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path, help="folder with another version of the code")
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default 512)")
    parser.add_argument("--repeat", type=int, default=15, help="runs of which the least counts (default 15)")
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--looks", nargs="+", default=LOOKS, help="what is worn")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.size, args.seed)
        return
    arguments = ["--size", str(args.size), "--seed", str(args.seed)]
    workers = [started(folder, arguments) for folder in (args.checkout, Path(__file__).resolve().parent.parent)]
    print(f"{args.size}², standard quality, 1 thread, least of {args.repeat}, before and now\n")
    print(f"| worn | {', ms | '.join(VIEWS)}, ms | difference |\n| --- |" + " ---: |" * (len(VIEWS) + 1))
    total = np.zeros((2, len(VIEWS)))
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{k}.npz") for k in range(2)]
        for look in args.looks:
            least, differ = np.zeros((2, len(VIEWS))), 0.0
            for k, angle in enumerate(VIEWS.values()):
                for worker, file in zip(workers, files, strict=True):
                    ask(worker, f"{look} {angle}")
                    ask(worker, file)
                runs = [[ask(worker, "") for worker in workers] for _ in range(args.repeat)]
                least[:, k] = 1e3 * np.min(runs, axis=0)
                one, two = (np.load(file) for file in files)
                differ = max(differ, 255 * np.abs(one["rgb"] - two["rgb"]).max(0)[one["cover"] > LEAST].mean())
            total += least
            print(f"| {look} | {row(least)} | {differ:.3f} |", flush=True)
        print(f"| together | {row(total)} | |")
    for worker in workers:
        worker.communicate()


if __name__ == "__main__":
    main()
