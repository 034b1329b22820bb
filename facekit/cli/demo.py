"""``facekit demo``: all outputs of facekit for one person, in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from facekit.cli.options import detail_of, detail_options, device_of, file_path

SUMMARY = "one person: sweep, sheet, turntable, portrait, meshes, bundle"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--out", type=file_path, default=Path("out"), help="folder (default: out)")
    parser.add_argument("--seed", type=int, default=15, help="who it is (default: 15)")
    detail_options(parser)


def run(args: argparse.Namespace) -> None:
    """Make the demonstration and list its files."""
    from facekit.demo import run_demo

    print(run_demo(args.out, args.seed, args.model, device_of(args), **detail_of(args)))
