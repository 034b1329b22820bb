"""Axes of a comparison: names with their settings, ``{name: {setting: value}}``.

Settings are ``seed``, ``truncation``, ``latents``, ``expression``, ``intensity``, ``detail``, ``detail_strength`` and
``pipe``, each as :class:`facekit.FacePipeline` takes it; ``pipe`` is the pipeline itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from facekit import weights
from facekit.checks import whole
from facekit.conventions import EXPRESSIONS, MAX_INTENSITY
from facekit.pipeline import FacePipeline

Axis = Mapping[str, Mapping[str, Any]]

PUBLISHED = "3dfacecam"


def identities(*seeds: int) -> Axis:
    """Return an axis of people, one per seed."""
    return {f"seed {seed}": {"seed": seed} for seed in seeds}


def expressions(*names: str) -> Axis:
    """Return an axis of the named expressions, or all 20."""
    return {name.replace("_", " "): {"expression": name} for name in names or EXPRESSIONS}


def intensities(
    expression: str | Mapping[str, float] | None = None, steps: int = 6, stop: float = MAX_INTENSITY
) -> Axis:
    """Return an axis of even steps from 0 to ``stop``, by default 0, 0.3, … 1.5, of one expression unless another axis
    sets it.
    """
    steps = whole(steps, "steps", 2, remedy="pass for instance steps=6")
    pose = {} if expression is None else {"expression": expression}
    values = [round(value, 6) for value in torch.linspace(0, stop, steps).tolist()]
    return {f"{value:.2g}": {**pose, "intensity": value} for value in values}


def details() -> Axis:
    """Return an axis of detail modes: none, the person's, the expression's, and both."""
    return {
        "no detail": {"detail": False},
        "static": {"detail": "static"},
        "dynamic": {"detail": "dynamic"},
        "static and dynamic": {"detail": True},
    }


def models(pipe: FacePipeline) -> Axis:
    """Return an axis of this pipeline and, if its weights are available, the published model in both composition modes.

    Otherwise this is printed once, and the axis contains ``pipe`` alone.
    """
    axis = {pipe.name: {"pipe": pipe}}
    if not weights.ready(PUBLISHED):
        _tell_missing()
        return axis
    ours = pipe if pipe.name == PUBLISHED else FacePipeline.from_pretrained(PUBLISHED, pipe.device)
    upstream = ours.with_composition("upstream")
    return {**axis, f"{PUBLISHED}, blended": {"pipe": ours}, f"{PUBLISHED}, upstream's paste": {"pipe": upstream}}


def cross(outer: Axis, inner: Axis) -> Axis:
    """Combine every name of ``outer`` with every name of ``inner``: for instance identity × expression as one axis."""
    return {
        f"{first}, {second}": {**settings, **more}
        for first, settings in outer.items()
        for second, more in inner.items()
    }


@functools.cache
def _tell_missing() -> None:
    print(f"The published weights are not here; compared without them. To get them: facekit weights fetch {PUBLISHED}")
