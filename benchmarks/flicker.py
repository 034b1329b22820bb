"""Flicker of hair: python benchmarks/flicker.py [--size 512] [--frames 9] [--turn 0.25] [--looks NAME ...]

Prints a Markdown table: for each style and beard of the embedded default, over a slow turn of the camera and over an
expression that comes slowly, how much hair's pixels change from one frame to the next, in steps of 255. The reference
is the same picture with 16 samples a pixel: rendered at four times the size, and averaged in linear light. What it
changes is motion; flicker is what the difference from it changes. "There and back" is the second difference over three
frames, small for motion and large for what blinks, of the picture and of the reference. Heads without hair stand first,
for comparison: there, all pixels of the head count.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from facekit import FaceLatents, FacePipeline
from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.face import FaceOutput
from facekit.render import Camera, render
from facekit.render.camera import HAIR_FRAMING

#: Supersampling of the reference along a pixel's side, and coverage by hair from which a pixel counts.
FINE, LEAST = 4, 0.05
#: Expression of the sweep, and its change from frame to frame: a second from rest to full at 24 frames a second.
EXPRESSION, STEP = "smile", 1 / 24
Frame = tuple[FaceOutput, Camera]


@dataclass(frozen=True)
class Changes:
    """Changes of hair's pixels between frames, in steps of 255.

    Parameters
    ----------
    picture, reference, flicker, worst:
        Mean change of the picture, of the reference and of their difference; and the 99th percentile of the last.
    back, reference_back:
        Mean second difference over three frames.
    """

    picture: float
    reference: float
    flicker: float
    worst: float
    back: float
    reference_back: float

    @property
    def row(self) -> str:
        """Cells of a Markdown table."""
        values = (self.reference, self.picture, self.flicker, self.worst, self.reference_back, self.back)
        return " | ".join(f"{value:.1f}" for value in values)


def drawn(frame: Frame, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Colours (3, H, W) in steps of 255 and coverage (H, W) by hair, or by the head if it wears none."""
    face, camera = frame
    found = render(face.mesh, camera, size, hair=face.hair[0] if face.hair else None)
    cover = found.alpha if found.hair is None else found.hair
    return found.rgb[0] * 255, cover[0, 0]


def averaged(frame: Frame, size: int) -> torch.Tensor:
    """The reference (3, H, W) in steps of 255."""
    fine = srgb_to_linear(drawn(frame, FINE * size)[0] / 255)
    return linear_to_srgb(torch.nn.functional.avg_pool2d(fine[None], FINE)[0]) * 255


def changes(frames: Sequence[Frame], size: int) -> Changes:
    """Changes over frames, of which there are three or more."""
    pictures, covers = zip(*(drawn(frame, size) for frame in frames), strict=True)
    exact = torch.stack([averaged(frame, size) for frame in frames])
    picture, cover = torch.stack(pictures), torch.stack(covers) > LEAST
    hair, thrice = cover[1:] | cover[:-1], cover[2:] | cover[1:-1] | cover[:-2]

    def mean(values: torch.Tensor, where: torch.Tensor) -> float:
        return float(values.abs().amax(1)[where].mean())

    beyond = (picture - exact).diff(dim=0).abs().amax(1)[hair]
    return Changes(
        mean(picture.diff(dim=0), hair),
        mean(exact.diff(dim=0), hair),
        float(beyond.mean()),
        float(beyond.kthvalue(max(1, int(0.99 * len(beyond))))[0]),
        mean(picture.diff(n=2, dim=0), thrice),
        mean(exact.diff(n=2, dim=0), thrice),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default 512)")
    parser.add_argument("--frames", type=int, default=9, help="frames of each sweep (default 9)")
    parser.add_argument("--turn", type=float, default=0.25, help="degrees from frame to frame (default 0.25)")
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--looks", nargs="+", help="what is worn, for instance long01+shaven (default: everything)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    pipe = FacePipeline.from_pretrained(device="cpu")
    looks = [f"{style}+shaven" for style in pipe.hair_styles] + [f"bald+{beard}" for beard in pipe.beard_styles[1:]]
    code, ahead = FaceLatents.sample(args.seed), Camera.orbit(25.0, 4.0, **HAIR_FRAMING)
    print(f"{args.size}², standard quality, {args.frames} frames, seed {args.seed}\n")
    columns = "reference | picture | flicker | worst in 100 | back, reference | back, picture"
    print(f"| worn | sweep | {columns} |\n| --- | --- |" + " ---: |" * 6)
    for look in args.looks or [None, *looks]:
        still = pipe(latents=code, hair=look)
        turn = [(still, Camera.orbit(25.0 + k * args.turn, 4.0, **HAIR_FRAMING)) for k in range(args.frames)]
        smiling = [code.with_expression(EXPRESSION, k * STEP) for k in range(args.frames)]
        smile = [(pipe(latents=latents, hair=look), ahead) for latents in smiling]
        for name, sweep in (("turn", turn), (EXPRESSION, smile)):
            print(f"| {look or 'nothing'} | {name} | {changes(sweep, args.size).row} |", flush=True)


if __name__ == "__main__":
    main()
