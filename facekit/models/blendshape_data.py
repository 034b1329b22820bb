"""File format of the rig: 52 blendshapes, pairwise correctives and the tables between vocabularies, sparse and
quantised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from facekit.conventions import BLENDSHAPE_DIM, EXPRESSION_DIM
from facekit.errors import WeightsError

#: Quantisation step, mm, of displacements; smaller ones are dropped, so that no vertex is off by more.
STEP = 0.02
_BITS = 2 ** torch.arange(8, dtype=torch.uint8)

Sparse = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
#: Vocabularies: expressions, blendshapes, and the action units of :mod:`facekit.motion.units`.
VOCABULARIES = ("expressions", "blendshapes", "units")


@dataclass(frozen=True)
class Table:
    """Linear map from one vocabulary to another.

    Parameters
    ----------
    weights:
        (n, m) float32: each of n words as a combination of m others.
    errors:
        (n, 2) float32 mm: root mean square over the vertices that a word moves, of the combination's error and of the
        word itself.
    """

    weights: torch.Tensor
    errors: torch.Tensor


@dataclass(frozen=True)
class BlendshapeData:
    """Rig on one topology of V vertices.

    Parameters
    ----------
    deltas:
        (52, V, 3) float32, mm at weight 1, without the rotation of eyeballs.
    pairs:
        (P, 2) int64: pairs of blendshapes with a corrective.
    corrections:
        (P, V, 3) float32 mm: correctives, multiplied by the product of both weights.
    blinks:
        For the right and the left eye: rows, columns (n,) int64 and weights (n,) float32 of the sparse matrix from a
        person's deviation from the mean head (columns) to the lid vertices (rows) of the closed eye, in y and z.
    tables:
        Tables between all :data:`VOCABULARIES`: ``tables["expressions", "blendshapes"]`` is (20, 52).
    jaw_of_tongue:
        () float32: weight of jawOpen that tongueOut adds.
    """

    deltas: torch.Tensor
    pairs: torch.Tensor
    corrections: torch.Tensor
    blinks: tuple[Sparse, Sparse]
    tables: Mapping[tuple[str, str], Table]
    jaw_of_tongue: torch.Tensor

    @property
    def vertices(self) -> int:
        """Number of vertices, V."""
        return self.deltas.shape[1]


def pack(data: BlendshapeData) -> dict[str, torch.Tensor]:
    """Return arrays for a compressed npz: a bit mask of moving vertices, and quantised displacements as int16
    planes.
    """
    arrays: dict[str, torch.Tensor] = {"vertices": torch.tensor(data.vertices), "pairs": data.pairs.to(torch.uint8)}
    for name in ("deltas", "corrections"):
        arrays[f"{name}.moved"], arrays[f"{name}.steps"] = _squeezed(getattr(data, name))
    for side, sparse in enumerate(data.blinks):
        for name, value in zip(("row", "column", "weight"), sparse, strict=True):
            arrays[f"blink_{side}.{name}"] = value.to(torch.int32) if value.dtype == torch.int64 else value
    for (source, target), table in data.tables.items():
        arrays[f"{source}.{target}"], arrays[f"{source}.{target}.errors"] = table.weights, table.errors
    return arrays | {"jaw_of_tongue": data.jaw_of_tongue}


def unpack(arrays: Mapping[str, torch.Tensor]) -> BlendshapeData:
    """Return the rig from arrays written by :func:`pack`.

    Raises
    ------
    WeightsError
        If the arrays are not in this format or have inconsistent sizes.
    """
    try:
        vertices, pairs = int(arrays["vertices"]), arrays["pairs"].long()
        blinks = [
            (
                arrays[f"blink_{k}.row"].long(),
                arrays[f"blink_{k}.column"].long(),
                arrays[f"blink_{k}.weight"].float(),
            )
            for k in (0, 1)
        ]
        data = BlendshapeData(
            _spread(arrays, "deltas", BLENDSHAPE_DIM, vertices),
            pairs,
            _spread(arrays, "corrections", len(pairs), vertices),
            (blinks[0], blinks[1]),
            unpack_tables(arrays),
            arrays["jaw_of_tongue"].float(),
        )
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise WeightsError("arrays of a rig", f"{error}", "reinstall facekit, or build it again") from error
    return data


def unpack_tables(arrays: Mapping[str, torch.Tensor]) -> dict[tuple[str, str], Table]:
    """Return the tables alone from arrays written by :func:`pack`."""
    tables = {}
    for source in VOCABULARIES:
        for target in VOCABULARIES:
            if source != target:
                name = f"{source}.{target}"
                tables[source, target] = Table(arrays[name].float(), arrays[f"{name}.errors"].float())
    if tables["expressions", "blendshapes"].weights.shape != (EXPRESSION_DIM, BLENDSHAPE_DIM):
        raise ValueError("tables of other vocabularies")
    return tables


def _squeezed(fields: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode fields (K, V, 3) in mm as a bit mask (K, V / 8) uint8 and quantised values (3, N) int16."""
    moved = fields.norm(dim=2) >= STEP
    steps = (fields[moved] / STEP).round().to(torch.int16).T.contiguous()
    padded = torch.nn.functional.pad(moved, (0, -moved.shape[1] % 8)).unflatten(1, (-1, 8))
    return (padded.to(torch.uint8) * _BITS).sum(dim=2).to(torch.uint8), steps


def _spread(arrays: Mapping[str, torch.Tensor], name: str, count: int, vertices: int) -> torch.Tensor:
    bits, steps = arrays[f"{name}.moved"], arrays[f"{name}.steps"]
    moved = ((bits[..., None] & _BITS) != 0).flatten(1)[:, :vertices]
    if moved.shape != (count, vertices) or int(moved.sum()) != steps.shape[1]:
        raise ValueError(f"{name} of {tuple(moved.shape)} with {steps.shape[1]} moves")
    fields = torch.zeros(count, vertices, 3)
    fields[moved] = steps.T.float() * STEP
    return fields
