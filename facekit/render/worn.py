"""Hair of several pictures: where it is drawn, what it hides, and its blending over heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from facekit.geometry.mip import halve
from facekit.hair import HIDDEN, Hair
from facekit.render.camera import Camera
from facekit.render.hair import Layers, hair_layers
from facekit.render.lights import Lights

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
        cls, hair: Sequence[Hair], cameras: Camera, lights: Lights, depth: torch.Tensor, alpha: torch.Tensor
    ) -> Worn:
        """Render hair, the same in all pictures or one in each, for heads of this depth and alpha, (b, 1, H, W)."""
        cover, far, layers = torch.zeros_like(alpha), torch.full_like(depth, torch.inf), []
        for k in range(len(alpha)):
            camera = cameras if len(cameras) == 1 else cameras[k]
            own = hair[k if len(hair) > 1 else 0]
            rows, columns = window(own, camera, (alpha.shape[2], alpha.shape[3]))
            size = (rows.stop - rows.start, columns.stop - columns.start)
            if min(size) <= 0:
                continue
            some = (k, slice(None), rows, columns)
            part = camera.crop(rows.start, columns.start, size, (alpha.shape[2], alpha.shape[3]))
            drawn = hair_layers(own, part, lights.of_frames(slice(k, k + 1)), size, depth[some][0], alpha[some][0])
            cover[some], far[some] = 1.0 - drawn.through, drawn.depth
            layers.append((some, drawn))
        return cls(layers, cover, far)

    @property
    def hidden(self) -> torch.Tensor:
        """(b, 1, H, W) bool: where nothing of the head is seen, neither colour nor depth."""
        return (self.cover >= 1.0) & (self.depth < torch.inf)

    def over(self, linear: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Blend hair over heads: premultiplied linear RGB (b, 3, H, W) and alpha (b, 1, H, W)."""
        linear, alpha = linear.clone(), alpha.clone()
        for some, drawn in self.layers:
            linear[some], alpha[some] = drawn.over(linear[some], alpha[some])
        return linear, alpha

    def before(
        self, depth: torch.Tensor, normal: torch.Tensor, ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return coverage per pixel, and depth, normals and face ids with those of hair where it hides the head.

        Pixels have one sample or, in high quality, two by two.
        """
        step = self.cover.shape[2] // depth.shape[2]
        cover, far = (halve(self.cover), self.depth[..., ::2, ::2]) if step > 1 else (self.cover, self.depth)
        hides = (far < torch.inf) & (cover > 0.5)
        bent, kind = torch.zeros_like(normal), torch.zeros_like(ids)
        for (k, _, rows, columns), drawn in self.layers:
            # Windows begin and end at even samples.
            part = tuple(slice(t.start // step, t.stop // step) for t in (rows, columns))
            bent[(k, slice(None), *part)] = drawn.normal[:, ::step, ::step]
            kind[(k, *part)] = drawn.part[::step, ::step]
        normal, ids = torch.where(hides, bent, normal), torch.where(hides[:, 0], HIDDEN - kind, ids)
        return cover, torch.where(hides, far, depth), normal, ids


def window(hair: Hair, camera: Camera, size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture that hair can cover, or the whole picture if some hair is behind the
    camera. They begin and end at even pixels or at the picture's edge.
    """
    height, width = size
    with torch.no_grad():
        x, y, away = camera.project(hair.verts[None], (height, width))[0].unbind(1)
        if not bool((away > 1.0).all()):
            return slice(0, height), slice(0, width)
        # A margin of two pixels for operations that read a pixel's neighbours.
        ends = [float(v) for t in (y, x) for v in t.aminmax()]
    (top, bottom), (left, right) = (
        (max(0, (int(low) - 2) // 2 * 2), min(most, (int(high) + 4) // 2 * 2))
        for low, high, most in ((ends[0], ends[1], height), (ends[2], ends[3], width))
    )
    return slice(top, bottom), slice(left, right)
