"""``facekit generate``: a set of people as files."""

from __future__ import annotations

import argparse

from facekit.cli.options import (
    blend_of,
    check_maps,
    detail_of,
    detail_options,
    expression_options,
    file_path,
    formats,
    formats_of,
    pipeline_of,
    who_options,
)

SUMMARY = "a set of people, one a seed; goes on where it was interrupted"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.add_argument("--count", type=int, required=True, help="number of faces")
    parser.add_argument("--out", type=file_path, required=True, help="folder")
    who_options(parser, seed=0)
    expression_options(parser, "neutral")
    detail_options(parser)
    parser.add_argument("--format", default="glb", help=f"out of {formats()}, with commas (default: glb)")
    parser.add_argument("--maps", action="store_true", help="also write each face's displacement and normal map")


def run(args: argparse.Namespace) -> None:
    """Make the set, or what is missing of it."""
    formats = formats_of(args.format)
    check_maps(args)
    from facekit.generate.local import generate_set

    result = generate_set(
        formats=formats,
        pipe=pipeline_of(args),
        folder=args.out,
        count=args.count,
        seed=args.seed,
        expression=blend_of(args.expression),
        intensity=args.intensity,
        truncation=args.truncation,
        maps=args.maps,
        **detail_of(args),
    )
    print(f"{result.made} faces made, {result.kept} kept from before; list: {result.manifest}")
