"""``facekit animate``: a face that performs a motion, as video or animated mesh."""

from __future__ import annotations

import argparse
from typing import Any

from facekit.cli.arguments import OF_FACE, refuse_idle
from facekit.cli.options import (
    EXPRESSION_HELP,
    blend_of,
    detail_of,
    detail_options,
    file_path,
    latents_of,
    need_file,
    picture_options,
    pipeline_of,
    report_file,
    trait_options,
    who_options,
)
from facekit.errors import InputError

SUMMARY = "a motion of ARKit's blendshapes, made by a face: film or animated GLB"
_FILMS = (".mp4", ".webp")
_MOTIONS = (".csv", ".json", ".npz")
_OF_FILM = ("size", "quality", "audio")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "take",
        nargs="?",
        type=file_path,
        help=".csv of Live Link Face or of ARKit's names, .json, .npz; without it, ten seconds of facekit's own",
    )
    parser.add_argument("--idle", type=float, metavar="SECONDS", help="blinks and small movements instead of a take")
    who_options(parser)
    trait_options(parser)
    parser.add_argument("--expression", default="neutral", help=f"worn throughout; {EXPRESSION_HELP}")
    parser.add_argument("--intensity", type=float, default=1.0, help="of that expression, 0 to 1.5 (default: 1)")
    parser.add_argument("--smooth", type=float, default=0.0, metavar="SECONDS", help="take out tremble (default: 0)")
    parser.add_argument("--fps", type=float, help="frames per second (default: the take's)")
    parser.add_argument("--audio", type=file_path, help="the take's sound, for .mp4")
    parser.add_argument("--out", type=file_path, required=True, help=".mp4 .webp, .glb, or .csv .json .npz")
    detail_options(parser)
    picture_options(parser)


def run(args: argparse.Namespace) -> None:
    """Write the video, the animated mesh, or the motion alone."""
    suffix = args.out.suffix.lower()
    if suffix not in (*_FILMS, ".glb", *_MOTIONS):
        raise InputError("--out that ends in .mp4 .webp .glb .csv .json .npz", f"{args.out}", "rename it")
    if suffix not in _FILMS:
        refuse_idle(args, _OF_FILM, f"with {suffix}")
    if suffix == ".webp":
        refuse_idle(args, ("audio",), "with .webp, which is silent")
    if suffix in _MOTIONS:
        # A seed also sets the idle movements.
        refuse_idle(args, OF_FACE if args.idle is not None else ("seed", *OF_FACE), f"with {suffix}")
    if args.take is not None and args.idle is not None:
        raise InputError("a take or --idle", "both", "leave one of them out")
    if args.take is not None:
        need_file(args.take, "a file of a motion")
    from facekit.motion import Motion

    if args.idle is not None:
        motion = Motion.idle(args.idle, seed=args.seed)
    else:
        motion = Motion.sample() if args.take is None else Motion.load(args.take)
    motion = motion if args.fps is None else motion.resample(args.fps)
    motion = motion.smooth(args.smooth) if args.smooth else motion
    if suffix in _MOTIONS:
        report_file(motion.save(args.out))
        return
    person = latents_of(args).with_expression(blend_of(args.expression), args.intensity)
    face = pipeline_of(args)(latents=person, **detail_of(args))
    options: dict[str, Any] = {}
    if suffix in _FILMS:
        options = {"image_size": args.size, "quality": args.quality, "audio": args.audio}
    report_file(motion.save(args.out, face, **options))
