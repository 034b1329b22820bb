"""Shape networks of 3DFaceCAM (Rai et al., WACV 2023): two conditional generators and a decoder.

Tensor names and layout are those of the published checkpoints (``fc0.0.weight`` …), which load unchanged.
"""

from __future__ import annotations

import torch
from torch import nn

from facekit.models.config import ShapeConfig


class MLP(nn.Module):
    """Fully connected layers ``fc0 … fcN``, LeakyReLU(0.2) after each but the last."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.depth = len(widths) - 1
        for k in range(self.depth):
            linear = nn.Linear(widths[k], widths[k + 1])
            last = k == self.depth - 1
            setattr(self, f"fc{k}", nn.Sequential(linear) if last else nn.Sequential(linear, nn.LeakyReLU(0.2)))

    def forward(self, x: torch.Tensor, outputs: torch.Tensor | None = None) -> torch.Tensor:
        """Return all outputs, or only those with indices ``outputs`` (n,) int64, at a fraction of the cost."""
        for k in range(self.depth - (outputs is not None)):
            x = getattr(self, f"fc{k}")(x)
        if outputs is None:
            return x
        last: nn.Linear = getattr(self, f"fc{self.depth - 1}")[0]
        return nn.functional.linear(x, last.weight[outputs], last.bias[outputs])


class ShapeModel(nn.Module):
    """Map codes to vertex displacements: ``Decoder(G_id(noise, identity), G_exp(noise, style, expression))``.

    Both generators share one noise vector, as in training.
    """

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        c = self.config = config
        self.generator_identity = MLP((c.noise + c.identity, *c.generator_widths, c.identity_latent))
        self.generator_expression = MLP((c.noise + c.identity + c.expression, *c.generator_widths, c.expression_latent))
        self.decoder = MLP((c.identity_latent + c.expression_latent, *c.decoder_widths, 3 * c.vertices))

    def forward(
        self,
        noise: torch.Tensor,
        identity: torch.Tensor,
        style: torch.Tensor,
        expression: torch.Tensor,
        vertices: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return displacements (B, V, 3) in mm from the template.

        Parameters
        ----------
        noise, identity, style, expression:
            (B, 5), (B, 20), (B, 20), (B, 20) float32; see :class:`facekit.FaceLatents`.
        vertices:
            (n,) int64: vertices to decode; None for all.
        """
        code_identity = self.generator_identity(torch.cat([noise, identity], dim=1))
        code_expression = self.generator_expression(torch.cat([noise, style, expression], dim=1))
        return self.decode(code_identity, code_expression, vertices)

    def decode(
        self, code_identity: torch.Tensor, code_expression: torch.Tensor, vertices: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return displacements (B, V, 3) in mm from the autoencoder's codes, (B, 100) and (B, 30), for some vertices or
        all.
        """
        outputs = None if vertices is None else (3 * vertices[:, None] + vertices.new_tensor([0, 1, 2])).flatten()
        return self.decoder(torch.cat([code_identity, code_expression], dim=1), outputs).unflatten(1, (-1, 3))
