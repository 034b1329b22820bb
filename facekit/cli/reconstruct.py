"""``facekit reconstruct``: a person from photographs or a video, as a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.cli.arguments import refuse_idle
from facekit.cli.options import device_of, file_path, formats, need_file, report_file
from facekit.errors import InputError
from facekit.io import format_of
from facekit.reconstruct import TEXTURES, is_film

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.reconstruct.result import Reconstruction

SUMMARY = "a person out of photographs or a film, as a file; the suffix chooses the format"
_OF_FILM = ("csv", "video")
# Suffixes of files that contain everything, for which the pose option does not apply.
_WHOLE = (".facekit", ".mp4", ".webp")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("photographs", nargs="+", type=file_path, help="of one person; or a folder of them; or a film")
    parser.add_argument("--out", type=file_path, required=True, help=f"file; {formats()}, or .facekit to go on from it")
    parser.add_argument(
        "--texture",
        choices=TEXTURES,
        default="blend",
        help="the photographs completed by the texture network, without it, or the network alone (default: blend)",
    )
    parser.add_argument("--texture-size", type=int, default=1024, help="512, 1024 or 2048 (default: 1024)")
    parser.add_argument(
        "--hair", metavar="STYLE", default="auto", help="a style, or none (default: the nearest to the photographs')"
    )
    parser.add_argument("--face", type=int, help="which of several faces, 0 is the largest and most central")
    parser.add_argument("--posed", action="store_true", help="the face as in the first photograph, not at rest")
    parser.add_argument("--csv", type=file_path, help="a film's motion; also .json, .npz")
    parser.add_argument("--video", type=file_path, help="a film with the fit on it, .mp4")
    parser.add_argument("--calm", type=float, default=1.0, help="how much tremble to take out of a film (default: 1)")
    parser.add_argument("--report", type=file_path, help="also write a page with overlays and figures, .html")


def run(args: argparse.Namespace) -> None:
    """Reconstruct, write, and print the quality."""
    if args.out.suffix.lower() in _WHOLE:
        refuse_idle(args, ("posed",), f"with {args.out.suffix.lower()}")
    else:
        format_of(args.out)
    if args.report is not None and args.report.suffix.lower() not in (".html", ".htm"):
        raise InputError("a report's name that ends in .html", f"{args.report}", "rename it")
    source = args.photographs[0] if len(args.photographs) == 1 else args.photographs
    check_film(args, source)
    for path in args.photographs:
        need_file(path, "a picture or video file")
    from facekit.pipeline import FacePipeline
    from facekit.reconstruct.api import reconstruct
    from facekit.reconstruct.clip.result import ClipReconstruction

    pipe = FacePipeline.from_pretrained(args.model, device_of(args))
    options = {"texture": args.texture, "face": args.face, "calm": args.calm, "texture_size": args.texture_size}
    options["hair"] = None if args.hair == "none" else args.hair
    found = reconstruct(source, **options, model=pipe)
    print(found)
    for line in (*found.quality.warnings, *found.notes):
        print(f"  {line}")
    if (
        args.out.suffix.lower() == ".facekit"
        or is_film(source)
        and args.out.suffix.lower() in (".glb", ".mp4", ".webp")
        and not args.posed
    ):
        report_file(found.save(args.out))
    else:
        report_file((found.face if args.posed else found.neutral).save(args.out))
    if args.csv is not None:
        report_file(found.save(args.csv))
    if args.video is not None:
        assert isinstance(found, ClipReconstruction)
        report_file(found.overlay_film(args.video))
    if args.report is not None:
        report_file(write_report(found, args.report))


def check_film(args: argparse.Namespace, source: Path | list[Path]) -> None:
    """Reject options that only apply to videos, and videos among photographs, before the work starts."""
    given = [f"--{name}" for name in _OF_FILM if getattr(args, name) is not None]
    given += [f"--out {args.out.name}"] if args.out.suffix.lower() in (".mp4", ".webp") else []
    if not is_film(source):
        if given:
            raise InputError("a video for " + " and ".join(given), "photographs", "leave it out, or pass a video")
        films = [path for path in args.photographs if is_film(path)]
        if films:
            raise InputError("one video, or photographs", f"{films[0].name} and others", "reconstruct the video alone")
        refuse_idle(args, ("calm",), "with photographs")
        return
    for name, suffixes in (("csv", (".csv", ".json", ".npz")), ("video", (".mp4",))):
        path = getattr(args, name)
        if path is not None and path.suffix.lower() not in suffixes:
            raise InputError(f"--{name} that ends in {' '.join(suffixes)}", f"{path}", "rename it")


def write_report(found: Reconstruction, path: Path) -> Path:
    """Write a page with each photograph and its fit, the head from three sides, and the figures."""
    from facekit.report import write_report

    quality = found.quality
    sections = [(f"Photograph {k + 1}", found.overlay(k)) for k in range(len(found))]
    figures = {
        "distance from the points seen, % of the eyes' distance": ", ".join(f"{e:.1f}" for e in quality.reprojection),
        "share of the face seen": f"{100 * quality.seen:.0f} %",
        "uncertainty of the shape": f"{quality.uncertainty:.1f} mm",
        "blendshapes": ", ".join(f"{name} {weight:.2f}" for name, weight in found.blendshapes.items() if weight > 0.1),
        "warnings": "; ".join((*quality.warnings, *found.notes)) or "none",
    }
    pages = [*sections, ("From the front and both sides", _sides(found.neutral)), ("Figures", figures)]
    return write_report(
        path, "From photographs", pages, "a likeness, not a measurement, and no means to identify anybody"
    )


def _sides(face: FaceOutput):
    """Render a face from the front and both sides, as one picture."""
    import numpy as np
    from PIL import Image

    from facekit.files.images import to_uint8
    from facekit.render import Camera

    seen = face.render(Camera.orbit([-40.0, 0.0, 40.0]), 448, quality="high").rgb
    return Image.fromarray(np.concatenate([to_uint8(one) for one in seen], axis=1))
