"""The photographs stage: identity modes, landmark positions, and the landmarker's error model; two files.

``modes.npz`` needs the head stage's shape basis, ``landmarks.npz`` the whole model, and the extra ``photo``. Frames are
stored in the work folder in parts, so that the same command resumes an interrupted run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.conventions import PARTS
from facekit.files.atomic import atomic_write
from facekit.files.readers import load_arrays
from facekit.models.blendshape_data import unpack as unpack_rig
from facekit.models.blendshape_data import unpack_tables
from facekit.models.blendshapes import Blendshapes
from facekit.models.modes import IdentityModes
from facekit.models.modes import pack as pack_modes
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.points import FacePoints
from facekit.train.context import Context
from facekit.train.photos import anchors, response
from facekit.train.photos.frames import Frames, observed
from facekit.train.photos.photographs import Photograph, Photographer, drawn_blendshapes, drawn_people
from facekit.train.trained import load_pipeline

#: Number of modes to keep, and weight of a millimetre by part for their order.
MODES = 80
_WEIGHTS = {"skin": 1.0, "lips": 2.0, "lids": 2.0, "eyes": 1.0, "teeth": 0.3, "mouth": 0.1}
_REST = 0.2
#: Numbers of people to locate the landmarks, and to measure the response; pictures per person; seeds; people per part.
_ANCHOR_PEOPLE, _PEOPLE, _PICTURES, _SEEDS, _PART = 30, 320, 5, (77, 500), 20


def run(context: Context) -> None:
    """Write ``modes.npz`` and ``landmarks.npz``; takes a quarter of an hour on one core."""
    template, basis = context.template, raw_modes(context)
    modes = sorted_modes(basis, template.parts, min(MODES, len(basis)))
    write_arrays(context.out / "modes.npz", {k: v.numpy() for k, v in pack_modes(modes, template.faces).items()})
    pipe = load_pipeline(context)
    pipe.blendshapes = Blendshapes(unpack_rig(load_arrays(context.out / "blendshapes.npz")), template)
    with Landmarker() as landmarker:
        generator = torch.Generator().manual_seed(_SEEDS[0])
        people = drawn_people(basis, template.verts, context.scaled(_ANCHOR_PEOPLE, 2), generator)
        found = anchors.measured(pipe, people, landmarker, _SEEDS[0])
        frames = _frames(context, pipe, basis, found, landmarker)
    points = FacePoints.of(template, modes, pipe.blendshapes, found.corners, found.shares)
    write_arrays(context.out / "landmarks.npz", packed(found, response.measured(frames, points)))


def raw_modes(context: Context) -> torch.Tensor:
    """Return the pack's identity modes (M, V, 3) in mm on the template."""
    with np.load(context.shape_basis, allow_pickle=False) as data:
        return torch.from_numpy(data["identity_modes"])


def sorted_modes(basis: torch.Tensor, parts: torch.Tensor, count: int) -> IdentityModes:
    """Rotate modes (M, V, 3) with normal weights into modes sorted by size; keep ``count``."""
    weight = torch.tensor([_WEIGHTS.get(name, _REST) for name in PARTS], dtype=torch.float64)[parts.long()]
    flat = basis.double().flatten(1)
    _, turn = torch.linalg.eigh((flat * weight.repeat_interleave(3)) @ flat.T)
    return IdentityModes((turn.flip(1).T[:count] @ flat).float().unflatten(1, (-1, 3)))


def packed(found: anchors.Anchors, measured: response.Response) -> dict[str, np.ndarray]:
    """Return the arrays of ``landmarks.npz``."""
    places = {"corners": found.corners.to(torch.int32).numpy(), "shares": found.shares.numpy()}
    places["mirror"] = found.mirror.to(torch.int16).numpy()
    return {**places, **measured.pack()}


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _frames(
    context: Context, pipe: FacePipeline, basis: torch.Tensor, found: anchors.Anchors, landmarker: Landmarker
) -> Frames:
    """Return frames of many people, from the work folder if they exist."""
    table = unpack_tables(load_arrays(context.out / "blendshapes.npz"))["expressions", "blendshapes"].weights
    generator, parts = torch.Generator().manual_seed(_SEEDS[1]), []
    count = context.scaled(_PEOPLE, 4)
    for start in progress(range(0, count, _PART), desc="photographs"):
        number = min(_PART, count - start)
        people = drawn_people(basis, pipe.template.verts, number, generator)
        shapes = drawn_blendshapes(table, number * _PICTURES, generator).unflatten(0, (number, _PICTURES))
        path = context.work / f"frames_{start}.npz"
        if not path.is_file():
            observed(_taken(Photographer(pipe, _SEEDS[1] + start), people, shapes, start), found, landmarker).save(path)
        parts.append(Frames.load(path))
    return Frames.cat(parts)


def _taken(photographer: Photographer, people: torch.Tensor, shapes: torch.Tensor, start: int) -> Iterator[Photograph]:
    for number, (neutral, weights) in enumerate(zip(people, shapes, strict=True)):
        for picture in photographer.pictures(number, neutral, weights):
            yield dataclasses.replace(picture, person=start + number)
