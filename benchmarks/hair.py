"""Cost of hair: python benchmarks/hair.py [--size 512] [--repeat 15] [--threads 2]

Prints a Markdown table: for each style and beard of the embedded default the vertices of its cards; milliseconds for
placing it on a posed head; milliseconds that it adds to a picture of the bare head from the same camera, timed in turn,
and to each of the 15 pictures of a sweep, which threads divide among themselves; the processors' milliseconds for hair
alone, which is what it adds before hair is blended over the head and before the head under it is left out, the least of
all runs, for that is what other work on the machine changes least; and the size of the GLB with 19 morph targets.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import torch
from render import clocked

from facekit import FaceLatents, FacePipeline
from facekit.render import render
from facekit.render.lights import Lights
from facekit.render.render import default_camera
from facekit.render.worn import Worn

#: Pictures of a sweep, and how often it is drawn.
FRAMES, SWEEPS = 15, 7


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
    sweep = FaceLatents.cat([FaceLatents.sample(args.seed).with_expression("smile", k / 10) for k in range(FRAMES)])
    bare_sweep = pipe(latents=sweep, hair=None)
    looks = [f"{style}+shaven" for style in pipe.hair_styles] + [f"bald+{beard}" for beard in pipe.beard_styles[1:]]
    print(f"{args.size}², standard quality, {args.threads} threads, median of {args.repeat}\n")
    heading = "| worn | vertices | placed, ms | drawn, ms | in a sweep, ms | alone, processor, ms | GLB, MB |"
    print(f"{heading}\n| --- |" + " ---: |" * 6)
    lights = Lights.preset("studio")
    verts = pipe.decode_shape(codes)
    rest = pipe.decode_shape(codes.at_rest())
    grooming = pipe.grooming(codes)
    for look in looks:
        face = pipe(seed=args.seed, expression="smile", hair=look)
        camera, cards = default_camera(face.mesh, face.hair), face.hair[0].cards
        head, near = render(bare.mesh, camera, args.size), camera.near_plane(bare.mesh.verts)
        without, drawn, placed, alone = clocked(
            [
                lambda camera=camera: render(bare.mesh, camera, args.size),
                lambda face=face, camera=camera: render(face.mesh, camera, args.size, hair=face.hair[0]),
                lambda cards=cards: pipe.wardrobe.wear(cards, rest, verts, grooming),
                lambda face=face, camera=camera, head=head, near=near: Worn.of(
                    face.hair, camera, lights, near, head.depth, head.alpha
                ),
            ],
            args.repeat,
        )
        moving = pipe(latents=sweep, hair=look)
        frames = clocked(
            [
                lambda camera=camera: render(bare_sweep.mesh, camera, args.size),
                lambda moving=moving, camera=camera: render(moving.mesh, camera, args.size, hair=moving.hair),
            ],
            SWEEPS,
        )
        with tempfile.TemporaryDirectory() as folder:
            size = face.save(Path(folder) / "face.glb").stat().st_size
        more = _added(without[0], drawn[0])
        each = _added(frames[0][0], frames[1][0]) / FRAMES
        times = f"{statistics.median(placed[0]):.1f} | {more:.0f} | {each:.0f} | {min(alone[1]):.0f}"
        print(f"| {look} | {len(cards.verts):,} | {times} | {size / 1e6:.2f} |", flush=True)


def _added(without: list[float], drawn: list[float]) -> float:
    return statistics.median(a - b for a, b in zip(drawn, without, strict=True))


if __name__ == "__main__":
    main()
