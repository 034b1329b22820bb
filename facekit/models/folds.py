"""Folds: triangles that blendshapes would turn over are turned back, by moving their corners as little as that takes.

A sum of many shapes presses the skin at the corners of mouth and eyes together until it turns inside out, on narrow
lips sooner than on wide ones: no corrective of a pair knows the person or the third shape. Each triangle keeps a part
of its area as seen along its normal at rest, as a constraint that is projected in turns (Müller and others, "Position
based dynamics", 2007).
"""

from __future__ import annotations

import torch
from torch import nn

from facekit.geometry.parts import among
from facekit.template import Template

#: Skin that folds: these parts, and what is this near to brows, nose, eyes or mouth, mm; and what never bends.
_SOFT, _NEAR = ("lips", "lids", "mouth"), 20.0
_HARD = ("eyes", "teeth")
_LANDMARKS = slice(17, 68)
#: An open jaw folds the skin under a receding chin: distance from the jawline, mm.
_JAW, _CHIN = slice(3, 14), 60.0
#: Of its area at rest a triangle keeps this share, seen along its normal at rest.
_KEPT = 0.1
#: Number of constraint projections, all at once and over-relaxed; repeated up to so many times for faces in which a
#: triangle is still turned over.
_ROUNDS, _FURTHER, _TIMES = 10, 1.3, 8
#: So many rings around what folds are looked at: what is turned back there may press on.
_RINGS = 3


class Unfolding(nn.Module):
    """Turns back what shapes turn over; skin without folds is not moved.

    Parameters
    ----------
    template:
        Any topology with the 68 landmarks.
    """

    faces: torch.Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        verts, parts = template.verts, template.parts
        soft, hard = (among(parts, names) for names in (_SOFT, _HARD))
        near = torch.cdist(verts, verts[template.landmarks[_LANDMARKS]]).amin(dim=1) < _NEAR
        near |= torch.cdist(verts, verts[template.landmarks[_JAW]]).amin(dim=1) < _CHIN
        bends = soft | (near & ~hard)
        self.register_buffer("faces", template.faces[bends[template.faces].all(dim=1)], persistent=False)

    def forward(self, verts: torch.Tensor, rest: torch.Tensor, worn: torch.Tensor | None = None) -> torch.Tensor:
        """Vertices (B, V, 3) mm without folds; differentiable with respect to them.

        Parameters
        ----------
        rest:
            (B, V, 3) mm, the same people's neutral faces.
        worn:
            (B, V, 3) mm, the faces before shapes moved them, whose own folds are left; None for ``rest``.
        """
        with torch.no_grad():
            normal = _crossed(rest, self.faces)
            area = normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)
            normal, least = normal / area, _KEPT * area[..., 0]
            if worn is not None:
                least = torch.minimum(least, (_crossed(worn, self.faces) * normal).sum(dim=-1))
            over = ((_crossed(verts, self.faces) * normal).sum(dim=-1) < least).any(dim=0)
            if not bool(over.any()):
                return verts
            around = torch.zeros(verts.shape[1], dtype=torch.bool, device=verts.device)
            around[self.faces[over].flatten()] = True
            for _ in range(_RINGS):
                around[self.faces[around[self.faces].any(dim=1)].flatten()] = True
            own = around[self.faces].any(dim=1)
            # In a numbering of its own what is near is little.
            used, tris = self.faces[own].unique(return_inverse=True)
        normal, least = normal[:, own], least[:, own]
        start = moved = verts.index_select(1, used)
        rows = torch.arange(len(verts), device=verts.device)
        for _ in range(_TIMES):
            part, ahead, floor = moved[rows], normal[rows % len(normal)], least[rows % len(least)]
            for _ in range(_ROUNDS):
                part = part + _FURTHER * _step(part, tris, ahead, floor)
            moved = moved.index_copy(0, rows, part)
            with torch.no_grad():
                over = (_crossed(part, tris) * ahead).sum(dim=-1) < floor.clamp_max(0)
                rows = rows[over.any(dim=1)]
            if not len(rows):
                break
        return verts.index_add(1, used, moved - start)


def _crossed(verts: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Normals (B, F, 3) of twice the triangles' areas."""
    a, b, c = (verts.index_select(1, corner) for corner in faces.unbind(dim=1))
    return torch.linalg.cross(b - a, c - a)


def _step(verts: torch.Tensor, tris: torch.Tensor, normal: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """The mean (B, n, 3) of what triangles ask of each vertex, to keep ``least`` (B, F) of area along ``normal``."""
    a, b, c = (verts.index_select(1, corner) for corner in tris.unbind(dim=1))
    lacks = (least - (torch.linalg.cross(b - a, c - a) * normal).sum(dim=-1)).clamp_min(0)
    slopes = [torch.linalg.cross(normal, side) for side in (c - b, a - c, b - a)]
    steep = sum(slope.square().sum(dim=-1) for slope in slopes)
    share = (lacks / torch.as_tensor(steep).clamp_min(1e-6))[..., None]
    corners = tris.T.flatten()
    asked = torch.zeros_like(verts).index_add(1, corners, torch.cat([slope * share for slope in slopes], dim=1))
    asking = (lacks > 0).to(verts).repeat(1, 3)
    count = verts.new_zeros(verts.shape[:2]).index_add(1, corners, asking)
    return asked / count.clamp_min(1)[..., None]
