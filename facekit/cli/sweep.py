"""``facekit sweep``: one person and expression at increasing intensity."""

from __future__ import annotations

import argparse
from pathlib import Path

from facekit.cli.options import (
    EXPRESSION_HELP,
    blend_of,
    check_maps,
    detail_of,
    detail_options,
    file_path,
    formats,
    formats_of,
    latents_of,
    picture_options,
    pipeline_of,
    report_file,
    trait_options,
    who_options,
)

SUMMARY = "one expression from intensity 0 upward: strip and loop"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    who_options(parser)
    trait_options(parser)
    parser.add_argument("--expression", default="smile", help=f"{EXPRESSION_HELP} (default: smile)")
    parser.add_argument("--steps", type=int, default=15, help="number of faces (default: 15)")
    parser.add_argument("--stop", type=float, default=1.5, help="last intensity (default: 1.5)")
    parser.add_argument("--out", type=file_path, default=Path("out"), help="folder (default: out)")
    parser.add_argument(
        "--animation", choices=("webp", "gif", "png", "mp4"), default="webp", help="loop (default: webp)"
    )
    parser.add_argument("--fps", type=float, default=15.0, help="pictures per second (default: 15)")
    parser.add_argument("--format", help=f"also write each face, out of {formats()}, with commas")
    parser.add_argument("--maps", type=file_path, metavar="FOLDER", help="also write the maps of each step's detail")
    detail_options(parser)
    picture_options(parser)


def run(args: argparse.Namespace) -> None:
    """Write the strip, the loop and, if requested, meshes and maps of every step."""
    names, blend = formats_of(args.format), blend_of(args.expression)
    check_maps(args)
    import numpy as np
    import torch

    from facekit.files.images import save_image
    from facekit.io import save
    from facekit.io.maps import save_maps
    from facekit.progress import progress
    from facekit.sweeps import sweep_intensity
    from facekit.viz.animation import save_animation
    from facekit.viz.sheets import intensity_strip, render_faces

    faces = sweep_intensity(pipeline_of(args), latents_of(args), blend, args.steps, args.stop, **detail_of(args))
    shown = (render_faces(face, image_size=args.size, quality=args.quality) for face in faces)
    pictures = torch.cat(list(progress(shown, total=len(faces), desc="pictures")))
    stem = blend if isinstance(blend, str) else "_".join(blend)
    report_file(save_image(np.asarray(intensity_strip(faces, pictures)), args.out / f"{stem}_sweep.png"))
    report_file(save_animation(pictures, args.out / f"{stem}_sweep.{args.animation}", fps=args.fps, boomerang=True))
    for k in progress(range(len(faces) if names else 0), desc="meshes"):
        for name in names:
            save(faces[k], args.out / f"{stem}_{k:02d}.{name}")
    if args.maps:
        written = save_maps(faces, args.maps, stem)
        print(f"wrote {len(written)} files of maps in {args.maps}")
