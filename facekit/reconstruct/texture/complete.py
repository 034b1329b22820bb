"""Complete the face tile: fuse the pictures, mirror visible skin, and blend in the network's skin without seams."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from facekit.geometry.charts import step
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.poisson import solve

#: Offset added to linear albedo before ratios are taken.
FLOOR = 0.01
#: Exponent that favours the best of several pictures.
_PREFER = 4
#: Weight from which a texel's detail is used; weight of the colour constraint of fully visible texels, in texels^-2.
_TAKEN, _PIN = 0.08, 0.02
#: Relative weight of mirrored texels; weight of the constraint to the mean colour where nothing is visible (edges reach
#: some 30 mm into such areas).
_MIRRORED, _LOOSE = 0.85, 1.5e-4
#: Range of deviations from the network's skin over areas larger than a cell of this grid, logarithms of linear albedo:
#: of all channels, and of each against their mean. What is more is light that was not removed.
_CELLS, _UNEVEN, _STAIN = 48, 0.14, 0.04
#: Logarithms of linear albedo by which skin is darker than the face where a beard may grow, and where one surely does;
#: range of its hue against the skin's.
_GROWN, _HUES = (0.05, 0.25), 0.2
#: Width of the border in which the tile fades to one tone, as a fraction of its side.
_BORDER = 0.06


@dataclass(frozen=True)
class Fused:
    """Fused albedo of several pictures, (3, P) linear; the confidence of each texel, and its beard, (P,) in [0, 1]."""

    albedo: torch.Tensor
    weight: torch.Tensor
    bearded: torch.Tensor


def fuse(
    albedos: list[torch.Tensor], weights: list[torch.Tensor], spans: list[torch.Tensor], beards: list[torch.Tensor]
) -> Fused:
    """Blend pictures per texel, favouring the most frontal and sharpest.

    Parameters
    ----------
    albedos:
        (3, P) linear albedo per picture.
    weights:
        (P,) in [0, 1] per picture.
    spans:
        (P,) pixels per texel, per picture; values above one give no further advantage.
    beards:
        (P,) in [0, 1] per picture: where a beard grows.
    """
    if len(albedos) == 1:
        return Fused(albedos[0], weights[0], beards[0])
    known = torch.stack(weights)
    worth = (known * torch.stack(spans).clamp(0.1, 1.0)).pow(_PREFER) + 1e-9 * known
    shares = worth / worth.sum(0).clamp_min(1e-12)
    albedo, weight = (shares[:, None] * torch.stack(albedos)).sum(0), (shares * known).sum(0)
    return Fused(albedo, weight, (shares * torch.stack(beards)).sum(0))


def without_stains(grid: TileGrid, fused: Fused, drawn: torch.Tensor) -> Fused:
    """Limit deviations of fused albedo from the network's over large areas; details and beards are kept.

    Where light was estimated wrongly, under brows above all, removing it leaves pale, dark or coloured areas. Skin
    itself varies less over areas of their size, least in hue.

    Parameters
    ----------
    drawn:
        (3, S, S) linear: the network's tile.
    """
    base = (grid.gather(drawn).clamp_min(0) + FLOOR).log()
    ratio = (fused.albedo.clamp(0, 1.5) + FLOOR).log() - base
    skin = fused.weight * (1 - fused.bearded)
    middle = (ratio * skin).sum(1, keepdim=True) / skin.sum().clamp_min(1e-6)
    # Hair on a chin is darker than the skin; what is not, is a lamp's or a shirt's light on the jaw.
    wide = _blurred(grid, ratio, fused.weight)
    bearded = fused.bearded * step((middle - wide).mean(0), *_GROWN)
    off = torch.lerp(_blurred(grid, ratio, fused.weight * (1 - bearded)), wide, bearded) - middle
    grey = off.mean(0, keepdim=True)
    level = torch.lerp(_UNEVEN * (grey / _UNEVEN).tanh(), grey, bearded)
    most = torch.lerp(off.new_tensor(_STAIN), off.new_tensor(_HUES), bearded)
    change = level + most * ((off - grey) / most).tanh() - off
    return dataclasses.replace(fused, albedo=((base + ratio + change).exp() - FLOOR).clamp_min(0))


def complete(grid: TileGrid, fused: Fused, drawn: torch.Tensor, mirror: bool = True) -> torch.Tensor:
    """Extend a partly known albedo to the whole tile in the gradient domain.

    Parameters
    ----------
    drawn:
        (3, S, S) linear: the network's tile, which gives the detail of invisible areas.
    mirror:
        Whether to use the mirror image of visible skin where its other side is not visible.

    Returns
    -------
    torch.Tensor
        (3, S, S) linear.
    """
    base = (drawn.clamp_min(0) + FLOOR).log()
    ratio = grid.spread((fused.albedo.clamp(0, 1.5) + FLOOR).log() - grid.gather(base))
    weight = grid.spread(fused.weight[None])
    across, down = _gradients(ratio, weight)
    target, pin = ratio, weight
    if mirror:
        other, known = ratio.flip(-1), weight.flip(-1) * _MIRRORED
        # Reduce the weight of mirrored texels where the half itself is visible, and a little around it.
        room = 1 - F.max_pool2d((weight > _TAKEN).float()[None], 9, 1, 4)[0]
        known = known * room
        across_m, down_m = _gradients(other, known)
        across, down = across + across_m, down + down_m
        target = torch.where(known > weight, other, ratio)
        pin = torch.maximum(weight, 0.1 * known)
    pins = _PIN * pin.square() + _LOOSE
    target = torch.where(pin > 0.02, target, _middle(target, pin))
    change = solve(target, pins, across, down)
    change = torch.lerp(change, _edge_mean(change), _edge(grid.size))
    return ((base + change).exp() - FLOOR).clamp(0, 1)


def membrane(grid: TileGrid, fused: Fused) -> torch.Tensor:
    """Extend a partly known albedo to the whole tile without other sources: a membrane over the invisible areas."""
    log = grid.spread((fused.albedo.clamp(0, 1.5) + FLOOR).log())
    weight = grid.spread(fused.weight[None])
    across, down = _gradients(log, weight)
    change = solve(torch.where(weight > 0.02, log, _middle(log, weight)), _PIN * weight.square() + _LOOSE, across, down)
    return (change.exp() - FLOOR).clamp(0, 1)


def _blurred(grid: TileGrid, values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean of values (C, P) around each texel, over some cells of a coarse grid."""
    rows = grid.spread(torch.cat((values * weight, weight[None])))
    cells = F.interpolate(rows[None], size=(_CELLS, _CELLS), mode="area")
    cells = F.avg_pool2d(F.avg_pool2d(cells, 3, 1, 1), 3, 1, 1)
    cells = cells[:, :-1] / cells[:, -1:].clamp_min(1e-6)
    return grid.gather(F.interpolate(cells, size=(grid.size, grid.size), mode="bicubic")[0])


def _middle(picture: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the median (C, 1, 1) of confident texels; 0 if there are none."""
    known = picture[:, weight[0] > 0.5]
    return (known.median(1).values if known.shape[1] else picture.new_zeros(len(picture)))[:, None, None]


def _gradients(picture: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return differences between neighbours that are both confident, 0 elsewhere."""
    sure = step(weight, 0.5 * _TAKEN, 2 * _TAKEN)
    across = torch.minimum(sure[..., 1:], sure[..., :-1]) * picture.diff(dim=2)
    return across, torch.minimum(sure[:, 1:], sure[:, :-1]) * picture.diff(dim=1)


def _edge(size: int) -> torch.Tensor:
    """Return (size, size) weights: 1 at the tile's edge, falling to 0 inside."""
    place = (torch.arange(size) + 0.5) / size
    inside = torch.minimum(place, 1 - place)
    return step(torch.minimum(inside[:, None], inside[None, :]), _BORDER, 0.0)


def _edge_mean(change: torch.Tensor) -> torch.Tensor:
    band = _edge(change.shape[-1])[None]
    return (change * band).sum((1, 2), keepdim=True) / band.sum()
