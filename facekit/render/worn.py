"""Hair of several pictures: where it is drawn, what it hides, and its blending over heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from facekit.geometry.lists import flat_indices
from facekit.geometry.mip import halve
from facekit.hair import HIDDEN, Hair
from facekit.render.camera import Camera
from facekit.render.hair import Layers, layers_of
from facekit.render.lights import Lights
from facekit.render.strands import Seen

#: A picture's number, its channels, and the rows and columns of a part of it.
_Window = tuple[int, slice, slice, slice]


@dataclass(frozen=True)
class Worn:
    """Hair in b pictures of H x W samples: its layers, each in the part of a picture that it can cover.

    Parameters
    ----------
    layers:
        Pairs of a window and its layers.
    cover, depth:
        (b, 1, H, W): coverage by hair in front of the head, in [0, 1]; and the hair's depth, mm, inf elsewhere.
    """

    layers: list[tuple[_Window, Layers]]
    cover: torch.Tensor
    depth: torch.Tensor

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        hair: Sequence[Hair],
        cameras: Camera,
        lights: Lights,
        near: float,
        depth: torch.Tensor,
        alpha: torch.Tensor,
    ) -> Worn:
        """Render hair, the same in all pictures or one in each, beyond a near plane, for heads of this depth and alpha,
        (b, 1, H, W).
        """
        cover, far, layers = torch.zeros_like(alpha), torch.full_like(depth, torch.inf), []
        size = (alpha.shape[2], alpha.shape[3])
        for k in range(len(alpha)):
            seen = Seen.of(hair[k if len(hair) > 1 else 0], cameras if len(cameras) == 1 else cameras[k], size, near)
            rows, columns = window(seen, size)
            if rows.start >= rows.stop or columns.start >= columns.stop:
                continue
            some, part = (k, slice(None), rows, columns), seen.crop(rows.start, columns.start)
            drawn = layers_of(part, lights.of_frames(slice(k, k + 1)), depth[some][0], alpha[some][0])
            cover[some], far[some] = 1.0 - drawn.through, drawn.depth
            layers.append((some, drawn))
        return cls(layers, cover, far)

    @property
    def hidden(self) -> torch.Tensor:
        """(b, 1, H, W) bool: where nothing of the head is seen, neither colour nor depth."""
        return (self.cover >= 1.0) & (self.depth < torch.inf)

    def over(self, linear: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Blend hair over heads: premultiplied linear RGB (b, 3, H, W) and alpha (b, 1, H, W), which are written in
        place unless they have gradients.
        """
        linear, alpha = _own(linear), _own(alpha)
        for some, drawn in self.layers:
            linear[some], alpha[some] = drawn.over(linear[some], alpha[some])
        return linear, alpha

    def before(
        self, depth: torch.Tensor, normal: torch.Tensor, ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return coverage per pixel, and depth, normals and face ids with those of hair where it hides the head, which
        are written in place unless they have gradients.

        Pixels have one sample or, in high quality, two by two.
        """
        step = self.cover.shape[2] // depth.shape[2]
        cover = halve(self.cover) if step > 1 else self.cover
        depth, normal = _own(depth).contiguous(), _own(normal).contiguous()
        width = depth.shape[3]
        for (k, _, rows, columns), drawn in self.layers:
            # Windows begin and end at even samples.
            down, across = (slice(t.start // step, t.stop // step) for t in (rows, columns))
            far = drawn.depth[::step, ::step]
            hides = flat_indices((far < torch.inf) & (cover[k, 0, down, across] > 0.5))
            row = torch.div(hides.to(torch.float64), far.shape[1]).floor_().to(torch.int64)
            place = hides + (row * (width - far.shape[1]) + (down.start * width + across.start))
            bent, kind = drawn.normal[:, ::step, ::step].flatten(1), drawn.part[::step, ::step].flatten()
            # Rows of few numbers are written in half the time that choosing in whole pictures takes.
            depth[k].view(-1).scatter_(0, place, far.flatten().index_select(0, hides))
            normal[k].view(3, -1).scatter_(1, place.expand(3, -1), bent.index_select(1, hides))
            ids[k].view(-1).scatter_(0, place, HIDDEN - kind.index_select(0, hides).to(ids))
        return cover, depth, normal, ids


def _own(picture: torch.Tensor) -> torch.Tensor:
    """Return a picture to write into: a copy if it has gradients, which forbid writing in place."""
    return picture.clone() if picture.requires_grad else picture


def window(seen: Seen, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that hair can cover, or the whole picture if some hair is behind the
    camera. They begin and end at even pixels or at the picture's edge.
    """
    height, width = size
    x, y, away = seen.pixels
    if not float(away.amin()) > 1.0:
        return slice(0, height), slice(0, width)
    # A margin of two pixels for operations that read a pixel's neighbours.
    ends = [float(v) for t in (y, x) for v in (t / away).aminmax()]
    (top, bottom), (left, right) = (
        (max(0, (int(low) - 2) // 2 * 2), min(most, (int(high) + 4) // 2 * 2))
        for low, high, most in ((ends[0], ends[1], height), (ends[2], ends[3], width))
    )
    return slice(top, bottom), slice(left, right)
