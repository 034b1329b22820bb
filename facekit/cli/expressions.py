"""``facekit expressions``: one person with all 20 expressions, on a sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from facekit.cli.options import (
    detail_of,
    detail_options,
    file_path,
    latents_of,
    picture_options,
    pipeline_of,
    report_file,
    trait_options,
    who_options,
)
from facekit.errors import InputError
from facekit.io import format_of

SUMMARY = "a sheet of all 20 expressions"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    who_options(parser)
    trait_options(parser)
    parser.add_argument("--intensity", type=float, default=1.0, help="0 to 1.5 (default: 1)")
    parser.add_argument(
        "--out", type=file_path, default=Path("expressions.png"), help="picture (default: expressions.png)"
    )
    detail_options(parser)
    picture_options(parser)


def run(args: argparse.Namespace) -> None:
    """Write the sheet."""
    if format_of(args.out).module != "facekit.io.picture":
        raise InputError("--out that ends in .png .jpg .webp", f"{args.out}", "a sheet is a picture")
    import numpy as np
    import torch

    from facekit.files.images import save_image
    from facekit.progress import progress
    from facekit.sweeps import sweep_expressions
    from facekit.viz.sheets import expression_sheet, render_faces

    faces = sweep_expressions(pipeline_of(args), latents_of(args), intensity=args.intensity, **detail_of(args))
    shown = (render_faces(face, image_size=args.size, quality=args.quality) for face in faces)
    pictures = torch.cat(list(progress(shown, total=len(faces), desc="pictures")))
    sheet = expression_sheet(faces, pictures)
    report_file(save_image(np.asarray(sheet), args.out))
