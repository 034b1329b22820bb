"""The command ``facekit``: a thin skin over the public API.

Nothing heavy is imported before a command runs, so that ``facekit --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit import __version__
from facekit.cli_weights import add_weights_commands
from facekit.conventions import EXPRESSIONS
from facekit.errors import FacekitError, InputError
from facekit.io import SUFFIXES, format_of

if TYPE_CHECKING:
    from facekit.mesh import FaceMesh, FaceOutput
    from facekit.pipeline import FacePipeline
    from facekit.render import Camera


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 for a broken installation, 2 for bad input, 130 for Ctrl-C."""
    args = build_parser().parse_args(argv)
    warnings.showwarning = _show_warning
    # Idle OpenMP threads that spin take the cores from the threads that encode files beside them, and from whatever
    # else runs on the machine: facekit demo took twice the CPU time. It counts only before torch is first imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return args.run(args) or 0
    except FacekitError as error:
        print(f"facekit: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"\nfacekit: interrupted; {interrupt}".rstrip("; "), file=sys.stderr)
        return 130


# -- commands ---------------------------------------------------------------------------------------------------------


def _demo(args: argparse.Namespace) -> None:
    from facekit.demo import run_demo

    print(run_demo(args.out, args.seed, args.model, _device(args)))


def _generate(args: argparse.Namespace) -> None:
    from facekit.dataset import generate_set

    formats = args.format.split(",")
    for name in formats:
        format_of(f"face.{name.strip().lstrip('.')}")  # before the model is loaded
    blend = _blend(args.expression)
    result = generate_set(
        _pipeline(args), args.out, args.count, args.seed, blend, args.intensity, args.truncation, formats
    )
    print(f"{result.made} faces made, {result.kept} kept from before; list: {result.manifest}")


def _sweep(args: argparse.Namespace) -> None:
    import numpy as np

    from facekit.io import save
    from facekit.io.images import save_image
    from facekit.sweeps import sweep_intensity
    from facekit.viz.animation import save_animation
    from facekit.viz.progress import progress
    from facekit.viz.sheets import intensity_strip, render_faces

    formats = [] if args.format is None else [name.strip().lstrip(".") for name in args.format.split(",")]
    for name in formats:
        format_of(f"face.{name}")
    faces = sweep_intensity(_pipeline(args), _latents(args), _blend(args.expression), args.steps, args.stop)
    pictures = render_faces(faces, image_size=args.size, quality=args.quality)
    stem = "_".join(_blend(args.expression)) if "=" in args.expression else args.expression
    _told(save_image(np.asarray(intensity_strip(faces, pictures)), args.out / f"{stem}_sweep.png"))
    _told(save_animation(pictures, args.out / f"{stem}_sweep.{args.animation}", fps=args.fps, boomerang=True))
    for k in progress(range(len(faces) if formats else 0), desc="meshes"):
        for name in formats:
            save(faces[k], args.out / f"{stem}_{k:02d}.{name}")


def _expressions(args: argparse.Namespace) -> None:
    import numpy as np

    from facekit.io.images import save_image
    from facekit.sweeps import sweep_expressions
    from facekit.viz.sheets import expression_sheet

    format_of(args.out)
    faces = sweep_expressions(_pipeline(args), _latents(args), intensity=args.intensity)
    sheet = expression_sheet(faces, image_size=args.size, quality=args.quality)
    _told(save_image(np.asarray(sheet), args.out))


def _render(args: argparse.Namespace) -> None:
    from facekit.io import load, save
    from facekit.viz.animation import SUFFIXES as ANIMATIONS
    from facekit.viz.animation import save_animation, turntable

    if args.camera == "turntable":
        if args.out.suffix.lower() not in ANIMATIONS:
            raise InputError(f"--out for a turntable that ends in {' '.join(ANIMATIONS)}", f"{args.out}", "rename it")
    elif format_of(args.out).module != "facekit.io.picture":
        raise InputError("--out that ends in .png .jpg .webp", f"{args.out}", "for meshes use facekit export")
    options = {"image_size": args.size, "quality": args.quality, "lights": args.lights}
    face = _face(args) if args.file is None else load(args.file)
    if args.camera == "turntable":
        frames = turntable(face, args.frames, camera=_camera(args, face), **options)
        _told(save_animation(frames, args.out, fps=args.fps))
    else:
        _told(save(face, args.out, camera=_camera(args, face), **options))


def _export(args: argparse.Namespace) -> None:
    from facekit.io import save

    format_of(args.out)
    _told(save(_face(args), args.out))


def _doctor(args: argparse.Namespace) -> int:
    from facekit.doctor import diagnose

    report = diagnose()
    print(report)
    return 0 if report.healthy else 1


# -- from arguments to objects ----------------------------------------------------------------------------------------


def _device(args: argparse.Namespace) -> str | None:
    return None if args.device == "auto" else args.device


def _pipeline(args: argparse.Namespace) -> FacePipeline:
    from facekit.pipeline import FacePipeline

    return FacePipeline.from_pretrained(args.model, _device(args))


def _latents(args: argparse.Namespace) -> Any:
    from facekit.latents import FaceLatents

    return FaceLatents.sample(args.seed, truncation=args.truncation)


def _face(args: argparse.Namespace) -> FaceOutput:
    return _pipeline(args)(
        seed=args.seed, expression=_blend(args.expression), intensity=args.intensity, truncation=args.truncation
    )


def _blend(text: str) -> str | dict[str, float]:
    """A name as it is; ``smile=0.6,brow_raiser=0.4`` as a blend."""
    if "=" not in text:
        return text
    try:
        pairs = (part.split("=") for part in text.split(","))
        return {name.strip(): float(weight) for name, weight in pairs}
    except ValueError as error:
        raise InputError(
            "a blend like smile=0.6,brow_raiser=0.4", repr(text), "write name=weight with commas"
        ) from error


def _camera(args: argparse.Namespace, face: FaceOutput | FaceMesh) -> Camera:
    from facekit.render import Camera

    if args.frames < 1:
        raise InputError("--frames of 1 or more", f"{args.frames}", "a turntable has about 24")
    azimuth, elevation = {
        "front": (0.0, 0.0),
        "three-quarter": (38.0, 4.0),
        "turntable": ([360.0 * k / args.frames for k in range(args.frames)], 4.0),
    }[args.camera]
    if args.file is None:
        return Camera.orbit(azimuth, elevation)
    return Camera.fit(face.verts, azimuth, elevation)  # a mesh from elsewhere may lie anywhere and have any size


def _told(path: Path) -> None:
    print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"facekit: warning: {message}", file=sys.stderr)


# -- the parser -------------------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; each sets ``run``."""
    parser = argparse.ArgumentParser(prog="facekit", description="Controllable, textured 3D faces from a few numbers.")
    parser.add_argument("--version", action="version", version=f"facekit {__version__}")
    _global_options(parser, suppress=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], summary: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        child.set_defaults(run=run)
        _global_options(child, suppress=True)
        return child

    demo = command("demo", _demo, "one person: sweep, sheet, turntable, portrait, meshes, bundle")
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    demo.add_argument("--seed", type=int, default=7, help="who it is (default: 7)")

    generate = command("generate", _generate, "a set of people, one a seed; goes on where it was interrupted")
    generate.add_argument("--count", type=int, required=True, help="number of faces")
    generate.add_argument("--out", type=Path, required=True, help="folder")
    _who(generate, seed=0)
    _expression(generate, "neutral")
    generate.add_argument("--format", default="glb", help=f"out of {_formats()}, with commas (default: glb)")

    sweep = command("sweep", _sweep, "one expression from intensity 0 upward: strip and loop")
    _who(sweep)
    sweep.add_argument("--expression", default="smile", help=_EXPRESSION_HELP)
    sweep.add_argument("--steps", type=int, default=15, help="number of faces (default: 15)")
    sweep.add_argument("--stop", type=float, default=1.5, help="last intensity (default: 1.5)")
    sweep.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    sweep.add_argument("--animation", choices=("webp", "gif", "png"), default="webp", help="kind of loop")
    sweep.add_argument("--fps", type=float, default=15.0, help="pictures a second (default: 15)")
    sweep.add_argument("--format", help=f"also write each face, out of {_formats()}, with commas")
    _picture(sweep)

    sheet = command("expressions", _expressions, "a sheet of all 20 expressions")
    _who(sheet)
    sheet.add_argument("--intensity", type=float, default=1.0, help="0 to 1.5 (default: 1)")
    sheet.add_argument("--out", type=Path, default=Path("expressions.png"), help="picture (default: expressions.png)")
    _picture(sheet)

    render = command("render", _render, "a picture of a mesh file or of a seed")
    render.add_argument("file", nargs="?", type=Path, help=".obj, .ply or .glb; without it, the face of --seed")
    _who(render)
    _expression(render, "neutral")
    render.add_argument("--out", type=Path, required=True, help=".png, .jpg or .webp; turntable: .webp, .gif or .png")
    render.add_argument(
        "--camera", choices=("front", "three-quarter", "turntable"), default="front", help="view (default: front)"
    )
    render.add_argument("--lights", default="studio", help="lighting (default: studio)")
    render.add_argument("--frames", type=int, default=24, help="views of a turntable (default: 24)")
    render.add_argument("--fps", type=float, default=12.0, help="of a turntable (default: 12)")
    _picture(render, quality="high")

    export = command("export", _export, "one face as a file; the suffix chooses the format")
    _who(export)
    _expression(export, "neutral")
    export.add_argument("--out", type=Path, required=True, help=f"file; {_formats()}")

    group = command("weights", _doctor, "published weights: list, fetch, import, verify, path, remove")
    add_weights_commands(group)  # each of these replaces the group's run
    command("doctor", _doctor, "versions, devices, optional packages and how to install them")
    return parser


_EXPRESSION_HELP = f"a name, or a blend like smile=0.6,brow_raiser=0.4; names: {' '.join(EXPRESSIONS)}"


def _global_options(parser: argparse.ArgumentParser, suppress: bool) -> None:
    """Understood before and after the command; a child must not overwrite what the parent parsed."""
    parser.add_argument(
        "--model", default=argparse.SUPPRESS if suppress else "default", help="default, 3dfacecam, … (default: default)"
    )
    parser.add_argument(
        "--device", default=argparse.SUPPRESS if suppress else "auto", help="auto, cpu, cuda, cuda:1 (default: auto)"
    )


def _who(parser: argparse.ArgumentParser, seed: int = 7) -> None:
    parser.add_argument("--seed", type=int, default=seed, help=f"who it is (default: {seed})")
    parser.add_argument("--truncation", type=float, default=1.0, help="0 mean face to 1 full variety (default: 1)")


def _expression(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--expression", default=name, help=f"{_EXPRESSION_HELP} (default: {name})")
    parser.add_argument("--intensity", type=float, default=1.0, help="0 to 1.5 (default: 1)")


def _picture(parser: argparse.ArgumentParser, quality: str = "standard") -> None:
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default: 512)")
    parser.add_argument("--quality", choices=("standard", "high"), default=quality, help=f"(default: {quality})")


def _formats() -> str:
    return " ".join(suffix.lstrip(".") for suffix in SUFFIXES)


if __name__ == "__main__":
    sys.exit(main())
