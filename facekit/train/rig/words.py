"""The words stage: recompute the tables between vocabularies after a change of expressions, with the same rig."""

from __future__ import annotations

import dataclasses

import torch

from facekit.files.readers import load_arrays
from facekit.models.blendshape_data import unpack
from facekit.train.context import Context
from facekit.train.rig import stage
from facekit.train.rig.data import PackShapes, spared
from facekit.train.trained import load_shape


@torch.no_grad()
def run(context: Context) -> None:
    """Rewrite this run's ``blendshapes.npz`` with the same shapes; takes a minute."""
    path = context.out / "blendshapes.npz"
    rig, pack = unpack(load_arrays(path)), PackShapes.load(context.shape_basis)
    _, poses = stage.people_at_rest(context.template, load_shape(context), context.scaled(stage.PEOPLE))
    tables = stage.tables_between(rig, pack, context.template, poses + spared(context))
    stage.write_rig(dataclasses.replace(rig, tables=tables), path)
