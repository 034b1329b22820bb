"""Main parser, exit codes and error messages.

Nothing heavy is imported before a command runs, so that ``facekit --help`` is fast.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from facekit.checks import did_you_mean
from facekit.cli import (
    animate,
    app,
    compare,
    demo,
    doctor,
    evaluate,
    export,
    expressions,
    generate,
    reconstruct,
    render,
    sweep,
    weights,
)
from facekit.cli.arguments import check_arguments, noting, refuse_idle
from facekit.cli.options import global_options
from facekit.cli.streams import forgiving
from facekit.errors import FacekitError, InputError
from facekit.version import __version__

#: Commands in the order of ``--help``.
COMMANDS: dict[str, ModuleType] = {
    "demo": demo,
    "reconstruct": reconstruct,
    "generate": generate,
    "sweep": sweep,
    "expressions": expressions,
    "render": render,
    "export": export,
    "animate": animate,
    "compare": compare,
    "evaluate": evaluate,
    "app": app,
    "weights": weights,
    "doctor": doctor,
}

#: Commands that load no model, or all of them.
WITHOUT_MODEL = ("app", "weights", "doctor")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        The exit code: 0, 1 for a broken installation, 2 for bad input or output that cannot be written, 130 for Ctrl-C.
    """
    with forgiving() as out:
        code, stop = 0, None
        try:
            code = _run(argv)
        except SystemExit as end:  # from --help, and for arguments that argparse rejects
            stop = end
        if out is not None:
            out.flush()
            if out.failure is not None:
                print(f"facekit: error: expected to write the output, got {out.failure.strerror}", file=sys.stderr)
                return code or 2
        if stop is not None:
            raise stop
        return code


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    args, unknown = parser.parse_known_args(argv)
    warnings.showwarning = _show_warning
    # Idle OpenMP threads that spin would block the threads that encode files, and other programs: facekit demo took
    # twice the CPU time. Only effective before the first import of torch.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        if unknown:
            raise _unknown(unknown, args.command, parser)
        if args.command in WITHOUT_MODEL:
            refuse_idle(args, ("model", "device"), f"with {args.command}")
        check_arguments(args)
        return args.run(args) or 0
    except FacekitError as error:
        print(f"facekit: error: {_told(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nfacekit: interrupted; {interrupt}".rstrip("; "), file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Build the parser with all commands; each sets ``run``."""
    parser = noting(_Parser(prog="facekit", description="Controllable, textured 3D faces from a few numbers."))
    parser.add_argument("--version", action="version", version=f"facekit {__version__}")
    global_options(parser, suppress=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        summary: str = command.SUMMARY
        child = noting(commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + "."))
        global_options(child, suppress=True)
        child.set_defaults(run=command.run, command=name)
        command.add_options(child)
    return parser


class _Parser(argparse.ArgumentParser):
    """Report errors in one line that names the help, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Implement argparse's method."""
        self.exit(2, f"facekit: error: {message}; see {self.prog} --help\n")


def _unknown(words: list[str], command: str, parser: argparse.ArgumentParser) -> InputError:
    """Return the error for arguments that the command does not have, with the most similar option."""
    chosen = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices[command]
    names = [name for name in chosen._option_string_actions if name.startswith("--")]
    remedy = did_you_mean(words[0].split("=")[0], names, f"see facekit {command} --help")
    return InputError(f"options of facekit {command}", " ".join(words), remedy)


def _told(error: FacekitError) -> str:
    """Format the message in one line, or with a line per step of the remedy."""
    first, *steps = (" ".join(line.split()) for line in str(error).splitlines())
    return "\n".join([first, *(f"  {step}" for step in steps)])


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"facekit: warning: {message}", file=sys.stderr)
