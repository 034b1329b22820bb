"""Segmentation of skin and beards with :mod:`facekit.models.skin_mask`: its input, and output per pixel."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from facekit import weights
from facekit.color import linear_to_srgb
from facekit.files.readers import load_into, load_tensors
from facekit.geometry.parts import among
from facekit.models.skin_mask import MASK_SIZE, SkinMask
from facekit.reconstruct.texture.grid import SKIN_PARTS
from facekit.reconstruct.texture.views import View
from facekit.render.rasterize import rasterize
from facekit.render.shading import tone
from facekit.template import Template

#: Side of the input square relative to the landmarks' box, and upward shift of its centre, as a fraction.
_WIDE, _RAISED = 1.9, 0.12


def window(view: View, template: Template) -> tuple[int, int, int]:
    """Return left, top and side, in the view's pixels, of the network's input square."""
    marks = view.project(view.rows[template.landmarks, :3].T)[0]
    low, high = marks.amin(1), marks.amax(1)
    side = max(16, round(_WIDE * float((high - low).max())))
    x, y = ((low + high) / 2).tolist()
    return round(x - side / 2), round(y - side * (0.5 + _RAISED / _WIDE)), side


def guide(view: View, template: Template) -> torch.Tensor:
    """Return the network's input for a picture: (9, S, S) float32."""
    left, top, side = window(view, template)
    step = side / MASK_SIZE
    height, width = view.size
    picture, scale = view.picture, min(1.0, 1.5 / step)
    if scale < 1:
        size = [max(2, round(s * scale)) for s in view.size]
        picture = F.interpolate(picture[None], size=size, mode="area")[0]
    along = (torch.arange(MASK_SIZE) + 0.5) * step
    x, y = (left + along) * (2 / width) - 1, (top + along) * (2 / height) - 1
    place = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
    colour = F.grid_sample(picture[None], place[None], padding_mode="border", align_corners=False)[0]
    colour = linear_to_srgb(tone(colour).clamp(0, 1))
    camera = view.camera.crop(top, left, (side, side), view.size)
    ids = rasterize(view.verts[None], template.faces, camera, MASK_SIZE)[0][0]
    hit, face = ids >= 0, ids.clamp_min(0)
    normal = view.rows[template.faces[face], 3:6].mean(2)
    u0, v0, u1, v1 = template.tile_rect
    chart = template.uvs[template.faces_uvs[face]].mean(2)
    chart = (chart - chart.new_tensor([u0, v0])) / chart.new_tensor([u1 - u0, v1 - v0]) * 2 - 1
    skin = hit & among(template.parts, SKIN_PARTS)[template.faces[face]].all(-1)
    chart = chart * (skin[..., None] & (chart.abs() <= 1.001).all(-1, keepdim=True))
    rows = torch.cat((normal * hit[..., None], chart, skin[..., None].float()), -1).permute(2, 0, 1)
    return torch.cat((colour * 2 - 1, rows))


@torch.no_grad()
def segmented(network: SkinMask, view: View, template: Template) -> torch.Tensor:
    """Return the probabilities per pixel of the view, (2, h, w), that skin is not occluded, and that a beard grows on
    it; 0 outside of the square.
    """
    said = network(guide(view, template)[None])[0].sigmoid()
    left, top, side = window(view, template)
    height, width = view.size
    x = (torch.arange(width) + 0.5 - left) * (2 / side) - 1
    y = (torch.arange(height) + 0.5 - top) * (2 / side) - 1
    place = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)
    return F.grid_sample(said[None], place[None], align_corners=False)[0]


@functools.cache
def network() -> SkinMask:
    """Load the network that ships with the package, once."""
    with torch.inference_mode(False), torch.device("meta"):
        module = SkinMask()
    path = weights.verified("default", "skin_mask")
    return load_into(module, load_tensors(path), path.name).requires_grad_(False).eval()
