"""``facekit evaluate``: an experiment with control groups; tables, figures and a report in one folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from facekit.cli.arguments import given, refuse_idle
from facekit.cli.options import file_path, report_file
from facekit.errors import FileError, InputError

SUMMARY = "an experiment against control groups: tables with intervals, figures, a report"
#: Names of :data:`facekit.evaluate.registry.EXPERIMENTS`, which would import torch; a test keeps both in sync.
EXPERIMENTS = (
    "generation", "detail", "units", "reconstruction", "now", "realy", "facescape", "svfr", "agreement", "disfa",
)  # fmt: skip
_JUDGING = ("quick", "seed", "model", "device")
#: Experiments that can make their predictions.
PREDICTING = ("now", "realy")
#: Required and unsupported options of each experiment.
NEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "generation": ((), ("predictions",)),
    "detail": (("data",), ("predictions", "seed")),
    "units": ((), ("data", "predictions")),
    "reconstruction": ((), ("predictions", "data")),
    "now": (("data", "predictions"), _JUDGING),
    "realy": (("data", "predictions"), _JUDGING),
    "facescape": (("data", "predictions"), _JUDGING),
    "svfr": (("data",), ("predictions", "seed", "quick")),
    "agreement": (("data", "predictions"), _JUDGING),
    "disfa": (("data", "predictions"), _JUDGING),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("experiment", nargs="?", choices=EXPERIMENTS, help="which; see --list")
    parser.add_argument("--list", action="store_true", help="say what there is, and what each needs")
    parser.add_argument("--quick", action="store_true", help="few people: minutes instead of an hour")
    parser.add_argument("--data", type=file_path, help="folder of the data set; generation has people of its own")
    parser.add_argument("--predictions", type=file_path, help="folder of what is judged, in the benchmark's layout")
    parser.add_argument(
        "--pictures", type=file_path, help="with now and realy: reconstruct these first, into --predictions"
    )
    parser.add_argument("--controls", type=file_path, help="with generation: the folder that the stage controls left")
    parser.add_argument("--methods", help="only these, with commas between; all by default")
    parser.add_argument("--seed", type=int, default=0, help="chooses the people (default: 0)")
    parser.add_argument(
        "--out", type=file_path, default=Path("out/evaluation"), help="folder (default: out/evaluation)"
    )


def run(args: argparse.Namespace) -> None:
    """Run or resume the experiment, and write its files."""
    if args.list:
        refuse_idle(args, (name for name in given(args) if name not in ("list", "experiment")), "with --list")
        print(_listed())
        return
    if args.experiment is None:
        raise InputError("an experiment", "none", f"name one of {', '.join(EXPERIMENTS)}; see facekit evaluate --list")
    needed, idle = NEEDS[args.experiment]
    for name in needed:
        if getattr(args, name) is None:
            raise InputError(f"--{name} with {args.experiment}", "none", "see facekit evaluate --list")
    idle = idle if args.experiment == "generation" else (*idle, "controls")
    if args.experiment not in PREDICTING:
        idle = (*idle, "pictures")
    elif args.pictures is not None:
        idle = tuple(name for name in idle if name not in ("model", "device"))
    refuse_idle(args, idle, f"with {args.experiment}")
    from facekit.evaluate.registry import EXPERIMENTS as BUILDERS

    experiment = BUILDERS[args.experiment].build(args)
    methods = None if args.methods is None else chosen(args.methods, [cell.method for cell in experiment.cells])
    results = experiment.run(args.out, methods)
    if not len(results):
        reasons = [note for note in results.notes if note not in experiment.notes]
        why = reasons[0] if reasons else "nothing was found to measure"
        raise FileError("at least one method that can be measured", f"none: {why}", "see facekit evaluate --list")
    for path in results.save(args.out):
        report_file(path)
    for note in results.notes:
        print(f"note: {note}")


def chosen(text: str, known: Sequence[str]) -> list[str]:
    """Return the methods in a comma-separated list; some names contain commas themselves."""
    names: list[str] = []
    pieces = [piece.strip() for piece in text.split(",")]
    while pieces:
        longest = next((k for k in range(len(pieces), 0, -1) if ", ".join(pieces[:k]) in known), 1)
        names.append(", ".join(pieces[:longest]))
        pieces = pieces[longest:]
    return names


def _listed() -> str:
    from facekit.evaluate.registry import EXPERIMENTS as BUILDERS

    blocks = []
    for name, entry in BUILDERS.items():
        blocks.append(f"{name}\n  {entry.summary}\n  protocol {entry.protocol}; data: {entry.data}")
    return "\n".join(blocks)
