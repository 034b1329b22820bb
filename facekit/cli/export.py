"""``facekit export``: one face as a file."""

from __future__ import annotations

import argparse

from facekit.cli.options import (
    detail_options,
    expression_options,
    face_of,
    file_path,
    formats,
    mesh_options,
    report_file,
    trait_options,
    who_options,
)

SUMMARY = "one face as a file; the suffix chooses the format"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    who_options(parser)
    trait_options(parser)
    expression_options(parser, "neutral")
    detail_options(parser)
    parser.add_argument("--level", type=int, default=0, help="subdivide and displace a mesh, 1 to 4 times (default: 0)")
    parser.add_argument("--maps", action="store_true", help="also write displacement and normal map, as PNG")
    parser.add_argument("--out", type=file_path, required=True, help=f"file; {formats()}")


def run(args: argparse.Namespace) -> None:
    """Write the face and, if requested, its maps."""
    options = mesh_options(args)
    from facekit.io import save
    from facekit.io.maps import save_maps
    from facekit.io.obj import file_stem

    face = face_of(args)
    report_file(save(face, args.out, **options))
    if args.maps and "maps" not in options:  # an OBJ writes its own
        for path in save_maps(face, args.out.parent, file_stem(args.out)):
            report_file(path)
