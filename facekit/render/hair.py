"""Rendering of hair cards: depth-sorted alpha blending over a head that is already drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.geometry.coverage import prepare
from facekit.geometry.lists import flat_indices, pick
from facekit.hair import HAIR_PARTS, Hair
from facekit.render.camera import Camera
from facekit.render.lights import Lights
from facekit.render.peeling import FACE, Fragments, blended, depths
from facekit.render.strands import Seen, Strands

#: Depth bias, mm: hair up to this far under the skin is still visible, for its triangles are coarser than the head's.
_BIAS = 3.0
#: Cards of parts of this id or more (beards, brows, lashes) have transparent borders: their outlines are not seen.
_TUFTS = HAIR_PARTS.index("beard")
#: Parts of this id or more (brows, lashes) leave the depth and ids of the head below unchanged.
_FINE = HAIR_PARTS.index("brows")


@dataclass(frozen=True)
class Layers:
    """Hair of one picture, in front of the head and behind it: premultiplied linear RGB (3, H, W) and transmittance
    (H, W).

    ``depth`` (H, W) mm is the depth where transmittance falls below a half, inf elsewhere; ``normal`` (3, H, W) and
    ``part`` (H, W) int64, an index into :data:`facekit.hair.HAIR_PARTS`, are those of the hair at this depth.
    """

    front: torch.Tensor
    through: torch.Tensor
    behind: torch.Tensor
    through_behind: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    part: torch.Tensor

    def over(self, linear: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Composite with a head: premultiplied linear RGB (3, H, W) and alpha (1, H, W). Returns both, composited."""
        rest = 1.0 - alpha
        linear = self.front + self.through * (linear + rest * self.behind)
        return linear, 1.0 - self.through * rest * self.through_behind


@torch.no_grad()
def hair_layers(
    hair: Hair, camera: Camera, lights: Lights, size: tuple[int, int], depth: torch.Tensor, alpha: torch.Tensor
) -> Layers:
    """Render the hair of one head.

    Parameters
    ----------
    camera:
        One camera.
    size:
        Height and width in pixels.
    depth, alpha:
        (H, W) of the head: depth, mm, inf in the background, and coverage.
    """
    return layers_of(Seen.of(hair, camera, size, camera.near_plane(hair.verts[None])), lights, depth, alpha)


def layers_of(seen: Seen, lights: Lights, depth: torch.Tensor, alpha: torch.Tensor) -> Layers:
    """Render the hair of one head in the view of a camera, without gradients.

    Fragments are blended front to back: the result does not depend on the order of triangles, has no noise and does not
    flicker.

    Parameters
    ----------
    depth, alpha:
        (H, W) of the head: depth, mm, inf in the background, and coverage.
    """
    (height, width), pixels = depth.shape, depth.numel()
    faces = seen.hair.cards.faces
    triangles = prepare(seen.pixels.t()[None], faces, height, width, near=seen.near)
    scene = Strands.of(seen, lights)
    samples = Fragments.of(triangles, *_head(depth, alpha), seen.intrinsics, faces, scene.part < _TUFTS)
    values, half = blended(samples, scene.shaded)
    drawn = samples.pictured(values, values.new_tensor([0.0, 0.0, 0.0, 1.0]))
    front, behind = (t.unflatten(1, (height, width)).split((3, 1)) for t in drawn)
    far, bent = values.new_full((pixels,), torch.inf), values.new_zeros(3, pixels)
    part = torch.zeros(pixels, dtype=torch.uint8, device=values.device)
    # A pixel with four samples takes the depth of the last one, for simplicity. Brows and lashes do not count: depth
    # and part are those of the surface below.
    kept = flat_indices(half[: samples.front] >= 0)
    hit = half.index_select(0, kept)
    kind = scene.part.index_select(0, hit & FACE)
    thick = flat_indices(kind < _FINE)
    kept, hit, kind = pick((kept, hit, kind), thick)
    at = samples.pixel(kept)
    far.scatter_(0, at, depths(hit))
    part.scatter_(0, at, kind)
    bent.scatter_(1, at.expand(3, -1), scene.normal(hit & FACE, samples.ray.index_select(1, kept)))
    return Layers(
        front[0], front[1][0], behind[0], behind[1][0], far.view(height, width), bent.view(3, height, width),
        part.view(height, width),
    )  # fmt: skip


def _head(depth: torch.Tensor, alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return for each pixel (H * W,) the depth beyond which hair is behind the head, and that beyond which it is
    hidden.
    """
    height, width = alpha.shape
    whole, head = (alpha > 0.999).reshape(-1), depth.reshape(-1) + _BIAS
    part = flat_indices((alpha > 0).reshape(-1) & ~whole)
    if len(part):
        # At the head's silhouette a pixel gets the least depth of its neighbours.
        rows, columns = part // width, part % width
        around = [
            ((rows + j).clamp(0, height - 1) * width + (columns + i).clamp(0, width - 1))
            for j in (-1, 0, 1)
            for i in (-1, 0, 1)
        ]
        head = head.index_copy(0, part, head[torch.stack(around)].amin(0))
    return head, torch.where(whole, head, torch.inf)
