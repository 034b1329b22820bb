"""The relief stage: held-out people with the teacher's displacement, for ``facekit evaluate detail``.

Two splits. ``codes``: people of the shape network, with codes that were not used in training. ``modes``: people sampled
from the identity modes, with blendshape expressions: meshes and strains that the detail module was not trained on. In
addition, a module with HiFace's scalar tension, trained like the shipped one on the same samples.
"""

from __future__ import annotations

import dataclasses
import shutil

import torch

from facekit.data import reliefs
from facekit.data.faceset import FaceSet
from facekit.data.reliefs import ReliefSet
from facekit.evaluate.people import modes_people
from facekit.files.atomic import atomic_write
from facekit.latents import FaceLatents
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.train.context import Context
from facekit.train.detail.data import texel_weight
from facekit.train.detail.furrows import tile_metric
from facekit.train.detail.stage import packed_files, train_compositions
from facekit.train.detail.teacher import DetailTeacher

#: Expressions of the set, those with furrows.
EXPRESSIONS = ("neutral", "smile", "anger", "chin_raiser", "grin", "brow_raiser", "brow_lower")
PEOPLE, LEAST = 24, 2
_CODES_SEED, _MODES_SEED = 90_000, 95_000
_SCALAR = "scalar"


def run(context: Context) -> None:
    """Write the set for the installed default to ``relief`` in the work folder."""
    pipe = FacePipeline.from_pretrained(device="cpu")
    config, folder = pipe.detail_layer.model.config, context.work / "relief"
    scalar = packed_files(context.work)[_SCALAR]
    if not scalar.is_file():
        train_compositions(context, pipe, config, (_SCALAR,))
    with atomic_write(folder / reliefs.CONTROLS / f"{_SCALAR}.npz") as temporary:
        shutil.copyfile(scalar, temporary)
    teacher = DetailTeacher(context.skin_layers, pipe.template, config.size)
    weight = texel_weight(context.pack, torch.from_numpy(tile_metric(pipe.template, config.size)))
    count = context.scaled(PEOPLE, LEAST)
    for split, seed in (("codes", _CODES_SEED), ("modes", _MODES_SEED)):
        people = FaceLatents.cat([FaceLatents.sample(seed + k) for k in range(count)])
        faces = code_people(pipe, people) if split == "codes" else modes_people(pipe, count, EXPRESSIONS, seed)
        faces = dataclasses.replace(faces, name=split)
        reliefs.save(with_relief(faces, people.identity, teacher, weight), folder)


@torch.no_grad()
def code_people(pipe: FacePipeline, people: FaceLatents) -> FaceSet:
    """Make the network's faces for these codes in all of :data:`EXPRESSIONS`."""
    template = pipe.template
    worn = [pipe.decode_shape(people.with_expression(name)) for name in EXPRESSIONS]
    subjects = tuple(f"codes-{k}" for k in range(len(people)))
    return FaceSet("codes", subjects, EXPRESSIONS, torch.stack(worn, dim=1), template.faces)


@torch.no_grad()
def with_relief(faces: FaceSet, identity: torch.Tensor, teacher: DetailTeacher, weight: torch.Tensor) -> ReliefSet:
    """Add the teacher's displacement to faces of people with codes (P, 20)."""
    maps = []
    for code, verts in zip(progress(identity, len(identity), "relief"), faces.verts, strict=True):
        maps.append(teacher(code.expand(len(verts), -1), verts[:1].expand_as(verts), verts)[:, 0].half())
    return ReliefSet(faces, identity, torch.stack(maps), weight)
