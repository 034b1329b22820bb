"""Which class each triangle of a head belongs to, in the ids of FaceSynthetics' masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from facekit.conventions import LANDMARK_GROUPS, NOSE_ROOT, PARTS
from facekit.errors import InputError
from facekit.geometry.uv import box_blurred, sample_texture
from facekit.models.composers import DefaultComposer

if TYPE_CHECKING:
    from facekit.hair import Hair
    from facekit.latents import FaceLatents
    from facekit.pipeline import FacePipeline
    from facekit.template import Template

#: The 19 classes of FaceSynthetics (Wood et al., *Fake it till you make it*, ICCV 2021), in order of their ids.
CLASSES = (
    "background", "skin", "nose", "right_eye", "left_eye", "right_brow", "left_brow", "right_ear", "left_ear",
    "mouth_interior", "top_lip", "bottom_lip", "neck", "hair", "beard", "clothing", "glasses", "headwear", "facewear",
)  # fmt: skip
#: What no class is asked of: something in front of the face that no name fits.
IGNORE = 255
#: Classes that the embedded default's heads have, and the glasses in front of them.
PRESENT = tuple(name for name in CLASSES if name not in ("clothing", "headwear", "facewear"))

#: A brow is so high, mm to either side of its landmarks; the nose's ridge and wings reach so far to the side, mm, and
#: the wings so far below and behind their landmarks.
_BROW, _RIDGE, _WINGS, _UNDER, _BEHIND = 5.0, 8.0, 19.0, 0.5, 9.0
#: On the mean head ears lie between these heights, behind a line that leans back by so much a millimetre, and this far
#: out, mm.
_EAR_HEIGHTS, _EAR_FRONT, _EAR_LEAN, _EAR_OUT = (-21.0, 38.0), 15.5, 0.16, 58.0
#: The scalp is hair where at least so much of it is covered by hair.
_COVERED, _BLUR = 0.4, 15


class HeadClasses:
    """The class of every triangle of a model's heads.

    Borders run along triangles: brows are where their landmarks are, hair is where the scalp is painted.

    Raises
    ------
    InputError
        For a model whose template has no eyes: the published one.
    """

    def __init__(self, pipe: FacePipeline) -> None:
        template = pipe.template.to("cpu")
        composer = pipe.composer
        if not isinstance(composer, DefaultComposer):
            raise InputError("a model with eyes and hair for masks", f"{pipe.name!r}", 'use "default", or drop "mask"')
        self._faces = template.faces.cpu()
        self._hair_strength, self._device = composer.micro.hair_strength, pipe.device
        of_vertex = _vertex_classes(template)
        bare = (of_vertex == CLASSES.index("skin")) & (template.parts != PARTS.index("lids"))
        # Strands are painted one by one: hair is where they are dense on average.
        dense = box_blurred(composer.scalp_cover().cpu()[None], _BLUR)[0]
        cover = _at_vertices(template, dense) * bare
        corners = of_vertex[template.faces]
        # The class of two corners; of three different ones the first: such triangles are few.
        self.of_face = torch.where(corners[:, 1] == corners[:, 2], corners[:, 1], corners[:, 0]).to(torch.uint8)
        self.cover = cover[template.faces].mean(dim=1)

    def __call__(self, latents: FaceLatents, worn: tuple[Hair | None, ...] = ()) -> torch.Tensor:
        """Classes (B, F) uint8, ids into :data:`CLASSES`, on the CPU, of these people.

        The skin that shows between strands of what they wear is hair or beard, too.
        """
        found = self.of_face.expand(len(latents), -1).clone()
        hair = self._hair_strength(latents.identity.to(self._device)).cpu()[:, None] * self.cover > _COVERED
        for row, one in zip(hair, worn, strict=False):
            if one is not None:
                row |= one.cards.cap.cpu()[self._faces].mean(dim=1) > _COVERED
        found[hair] = CLASSES.index("hair")
        for row, one in zip(found, worn, strict=False):
            if one is not None:
                row[one.cards.bearded.cpu()[self._faces].mean(dim=1) > _COVERED] = CLASSES.index("beard")
        return found


def _vertex_classes(template: Template) -> torch.Tensor:
    """Classes (V,) int64 by parts and places on the mean head; hair is none yet."""
    verts, points = template.verts, template.verts[template.landmarks]
    left = verts[:, 0] > 0
    found = torch.full((len(verts),), CLASSES.index("skin"))

    def mark(where: torch.Tensor, name: str) -> None:
        found[where] = CLASSES.index(name)

    def of_part(name: str) -> torch.Tensor:
        return template.parts == PARTS.index(name)

    skin = of_part("skin")
    mark(skin & _nose(verts, points), "nose")
    for side, name in ((~left, "right_"), (left, "left_")):
        brow = _polyline_distance(verts, points[LANDMARK_GROUPS[f"{name}brow"]]) < _BROW
        mark(skin & side & brow, f"{name}brow")
        mark(skin & side & _ears(verts), f"{name}ear")
        mark(of_part("eyes") & side, f"{name}eye")
    mark(of_part("teeth") | of_part("mouth"), "mouth_interior")
    mark(of_part("neck"), "neck")
    inner = points[LANDMARK_GROUPS["inner_lips"]]
    middle = inner[[0, 4]].mean(dim=0)[1]
    mark(of_part("lips") & (verts[:, 1] >= middle), "top_lip")
    mark(of_part("lips") & (verts[:, 1] < middle), "bottom_lip")
    return found


def _nose(verts: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """A wedge from the root to under the nostrils, in front of the cheeks."""
    root, below = points[NOSE_ROOT], points[LANDMARK_GROUPS["nostrils"]]
    down = ((root[1] - verts[:, 1]) / (root[1] - below[:, 1].amin())).clamp(0, 1)
    width = torch.lerp(torch.tensor(_RIDGE), torch.tensor(_WINGS), down)
    high = (verts[:, 1] < root[1]) & (verts[:, 1] > below[:, 1].amin() - _UNDER)
    return high & (verts[:, 0].abs() < width) & (verts[:, 2] > below[:, 2].amin() - _BEHIND)


def _ears(verts: torch.Tensor) -> torch.Tensor:
    x, y, z = verts.T
    low, high = _EAR_HEIGHTS
    return (y > low) & (y < high) & (z < _EAR_FRONT - _EAR_LEAN * y) & (x.abs() > _EAR_OUT)


def _polyline_distance(verts: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
    """Distances (V,) mm to a line through points (n, 3)."""
    start, along = line[:-1], line[1:] - line[:-1]
    share = ((verts[:, None] - start) * along).sum(dim=-1) / along.square().sum(dim=-1)
    nearest = start + share.clamp(0, 1)[..., None] * along
    return (verts[:, None] - nearest).norm(dim=-1).amin(dim=1)


def _at_vertices(template: Template, picture: torch.Tensor) -> torch.Tensor:
    """Values (V,) of a picture (1, H, W) at the vertices; of a vertex with several UVs at one of them."""
    values = sample_texture(picture[None], template.uvs)[0, :, 0]
    found = torch.zeros(len(template.verts))
    found[template.faces.flatten()] = values[template.faces_uvs.flatten()]
    return found
