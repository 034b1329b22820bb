"""Sweeps: one person over intensities or over expressions, with everything else fixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from facekit.checks import finite, whole
from facekit.conventions import EXPRESSIONS, MAX_INTENSITY
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.latents import FaceLatents
from facekit.pipeline import FacePipeline
from facekit.torch_defaults import with_torch_defaults


@with_torch_defaults
def sweep_intensity(
    pipe: FacePipeline,
    latents: FaceLatents,
    expression: str | Mapping[str, float],
    steps: int = 15,
    stop: float = MAX_INTENSITY,
    **options: Any,
) -> FaceOutput:
    """Make one person and expression at ``steps`` intensities from 0 to ``stop``; identity, noise and style stay fixed.

    ``options`` are passed to the pipeline: ``detail`` and ``detail_strength``.

    Returns
    -------
    FaceOutput
        Faces with B = steps and ``metadata["intensity"]``, the list of intensities.
    """
    _single(latents)
    steps = whole(steps, "steps", 2, remedy="pass for instance steps=15")
    stop = finite(stop, "stop", "pass for instance stop=1.5")
    if stop <= 0:
        raise InputError("stop as a finite number above 0", f"{stop:g}", "pass for instance stop=1.5")
    values = torch.linspace(0, stop, steps).tolist()
    batch = FaceLatents.cat([latents.with_expression(expression, value) for value in values])
    return dataclasses.replace(
        pipe(latents=batch, **options), metadata={"sweep": "intensity", "expression": expression, "intensity": values}
    )


@with_torch_defaults
def sweep_expressions(
    pipe: FacePipeline,
    latents: FaceLatents,
    expressions: Sequence[str] | None = None,
    intensity: float = 1.0,
    **options: Any,
) -> FaceOutput:
    """Make one person with each of ``expressions`` (by default all 20) at one intensity.

    ``options`` are passed to the pipeline: ``detail`` and ``detail_strength``.

    Returns
    -------
    FaceOutput
        Faces with B = number of expressions and ``metadata["expression"]``, the list of names.
    """
    _single(latents)
    names = list(EXPRESSIONS if expressions is None else expressions)
    if not names:
        raise InputError("at least one expression", "an empty list", "leave it out for all 20")
    batch = FaceLatents.cat([latents.with_expression(name, intensity) for name in names])
    return dataclasses.replace(
        pipe(latents=batch, **options), metadata={"sweep": "expression", "expression": names, "intensity": intensity}
    )


def _single(latents: FaceLatents) -> None:
    if len(latents) != 1:
        raise InputError("latents of one face", f"{len(latents)} faces", "pick one with latents[i]")
