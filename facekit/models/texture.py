"""Texture generator of 3DFaceCAM (Rai et al., WACV 2023): a conditional ProGAN (Karras et al., ICLR 2018).

Tensor names are those of the published checkpoint after its ``module.`` prefix: ``input_layer.0.conv.weight_orig``,
``progression_{4…512}.conv.{0,2}.conv.*``, ``to_rgb_{8…512}.conv.*``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from facekit.errors import InputError
from facekit.models.config import TextureConfig
from facekit.models.drawn import normal


class _Weights(nn.Module):
    """Weight and bias of a convolution under the checkpoint's names."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter) -> None:
        super().__init__()
        self.weight_orig, self.bias = weight, bias


class EqualConv2d(nn.Module):
    """Convolution with equalised learning rate: weights are stored as drawn and scaled by sqrt(2 / fan_in) at use.

    ``fan_in`` is ``weight.shape[1]`` times the kernel's elements (Karras et al., ICLR 2018, section 4.1); for the
    transposed layer that is its *output* channels, a peculiarity of the published weights that we keep.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int = 0, transposed: bool = False) -> None:
        super().__init__()
        shape = (inputs, outputs, kernel, kernel) if transposed else (outputs, inputs, kernel, kernel)
        self.conv = _Weights(normal(*shape), nn.Parameter(torch.zeros(outputs)))
        self.padding, self.transposed = padding, transposed
        self.scale = math.sqrt(2.0 / (shape[1] * kernel * kernel))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.conv.weight_orig * self.scale
        if self.transposed:
            return F.conv_transpose2d(x, weight, self.conv.bias, padding=self.padding)
        return F.conv2d(x, weight, self.conv.bias, padding=self.padding)


class PixelNorm(nn.Module):
    """Divides each pixel's feature vector by its root mean square (Karras et al., ICLR 2018, section 4.2)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class ConvBlock(nn.Module):
    """Two 3×3 convolutions, each followed by LeakyReLU(0.1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            EqualConv2d(inputs, outputs, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),  # in place: a second 64 MB tensor at 512² is slow
            EqualConv2d(outputs, outputs, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


class TextureModel(nn.Module):
    """Generate face tiles from codes."""

    def __init__(self, config: TextureConfig) -> None:
        super().__init__()
        self.config = config
        first, sizes = config.channels[0], config.sizes
        self.input_layer = nn.Sequential(
            EqualConv2d(config.code, first, 4, transposed=True), PixelNorm(), nn.LeakyReLU(0.1)
        )
        inputs = first
        for size, channels in zip(sizes, config.channels, strict=True):
            setattr(self, f"progression_{size}", ConvBlock(inputs, channels))
            if size > 4:
                setattr(self, f"to_rgb_{size}", EqualConv2d(channels, 3, 1))
            inputs = channels

    def forward(
        self,
        noise: torch.Tensor,
        identity: torch.Tensor,
        expression: torch.Tensor,
        size: int | None = None,
        alpha: float = 1.0,
    ) -> torch.Tensor:
        """Return the tile (B, 3, S, S), sRGB, *before* clamping to [0, 1].

        Parameters
        ----------
        noise, identity, expression:
            (B, 128), (B, 20), (B, 20) float32.
        size:
            Resolution to stop at (progressive training); by default the full one.
        alpha:
            Weight of this resolution's block in the blend with the upsampled previous one; 1 is no blend.
        """
        sizes = self.config.sizes
        size = sizes[-1] if size is None else size
        if size not in sizes[1:]:
            raise InputError(f"a size out of {sizes[1:]}", f"{size}", "choose a resolution of the progression")
        x = previous = self._first(noise, identity, expression)
        for step in sizes[1 : sizes.index(size) + 1]:
            previous = x
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = getattr(self, f"progression_{step}")(x)
        image = getattr(self, f"to_rgb_{size}")(x)
        if alpha < 1.0 and size > 8:
            coarse = getattr(self, f"to_rgb_{size // 2}")(previous)
            coarse = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
            image = torch.lerp(coarse, image, alpha)
        return image

    def coarse(
        self,
        noise: torch.Tensor,
        identity: torch.Tensor,
        expression: torch.Tensor,
        size: int = 128,
        box: tuple[slice, slice] | None = None,
    ) -> torch.Tensor:
        """Generate the full tile at a lower resolution, (B, 3, size, size) sRGB: nearly its box average from 128 on.

        ``box`` are rows and columns to generate alone, with zeros around them.

        All blocks run, but features are not upsampled beyond ``size``; where the tile is smooth, the result is the
        same. At 128 of 512 this takes a tenth of the time with a colour difference (CIE76) of 0.6; the network's own
        low-resolution outputs are only valid during training.
        """
        sizes = self.config.sizes
        if size not in sizes[1:]:
            raise InputError(f"a size out of {sizes[1:]}", f"{size}", "choose a resolution of the progression")
        x, around = self._first(noise, identity, expression), (0, 0, 0, 0)
        for step in sizes[1:]:
            if step <= size:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            if step == size and box is not None:
                # Two convolutions a block, this one's included, each need one texel more.
                reach = 2 * sum(later >= size for later in sizes)
                rows, columns = (slice(max(0, s.start - reach), min(size, s.stop + reach)) for s in box)
                around = (columns.start, size - columns.stop, rows.start, size - rows.stop)
                x = x[:, :, rows, columns]
            x = getattr(self, f"progression_{step}")(x)
        return F.pad(getattr(self, f"to_rgb_{sizes[-1]}")(x), around)

    def _first(self, noise: torch.Tensor, identity: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
        """Return the features (B, C, 4, 4) of the first block."""
        if self.config.constant_neutral:
            expression = torch.cat([torch.ones_like(expression[:, :1]), expression[:, 1:]], dim=1)
        x = self.input_layer(torch.cat([noise, identity, expression], dim=1)[:, :, None, None])
        return getattr(self, f"progression_{self.config.sizes[0]}")(x)
