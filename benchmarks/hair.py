"""Cost of hair: python benchmarks/hair.py [--size 512] [--repeat 15] [--threads 2]

Prints a Markdown table: for each style and beard of the embedded default the vertices of its cards, milliseconds for
placing it on a posed head, milliseconds that it adds to a picture of the bare head from the same camera, timed in turn,
the same in milliseconds of the processors, which other work on the machine changes less, and the size of the GLB with
19 morph targets.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from facekit import FaceLatents, FacePipeline
from facekit.render import render
from facekit.render.render import default_camera


def timed(works: list[Callable[[], object]], repeat: int) -> list[tuple[float, float]]:
    """Median milliseconds of several works, and of the processors, one after the other again and again."""
    spent: list[list[tuple[float, float]]] = [[] for _ in works]
    for turn in range(repeat + 1):
        for work, own in zip(works, spent, strict=True):
            start, busy = time.perf_counter(), time.process_time()
            work()
            if turn:
                own.append((1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - busy)))
    return [(statistics.median(t for t, _ in own), statistics.median(t for _, t in own)) for own in spent]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default 512)")
    parser.add_argument("--repeat", type=int, default=15, help="runs of which the median counts (default 15)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe = FacePipeline.from_pretrained(device="cpu")
    codes = pipe.to_model_codes(FaceLatents.sample(args.seed).with_expression("smile", 1.0))
    bare = pipe(seed=args.seed, expression="smile", hair=None)
    looks = [f"{style}+shaven" for style in pipe.hair_styles] + [f"bald+{beard}" for beard in pipe.beard_styles[1:]]
    print(f"{args.size}², standard quality, {args.threads} threads, median of {args.repeat}\n")
    print("| worn | vertices | placed, ms | processor | drawn, ms | processor | GLB, MB |\n| --- |" + " ---: |" * 6)
    verts = pipe.decode_shape(codes)
    rest = pipe.decode_shape(codes.at_rest())
    brows = pipe.brows(codes)
    for look in looks:
        face = pipe(seed=args.seed, expression="smile", hair=look)
        camera, cards = default_camera(face.mesh, face.hair), face.hair[0].cards
        without, drawn, placed = timed(
            [
                lambda camera=camera: render(bare.mesh, camera, args.size),
                lambda face=face, camera=camera: render(face.mesh, camera, args.size, hair=face.hair[0]),
                lambda cards=cards: pipe.wardrobe.wear(cards, rest, verts, brows),
            ],
            args.repeat,
        )
        with tempfile.TemporaryDirectory() as folder:
            size = face.save(Path(folder) / "face.glb").stat().st_size
        more, busy = (a - b for a, b in zip(drawn, without, strict=True))
        times = f"{placed[0]:.1f} | {placed[1]:.1f} | {more:.0f} | {busy:.0f}"
        print(f"| {look} | {len(cards.verts):,} | {times} | {size / 1e6:.2f} |", flush=True)


if __name__ == "__main__":
    main()
