"""``facekit evaluate``: an experiment against its control groups; tables, figures and a report in one folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from facekit.cli.arguments import given, refuse_idle
from facekit.cli.options import file_path, report_file
from facekit.errors import InputError

SUMMARY = "an experiment against control groups: tables with intervals, figures, a report"
#: The names of :data:`facekit.evaluate.registry.EXPERIMENTS`, which would load torch; a test holds them together.
EXPERIMENTS = ("generation", "reconstruction", "now", "disfa")
#: Those that need a folder of the user's, and which of ``--model`` and the like mean nothing to them.
NEEDS_DATA = ("now", "disfa")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.add_argument("experiment", nargs="?", choices=EXPERIMENTS, help="which; see --list")
    parser.add_argument("--list", action="store_true", help="say what there is, and what each needs")
    parser.add_argument("--quick", action="store_true", help="few people: minutes instead of an hour")
    parser.add_argument("--data", type=file_path, help="folder of the data set; generation has people of its own")
    parser.add_argument("--predictions", type=file_path, help="folder of what is judged, in the benchmark's layout")
    parser.add_argument("--methods", help="only these, with commas between; all by default")
    parser.add_argument("--seed", type=int, default=0, help="chooses the people (default: 0)")
    parser.add_argument(
        "--out", type=file_path, default=Path("out/evaluation"), help="folder (default: out/evaluation)"
    )


def run(args: argparse.Namespace) -> None:
    """Run the experiment, or go on with it, and write its files."""
    if args.list:
        refuse_idle(args, (name for name in given(args) if name not in ("list", "experiment")), "with --list")
        print(_listed())
        return
    if args.experiment is None:
        raise InputError("an experiment", "none", f"name one of {', '.join(EXPERIMENTS)}; see facekit evaluate --list")
    if args.experiment in NEEDS_DATA:
        for name in ("data", "predictions"):
            if getattr(args, name) is None:
                raise InputError(f"--{name} with {args.experiment}", "none", "see facekit evaluate --list")
        refuse_idle(args, ("quick", "seed", "model", "device"), f"with {args.experiment}")
    else:
        refuse_idle(args, ("predictions",), f"with {args.experiment}")
        if args.experiment == "reconstruction":
            refuse_idle(args, ("data",), "with reconstruction, which makes its own photographs")
    from facekit.evaluate.registry import EXPERIMENTS as BUILDERS

    experiment = BUILDERS[args.experiment].build(args)
    methods = None if args.methods is None else [name.strip() for name in args.methods.split(",")]
    results = experiment.run(args.out, methods)
    for path in results.save(args.out):
        report_file(path)
    for note in results.notes:
        print(f"note: {note}")


def _listed() -> str:
    from facekit.evaluate.registry import EXPERIMENTS as BUILDERS

    blocks = []
    for name, entry in BUILDERS.items():
        blocks.append(f"{name}\n  {entry.summary}\n  protocol {entry.protocol}; data: {entry.data}")
    return "\n".join(blocks)
