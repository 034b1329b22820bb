"""Measure what expressions promise: lids that shut, teeth that stay in, eyes as open as people's, a judge that agrees.

Run: python benchmarks/expressions.py [--count 40] [--judged 12] [--photographs FOLDER]

Seeds that no constant was set on. Eyeballs and teeth are counted in the pictures' own labels, at 512² from nearby; the
judge is MediaPipe's landmarker (extra ``photo``), which had no part in any training.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

import facekit
from facekit.conventions import PARTS
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS, FaceLandmarks, Landmarker
from facekit.reconstruct.observe import read
from facekit.render.camera import Camera

_FIRST = 5000
#: So many pixels are seen; at 512² over an eye region 110 mm wide one is 0.2 mm.
_SEEN = 12
_EYES, _MOUTH = (Camera.front(distance=300, target=(0, y, 60)) for y in (42, -35))
#: Corners of the eyes among MediaPipe's points, and the middles of their lids.
_OPENINGS = ((33, 133, 159, 145), (263, 362, 386, 374))
#: The scores that an expression shall raise; those of one side stand for both. The landmarker is deaf to the others:
#: jawLeft, jawRight, jawForward, cheekPuff and mouthDimple stay under 0.02 on everyone.
SCORES: dict[str, tuple[str, ...]] = {
    "smile": ("mouthSmileLeft",),
    "mouth_stretch": ("jawOpen",),
    "anger": ("browDownLeft",),
    "mouth_left": ("mouthLeft",),
    "mouth_right": ("mouthRight",),
    "chin_raiser": ("mouthShrugLower",),
    "lip_puckerer": ("mouthPucker",),
    "lip_funneler": ("mouthFunnel",),
    "sadness": ("browInnerUp", "mouthFrownLeft"),
    "lip_roll": ("mouthRollLower",),
    "grin": ("mouthLowerDownLeft",),
    "eye_closed": ("eyeBlinkLeft",),
    "brow_raiser": ("browOuterUpLeft",),
    "brow_lower": ("browDownLeft",),
}
_LEVELS, _RISES = (0.5, 1.0, 1.5), 0.01
_BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40, help="people who are counted on (default: 40)")
    parser.add_argument("--judged", type=int, default=12, help="people whom the landmarker judges (default: 12)")
    parser.add_argument(
        "--photographs", type=Path, help="folder with a JPEG of each of many people at rest, as a control"
    )
    a = parser.parse_args()
    torch.set_num_threads(1)
    pipe = facekit.FacePipeline.from_pretrained(device="cpu")
    print("| what | figure |\n| --- | ---: |")
    seeds = range(_FIRST, _FIRST + a.count)
    for level in (1.0, 1.5):
        seen = [_pixels(pipe, seed, "eye_closed", level, _EYES, "eyes") for seed in seeds]
        print(f"| people with a slit in eye_closed at {level} | {sum(n > _SEEN for n in seen)} of {a.count} |")
    for name in ("neutral", "brow_raiser", "smile"):
        seen = [_pixels(pipe, seed, name, 1.0, _EYES, "eyes", _BLINK) for seed in seeds]
        print(f"| people with a slit in eyeBlink at 1 and {name} | {sum(n > _SEEN for n in seen)} of {a.count} |")
    for name in ("neutral", "jaw_forward", "jaw_left", "cheek_blowing"):
        seen = [_pixels(pipe, seed, name, 1.0, _MOUTH, "teeth") for seed in seeds]
        print(f"| people with teeth in {name}, brighter than the lips | {sum(n > _SEEN for n in seen)} of {a.count} |")
    with Landmarker() as landmarker:
        for name in ("neutral", "smile"):
            _print_openings(name, (_look(pipe, seed, name, 1.0, landmarker) for seed in seeds))
        if a.photographs is not None:
            files = sorted(a.photographs.glob("*.jpg"))
            _print_openings("photographs", (next(iter(landmarker(read(file).pixels)), None) for file in files))
        _judge(pipe, range(_FIRST, _FIRST + a.judged), landmarker)


def _pixels(
    pipe: facekit.FacePipeline,
    seed: int,
    name: str,
    level: float,
    camera: Camera,
    part: str,
    shapes: dict[str, float] | None = None,
) -> int:
    """Count the visible pixels of a part; for teeth only those brighter than the median of the lips."""
    face = pipe(seed=seed, expression=name, intensity=level, blendshapes=shapes, hair=None)
    picture = face.render(image_size=512, camera=camera)
    assert picture.labels is not None
    ids, light = picture.labels.part_ids(picture.face_ids)[0], picture.rgb[0].mean(dim=0)
    mine = ids == PARTS.index(part)
    if part == "teeth":
        mine &= light > light[ids == PARTS.index("lips")].median()
    return int(mine.sum())


def _look(
    pipe: facekit.FacePipeline, seed: int, name: str, level: float, landmarker: Landmarker
) -> FaceLandmarks | None:
    face = pipe(seed=seed, expression=name, intensity=level)
    pixels = face.render(image_size=512).rgb[0].permute(1, 2, 0).clamp(0, 1).numpy()
    found = landmarker((pixels * 255).round().astype(np.uint8))
    return found[0] if found else None


def _print_openings(name: str, looks: Iterable[FaceLandmarks | None]) -> None:
    """Print how high eyes are over their width, and how wide over the distance between the irises."""
    high, wide = zip(*(_opening(look.points) for look in looks if look), strict=True)
    for what, values in (("height of the eyes over their width", high), ("width over the irises' distance", wide)):
        text = f"{np.mean(values):.3f} ± {np.std(values):.3f}, {min(values):.2f} to {max(values):.2f}"
        print(f"| {what}, {name}, {len(values)} people | {text} |")


def _opening(p: np.ndarray) -> tuple[float, float]:
    high, wide = (np.array([np.linalg.norm(p[o[a]] - p[o[b]]) for o in _OPENINGS]) for a, b in ((2, 3), (0, 1)))
    return float(np.mean(high / wide)), float(wide.mean() / np.linalg.norm(p[LEFT_IRIS[0]] - p[RIGHT_IRIS[0]]))


def _judge(pipe: facekit.FacePipeline, seeds: range, landmarker: Landmarker) -> None:
    """Print the scores of each expression by intensity, averaged over people, and whether they rise."""
    rest = [_look(pipe, seed, "neutral", 0.0, landmarker) for seed in seeds]
    print(f"\n| expression | score | at 0 | {' | '.join(map(str, _LEVELS))} | rises |\n|{' --- |' * 7}")
    obeyed = 0
    for name, scores in SCORES.items():
        shown = [[_look(pipe, seed, name, level, landmarker) for seed in seeds] for level in _LEVELS]
        rises = True
        for score in scores:
            means = [float(np.mean([f.scores[score] for f in row if f])) for row in (rest, *shown)]
            own = bool((np.diff(means[:3]) > _RISES).all())
            rises = rises and own
            print(f"| {name} | {score} | {' | '.join(f'{m:.2f}' for m in means)} | {'yes' if own else 'no'} |")
        obeyed += rises
    missed = "all faces found" if all(rest) else "a face at rest missed"
    print(f"\n{obeyed} of {len(SCORES)} expressions obey; {missed}.")


if __name__ == "__main__":
    main()
