"""Convert the pack's 57 shapes to ARKit's 52: names, missing shapes, and corrections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES, EXPRESSIONS, GAZE_ACROSS, GAZE_UP, IDENTITY_DIM, PARTS
from facekit.models.blendshape_data import Sparse
from facekit.template import Template
from facekit.train.context import Context
from facekit.train.head.parts import GAZE_DEG
from facekit.train.shape.data import ShapeBasis, ShapeTeacher

#: Eye rotations in degrees for which the pack moves the lids; ours are larger, with the lids' motion scaled.
_GAZE = {"In": GAZE_ACROSS, "Out": GAZE_ACROSS, "Up": GAZE_UP, "Down": GAZE_UP}
#: Gains on the pack's shapes, which are weaker or narrower than those expected by trackers and engines, and admixtures
#: of other shapes. Found with a tracker on renders (benchmarks/rig.py).
_GAINS = {
    **{f"eyeWide_{side}": 1.5 for side in "LR"},
    **{f"mouthStretch_{side}": 1.3 for side in "LR"},
    **{f"mouthUpperUp_{side}": 1.3 for side in "LR"},
    **{f"mouthPress_{side}": 1.3 for side in "LR"},
    **{f"mouthFrown_{side}": 1.3 for side in "LR"},
    **{f"eyeLookUp_{side}": 1.5 for side in "LR"},
    "mouthShrugUpper": 1.4,
}
_WITH = {f"mouthSmile_{side}": {f"cheekRaiser_{side}": 0.4} for side in "LR"}
#: Shapes that exist once in ARKit and twice in the pack.
_BOTH = ("browInnerUp", "cheekPuff")
#: Weight of jawOpen in tongueOut, which also lowers and widens the lower lip.
JAW_OF_TONGUE = 0.42
_TONGUE_LIPS = {"mouthLowerDown_L": 0.35, "mouthLowerDown_R": 0.35, "mouthUpperUp_L": 0.12, "mouthUpperUp_R": 0.12}
#: The tongue from root to tip, mm of z on the mean head; how far the tip moves forward, the height at which it passes
#: the lips, how fast it droops beyond them, and its width and thickness there relative to neutral.
_ROOT, _TIP, _FORWARD = 42.0, 95.7, 38.0
_HEIGHT, _LIPS_Z, _DROOP, _WIDTH, _THICKNESS = -41.5, 110.0, 0.55, 0.85, 0.95


@dataclass(frozen=True)
class PackShapes:
    """The pack's shapes on our topology: ``names`` to (V, 3) mm, and the blink matrices, right eye first."""

    shapes: dict[str, torch.Tensor]
    blinks: tuple[Sparse, Sparse]

    @classmethod
    def load(cls, path: str | Path) -> PackShapes:
        """Read the npz of shapes written by :mod:`facekit.train.head.stage`."""
        with np.load(path, allow_pickle=False) as data:
            fields, names = data["expression_shapes"], data["expression_names"]
            shapes = {str(name): torch.from_numpy(field) for name, field in zip(names, fields, strict=True)}
            right, left = (
                (
                    torch.from_numpy(data[f"blink_{side}_row"]).long(),
                    torch.from_numpy(data[f"blink_{side}_col"]).long(),
                    torch.from_numpy(data[f"blink_{side}_data"]),
                )
                for side in "RL"
            )
        return cls(shapes, (right, left))


def pack_name(name: str) -> str:
    """Convert ``eyeBlinkLeft`` to the pack's spelling, ``eyeBlink_L``."""
    for side in ("Left", "Right"):
        if name.endswith(side) and name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            return f"{name.removesuffix(side)}_{side[0]}"
    return name


def raw_shapes(pack: PackShapes, template: Template) -> torch.Tensor:
    """Return the 52 shapes (52, V, 3) in mm from the pack's; without eyeball rotation, which is handled elsewhere, and
    tongueOut.
    """
    eyes = template.parts == PARTS.index("eyes")
    deltas = torch.zeros(len(BLENDSHAPES), *template.verts.shape)
    for k, name in enumerate(BLENDSHAPES[:-1]):
        for one in [f"{name}_L", f"{name}_R"] if name in _BOTH else [pack_name(name)]:
            mix = {one: _GAINS.get(one, 1.0), **_WITH.get(one, {})}
            deltas[k] += torch.stack([weight * pack.shapes[part] for part, weight in mix.items()]).sum(dim=0)
        if name.startswith("eyeLook"):
            way = name.removeprefix("eyeLook").removesuffix("Left").removesuffix("Right")
            deltas[k] *= _GAZE[way] / GAZE_DEG[way]
    deltas[:, eyes] = 0
    return deltas


def tongue_out(pack: PackShapes, template: Template, tongue: torch.Tensor, jaw: torch.Tensor) -> torch.Tensor:
    """Return the displacement (V, 3) in mm of a tongue between parted lips, which the pack lacks.

    ``tongue`` (V,) bool; ``jaw`` (V, 3): the final jawOpen.
    """
    delta = JAW_OF_TONGUE * jaw
    for name, weight in _TONGUE_LIPS.items():
        delta = delta + weight * pack.shapes[name]
    rest = template.verts[tongue]
    carried = rest + JAW_OF_TONGUE * jaw[tongue]
    share = _smoothstep((rest[:, 2] - _ROOT) / (_TIP - _ROOT))
    z = carried[:, 2] + _FORWARD * share
    # Centre line of the tongue, from which its thickness is measured.
    middle = rest[:, 1] + (carried - rest)[:, 1] - (rest[:, 1] - _middle_line(rest))
    height = _HEIGHT - _DROOP * (z - _LIPS_Z).clamp_min(0)
    out = _smoothstep((z - 78.0) / 26.0)
    thickness = (rest[:, 1] - _middle_line(rest)) * (1 + (_THICKNESS - 1) * out)
    y = torch.lerp(middle, height, out) + thickness
    x = carried[:, 0] * (1 + (_WIDTH - 1) * out)
    delta[tongue] = torch.stack((x, y, z), dim=1) - rest
    return delta


def _middle_line(rest: torch.Tensor) -> torch.Tensor:
    """Return the height (n,) of the tongue's centre line at each vertex: the mean over its neighbours along z."""
    near = torch.exp(-0.5 * ((rest[:, 2, None] - rest[None, :, 2]) / 5.0).square())
    return (near @ rest[:, 1]) / near.sum(dim=1)


def _smoothstep(t: torch.Tensor) -> torch.Tensor:
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


def tongue_of(template: Template) -> torch.Tensor:
    """Return the mask (V,) bool of the tongue: the small central connected part of the mouth behind the lips."""
    mouth = template.parts == PARTS.index("mouth")
    label = torch.where(mouth, torch.arange(len(mouth)), len(mouth))
    tris = template.faces[mouth[template.faces].all(dim=1)]
    while True:
        low = label[tris].amin(dim=1)
        grown = label.clone()
        for corner in tris.T:
            grown.scatter_reduce_(0, corner, low, "amin")
        if torch.equal(grown, label):
            break
        label = grown
    pieces = [label == value for value in label[mouth].unique()]
    central = [p for p in pieces if template.verts[p, 0].mean().abs() < 1 and template.verts[p, 1].mean() < 0]
    return min(central, key=lambda piece: int(piece.sum()))


def spared(context: Context) -> torch.Tensor:
    """Return the displacement (20, V, 3) in mm by which lowered resting lids reduce the 20 expressions on the mean
    head.

    Tables between vocabularies are made on the mean head with its wide eyes, where a closing lid has the full way to
    go.
    """
    basis = ShapeBasis.load(context.shape_basis, context.template.parts)
    teacher = ShapeTeacher(basis)
    mean = torch.zeros(len(EXPRESSIONS), len(basis.identity))
    weights = teacher.expression_weights(torch.eye(len(EXPRESSIONS)), mean[:, :IDENTITY_DIM])
    return basis.vertices(teacher.muscles(mean, teacher.resting * weights))
