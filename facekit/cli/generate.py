"""``facekit generate``: sets of people, as meshes or as labelled pictures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from facekit.cli.arguments import given, refuse_idle
from facekit.cli.options import (
    blend_of,
    check_maps,
    detail_of,
    detail_options,
    expression_options,
    file_path,
    formats,
    formats_of,
    need_file,
    pipeline_of,
    who_options,
)
from facekit.errors import InputError
from facekit.generate import ENGINES, LAYOUTS

SUMMARY = "a set of people, as meshes or as labelled pictures; goes on where it was interrupted"
#: Options that only apply to one of the two kinds of sets.
_OF_MESHES = (
    "model", "truncation", "expression", "intensity", "detail", "detail_strength", "hair", "format", "maps",
)  # fmt: skip
_OF_PICTURES = ("shard", "also", "gpus")
_OF_CLUSTERS = ("address", "gpus")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "recipe",
        nargs="?",
        help="for labelled pictures: portrait, wild, video, or a file .yaml .json; without it, meshes are made",
    )
    parser.add_argument("--count", type=int, help="number of faces")
    parser.add_argument("--out", type=_place, help="folder; of pictures also an address such as s3://bucket/set")
    who_options(parser, seed=0)
    crew = parser.add_argument_group("who works")
    crew.add_argument("--workers", type=int, help="processes (default: of pictures one a core, of meshes one)")
    crew.add_argument("--engine", choices=ENGINES, help="processes of this machine or a cluster (default: local)")
    crew.add_argument("--address", help="of the Ray cluster (default: one of this machine's)")
    crew.add_argument("--status", type=_place, metavar="SET", help="tell how far a set is")
    crew.add_argument("--verify", type=_place, metavar="SET", help="the same, and hash every file")
    pictures = parser.add_argument_group("labelled pictures")
    pictures.add_argument("--shard", type=int, help="samples a shard (default: 500)")
    pictures.add_argument(
        "--gpus", type=float, help="with ray and cuda: share of a card that a task takes (default: 1)"
    )
    pictures.add_argument("--also", help=f"other layouts beside the shards: {','.join(LAYOUTS)}")
    expression_options(parser, "neutral")
    detail_options(parser)
    parser.add_argument("--format", default="glb", help=f"out of {formats()}, with commas (default: glb)")
    parser.add_argument("--maps", action="store_true", help="also write each face's displacement and normal map")


def run(args: argparse.Namespace) -> None:
    """Make the set, or its missing part; or print its status."""
    if args.status is not None or args.verify is not None:
        name = "status" if args.verify is None else "verify"
        refuse_idle(args, (n for n in given(args) if n not in (name, "recipe")), f"with --{name}")
        if args.recipe is not None:
            raise InputError(f"--{name} alone", f"{args.recipe} besides", "leave it out")
        _tell(args)
        return
    if args.count is None or args.out is None:
        raise InputError("--count and --out", "one or none of them", "for instance --count 500 --out people")
    if args.engine != "ray":
        refuse_idle(args, _OF_CLUSTERS, "without --engine ray")
    if args.recipe is not None:
        refuse_idle(args, _OF_MESHES, "with a recipe")
        _pictures(args)
    else:
        refuse_idle(args, _OF_PICTURES, "without a recipe")
        _meshes(args)


def _pictures(args: argparse.Namespace) -> None:
    layouts = [] if args.also is None else [name.strip() for name in args.also.split(",")]
    for name in layouts:
        if name not in LAYOUTS:
            raise InputError(f"--also out of {', '.join(LAYOUTS)}", repr(name), "separate them by commas")
    if layouts and "://" in args.out:
        raise InputError("a folder of this machine for --also", args.out, "leave --also out, or write to a folder")
    from facekit.generate.recipe import Recipe

    recipe = Recipe.load(args.recipe)  # checked before torch is imported
    from facekit.generate.job import generate_pictures

    # The kind of device changes the bytes, so it is never chosen automatically.
    device = "cpu" if args.device == "auto" else args.device
    result = generate_pictures(
        recipe,
        args.out,
        args.count,
        seed=args.seed,
        workers=_or(args.workers, 1 if device == "cuda" else os.cpu_count() or 1),
        engine=args.engine or "local",
        address=args.address,
        shard=_or(args.shard, 500),
        device=device,
        gpus=_or(args.gpus, 1.0),
    )
    print(f"{result.made} samples in {args.out}; what they mean: README.md there")
    if result.skipped:
        print(f"left out: {', '.join(str(index) for index in sorted(result.skipped))}")
    if layouts:
        from facekit.generate.exports import export

        for name in layouts:
            print(export(args.out, name))


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _tell(args: argparse.Namespace) -> None:
    place, verify = args.verify or args.status, args.verify is not None
    if "://" not in place:
        need_file(Path(place), "a set of faces")
    if os.path.exists(os.path.join(place, "manifest.jsonl")):
        _tell_meshes(place, verify)
        return
    from facekit.generate.job import status

    result = status(place, verify)
    print(f"{result.made} of {result.count} samples")
    for what in ("missing", "broken"):
        numbers = getattr(result, what)
        if numbers:
            print(f"{what} shards: {', '.join(str(number) for number in numbers)}")
    for index, why in sorted(result.skipped.items()):
        print(f"left out: {index}: {why}")
    if verify and not result.complete:
        raise InputError("a whole set", "one with missing or broken shards", "run the command that made it again")


def _tell_meshes(place: str, verify: bool) -> None:
    from facekit.generate.records import mesh_status

    result = mesh_status(place, verify)
    print(f"{result.made} faces")
    if result.broken:
        print(f"broken: {', '.join(str(seed) for seed in result.broken)}")
        if verify:
            raise InputError("a whole set", "one with broken faces", "run the command that made it again")


def _meshes(args: argparse.Namespace) -> None:
    chosen = formats_of(args.format)
    check_maps(args)
    from facekit.generate.engines import Crew

    crew = Crew(_or(args.workers, 1), args.engine or "local", args.address)
    from facekit.generate.local import generate_set

    result = generate_set(
        formats=chosen,
        pipe=pipeline_of(args),
        folder=args.out,
        count=args.count,
        seed=args.seed,
        expression=blend_of(args.expression),
        intensity=args.intensity,
        truncation=args.truncation,
        maps=args.maps,
        crew=crew,
        **detail_of(args),
    )
    print(f"{result.made} faces made, {result.kept} kept from before; list: {result.manifest}")


def _place(text: str) -> str:
    return text if "://" in text else str(file_path(text))
