"""Synthetic people to measure generators on: drawn from identity modes, with blendshape expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch

from facekit.conventions import EXPRESSIONS
from facekit.data.faceset import FaceSet, crop_topology
from facekit.latents import FaceLatents
from facekit.metrics.geometry import face_vertices
from facekit.motion.mapping import expressions_to_blendshapes
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.model import PhotoModel

#: Largest relative change of a person's blendshape weights: everybody makes expressions in their own way.
_OWN_WAY = 0.25
NOTE = (
    "The set 'modes' is synthetic: people drawn from the ICT face model's identity modes, whose expressions are those "
    "that the table from expressions to blendshapes says, each person's weights scaled by up to 25 %. The controls are "
    "fitted to other people of this same set; the embedded default never saw it and learned another rendition of the "
    "expressions. Its people are linear but for contact, so linear controls are at home here."
)


@torch.no_grad()
def modes_people(
    pipe: FacePipeline,
    count: int,
    expressions: Sequence[str] = EXPRESSIONS,
    seed: int = 40_000,
    cropped: bool = False,
) -> FaceSet:
    """Sample ``count`` people, each with all ``expressions``, on the topology of the embedded default.

    Weights of the modes are standard normal (Li et al., CVPR 2020: the ICT face model). Contact of lids, lips and eyes
    is resolved as for every face with blendshapes.

    Parameters
    ----------
    cropped:
        Keep only the measured vertices, which takes little over half the memory; see
        :meth:`facekit.data.faceset.FaceSet.cropped`.
    """
    photo, template = PhotoModel.of(pipe), pipe.template
    rest = FaceLatents.sample(0, intensity=0.0, truncation=0.0)
    wanted = torch.cat([rest.with_expression(name).expression for name in expressions])
    said = cast(torch.Tensor, expressions_to_blendshapes(wanted))
    said[[name == "neutral" for name in expressions]] = 0.0
    mesh = template.mesh(template.verts[None])
    measured = face_vertices(mesh).cpu()
    kept = measured if cropped else torch.ones_like(measured)
    verts = torch.empty(count, len(expressions), int(kept.sum()), 3)
    for number in progress(range(count), desc="people"):
        generator = torch.Generator().manual_seed(seed + number)
        neutral = photo.neutral(template.verts.cpu(), torch.randn(len(photo.modes), generator=generator))
        own = 1 + _OWN_WAY * (2 * torch.rand(said.shape, generator=generator) - 1)
        person = pipe.with_person(Person(neutral.to(pipe.device), rest.to(pipe.device)))
        worn = rest.repeat(len(expressions)).with_blendshapes((said * own).clamp(0, 1))
        verts[number] = person.decode_shape(worn).cpu()[:, kept]
    faces, landmarks = template.faces.cpu(), template.landmarks.cpu()
    if cropped:
        faces, landmarks = crop_topology(faces, landmarks, kept)
    return FaceSet(
        name="modes",
        subjects=tuple(f"modes-{seed + k}" for k in range(count)),
        expressions=tuple(expressions),
        verts=verts,
        faces=faces,
        landmarks=landmarks,
        measured=None if cropped else measured,
    )
