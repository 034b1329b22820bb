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

from facekit import __version__, cli_compare
from facekit.cli_options import (
    EXPRESSION_HELP,
    blend_of,
    check_maps,
    detail_of,
    detail_options,
    device_of,
    expression_options,
    formats,
    formats_of,
    global_options,
    mesh_options,
    picture_options,
    told,
    who_options,
)
from facekit.cli_weights import add_weights_commands
from facekit.errors import FacekitError, InputError
from facekit.io import format_of

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh
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

    print(run_demo(args.out, args.seed, args.model, device_of(args), **detail_of(args)))


def _generate(args: argparse.Namespace) -> None:
    from facekit.dataset import generate_set

    check_maps(args)
    result = generate_set(
        formats=formats_of(args.format),
        pipe=_pipeline(args),
        folder=args.out,
        count=args.count,
        seed=args.seed,
        expression=blend_of(args.expression),
        intensity=args.intensity,
        truncation=args.truncation,
        maps=args.maps,
        **detail_of(args),
    )
    print(f"{result.made} faces made, {result.kept} kept from before; list: {result.manifest}")


def _sweep(args: argparse.Namespace) -> None:
    import numpy as np

    from facekit.io import save
    from facekit.io.images import save_image
    from facekit.io.maps import save_maps
    from facekit.sweeps import sweep_intensity
    from facekit.viz.animation import save_animation
    from facekit.viz.progress import progress
    from facekit.viz.sheets import intensity_strip, render_faces

    names, blend = formats_of(args.format), blend_of(args.expression)
    check_maps(args)
    faces = sweep_intensity(_pipeline(args), _latents(args), blend, args.steps, args.stop, **detail_of(args))
    pictures = render_faces(faces, image_size=args.size, quality=args.quality)
    stem = blend if isinstance(blend, str) else "_".join(blend)
    told(save_image(np.asarray(intensity_strip(faces, pictures)), args.out / f"{stem}_sweep.png"))
    told(save_animation(pictures, args.out / f"{stem}_sweep.{args.animation}", fps=args.fps, boomerang=True))
    for k in progress(range(len(faces) if names else 0), desc="meshes"):
        for name in names:
            save(faces[k], args.out / f"{stem}_{k:02d}.{name}")
    if args.maps:
        written = save_maps(faces, args.maps, stem)
        print(f"wrote {len(written)} files of maps in {args.maps}")


def _expressions(args: argparse.Namespace) -> None:
    import numpy as np

    from facekit.io.images import save_image
    from facekit.sweeps import sweep_expressions
    from facekit.viz.sheets import expression_sheet

    format_of(args.out)
    faces = sweep_expressions(_pipeline(args), _latents(args), intensity=args.intensity, **detail_of(args))
    sheet = expression_sheet(faces, image_size=args.size, quality=args.quality)
    told(save_image(np.asarray(sheet), args.out))


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
        told(save_animation(frames, args.out, fps=args.fps))
    else:
        told(save(face, args.out, camera=_camera(args, face), **options))


def _export(args: argparse.Namespace) -> None:
    from facekit.io import save
    from facekit.io.maps import save_maps
    from facekit.io.obj import file_stem

    options = mesh_options(args)
    face = _face(args)
    told(save(face, args.out, **options))
    if args.maps and "maps" not in options:  # an OBJ brings its own
        for path in save_maps(face, args.out.parent, file_stem(args.out)):
            told(path)


def _doctor(args: argparse.Namespace) -> int:
    from facekit.doctor import diagnose

    report = diagnose()
    print(report)
    return 0 if report.healthy else 1


# -- from arguments to objects ----------------------------------------------------------------------------------------


def _pipeline(args: argparse.Namespace) -> FacePipeline:
    from facekit.pipeline import FacePipeline

    return FacePipeline.from_pretrained(args.model, device_of(args))


def _latents(args: argparse.Namespace) -> Any:
    from facekit.latents import FaceLatents

    return FaceLatents.sample(args.seed, truncation=args.truncation)


def _face(args: argparse.Namespace) -> FaceOutput:
    return _pipeline(args)(
        seed=args.seed,
        expression=blend_of(args.expression),
        intensity=args.intensity,
        truncation=args.truncation,
        **detail_of(args),
    )


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


def _show_warning(message: Warning | str, *_: Any) -> None:
    print(f"facekit: warning: {message}", file=sys.stderr)


# -- the parser -------------------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; each sets ``run``."""
    parser = argparse.ArgumentParser(prog="facekit", description="Controllable, textured 3D faces from a few numbers.")
    parser.add_argument("--version", action="version", version=f"facekit {__version__}")
    global_options(parser, suppress=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int | None], summary: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        child.set_defaults(run=run)
        global_options(child, suppress=True)
        return child

    demo = command("demo", _demo, "one person: sweep, sheet, turntable, portrait, meshes, bundle")
    demo.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    demo.add_argument("--seed", type=int, default=7, help="who it is (default: 7)")
    detail_options(demo)

    generate = command("generate", _generate, "a set of people, one a seed; goes on where it was interrupted")
    generate.add_argument("--count", type=int, required=True, help="number of faces")
    generate.add_argument("--out", type=Path, required=True, help="folder")
    who_options(generate, seed=0)
    expression_options(generate, "neutral")
    detail_options(generate)
    generate.add_argument("--format", default="glb", help=f"out of {formats()}, with commas (default: glb)")
    generate.add_argument("--maps", action="store_true", help="also write each face's displacement and normal map")

    sweep = command("sweep", _sweep, "one expression from intensity 0 upward: strip and loop")
    who_options(sweep)
    sweep.add_argument("--expression", default="smile", help=EXPRESSION_HELP)
    sweep.add_argument("--steps", type=int, default=15, help="number of faces (default: 15)")
    sweep.add_argument("--stop", type=float, default=1.5, help="last intensity (default: 1.5)")
    sweep.add_argument("--out", type=Path, default=Path("out"), help="folder (default: out)")
    sweep.add_argument("--animation", choices=("webp", "gif", "png"), default="webp", help="kind of loop")
    sweep.add_argument("--fps", type=float, default=15.0, help="pictures a second (default: 15)")
    sweep.add_argument("--format", help=f"also write each face, out of {formats()}, with commas")
    sweep.add_argument("--maps", type=Path, metavar="FOLDER", help="also write each step's displacement and normal map")
    detail_options(sweep)
    picture_options(sweep)

    sheet = command("expressions", _expressions, "a sheet of all 20 expressions")
    who_options(sheet)
    sheet.add_argument("--intensity", type=float, default=1.0, help="0 to 1.5 (default: 1)")
    sheet.add_argument("--out", type=Path, default=Path("expressions.png"), help="picture (default: expressions.png)")
    detail_options(sheet)
    picture_options(sheet)

    render = command("render", _render, "a picture of a mesh file or of a seed")
    render.add_argument("file", nargs="?", type=Path, help=".obj, .ply or .glb; without it, the face of --seed")
    who_options(render)
    expression_options(render, "neutral")
    detail_options(render)
    render.add_argument("--out", type=Path, required=True, help=".png, .jpg or .webp; turntable: .webp, .gif or .png")
    render.add_argument(
        "--camera", choices=("front", "three-quarter", "turntable"), default="front", help="view (default: front)"
    )
    render.add_argument("--lights", default="studio", help="lighting (default: studio)")
    render.add_argument("--frames", type=int, default=24, help="views of a turntable (default: 24)")
    render.add_argument("--fps", type=float, default=12.0, help="of a turntable (default: 12)")
    picture_options(render, quality="high")

    export = command("export", _export, "one face as a file; the suffix chooses the format")
    who_options(export)
    expression_options(export, "neutral")
    detail_options(export)
    export.add_argument("--level", type=int, default=0, help="subdivide and displace a mesh, 1 to 4 times (default: 0)")
    export.add_argument("--maps", action="store_true", help="also write displacement and normal map, as PNG")
    export.add_argument("--out", type=Path, required=True, help=f"file; {formats()}")

    compare = command("compare", cli_compare.run, "an experiment: faces side by side, differences, figures, a report")
    cli_compare.add_compare_options(compare)

    group = command("weights", _doctor, "published weights: list, fetch, import, verify, path, remove")
    add_weights_commands(group)  # each of these replaces the group's run
    command("doctor", _doctor, "versions, devices, optional packages and how to install them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
