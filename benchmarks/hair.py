"""Cost of hair: python benchmarks/hair.py [--size 512] [--repeat 15] [--threads 2]

Prints a Markdown table: for each style and beard of the embedded default the vertices of its cards; milliseconds for
placing it on a posed head; milliseconds that it adds to a picture of the bare head from the same camera, timed in turn;
the processors' milliseconds for hair alone, which is what it adds before hair is blended over the head and before the
head under it is left out, the least of all runs, for that is what other work on the machine changes least; and the size
of the GLB with 19 morph targets.
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
    print("| worn | vertices | placed, ms | drawn, ms | alone, processor, ms | GLB, MB |\n| --- |" + " ---: |" * 5)
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
        with tempfile.TemporaryDirectory() as folder:
            size = face.save(Path(folder) / "face.glb").stat().st_size
        more = statistics.median(a - b for a, b in zip(drawn[0], without[0], strict=True))
        times = f"{statistics.median(placed[0]):.1f} | {more:.0f} | {min(alone[1]):.0f}"
        print(f"| {look} | {len(cards.verts):,} | {times} | {size / 1e6:.2f} |", flush=True)


if __name__ == "__main__":
    main()
