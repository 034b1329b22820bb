"""The model card's section on the rig, measured on people outside of the training set."""

from __future__ import annotations

import torch

from facekit.conventions import BLENDSHAPES
from facekit.evaluate.rig import RigFigures, RigTally, rows
from facekit.files.readers import load_arrays
from facekit.latents import FaceLatents
from facekit.metrics.contact import Contact, face_like
from facekit.models.blendshape_data import STEP, BlendshapeData, unpack
from facekit.pipeline import FacePipeline
from facekit.train.context import Context
from facekit.train.export import ROLES
from facekit.train.rig.stage import PEOPLE as TRAINED_ON

#: Numbers of people and random combinations in the full training's figures.
PEOPLE, COMBINATIONS = 4, 200
_SEED = 61_000

_SECTION = """## Rig

ARKit's 52 blendshapes from the head model's 57 shapes, some of them amplified so that a tracker sees what their names
say, `tongueOut` of our own making; each unfolded and kept out of contact on {people} faces, with {pairs} correctives
for pairs. {megabytes:.2f} MB, displacements in steps of {step} mm. Eyes turn about their centres, lids close by what
the person's eye is open, lips and lids are kept apart and folds turned back when a face is made; morph targets in a
file have none of these.

Measured on people that no training run drew, against each one's own neutral face; flips are triangles that turned by
over 90 degrees.

{table}

The tables between vocabularies, by non-negative least squares on the mean head: what is missed against what is moved,
root mean square over the vertices that a word moves, mean over all words.

| words | said in | missed mm | moved mm |
| --- | --- | ---: | ---: |
{tables}"""


@torch.no_grad()
def rig_section(context: Context, pipe: FacePipeline) -> str:
    """Measure the rig of this run."""
    path = context.out / ROLES["blendshapes"]
    rig = unpack(load_arrays(path))
    return _SECTION.format(
        people=1 + context.scaled(TRAINED_ON),
        pairs=len(rig.pairs),
        megabytes=path.stat().st_size / 1e6,
        step=STEP,
        table=rows(measure_rig(pipe, context.scaled(PEOPLE), context.scaled(COMBINATIONS))),
        tables="\n".join(_table_rows(rig)),
    )


def measure_rig(pipe: FacePipeline, people: int, combinations: int) -> list[tuple[str, RigFigures]]:
    """Measure every shape alone at 1 on all ``people``, and random combinations on one of them each."""
    measure = Contact(pipe.template)
    codes = FaceLatents.sample(_SEED, people).at_rest()
    rest = pipe.decode_shape(codes)
    alone, together = RigTally(measure), RigTally(measure)
    for k in range(people):
        for weights in torch.eye(len(BLENDSHAPES)).split(8):
            worn = codes[k : k + 1].repeat(len(weights)).with_blendshapes(weights)
            alone.add(rest[k : k + 1], pipe.decode_shape(worn))
    for k, weights in enumerate(face_like(combinations)):
        one = k % people
        together.add(rest[one : one + 1], pipe.decode_shape(codes[one : one + 1].with_blendshapes(weights)))
    return [
        (f"each of the {len(BLENDSHAPES)} alone at 1", alone.figures()),
        (f"{combinations} random combinations", together.figures()),
    ]


def _table_rows(rig: BlendshapeData) -> list[str]:
    means = {pair: table.errors.mean(dim=0).tolist() for pair, table in rig.tables.items()}
    return [f"| {a} | {b} | {missed:.2f} | {moved:.2f} |" for (a, b), (missed, moved) in means.items()]
