"""``facekit weights``: list, fetch, import, verify, path, remove."""

from __future__ import annotations

import argparse

from facekit.cli.arguments import noting, refuse_idle
from facekit.cli.options import file_path
from facekit.errors import InputError

SUMMARY = "published weights: list, fetch, import, verify, path, remove"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands; each sets ``run``."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        child = noting(commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + "."))
        child.set_defaults(run=run)
        if run is not _list:
            child.add_argument("name", metavar="NAME", help="a model of facekit weights list")
        return child

    command("list", _list, "the models: licence, origin, and whether they are here")
    command("fetch", _fetch, "download a model, convert it once and keep it; goes on where it was interrupted")
    into = command("import", _import, "convert a model from files on your disk and keep it")
    into.add_argument("--checkpoints", type=file_path, help="the published zip, or the folder it holds")
    into.add_argument("--file", type=file_path, help="the one file of a tool, such as the landmarker")
    into.add_argument("--data", type=file_path, help="folder or zip with upstream's data files, such as its repository")
    command("verify", _verify, "compare every file with its sha256")
    command("path", _path, "print the folder of a model")
    command("remove", _remove, "delete a fetched model and the hashes remembered for it")


def run(args: argparse.Namespace) -> None:
    """List the models: the default if no subcommand is given."""
    _list(args)


def _list(args: argparse.Namespace) -> None:
    from facekit import weights

    for name, entry in weights.models().items():
        print(f"{name}  ({_state(name)})")
        print(f"  {entry.summary}\n  licence: {entry.licence}\n  origin:  {entry.origin}")
        if not weights.ready(name):
            print(f"  fetch:   facekit weights fetch {name}")
            print("\n".join(f"  {'by hand:' if k == 0 else '':8} {step}" for k, step in enumerate(entry.by_hand)))
    for name, entry in weights.tools().items():
        print(f"{name}  (comes with the package {entry.package})")
        print(f"  {entry.summary}\n  licence: {entry.licence}\n  origin:  {entry.origin}")
        print(f"  by hand: {entry.url}\n           facekit weights import {name} --file PATH")


def _state(name: str) -> str:
    from facekit import weights

    if not weights.ready(name):
        return "not here"
    folder = weights.path(name)
    size = sum(file.size or 0 for file in weights.files(name).values())
    return f"{'embedded' if weights.record(name).embedded else 'here'}, {size / 1e6:.1f} MB, {folder}"


def _fetch(args: argparse.Namespace) -> None:
    from facekit import convert

    print(f"{args.name} is in {convert.fetch(args.name)}")


def _import(args: argparse.Namespace) -> None:
    from facekit import convert, weights

    tool = args.name in weights.tools()
    refuse_idle(args, ("checkpoints", "data") if tool else ("file",), f"with {args.name}")
    if tool:
        from facekit.reconstruct.landmarker import import_model

        if args.file is None:
            raise InputError("--file with the tool's file", "none", f"download {weights.tool(args.name).url}")
        print(f"{args.name} is in {import_model(args.file)}")
        return
    if args.checkpoints is None:
        raise InputError("--checkpoints with the published zip or folder", "none", "see facekit weights list")
    print(f"{args.name} is in {convert.import_files(args.name, args.checkpoints, args.data)}")


def _verify(args: argparse.Namespace) -> None:
    from facekit import weights

    weights.verify(args.name)
    print(f"{args.name}: {len(weights.record(args.name).files)} files, sha256 verified")


def _path(args: argparse.Namespace) -> None:
    from facekit import weights

    weights.files(args.name)  # raises if the model is not available
    print(weights.path(args.name))


def _remove(args: argparse.Namespace) -> None:
    from facekit import convert

    print(f"{args.name} removed" if convert.remove(args.name) else f"{args.name} was not here")
