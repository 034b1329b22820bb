"""Samples of a head's picture: one in the middle of each covered pixel, and four at edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.geometry.lists import flat_indices, pick
from facekit.render.backends import Visibility

#: Positions of the four samples of a pixel with a shear of 1/8, see
#: :meth:`facekit.geometry.coverage.Triangles.nearest`; and the centre.
SHEAR, SPOTS = 0.125, ((0.375, 0.25), (0.875, 0.25), (0.125, 0.75), (0.625, 0.75), (0.5, 0.5))


@dataclass(frozen=True)
class Samples:
    """Samples of b pictures of H x W: P in the middle of covered pixels, followed by Q at edges.

    Parameters
    ----------
    shape:
        (b, H, W).
    place, edge:
        (P,) and (E,) int64: flat indices of the pixels that are covered in the middle, and of those at edges.
    owner:
        (Q,) int64: the pixel of each sample at edges, an index into ``edge``.
    face, spot:
        (P + Q,) int64: the face at each sample, and its position in the pixel, an index into :data:`SPOTS`.
    """

    shape: torch.Size
    place: torch.Tensor
    edge: torch.Tensor
    owner: torch.Tensor
    face: torch.Tensor
    spot: torch.Tensor

    @classmethod
    def of(
        cls, triangles: Visibility, ids: torch.Tensor, depth: torch.Tensor, pixel: torch.Tensor, scale: int = 1
    ) -> Samples:
        """Find the samples.

        Parameters
        ----------
        ids, depth:
            (b, H, W): the face in the middle of each pixel, -1 for none, and its depth, inf for none.
        pixel:
            (b,): see :func:`edges`.
        scale:
            The pictures' size in that of ``triangles``.
        """
        flat = ids.view(-1)
        place, edge = flat_indices(flat >= 0), flat_indices(edges(depth, pixel))
        slots = torch.full_like(flat, -1).scatter_(0, edge, torch.arange(edge.numel(), device=ids.device))
        fine = triangles.nearest(scale=scale, grid=2, shear=SHEAR, slots=slots)[0].view(-1)
        sub = flat_indices(fine >= 0)
        face = torch.cat((flat.index_select(0, place), fine.index_select(0, sub)))
        spot = torch.cat((torch.full_like(place, 4), sub & 3))
        return cls(ids.shape, place, edge, sub >> 2, face, spot)

    @property
    def at(self) -> torch.Tensor:
        """(P + Q,) int64: flat index of each sample's pixel."""
        return torch.cat((self.place, self.edge.index_select(0, self.owner)))

    @property
    def alpha(self) -> torch.Tensor:
        """(b, 1, H, W) float32: the part of each pixel that is covered."""
        batch, height, width = self.shape
        alpha = torch.zeros(batch * height * width, device=self.place.device).index_fill_(0, self.place, 1.0)
        share = alpha.new_zeros(self.edge.numel()).index_add_(0, self.owner, alpha.new_ones(self.owner.numel()))
        return alpha.scatter_(0, self.edge, share * 0.25).view(batch, 1, height, width)

    def outside(self, hidden: torch.Tensor) -> Samples:
        """Return the samples that do not lie in certain pixels, (b, H, W) bool."""
        if not bool(hidden.any()):
            return self
        seen = ~hidden.view(-1)
        middle, fine = (flat_indices(seen.index_select(0, pixels)) for pixels in self.at.split(self._numbers))
        both = torch.cat((middle, fine + len(self.place)))
        face, spot = pick((self.face, self.spot), both)
        owner = self.owner.index_select(0, fine)
        return Samples(self.shape, self.place.index_select(0, middle), self.edge, owner, face, spot)

    @property
    def _numbers(self) -> list[int]:
        return [self.place.numel(), self.owner.numel()]

    def middle(self, values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        """Return values (C, P + Q) of the samples in the middle of pixels as pictures (b, C, H, W)."""
        return self._pictured([self._spread(row, fill) for row in values[:, : self.place.numel()]])

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Return the means of values (C, P + Q) over pixels, zero where nothing is covered, (b, C, H, W)."""
        middle, fine = values.split(self._numbers, dim=1)
        rows = [self._spread(row, 0.0) for row in middle]
        for row, own in zip(rows, fine, strict=True):
            row.scatter_(0, self.edge, values.new_zeros(self.edge.numel()).index_add_(0, self.owner, own) * 0.25)
        return self._pictured(rows)

    def _spread(self, values: torch.Tensor, fill: float) -> torch.Tensor:
        return values.new_full((self.shape.numel(),), fill).scatter_(0, self.place, values)

    def _pictured(self, rows: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack([row.view(self.shape) for row in rows], dim=1)


def edges(depth: torch.Tensor, pixel: torch.Tensor) -> torch.Tensor:
    """Return the pixels (b, H, W) that need more than one sample: along silhouettes and depth discontinuities.

    1 / depth is linear in screen space over a flat face, however steep: its second difference is large only at jumps
    and creases.

    Parameters
    ----------
    depth:
        (b, H, W): inf where there is nothing.
    pixel:
        (b,): the change of a ray from one pixel to the next, 1 / focal length.
    """
    inverse = 1.0 / depth
    padded = torch.nn.functional.pad(inverse[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    across = (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]).sub_(inverse, alpha=2.0).abs_()
    down = (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]).sub_(inverse, alpha=2.0).abs_()
    # A jump of dz changes 1 / z by dz / z²; the threshold is 0.7 pixel widths.
    return torch.maximum(across, down) > inverse * (0.7 * pixel[:, None, None])
