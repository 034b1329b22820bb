"""Frames a second of films: python benchmarks/film.py [--people 7 2 15] [--frames 48] [--size 512] [--threads 2]

Prints a Markdown table: what each person wears, frames a second of `motion.save("film.mp4", face)` with hair and
without, and the processor's time for a frame, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from facekit import FaceOutput, FacePipeline, Motion


def filmed(face: FaceOutput, motion: Motion, size: int) -> tuple[float, float]:
    """Frames a second, and milliseconds of the processors for a frame."""
    with tempfile.TemporaryDirectory() as folder:
        motion[:8].save(Path(folder) / "film.mp4", face, image_size=size)  # loads what is loaded once
        busy, start = time.process_time(), time.perf_counter()
        motion.save(Path(folder) / "film.mp4", face, image_size=size)
        spent, busy = time.perf_counter() - start, time.process_time() - busy
    return len(motion) / spent, 1e3 * busy / len(motion)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[7, 2, 15], help="seeds (default 7 2 15)")
    parser.add_argument("--frames", type=int, default=48, help="frames of each film (default 48)")
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default 512)")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe = FacePipeline.from_pretrained(device="cpu")
    motion = Motion.sample()[: args.frames]
    print(f"{args.size}², standard quality, {args.threads} threads, {args.frames} frames\n")
    print(
        "| worn | frames a second | processor, ms | without hair | processor, ms |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for seed in args.people:
        face = pipe(seed=seed)
        worn = "nothing" if not face.hair or face.hair[0] is None else face.hair[0].style
        (fast, busy), (bare, less) = (filmed(f, motion, args.size) for f in (face, pipe(seed=seed, hair=None)))
        print(f"| {worn} | {fast:.1f} | {busy:.0f} | {bare:.1f} | {less:.0f} |", flush=True)


if __name__ == "__main__":
    main()
