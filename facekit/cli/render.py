"""``facekit render``: a picture or turntable of a mesh file or a seed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from facekit.cli.arguments import OF_FACE, refuse_idle
from facekit.cli.options import (
    detail_options,
    expression_options,
    face_of,
    file_path,
    need_file,
    picture_options,
    report_file,
    trait_options,
    who_options,
)
from facekit.errors import InputError
from facekit.io import format_of, known_suffix, suffixes

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh
    from facekit.render import Camera

SUMMARY = "a picture of a mesh file or of a seed"
_FILE_HELP = f"{' '.join(suffixes(reading=True))}; without it, the face of --seed"
#: Names of :data:`facekit.render.lights.PRESETS`, which would import torch; a test keeps both in sync.
LIGHTS = ("studio", "daylight", "rim", "flat")
# Options that only apply to a turntable.
_OF_TURNTABLE = ("frames", "fps")
#: Suffixes of :data:`facekit.viz.animation.SUFFIXES`; the test keeps both in sync, too.
ANIMATIONS = (".mp4", ".webp", ".gif", ".png")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", nargs="?", type=file_path, help=_FILE_HELP)
    who_options(parser)
    trait_options(parser)
    expression_options(parser, "neutral")
    detail_options(parser)
    parser.add_argument(
        "--out", type=file_path, required=True, help=".png .jpg .webp; of a turntable .mp4 .webp .gif .png"
    )
    parser.add_argument(
        "--camera", choices=("front", "three-quarter", "turntable"), default="front", help="view (default: front)"
    )
    parser.add_argument("--lights", choices=LIGHTS, default="studio", help="lighting (default: studio)")
    parser.add_argument("--frames", type=int, default=24, help="views of a turntable (default: 24)")
    parser.add_argument("--fps", type=float, default=12.0, help="of a turntable (default: 12)")
    picture_options(parser, quality="high")


def run(args: argparse.Namespace) -> None:
    """Write the picture or the turntable."""
    if args.file is not None:
        refuse_idle(args, ("seed", *OF_FACE), "with a file")
        known_suffix(args.file, reading=True)
        need_file(args.file, "a mesh file")
    if args.camera == "turntable":
        if args.out.suffix.lower() not in ANIMATIONS:
            raise InputError(f"--out for a turntable that ends in {' '.join(ANIMATIONS)}", f"{args.out}", "rename it")
    elif format_of(args.out).module != "facekit.io.picture":
        raise InputError("--out that ends in .png .jpg .webp", f"{args.out}", "for meshes use facekit export")
    else:
        refuse_idle(args, _OF_TURNTABLE, "without --camera turntable")
    from facekit.io import load, save
    from facekit.viz.animation import save_animation, turntable

    options = {"image_size": args.size, "quality": args.quality, "lights": args.lights}
    face = face_of(args) if args.file is None else load(args.file)
    camera = _camera(args, face)
    if args.camera == "turntable":
        frames = turntable(face, args.frames, camera=camera, **options)
        report_file(save_animation(frames, args.out, fps=args.fps))
    else:
        report_file(save(face, args.out, camera=camera, **options))


def _camera(args: argparse.Namespace, face: FaceOutput | FaceMesh) -> Camera:
    from facekit.mesh import FaceMesh
    from facekit.render import Camera
    from facekit.render.camera import HAIR_FRAMING

    azimuth, elevation = {
        "front": (0.0, 0.0),
        "three-quarter": (38.0, 4.0),
        "turntable": ([360.0 * k / args.frames for k in range(args.frames)], 4.0),
    }[args.camera]
    if args.file is None:
        roomy = not isinstance(face, FaceMesh) and any(face.hair)
        return Camera.orbit(azimuth, elevation, **(HAIR_FRAMING if roomy else {}))
    return Camera.fit(
        face if isinstance(face, FaceMesh) else face.mesh, azimuth, elevation
    )  # a mesh from elsewhere may lie anywhere and have any size
