"""Modules that are only used to train shapes: encoders, a discriminator, a model in basis coordinates.

The structure is 3DFaceCAM's (Rai et al., WACV 2023, section 3.1): two encoders and a decoder disentangle identity and
expression; generators learn the encoders' codes with a discriminator.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from facekit.models.config import ShapeConfig
from facekit.models.shape import MLP, ShapeModel
from facekit.train.shape.data import ShapeBasis

# Number of vertices that the encoders see: enough to observe every mode and shape.
_SEEN_VERTICES = 400
_MM_PER_CM = 10.0


class ShapeEncoder(nn.Module):
    """Encoders from a mesh to its identity and expression codes.

    Uses a fixed, evenly spaced subset of vertices (displacement from the template, in cm).
    """

    seen_vectors: torch.Tensor

    def __init__(self, config: ShapeConfig, basis: ShapeBasis) -> None:
        super().__init__()
        vectors = basis.vectors.unflatten(1, (-1, 3))
        seen = torch.linspace(0, vectors.shape[1] - 1, _SEEN_VERTICES).long()
        self.register_buffer("seen_vectors", vectors[:, seen].flatten(1) / _MM_PER_CM, persistent=False)
        inputs = 3 * _SEEN_VERTICES
        self.identity = MLP((inputs, 512, 256, config.identity_latent))
        self.expression = MLP((inputs, 512, 256, config.expression_latent))

    def forward(self, coordinates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes (B, 100) and (B, 30) of shapes given as basis coordinates (B, K)."""
        seen = coordinates @ self.seen_vectors
        return self.identity(seen), self.expression(seen)


class ShapeDiscriminator(nn.Module):
    """Discriminate generated from sampled shapes, given their codes (hinge loss)."""

    def __init__(self, coordinates: int, condition: int) -> None:
        super().__init__()
        self.net = MLP((coordinates + condition, 512, 256, 1))

    def forward(self, shape: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return scores (B, 1) of coordinates (B, K) with codes (B, C)."""
        return self.net(torch.cat([shape, condition], dim=1))


def coordinate_model(config: ShapeConfig, basis: ShapeBasis) -> ShapeModel:
    """Create a model whose decoder outputs the K basis coordinates in place of 3V displacements."""
    model = ShapeModel(dataclasses.replace(config, vertices=1))
    model.decoder = MLP((config.identity_latent + config.expression_latent, *config.decoder_widths, len(basis.vectors)))
    return model


def fold_basis(model: ShapeModel, config: ShapeConfig, basis: ShapeBasis) -> ShapeModel:
    """Return the full model, with the basis multiplied into the decoder's last layer, (3V, hidden)."""
    tensors = dict(model.state_dict())
    last = f"decoder.fc{len(config.decoder_widths)}.0"
    tensors[f"{last}.weight"] = basis.vectors.T @ tensors[f"{last}.weight"]
    tensors[f"{last}.bias"] = basis.vectors.T @ tensors[f"{last}.bias"]
    full = ShapeModel(config)
    full.load_state_dict(tensors)
    return full


def decode(model: ShapeModel, code_person: torch.Tensor, code_pose: torch.Tensor) -> torch.Tensor:
    """Return coordinates (B, K) from codes (B, 100) and (B, 30), with a model of :func:`coordinate_model`."""
    return model.decoder(torch.cat([code_person, code_pose], dim=1))
