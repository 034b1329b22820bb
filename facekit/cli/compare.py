"""``facekit compare``: pages, figures and report of a comparison in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from facekit.cli.options import file_path, pipeline_of, report_file

SUMMARY = "an experiment: faces side by side, differences, figures, a report"
#: Names of :data:`facekit.compare.PRESETS`, which would import torch; a test keeps both in sync.
PRESETS = ("intensity", "expression", "identity", "detail", "models")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--preset", choices=PRESETS, default="intensity", help="experiment (default: intensity)")
    parser.add_argument(
        "--out", type=file_path, default=Path("out/comparison"), help="folder (default: out/comparison)"
    )
    parser.add_argument("--seed", type=int, default=15, help="who it is (default: 15)")
    parser.add_argument("--size", type=int, default=256, help="side of one face in pixels (default: 256)")


def run(args: argparse.Namespace) -> None:
    """Run the comparison and write its pages, figures and report."""
    from facekit.compare import PRESETS as EXPERIMENTS

    pipe = pipeline_of(args)
    # The identity experiment compares people: the seed is the first of two.
    who = {"seeds": (args.seed, args.seed + 5)} if args.preset == "identity" else {"seed": args.seed}
    result = EXPERIMENTS[args.preset](pipe, image_size=args.size, **who)
    for path in result.save(args.out):
        report_file(path)
