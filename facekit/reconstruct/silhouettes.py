"""Silhouettes: each hair style of the wardrobe on a fitted head, seen by a photograph's camera."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.conventions import CHIN
from facekit.hair import Hair
from facekit.models.hair import BALD, Outfit
from facekit.models.hair_choice import RECEDING
from facekit.reconstruct.texture.views import unit
from facekit.render import Camera, Lights, render
from facekit.render.hair import hair_layers

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Side of the analysed square in pixels.
SIDE = 144
#: The same in brow-to-chin distances; fraction of it above the eyes.
_HEIGHT, _ABOVE = 2.6, 0.45
#: Coverage by the head from which on a pixel is in the face.
FACE = 0.9
_PREPARING = threading.Lock()


@dataclass(frozen=True)
class Silhouettes:
    """Styles in the square around the head in one photograph.

    Parameters
    ----------
    crop:
        (3, S, S) float32 sRGB: the photograph in the square.
    seen:
        (S, S) bool: pixels inside of the photograph.
    marks:
        (68, 2): landmarks in the square's pixels.
    head:
        (S, S) in [0, 1]: coverage by the bare head.
    cover:
        (S, S) in [0, 1] by style: coverage by hair, without what the head hides.
    """

    crop: torch.Tensor
    seen: torch.Tensor
    marks: torch.Tensor
    head: torch.Tensor
    cover: dict[str, torch.Tensor]

    @classmethod
    @torch.no_grad()
    def of(
        cls, picture: torch.Tensor, pipe: FacePipeline, neutral: torch.Tensor, posed: torch.Tensor, camera: Camera
    ) -> Silhouettes | None:
        """Draw all styles; return None if the model has no hair.

        Parameters
        ----------
        picture:
            (3, H, W) sRGB, float32 in [0, 1] or uint8.
        neutral, posed:
            (1, V, 3) float32 mm: the head at rest, and as in the picture.
        camera:
            Camera of the whole picture.
        """
        wardrobe = pipe.wardrobe
        if wardrobe is None:
            return None
        prepare_silhouettes(pipe)
        mesh = pipe.template.mesh(posed)
        crop, box, seen, marks = _square(picture, mesh.verts, pipe.template.landmarks, camera)
        bare, light = render(mesh, box, (SIDE, SIDE), lights="flat"), Lights.preset("flat")
        head, colour = bare.alpha[0, 0], crop.new_tensor([0.2, 0.15, 0.1])
        cover: dict[str, torch.Tensor] = {}
        for style in wardrobe.styles:
            if style in (BALD, RECEDING):  # what a thin crown shows decides of the second
                continue
            cards = wardrobe.cards(Outfit(style, wardrobe.lashes[0]))  # lashes cover the same in all styles
            worn = Hair(cards, wardrobe.wear(cards, neutral, posed)[0], colour)
            cover[style] = 1.0 - hair_layers(worn, box, light, (SIDE, SIDE), bare.depth[0, 0], head).through
        return cls(crop, seen, marks, head, cover)


def centres() -> tuple[torch.Tensor, ...]:
    """Return the rows and the columns (S, S) of the square's pixel centres."""
    along = torch.arange(SIDE) + 0.5
    return torch.meshgrid(along, along, indexing="ij")


@torch.no_grad()
def prepare_silhouettes(pipe: FacePipeline) -> None:
    """Make what the silhouettes of all people share, which is cached; threads wait for each other here."""
    wardrobe = pipe.wardrobe
    if wardrobe is None:
        return
    with _PREPARING:
        for style in wardrobe.styles:
            _ = wardrobe.cards(Outfit(style, wardrobe.lashes[0])).mip


def _square(
    picture: torch.Tensor, verts: torch.Tensor, landmarks: torch.Tensor, camera: Camera
) -> tuple[torch.Tensor, Camera, torch.Tensor, torch.Tensor]:
    """Crop the square around a head: picture (3, S, S), its camera, the mask of pixels inside the photograph,
    landmarks.
    """
    size = (picture.shape[1], picture.shape[2])
    marks = camera.project(verts[:, landmarks], size)[0, :, :2]
    side = _HEIGHT * float((marks[CHIN] - marks[[19, 24]].mean(0)).norm())
    left, top = float(marks[27, 0]) - side / 2, float(marks[27, 1]) - _ABOVE * side
    box = camera.crop(top, left, (round(side), round(side)), size)
    shrink = max(1, int(side / SIDE))
    # Only the square is averaged, with a margin: photographs are large.
    (x0, x1), (y0, y1) = (_reach(start, side, shrink, end) for start, end in ((left, size[1]), (top, size[0])))
    part = unit(picture[None, :, y0:y1, x0:x1])
    if shrink > 1:  # or strands would alias
        part = F.avg_pool2d(part, shrink, ceil_mode=True, count_include_pad=False)
    axis = (torch.arange(SIDE) + 0.5) / SIDE * side
    x, y = left + axis, top + axis
    wide, high = (shrink * count for count in (part.shape[3], part.shape[2]))  # the last pixels may be of fewer
    place = torch.stack(torch.meshgrid(2 * (x - x0) / wide - 1, 2 * (y - y0) / high - 1, indexing="xy"), -1)
    crop = F.grid_sample(part, place[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    seen = ((y >= 0) & (y <= size[0]))[:, None] & ((x >= 0) & (x <= size[1]))
    return crop, box, seen, (marks - marks.new_tensor([left, top])) * (SIDE / side)


def _reach(start: float, side: float, shrink: int, end: int) -> tuple[int, int]:
    """Return the pixels of a picture, from a multiple of ``shrink`` to at most ``end``, that hold the square's side."""
    low = min(max(0, int(start) - shrink), max(0, end - shrink)) // shrink * shrink
    return low, min(end, max(int(start + side), low) + 2 * shrink)
