"""Compare faces under varied conditions: pictures, difference maps and figures::

    from facekit import FacePipeline, compare

    pipe = FacePipeline.from_pretrained()
    result = compare.grid(pipe, rows=compare.identities(7, 12), columns=compare.intensities("smile"))
    result.page()                    # a picture: rows and columns of faces
    result.differences("texture")    # what changes from each face to the next, as heat maps
    result.table                     # millimetres, delta E, flicker, identity distance
    result.save("out/comparison")    # PNG, CSV and one HTML file

Rows and columns are *axes*: names with their settings. :mod:`facekit.compare.axes` makes axes of seeds, expressions,
intensities, detail and models; your own are dictionaries. Two experiments of the 3DFaceCAM evaluation (Rai et al., WACV
2023) are included: :func:`intensity_experiment` and :func:`expression_experiment`.
"""

from __future__ import annotations

from facekit.compare.axes import cross, details, expressions, identities, intensities, models
from facekit.compare.grid import Cell, Comparison, grid
from facekit.compare.presets import (
    PRESETS,
    detail_experiment,
    expression_experiment,
    identity_experiment,
    intensity_experiment,
    model_experiment,
)

__all__ = [
    "PRESETS",
    "Cell",
    "Comparison",
    "cross",
    "detail_experiment",
    "details",
    "expression_experiment",
    "expressions",
    "grid",
    "identities",
    "identity_experiment",
    "intensities",
    "intensity_experiment",
    "model_experiment",
    "models",
]
