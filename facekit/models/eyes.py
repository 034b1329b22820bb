"""Eyeballs of faces: centre, scale and rotation."""

from __future__ import annotations

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.geometry.openings import sphere_weights
from facekit.template import Template

EYES = PARTS.index("eyes")
# Lids lie within this angle (cosine) of straight ahead. The eyeball's profile, about its own axis, is sampled at steps
# that divide it, and further back: the rotating eye brings its back there.
AHEAD = 0.36
_STEPS, _BEHIND = 23, 24
_BINS = _STEPS + _BEHIND + 1


class Eyeball(nn.Module):
    """One eyeball of a template, located in any face of its topology.

    Parameters
    ----------
    template:
        Template with eyes.
    left:
        Whether it is the subject's left eye, on the side of +X.
    """

    ball: torch.Tensor
    weights: torch.Tensor
    size: torch.Tensor
    front: torch.Tensor
    profile: torch.Tensor

    def __init__(self, template: Template, left: bool) -> None:
        super().__init__()
        eyes = (template.parts == EYES).nonzero()[:, 0]
        ball = eyes[(template.verts[eyes, 0] > 0) == left]
        points, weights = template.verts[ball].double(), sphere_weights(template.verts[ball])
        centre = weights.double() @ points
        radius = (points - centre).norm(dim=1)
        self.register_buffer("ball", ball, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        front = points[:, 2].argmax()
        self.register_buffer("size", radius.mean().float(), persistent=False)
        self.register_buffer("front", ball[front], persistent=False)
        profile = _profile((points - centre) @ (points[front] - centre) / (radius[front] * radius), radius)
        self.register_buffer("profile", profile.float(), persistent=False)

    def centre(self, verts: torch.Tensor) -> torch.Tensor:
        """Return the eyeball centres (B, 1, 3) in mm of faces with vertices (B, V, 3); differentiable."""
        return torch.einsum("n,bnk->bk", self.weights.to(verts), verts.index_select(1, self.ball))[:, None]

    def scale(self, verts: torch.Tensor) -> torch.Tensor:
        """Return the eyeball sizes (B, 1) relative to the template's."""
        away = verts.index_select(1, self.ball) - self.centre(verts)
        return away.norm(dim=-1).mean(dim=1, keepdim=True) / self.size.to(verts)

    def axis(self, verts: torch.Tensor) -> torch.Tensor:
        """Return the direction (B, 3) from the eyeball's centre to the middle of its pupil, of length 1; people's eyes
        look a few degrees up, down or aside at rest."""
        return torch.nn.functional.normalize(verts[:, self.front] - self.centre(verts)[:, 0], dim=1)

    def gap(self, verts: torch.Tensor) -> torch.Tensor:
        """Return how far vertices (V, 3) of the template's size are off the eyeball's surface, (V,) mm."""
        ray = verts - self.centre(verts[None])[0]
        distance = ray.norm(dim=1)
        return distance - self.radius(ray @ self.axis(verts[None])[0] / distance)

    def radius(self, ahead: torch.Tensor) -> torch.Tensor:
        """Return the template's largest radius in mm at angles from the eyeball's axis, given as cosines (...)."""
        place = _place(ahead).clamp(0, _BINS - 1)
        low = place.detach().floor().long().clamp_max(_BINS - 2)
        profile = self.profile.to(ahead)
        return torch.lerp(profile[low], profile[low + 1], place - low)

    def turned(self, verts: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
        """Return displacements (B, n, 3) in mm of the eyeball's n vertices for rotations (B, 3, 3) about its centre."""
        away = verts.index_select(1, self.ball) - self.centre(verts)
        return away @ (rotation - torch.eye(3).to(rotation)).transpose(1, 2)


def gaze_rotation(across: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Return rotations (B, 3, 3) of eyes that look ``across`` degrees toward +X and then ``up`` degrees, both (B,)."""
    a, b = torch.deg2rad(across), torch.deg2rad(up)
    ca, sa, cb, sb = a.cos(), a.sin(), b.cos(), b.sin()
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    turn = torch.stack((ca, zero, sa, zero, one, zero, -sa, zero, ca), dim=-1).unflatten(-1, (3, 3))
    lift = torch.stack((one, zero, zero, zero, cb, sb, zero, -sb, cb), dim=-1).unflatten(-1, (3, 3))
    return turn @ lift


def _profile(ahead: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Return the largest radius per bin (BINS,) of the cosine up to 1: the cornea bulges in front."""
    place = _place(ahead).round().long()
    inside = (place >= 0) & (place < _BINS)
    table = radius.new_zeros(_BINS).scatter_reduce(0, place[inside], radius[inside], "amax")
    told = (table > 0).nonzero()[:, 0]
    # Bins without vertices take the value of the nearest one.
    nearest = (torch.arange(_BINS, device=table.device)[:, None] - told).abs().argmin(dim=1)
    return table[told[nearest]]


def _place(ahead: torch.Tensor) -> torch.Tensor:
    """Return the fractional bin of cosines (...)."""
    return (ahead - AHEAD) / (1 - AHEAD) * _STEPS + _BEHIND
