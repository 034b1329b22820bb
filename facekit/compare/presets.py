"""Predefined experiments: each is one call of :func:`facekit.compare.grid`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from facekit.compare.axes import cross, details, expressions, identities, intensities, models
from facekit.compare.grid import Comparison, grid
from facekit.pipeline import FacePipeline


def intensity_experiment(
    pipe: FacePipeline, names: Sequence[str] = ("smile", "mouth_stretch", "anger"), seed: int = 15, **options: Any
) -> Comparison:
    """Compare one person's expressions at intensities 0, 0.3, … 1.5, as in the evaluation of 3DFaceCAM (Rai et al.,
    WACV 2023).

    Parameters
    ----------
    names:
        Expressions, one per row.
    options:
        Settings for all faces, and options of :func:`facekit.compare.grid`.
    """
    title = f"The intensity experiment, seed {seed}"
    return grid(pipe, expressions(*names), intensities(), **{"title": title, "seed": seed, **options})


def expression_experiment(pipe: FacePipeline, seed: int = 15, intensity: float = 1.0, **options: Any) -> Comparison:
    """Compare one person with all 20 expressions, as in the evaluation of 3DFaceCAM; figures are relative to the
    neutral face.
    """
    title = f"The expression experiment, seed {seed}"
    options = {"title": title, "seed": seed, "intensity": intensity, **options}
    return grid(pipe, {f"intensity {intensity:g}": {}}, expressions(), **options)


def identity_experiment(
    pipe: FacePipeline,
    seeds: Sequence[int] = (7, 12),
    names: Sequence[str] = ("smile", "brow_raiser"),
    **options: Any,
) -> Comparison:
    """Compare identity × expression × intensity: several people, their expressions, at 0, 0.3, … 1.5."""
    rows = cross(identities(*seeds), expressions(*names))
    return grid(pipe, rows, intensities(), **{"title": "Identity, expression, intensity", **options})


def detail_experiment(pipe: FacePipeline, name: str = "brow_raiser", seed: int = 15, **options: Any) -> Comparison:
    """Compare one expression without detail, with each part and with both, at intensities 0, 0.5, 1, 1.5."""
    title = f"Detail: {name.replace('_', ' ')}, seed {seed}"
    return grid(pipe, details(), intensities(name, steps=4), **{"title": title, "seed": seed, **options})


def model_experiment(
    pipe: FacePipeline,
    names: Sequence[str] = ("neutral", "smile", "mouth_stretch", "anger", "cheek_blowing"),
    seed: int = 15,
    **options: Any,
) -> Comparison:
    """Compare this model with the published one, in upstream's composition and in ours, if its weights are
    available.
    """
    title = f"Models, seed {seed}"
    return grid(pipe, models(pipe), expressions(*names), **{"title": title, "seed": seed, **options})


#: Experiments by the names that the command takes.
PRESETS: dict[str, Callable[..., Comparison]] = {
    "intensity": intensity_experiment,
    "expression": expression_experiment,
    "identity": identity_experiment,
    "detail": detail_experiment,
    "models": model_experiment,
}
