"""Lids stay outside of the eyeballs: what a regressed shape cannot promise to a few tenths of a millimetre."""

from __future__ import annotations

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.template import Template

_EYES, _SKIN = PARTS.index("eyes"), (PARTS.index("skin"), PARTS.index("lids"))
# Vertices that may cover an eye: so far from its centre at most, mm, and within this angle of straight ahead (cosine).
_REACH, _AHEAD = 30.0, 0.36
# Outer surface of the lids: at rest further from the eyeball than the rim, which lies on it, mm.
_OUTER = 1.0
# How far the pushed skin stays off, mm.
_CLEARANCE = 0.3
_BINS = 24


class LidContact(nn.Module):
    """Pushes the lids' outer skin out of the eyeballs, each vertex along its ray from the eye's centre.

    For a template with eyes; a lid that touches nothing is not moved.
    """

    def __init__(self, template: Template) -> None:
        super().__init__()
        eyes = (template.parts == _EYES).nonzero()[:, 0]
        for side in (0, 1):
            ball = eyes[(template.verts[eyes, 0] > 0) == bool(side)]
            points = template.verts[ball].double()
            # The best sphere's centre, and the weights that find it from the vertices of any moved or scaled eye.
            ones = torch.ones_like(points[:, :1])
            fit = torch.linalg.lstsq(torch.cat((2 * points, ones), 1), points.square().sum(1, keepdim=True)).solution
            centre = fit[:3, 0]
            rows, wanted = torch.cat((points, ones), 1).T, torch.cat((centre, ones[0]))
            weights = torch.linalg.pinv(rows) @ wanted
            radius = (points - centre).norm(dim=1)
            profile = _profile((points - centre)[:, 2] / radius, radius)
            lids = self._outer(template, centre, profile)
            for name, value in {
                "ball": ball,
                "weights": weights.float(),
                "lids": lids,
                "size": radius.mean().float(),
                "profile": profile.float(),
            }.items():
                self.register_buffer(f"{name}_{side}", value, persistent=False)

    def forward(self, verts: torch.Tensor) -> torch.Tensor:
        """Vertices (B, V, 3) mm with the lids outside; differentiable."""
        moved = verts
        for side in (0, 1):
            ball, weights, lids, size, profile = (
                getattr(self, f"{name}_{side}") for name in ("ball", "weights", "lids", "size", "profile")
            )
            eye = verts.index_select(1, ball)
            centre = torch.einsum("n,bnk->bk", weights.to(verts), eye)[:, None]
            scale = (eye - centre).norm(dim=-1).mean(dim=1, keepdim=True) / size.to(verts)
            ray = verts.index_select(1, lids) - centre
            distance = ray.norm(dim=-1)
            ahead = ray[..., 2] / distance.clamp_min(1e-6)
            push = (_read(profile.to(verts), ahead) * scale + _CLEARANCE - distance).clamp_min(0) * (ahead > _AHEAD)
            moved = moved.index_add(1, lids, ray * (push / distance.clamp_min(1e-6))[..., None])
        return moved

    @staticmethod
    def _outer(template: Template, centre: torch.Tensor, profile: torch.Tensor) -> torch.Tensor:
        """Indices of the skin that can come over this eye and at rest lies well outside of it."""
        ray = template.verts.double() - centre
        distance = ray.norm(dim=1)
        ahead = ray[:, 2] / distance
        surface = _read(profile, ahead)
        skin = torch.isin(template.parts, template.parts.new_tensor(_SKIN))
        return (skin & (distance < _REACH) & (ahead > _AHEAD) & (distance > surface + _OUTER)).nonzero()[:, 0]


def _profile(ahead: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """The eyeball's largest radius at cosines from :data:`_AHEAD` to 1, (BINS,): the cornea stands out in front."""
    place = ((ahead - _AHEAD) / (1 - _AHEAD) * (_BINS - 1)).round().long()
    inside = (place >= 0) & (place < _BINS)
    table = torch.full((_BINS,), float(radius.min()), dtype=radius.dtype)
    return table.scatter_reduce(0, place[inside], radius[inside], "amax")


def _read(profile: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
    place = ((ahead - _AHEAD) / (1 - _AHEAD) * (_BINS - 1)).clamp(0, _BINS - 1)
    low = place.detach().floor().long().clamp_max(_BINS - 2)
    return torch.lerp(profile[low], profile[low + 1], place - low)
