"""Options shared by several commands, and the objects that they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.conventions import EXPRESSIONS
from facekit.errors import FileError, InputError
from facekit.files.atomic import expanded
from facekit.io import SUFFIXES, format_of

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.latents import FaceLatents
    from facekit.pipeline import FacePipeline

EXPRESSION_HELP = f"a name, or a blend like smile=0.6,brow_raiser=0.4; names: {' '.join(EXPRESSIONS)}"

_DETAIL: dict[str, bool | str] = {"full": True, "static": "static", "dynamic": "dynamic", "off": False}


# -- options ----------------------------------------------------------------------------------------------------------


def global_options(parser: argparse.ArgumentParser, suppress: bool) -> None:
    """Add global options, accepted before and after the command; a subparser must not overwrite the main parser's
    values.
    """
    parser.add_argument(
        "--model",
        default=argparse.SUPPRESS if suppress else "default",
        help="default, 3dfacecam; see facekit weights list (default: default)",
    )
    parser.add_argument(
        "--device",
        default=argparse.SUPPRESS if suppress else "auto",
        help="auto (CUDA where there is one), cpu, cuda, cuda:1 (default: auto)",
    )


def who_options(parser: argparse.ArgumentParser, seed: int = 15) -> None:
    """Add the options that choose a person."""
    parser.add_argument("--seed", type=int, default=seed, help=f"who it is (default: {seed})")
    parser.add_argument("--truncation", type=float, default=1.0, help="0 mean face to 1 full variety (default: 1)")


def trait_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that change the person of ``--seed``."""
    parser.add_argument("--age", type=float, metavar="YEARS", help="18 to 80 (default: by who it is)")
    parser.add_argument("--masculinity", type=float, metavar="SHARE", help="0 to 1 (default: by who it is)")


def expression_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options that choose an expression and its intensity."""
    parser.add_argument("--expression", default=name, help=f"{EXPRESSION_HELP} (default: {name})")
    parser.add_argument("--intensity", type=float, default=1.0, help="0 to 1.5 (default: 1)")


def detail_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of pores, wrinkles and hair."""
    parser.add_argument(
        "--detail",
        choices=tuple(_DETAIL),
        default="full",
        help="all of it, pores and lines at rest, wrinkles of the expression, none (default: full)",
    )
    parser.add_argument("--detail-strength", type=float, default=1.0, help="factor on their depth (default: 1)")
    parser.add_argument(
        "--hair",
        metavar="STYLE[+BEARD]",
        help="a hair style or bald, with a beard if you like (short01+goatee, auto+shaven); none for no hair at all "
        "(default: by who it is)",
    )


def picture_options(parser: argparse.ArgumentParser, quality: str = "standard") -> None:
    """Add the options of rendering."""
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default: 512)")
    parser.add_argument("--quality", choices=("standard", "high"), default=quality, help=f"(default: {quality})")


def file_path(text: str) -> Path:
    """Convert a command line argument to a path: in ``--out=~/face.glb`` many shells do not expand the home folder."""
    return expanded(text)


def need_file(path: Path, what: str) -> None:
    """Raise if a file (or folder) does not exist, before a model is loaded."""
    if not path.exists():
        raise FileError(what, f"none at {path}", "check the name and the folder")


def formats() -> str:
    """Return the suffixes without their dots, for help texts."""
    return " ".join(suffix.lstrip(".") for suffix in SUFFIXES)


# -- what they mean ---------------------------------------------------------------------------------------------------


def device_of(args: argparse.Namespace) -> str | None:
    """Return ``--device`` as a pipeline argument."""
    return None if args.device == "auto" else args.device


def detail_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return ``--detail``, ``--detail-strength`` and, if given, ``--hair`` as arguments of pipelines and sweeps."""
    worn = {} if args.hair is None else {"hair": None if args.hair == "none" else args.hair}
    return {"detail": _DETAIL[args.detail], "detail_strength": args.detail_strength, **worn}


def blend_of(text: str) -> str | dict[str, float]:
    """Parse an expression: a name is returned unchanged; ``smile=0.6,brow_raiser=0.4`` is a blend."""
    if "=" not in text:
        return text
    try:
        pairs = [part.split("=") for part in text.split(",")]
        blend = {name.strip(): float(weight) for name, weight in pairs}
        if len(blend) < len(pairs):
            raise InputError("each expression once", repr(text), "add its weights up yourself")
        return blend
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            "a blend like smile=0.6,brow_raiser=0.4", repr(text), "write name=weight with commas"
        ) from error


def formats_of(text: str | None) -> list[str]:
    """Parse ``obj,ply`` to a list; unknown names are rejected before a model is loaded."""
    names = [] if text is None else [name.strip().lstrip(".") for name in text.split(",")]
    for name in names:
        format_of(f"face.{name}")
    return names


def mesh_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return ``--level`` and ``--maps`` of ``facekit export`` as options of the writer."""
    check_maps(args)
    kind = format_of(args.out)
    if args.level and not kind.readable:
        raise InputError("--level with a mesh", f"{args.out}", "choose .obj, .ply or .glb")
    options: dict[str, Any] = {"level": args.level} if args.level else {}
    if args.level and args.out.suffix.lower() == ".glb":
        options["morph_targets"] = False  # they have the topology's vertices
    if args.maps and args.out.suffix.lower() == ".obj":
        options["maps"] = True
    return options


def check_maps(args: argparse.Namespace) -> None:
    """Reject ``--maps`` without displacement."""
    if args.maps and args.detail == "off":
        raise InputError("detail with --maps", "--detail off", "leave one of them out")


def report_file(path: Path) -> None:
    """Print that a file was written, with its size."""
    print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


# -- from arguments to objects ----------------------------------------------------------------------------------------


def pipeline_of(args: argparse.Namespace) -> FacePipeline:
    """Load the pipeline of ``--model`` and ``--device``."""
    from facekit.pipeline import FacePipeline

    return FacePipeline.from_pretrained(args.model, device_of(args))


def latents_of(args: argparse.Namespace) -> FaceLatents:
    """Sample the person of ``--seed``, ``--truncation``, ``--age`` and ``--masculinity``."""
    from facekit.latents import FaceLatents

    return FaceLatents.sample(args.seed, truncation=args.truncation).with_traits(**traits_of(args))


def traits_of(args: argparse.Namespace) -> dict[str, float]:
    """Return the requested traits."""
    return {name: getattr(args, name) for name in ("age", "masculinity") if getattr(args, name) is not None}


def face_of(args: argparse.Namespace) -> FaceOutput:
    """Make the face described by the options."""
    traits = traits_of(args)
    return pipeline_of(args)(
        seed=args.seed,
        truncation=args.truncation,
        **({"traits": traits} if traits else {}),
        expression=blend_of(args.expression),
        intensity=args.intensity,
        **detail_of(args),
    )
