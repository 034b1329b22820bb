"""Augmentation on one device: cut-out heads (B, 4, S, S) become pictures with other cameras, lights and backgrounds."""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F

#: Fractions of pictures: faces in the background, an occluder, a light gradient, grey, small, blurred, sharpened,
#: noisy, compressed.
_CROWD, _FRONT, _SHADE, _GREY, _SMALL, _BLUR, _SHARP, _NOISE, _JPEG = 0.15, 0.25, 0.4, 0.15, 0.2, 0.3, 0.25, 0.6, 0.4
#: Radius of blur kernels, pixels.
_REACH = 4
#: Luminance quantisation table of the standard (ITU-T T.81, annex K), which JPEG's quality scales.
_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.1687, -0.3313, 0.5), (0.5, -0.4187, -0.0813))


class Draw:
    """Random numbers on a device from one generator."""

    def __init__(self, generator: torch.Generator, count: int) -> None:
        self.generator, self.device, self.count = generator, generator.device, count

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.generator, device=self.device)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=self.generator, device=self.device)

    def one(self, low: float, high: float) -> torch.Tensor:
        """Return a number for each picture, (B, 1, 1, 1)."""
        return self.uniform(low, high, self.count, 1, 1, 1)

    def some(self, share: float) -> torch.Tensor:
        """Return a random selection of the pictures, (B, 1, 1, 1) of 0 and 1."""
        return (self.one(0, 1) < share).float()

    def order(self) -> torch.Tensor:
        return torch.randperm(self.count, generator=self.generator, device=self.device)


def changed(heads: torch.Tensor, behind: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Augment pictures.

    Parameters
    ----------
    heads:
        (B, 4, S, S) float32 in [0, 1]: premultiplied colours, and alpha.
    behind:
        (B, 3, S, S) float32 in [0, 1]. Returns
    -------
    torch.Tensor
        (B, 3, S, S) float32 in [0, 1].
    """
    draw = Draw(generator, len(heads))
    cover = heads[:, 3:]
    head, behind = _recoloured(heads[:, :3], draw, 0.06), _recoloured(behind, draw, 0.15)
    behind = torch.lerp(behind, behind.mean(dim=1, keepdim=True).expand_as(behind), draw.one(0, 1))
    other = draw.order()
    crowd = torch.lerp(behind, behind * (1 - cover[other]) + head[other], draw.some(_CROWD))
    picture = head * cover.gt(0) + crowd.roll((7, 11), (2, 3)) * (1 - cover)
    picture = torch.lerp(picture, _covered(picture, draw), draw.some(_FRONT))
    picture = picture * _shade(picture, draw)
    gain = torch.exp(0.2 * draw.normal(draw.count, 1, 1, 1) + 0.1 * draw.normal(draw.count, 3, 1, 1))
    picture = (picture * gain).clamp(1e-4, 1) ** torch.exp(0.25 * draw.normal(draw.count, 1, 1, 1))
    picture = torch.lerp(picture, picture.mean(dim=1, keepdim=True).expand_as(picture), draw.some(_GREY))
    picture = _small(picture, draw)
    soft = _blurred(picture, draw.one(0.4, 1.8))
    picture = torch.lerp(picture, soft, draw.some(_BLUR))
    picture = picture + draw.some(_SHARP) * draw.one(0.3, 1.2) * (picture - _blurred(picture, draw.one(0.8, 1.4)))
    noise = draw.normal(*picture.shape)
    coarse = F.interpolate(draw.normal(draw.count, 3, *(s // 2 for s in picture.shape[2:])), picture.shape[2:])
    noise = torch.lerp(noise, coarse, draw.some(0.3))
    picture = picture + draw.some(_NOISE) * draw.one(0.003, 0.05) * noise
    picture = torch.lerp(picture, compressed(picture.clamp(0, 1), draw.one(0.15, 2.0)), draw.some(_JPEG))
    return (picture.clamp(0, 1) * 255).round() / 255


def _recoloured(picture: torch.Tensor, draw: Draw, spread: float) -> torch.Tensor:
    """Apply a small random colour matrix to each picture."""
    mix = torch.eye(3, device=draw.device) + spread * draw.normal(draw.count, 3, 3)
    return torch.einsum("bij,bjhw->bihw", mix, picture).clamp(0, 1)


def _covered(picture: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Add one to three occluders: rotated rectangles and ellipses of a colour, or from another picture."""
    height, width = picture.shape[2:]
    y, x = (torch.linspace(-1, 1, side, device=draw.device) for side in (height, width))
    y, x = y.view(1, 1, -1, 1), x.view(1, 1, 1, -1)
    for share in (1.0, 0.5, 0.3):
        turn = draw.one(0, math.pi)
        dx, dy = x - draw.one(-1.1, 1.1), y - draw.one(-1.1, 1.1)
        u = (turn.cos() * dx + turn.sin() * dy) / draw.one(0.06, 0.35)
        v = (turn.cos() * dy - turn.sin() * dx) / draw.one(0.06, 0.35)
        away = torch.where(draw.some(0.5) > 0, torch.maximum(u.abs(), v.abs()), (u**2 + v**2).sqrt())
        mask = ((1 - away) * draw.one(3, 40)).clamp(0, 1) * draw.some(share) * draw.one(0.7, 1.2).clamp(max=1)
        colour = draw.uniform(0, 1, draw.count, 3, 1, 1) + draw.one(0, 0.15) * draw.normal(draw.count, 1, height, width)
        fill = torch.where(draw.some(0.5) > 0, colour, picture[draw.order()].flip(-2))
        picture = torch.lerp(picture, fill.expand_as(picture), mask)
    return picture


def _shade(picture: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Return a light gradient, or the edge of a shadow: factors (B, 1, S, S)."""
    field = 0.35 * draw.normal(draw.count, 1, 3, 3)
    field = F.interpolate(field, picture.shape[2:], mode="bicubic", align_corners=False)
    field = torch.where(draw.some(0.3) > 0, 0.7 * torch.tanh(draw.one(3, 12) * field), field)
    return torch.exp(field * draw.some(_SHADE))


def _small(picture: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Downsample and upsample some pictures, with one size per batch."""
    size = picture.shape[2:]
    share = float(draw.uniform(0.25, 0.8, 1))
    least = tuple(max(8, int(side * share)) for side in size)
    down = F.interpolate(picture, least, mode="bilinear", align_corners=False, antialias=True)
    return torch.lerp(picture, F.interpolate(down, size, mode="bilinear", align_corners=False), draw.some(_SMALL))


def _blurred(picture: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur each picture by its own standard deviation (B, 1, 1, 1), pixels."""
    steps = torch.arange(-_REACH, _REACH + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-0.5 * (steps / sigma[..., 0]) ** 2)
    kernel = (kernel / kernel.sum(dim=2, keepdim=True)).unbind(dim=2)
    for axis in (2, 3):
        side = picture.shape[axis]
        pad = (_REACH, _REACH, 0, 0) if axis == 3 else (0, 0, _REACH, _REACH)
        wide, picture = F.pad(picture, pad, mode="replicate"), torch.zeros_like(picture)
        for k, share in enumerate(kernel):
            picture = torch.addcmul(picture, wide.narrow(axis, k, side), share[..., None, None])
    return picture


def compressed(picture: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Simulate JPEG on pictures (B, 3, S, S) with (B, 1, 1, 1) times the table's steps; S a multiple of 8.

    Chroma is quantised as finely as luminance, unlike in the format, whose chroma subsampling amounts to a blur.
    """
    turn = picture.new_tensor(_TO_YCC)
    basis, table = _cosines(picture.device), picture.new_tensor(_TABLE).view(8, 8) / 255
    split = torch.einsum("ij,bjhw->bihw", turn, picture).unflatten(3, (-1, 8)).unflatten(2, (-1, 8))
    told = torch.einsum("ur,bcyrxs,vs->bcyuxv", basis, split, basis)
    step = table.view(1, 1, 1, 8, 1, 8) * coarse[..., None, None]
    back = torch.einsum("ur,bcyuxv,vs->bcyrxs", basis, (told / step).round() * step, basis)
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(turn), back.flatten(4, 5).flatten(2, 3))


@functools.cache
def _cosines(device: torch.device) -> torch.Tensor:
    """Return the orthonormal discrete cosine transform of size eight."""
    rows = torch.arange(8, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi * (rows[None] + 0.5) * rows[:, None] / 8) / 2
    basis[0] /= math.sqrt(2)
    return basis
