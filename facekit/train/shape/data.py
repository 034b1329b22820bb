"""Shape samples: identity modes × expression recipes × intensity, in an orthonormal basis of the pack's linear span.

Every shape of the pack is mean + basis · weights, with 100 identity modes and 57 blendshapes. The autoencoder is
trained on coordinates in a vertex-weighted orthonormal basis of that span: the squared error there equals the weighted
squared error of all V vertices, at a four-hundredth of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.conventions import EXPRESSION_DIM, EXPRESSIONS, IDENTITY_DIM, PARTS, SHAPE_NOISE_DIM
from facekit.train.shape.recipes import DEFAULT_CAP, RECIPES, RESTING, WEIGHT_CAPS
from facekit.train.shape.traits import turn

# Weight of a millimetre by part, by visual importance.
_PART_WEIGHTS = {
    "skin": 1.0,
    "lips": 12.0,
    "lids": 12.0,
    "eyes": 2.0,
    "teeth": 1.0,
    "mouth": 0.3,
    "back_of_head": 0.3,
    "neck": 0.3,
}
_KNEE = 0.9  # fraction of its cap up to which a blendshape weight is unchanged
_BLINKS = ("eyeBlink_L", "eyeBlink_R")


@dataclass(frozen=True)
class ShapeBasis:
    """Linear shape data on our topology.

    Parameters
    ----------
    identity:
        (M, K) float32: coordinates of the identity modes (100 in the real pack); weights are N(0, 1).
    expression:
        (57, K) float32: coordinates of the blendshapes.
    blink:
        (2, M, K) float32: correction of the left and right blink per identity mode, so that everyone's lids meet.
    vectors:
        (K, 3V) float32: the basis, so that displacement in mm = coordinates @ vectors.
    names:
        The blendshapes' names.
    vertex_weights:
        (V,) float32, mean 1: the metric in which the basis is orthonormal (times V, see ``error_mm``).
    turn:
        (20, 20) float32, from the identity code to the weights of the first modes, see
        :func:`facekit.train.shape.traits.turn`.
    """

    identity: torch.Tensor
    expression: torch.Tensor
    blink: torch.Tensor
    vectors: torch.Tensor
    names: tuple[str, ...]
    vertex_weights: torch.Tensor
    turn: torch.Tensor

    @classmethod
    def load(cls, path: str | Path, parts: torch.Tensor) -> ShapeBasis:
        """Orthonormalise the npz written by ``facekit.train.head.stage``."""
        with np.load(path, allow_pickle=False) as data:
            modes, shapes = data["identity_modes"], data["expression_shapes"]
            names, axes = tuple(str(n) for n in data["expression_names"]), data["trait_axes"]
            blinks = [
                _blink_modes(modes, *(data[f"blink_{side}_{key}"] for key in ("row", "col", "data"))) for side in "LR"
            ]
        stacked = torch.from_numpy(np.concatenate([modes, shapes, *blinks])).double().flatten(1)
        weight = torch.tensor([_PART_WEIGHTS[p] for p in PARTS], dtype=torch.float64)[parts.long()]
        weight = weight / weight.mean()
        root = weight.repeat_interleave(3).sqrt()
        values, rotation = torch.linalg.eigh((stacked * root) @ (stacked * root).T)
        keep = values > values.max() * 1e-9
        values, rotation = values[keep].flip(0), rotation[:, keep].flip(1)
        # Orthonormal in the metric of root-mean-square mm: |coordinates|² = weighted mean over vertices of |mm|².
        scale = (values / len(weight)).sqrt()
        coordinates = rotation * scale
        vectors = (rotation / scale).T @ stacked
        return cls(
            identity=coordinates[: len(modes)].float(),
            expression=coordinates[len(modes) : len(modes) + len(shapes)].float(),
            blink=coordinates[len(modes) + len(shapes) :].unflatten(0, (2, -1)).float(),
            vectors=vectors.float(),
            names=names,
            vertex_weights=weight.float(),
            turn=turn(axes),
        )

    def vertices(self, coordinates: torch.Tensor) -> torch.Tensor:
        """Return displacements (B, V, 3) in mm of coordinates (B, K)."""
        return (coordinates @ self.vectors).unflatten(1, (-1, 3))


def _blink_modes(modes: np.ndarray, row: np.ndarray, column: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the correction of a blink per mode (M, V, 3): lid vertex ``row`` follows vertex ``column``, up and out
    only.
    """
    added = np.zeros_like(modes)
    for mode, shift in zip(added, modes[:, column] * weight[:, None], strict=True):
        np.add.at(mode, row, shift)
    added[..., 0] = 0
    return added


def soft_cap(weights: torch.Tensor, caps: torch.Tensor) -> torch.Tensor:
    """Saturate smoothly: the identity up to 0.9 of the cap, a parabola from there, the cap itself from 1.1 on.

    Lids and lips stop when they touch instead of passing through each other; the response stays monotone.
    """
    x = weights / caps
    room = 1 - _KNEE
    over = (x - _KNEE).clamp(0, 2 * room)
    return caps * (x.clamp_max(_KNEE) + over - over.square() / (4 * room))


class ShapeTeacher:
    """Samples of (identity, noise, style, expression) with the corresponding shapes."""

    def __init__(self, basis: ShapeBasis, seed: int = 0) -> None:
        self.basis = basis
        index = {name: k for k, name in enumerate(basis.names)}
        self.recipes = torch.zeros(EXPRESSION_DIM, len(basis.names))
        for expression, recipe in RECIPES.items():
            for name, weight in recipe.items():
                self.recipes[EXPRESSIONS.index(expression), index[name]] = weight
        self.resting = torch.tensor([RESTING.get(name, 0.0) for name in basis.names])
        self.caps = torch.tensor([WEIGHT_CAPS.get(name, DEFAULT_CAP) for name in basis.names])
        # Individual expressions: strength per muscle, and a little left-right asymmetry.
        generator = torch.Generator().manual_seed(seed)
        sides = [name[-2:] for name in basis.names]
        mirror = [
            index.get(n[:-2] + {"_L": "_R", "_R": "_L"}.get(n[-2:], n[-2:]), k) for k, n in enumerate(basis.names)
        ]
        strength = torch.randn(IDENTITY_DIM, len(basis.names), generator=generator) / IDENTITY_DIM**0.5
        asymmetry = torch.randn(IDENTITY_DIM, len(basis.names), generator=generator) / IDENTITY_DIM**0.5
        sign = torch.tensor([{"_L": 1.0, "_R": -1.0}.get(s, 0.0) for s in sides])
        # Style uses the same code space as identity.
        self.strength = basis.turn.T @ (strength + strength[:, mirror]) / 2
        self.asymmetry = basis.turn.T @ (asymmetry + asymmetry[:, mirror]) / 2 * sign
        self.blinks = [index[name] for name in _BLINKS]

    def expression_weights(self, expression: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return blendshape weights (B, 57) for expression codes (B, 20) of people with style (B, 20)."""
        gain = 1 + 0.18 * torch.tanh(style @ self.strength) + 0.12 * torch.tanh(style @ self.asymmetry)
        return soft_cap((expression @ self.recipes) * gain, self.caps)

    def modes(self, identity: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return the identity mode weights (B, M) of codes (B, 20) and (B, 5); finer modes are 0."""
        rest = identity.new_zeros(len(identity), len(self.basis.identity) - IDENTITY_DIM - SHAPE_NOISE_DIM)
        return torch.cat([identity @ self.basis.turn.T, noise, rest], dim=1)

    def sample(self, count: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Sample random people with random expressions.

        The first 20 identity modes are the identity code, rotated so that its traits apply to the head, too; the next 5
        are the noise; the others (about 4 % of the variance) are invented by the generator, guided by the
        discriminator.

        Returns
        -------
        dict
            ``modes`` (B, M), ``identity`` (B, 20), ``noise`` (B, 5), ``style`` (B, 20), ``expression`` (B, 20), and
            the coordinates ``shape_identity``, ``shape_expression`` (B, K), whose sum is the face.
        """
        modes = torch.randn(count, len(self.basis.identity), generator=generator).clamp(-3, 3)
        identity = modes[:, :IDENTITY_DIM] @ self.basis.turn
        style = torch.where(
            torch.rand(count, 1, generator=generator) < 0.7,
            identity,
            torch.randn(count, IDENTITY_DIM, generator=generator),
        )
        expression = random_expressions(count, generator)
        return {
            "modes": modes,
            "identity": identity,
            "noise": modes[:, IDENTITY_DIM : IDENTITY_DIM + SHAPE_NOISE_DIM],
            "style": style,
            "expression": expression,
            "shape_identity": self.neutral(modes),
            "shape_expression": self.pose(modes, expression, style),
        }

    def neutral(self, modes: torch.Tensor) -> torch.Tensor:
        """Return coordinates (B, K) of the neutral face with these mode weights (B, M), including resting lids."""
        return modes @ self.basis.identity + self.resting_lids(modes)

    def resting_lids(self, modes: torch.Tensor) -> torch.Tensor:
        """Return coordinates (B, K) that are added to neutral faces with these mode weights (B, M) for resting lids."""
        return self.muscles(modes, self.resting.expand(len(modes), -1))

    def pose(self, modes: torch.Tensor, expression: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """Return coordinates (B, K) of the expression of a face with these mode weights (B, M).

        Shapes that are partly active in the neutral face are reduced accordingly.
        """
        return self.muscles(modes, (1 - self.resting) * self.expression_weights(expression, style))

    def muscles(self, modes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return coordinates (B, K) of the effect of blendshape weights (B, 57) on a face with mode weights (B, M)."""
        blink = (torch.einsum("bm,smk->sbk", modes, self.basis.blink) * weights[:, self.blinks].T[..., None]).sum(dim=0)
        return weights @ self.basis.expression + blink


def random_expressions(count: int, generator: torch.Generator) -> torch.Tensor:
    """Sample expression codes (B, 20): a tenth neutral, most single at intensity 0 to 1.5, a sixth blends of two."""
    rows = torch.arange(count)
    first, second = (torch.randint(0, EXPRESSION_DIM, (count,), generator=generator) for _ in range(2))
    intensity = 1.5 * torch.rand(count, generator=generator)
    share = torch.where(torch.rand(count, generator=generator) < 0.17, torch.rand(count, generator=generator), 1.0)
    code = torch.zeros(count, EXPRESSION_DIM)
    code[rows, first] += intensity * share
    code[rows, second] += intensity * (1 - share)
    code[torch.rand(count, generator=generator) < 0.1] = 0
    return code
