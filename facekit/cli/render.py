"""``facekit render``: a picture or turntable of a mesh file or of a seed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from facekit.cli.options import (
    detail_options,
    expression_options,
    face_of,
    file_path,
    picture_options,
    report_file,
    who_options,
)
from facekit.errors import InputError
from facekit.io import format_of, suffixes

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh
    from facekit.render import Camera

SUMMARY = "a picture of a mesh file or of a seed"
_OUT_HELP = ".png, .jpg or .webp; turntable: .webp, .gif or .png"
_FILE_HELP = f"{' '.join(suffixes(reading=True))}; without it, the face of --seed"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.add_argument("file", nargs="?", type=file_path, help=_FILE_HELP)
    who_options(parser)
    expression_options(parser, "neutral")
    detail_options(parser)
    parser.add_argument("--out", type=file_path, required=True, help=_OUT_HELP)
    parser.add_argument(
        "--camera", choices=("front", "three-quarter", "turntable"), default="front", help="view (default: front)"
    )
    parser.add_argument("--lights", default="studio", help="lighting (default: studio)")
    parser.add_argument("--frames", type=int, default=24, help="views of a turntable (default: 24)")
    parser.add_argument("--fps", type=float, default=12.0, help="of a turntable (default: 12)")
    picture_options(parser, quality="high")


def run(args: argparse.Namespace) -> None:
    """Write the picture or the turntable."""
    from facekit.io import load, save
    from facekit.viz.animation import SUFFIXES as ANIMATIONS
    from facekit.viz.animation import save_animation, turntable

    if args.camera == "turntable":
        if args.out.suffix.lower() not in ANIMATIONS:
            raise InputError(f"--out for a turntable that ends in {' '.join(ANIMATIONS)}", f"{args.out}", "rename it")
    elif format_of(args.out).module != "facekit.io.picture":
        raise InputError("--out that ends in .png .jpg .webp", f"{args.out}", "for meshes use facekit export")
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

    if args.frames < 1:
        raise InputError("--frames of 1 or more", f"{args.frames}", "a turntable has about 24")
    azimuth, elevation = {
        "front": (0.0, 0.0),
        "three-quarter": (38.0, 4.0),
        "turntable": ([360.0 * k / args.frames for k in range(args.frames)], 4.0),
    }[args.camera]
    if args.file is None:
        return Camera.orbit(azimuth, elevation)
    return Camera.fit(
        face if isinstance(face, FaceMesh) else face.mesh, azimuth, elevation
    )  # a mesh from elsewhere may lie anywhere and have any size
