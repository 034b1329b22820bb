"""The rig stage: ARKit's 52 shapes from the pack's 57, without fold-overs, with correctives and tables:
``blendshapes.npz``.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES, EXPRESSIONS, PARTS
from facekit.files.atomic import atomic_write
from facekit.geometry.parts import among
from facekit.latents import FaceLatents
from facekit.metrics.contact import opposed
from facekit.models.blendshape_data import VOCABULARIES, BlendshapeData, Table, pack
from facekit.models.blendshapes import Blendshapes
from facekit.models.shape import ShapeModel
from facekit.motion.units import ACTION_UNITS
from facekit.progress import progress
from facekit.template import Template
from facekit.train.context import Context
from facekit.train.rig.data import JAW_OF_TONGUE, PackShapes, raw_shapes, spared, tongue_of, tongue_out
from facekit.train.rig.settle import Settler
from facekit.train.rig.tables import LATERAL, mirrors, translated, unit_fields
from facekit.train.trained import load_shape

#: Number of people to check for fold-overs besides the mean head, and their first seed.
PEOPLE, _FIRST_SEED = 9, 60_000
#: Two shapes may need a corrective if both move at least this many common vertices by this much, mm.
_OVERLAP, _MOVES = 40, 0.5
#: They need one if they turn over more triangles of a person than this.
_FOLDED = 12
#: Shapes whose effect at the lids the closing eye suppresses completely.
_AGAINST_BLINK = (
    *(f"eye{name}" for name in ("LookDown", "LookUp", "LookIn", "LookOut", "Squint", "Wide")),
    *("cheekSquint", "browDown", "noseSneer"),
)
#: Distance in mm from the lids' rims up to which this applies fully, and at which it ends.
_LID_FADE = (4.0, 11.0)
#: Blendshapes that no expression and no action unit contains: gaze, tongue, mouthClose.
_UNSAYING = (*(name for name in BLENDSHAPES if name.startswith("eyeLook")), "tongueOut", "mouthClose")
#: FACS has no action unit for a mouth that moves sideways without the jaw.
_NO_UNIT = ("mouth_left", "mouth_right", "mouthLeft", "mouthRight")
#: mouthClose closes the mouth opened by jawOpen; the pack's overlaps, and is scaled by this.
_CLOSING = 0.87


def run(context: Context) -> None:
    """Write ``blendshapes.npz``: shapes, correctives and tables; takes half an hour on one core."""
    template, shape = context.template, load_shape(context)
    theirs = PackShapes.load(context.shape_basis)
    with torch.no_grad():
        people, poses = people_at_rest(template, shape, context.scaled(PEOPLE))
    settler = Settler(template, people, context.scaled)
    deltas = settled_shapes(theirs, template, settler)
    rig = _with_pairs(_rig(deltas, theirs), known_correctives(template, deltas))
    pairs = list(itertools.combinations(range(len(BLENDSHAPES)), 2))
    rig = with_correctives(rig, template, settler, pairs[: context.scaled(len(pairs))])
    tables = tables_between(rig, theirs, template, poses + spared(context))
    write_rig(dataclasses.replace(rig, tables=tables), context.out / "blendshapes.npz")


def write_rig(rig: BlendshapeData, path: Path) -> None:
    """Write the packed rig as a compressed npz."""
    arrays: dict[str, Any] = {name: value.numpy() for name, value in pack(rig).items()}
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def settled_shapes(theirs: PackShapes, template: Template, settler: Settler) -> torch.Tensor:
    """Return the 52 shapes (52, V, 3) in mm, each without fold-overs and contact."""
    deltas = raw_shapes(theirs, template)
    close, opened = BLENDSHAPES.index("mouthClose"), BLENDSHAPES.index("jawOpen")
    module = Blendshapes(_rig(deltas, theirs), template)
    for k, name in progress(list(enumerate(BLENDSHAPES)), desc="shapes"):
        if name in ("mouthClose", "tongueOut"):
            continue
        code = _code(k)
        # Person-specific motion of eyes and lids is not part of the shape, but must not collide with it.
        extra = module(code.expand(len(settler.people), -1), settler.people) - deltas[k]
        deltas[k] = settler.settle(deltas[k], extra, module.turns(code) if name.startswith("eyeLook") else None)
    asked = deltas[opened] + _CLOSING * deltas[close]
    deltas[close] = settler.settle(asked) - deltas[opened]
    deltas[BLENDSHAPES.index("tongueOut")] = settler.settle(
        tongue_out(theirs, template, tongue_of(template), deltas[opened])
    )
    return deltas


def people_at_rest(template: Template, shape: ShapeModel, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return neutral faces (1 + count, V, 3) in mm, the mean first; and the mean displacement of expressions, (20, V,
    3).
    """
    codes = FaceLatents.sample(_FIRST_SEED, count).at_rest()
    neutral = _displacement(shape, codes)
    poses = [(_displacement(shape, codes.with_expression(name)) - neutral).mean(dim=0) for name in EXPRESSIONS]
    return torch.cat((template.verts[None], template.verts + neutral)), torch.stack(poses)


def _displacement(shape: ShapeModel, codes: FaceLatents) -> torch.Tensor:
    return shape(codes.shape_noise, codes.identity, codes.style, codes.expression)


def _rig(deltas: torch.Tensor, theirs: PackShapes) -> BlendshapeData:
    """Return a rig without correctives and with empty tables."""
    sizes = {"expressions": len(EXPRESSIONS), "blendshapes": len(BLENDSHAPES), "units": len(ACTION_UNITS)}
    tables = {
        (a, b): Table(torch.zeros(sizes[a], sizes[b]), torch.zeros(sizes[a], 2))
        for a, b in itertools.permutations(VOCABULARIES, 2)
    }
    none = (torch.zeros(0, 2, dtype=torch.long), torch.zeros(0, *deltas.shape[1:]))
    return BlendshapeData(deltas, *none, theirs.blinks, tables, torch.tensor(JAW_OF_TONGUE))


def _with_pairs(rig: BlendshapeData, found: dict[tuple[int, int], torch.Tensor]) -> BlendshapeData:
    pairs = torch.tensor(list(found), dtype=torch.long)
    return dataclasses.replace(rig, pairs=pairs, corrections=torch.stack(list(found.values())))


# -- correctives ------------------------------------------------------------------------------------------------------


def with_correctives(
    rig: BlendshapeData, template: Template, settler: Settler, pairs: list[tuple[int, int]]
) -> BlendshapeData:
    """Add correctives for the pairs of shapes that fold over, in addition to existing ones."""
    found = {(a, b): field for (a, b), field in zip(rig.pairs.tolist(), rig.corrections, strict=True)}
    module = Blendshapes(rig, template)
    moves = rig.deltas.norm(dim=2) > _MOVES
    for a, b in progress(pairs, desc="pairs of shapes"):
        if int((moves[a] & moves[b]).sum()) < _OVERLAP or opposed(BLENDSHAPES[a], BLENDSHAPES[b]):
            continue
        if _folds(module, settler, a, b) <= _FOLDED:
            continue
        code = _code(a, b)
        both = module(code.expand(len(settler.people), -1), settler.people)
        mean = both[0]
        settled = settler.settle(mean, both - mean, module.turns(code))
        found[a, b] = found.get((a, b), 0) + settled - mean
    return _with_pairs(rig, found)


def _code(*shapes: int) -> torch.Tensor:
    code = torch.zeros(1, len(BLENDSHAPES))
    code[0, list(shapes)] = 1.0
    return code


def _folds(module: Blendshapes, settler: Settler, *shapes: int) -> int:
    """Return the largest number of triangles that turn over on one of the people with these shapes at 1."""
    code = _code(*shapes)
    moved = settler.people + module(code.expand(len(settler.people), -1), settler.people)
    moved = settler.apart(moved)
    return int(settler.flips(moved - settler.people).sum(dim=1).max())


def known_correctives(template: Template, deltas: torch.Tensor) -> dict[tuple[int, int], torch.Tensor]:
    """Return predefined correctives of pairs in which one shape suppresses the other.

    The closing eye overrides other motion of its lids; and with the tongue out, the mouth opens no wider than by the
    jaw.
    """
    jaw, tongue = BLENDSHAPES.index("jawOpen"), BLENDSHAPES.index("tongueOut")
    found = {(jaw, tongue): -JAW_OF_TONGUE * deltas[jaw]}
    for side, sign in (("Left", 1), ("Right", -1)):
        blink = BLENDSHAPES.index(f"eyeBlink{side}")
        rim = template.verts[(template.parts == PARTS.index("lids")) & (template.verts[:, 0] * sign > 0)]
        away = torch.cdist(template.verts, rim).amin(dim=1)
        share = ((_LID_FADE[1] - away) / (_LID_FADE[1] - _LID_FADE[0])).clamp(0, 1)
        share = share * share * (3 - 2 * share)
        for name in _AGAINST_BLINK:
            other = BLENDSHAPES.index(f"{name}{side}")
            found[min(blink, other), max(blink, other)] = -share[:, None] * deltas[other]
    return found


# -- tables -----------------------------------------------------------------------------------------------------------


def tables_between(
    rig: BlendshapeData, theirs: PackShapes, template: Template, poses: torch.Tensor
) -> dict[tuple[str, str], Table]:
    """Return the tables between all vocabularies, fitted on skin, lips and lids of the mean head."""
    seen = among(template.parts, ("skin", "lips", "lids"))
    words = {"expressions": poses, "blendshapes": rig.deltas, "units": unit_fields(theirs.shapes)}
    names = {"expressions": EXPRESSIONS, "blendshapes": BLENDSHAPES, "units": tuple(ACTION_UNITS)}
    lateral = {key: torch.tensor([name in LATERAL for name in own]) for key, own in names.items()}
    found = {}
    for a, b in itertools.permutations(VOCABULARIES, 2):
        # Otherwise half a smile would be fitted by a jaw to the left with a mouth to the right.
        allowed = lateral[a][:, None] == lateral[b]
        if b == "blendshapes":
            allowed[:, [names[b].index(name) for name in _UNSAYING]] = False
        if b == "units":
            allowed[[k for k, name in enumerate(names[a]) if name in _NO_UNIT]] = False
        if a != "blendshapes":
            found[a, b] = translated(words[a], words[b], seen, allowed)
            continue
        # Other vocabularies have no sides: both sides are fitted together, with half of the weight each.
        twin = torch.tensor(mirrors(BLENDSHAPES))
        sided = twin != torch.arange(len(twin))
        whole = rig.deltas + torch.where(sided[:, None, None], rig.deltas[twin], 0)
        allowed[BLENDSHAPES.index("mouthClose")] = False  # it only has an effect on an open jaw
        table = translated(whole, words[b], seen, allowed, 1.5 if b == "expressions" else 1.0)
        found[a, b] = Table(torch.where(sided[:, None], table.weights / 2, table.weights), table.errors)
    return found
