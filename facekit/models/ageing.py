"""Ageing of the head: soft tissue that sinks and thins with the years, which the shape networks learned too little of.

Their training model separates people by age in broad proportions only. What old faces show besides follows the anatomy
of the ageing face (Mendelson and Wong, *Changes in the facial skeleton with aging*, Aesthetic Plastic Surgery 2012):
bags and troughs below the eyes, folds from nose and mouth, jowls, hollow temples and cheeks, thinner lips.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import nn

from facekit.conventions import IDENTITY_DIM, PARTS
from facekit.geometry.charts import step, vertex_uvs
from facekit.geometry.normals import vertex_normals
from facekit.geometry.parts import among
from facekit.template import Template
from facekit.traits import TRAITS, age_share, trait_axes


class Change(NamedTuple):
    """One change of the oldest faces.

    Parameters
    ----------
    line:
        Polyline in coordinates of the face tile (x = u, y = 1 - v, in [0, 1]) on the image's left half; mirrored.
    radius:
        Standard deviation of the distance over which it fades, mm.
    out, down:
        Displacement on the line in mm: along the normal, and downwards.
    """

    line: tuple[tuple[float, float], ...]
    radius: float
    out: float
    down: float = 0.0


#: Changes that come together in a person.
CHANGES: dict[str, tuple[Change, ...]] = {
    "eye_bags": (
        Change(((0.392, 0.306), (0.362, 0.316), (0.325, 0.311)), 2.6, 1.6),
        Change(((0.425, 0.305), (0.402, 0.330), (0.365, 0.349), (0.330, 0.345)), 2.4, -1.5),
    ),
    "nasolabial": (
        Change(((0.412, 0.447), (0.400, 0.462), (0.378, 0.500), (0.362, 0.540), (0.356, 0.570)), 2.1, -1.3),
        Change(((0.384, 0.422), (0.364, 0.447), (0.342, 0.490), (0.327, 0.540)), 5.5, 1.0, 1.3),
    ),
    "marionette": (
        Change(((0.382, 0.585), (0.374, 0.620), (0.375, 0.660)), 2.4, -1.1),
        Change(((0.390, 0.560),), 6.0, -0.3, 0.7),
    ),
    "jowls": (
        Change(((0.300, 0.640), (0.318, 0.690)), 8.0, 2.4, 2.5),
        Change(((0.375, 0.700), (0.382, 0.730)), 4.0, -1.8),
        Change(((0.500, 0.800), (0.440, 0.790)), 12.0, 1.6, 2.7),
    ),
    "hollows": (
        Change(((0.205, 0.190), (0.190, 0.240)), 9.0, -2.6),
        Change(((0.225, 0.500), (0.250, 0.550)), 10.0, -2.4),
        Change(((0.405, 0.250), (0.425, 0.256)), 3.5, -1.1),
    ),
    "brows": (
        Change(((0.250, 0.215), (0.310, 0.200)), 8.0, 0.0, 1.9),
        Change(((0.300, 0.257), (0.340, 0.253)), 3.2, 0.7, 0.9),
    ),
    "lips": (
        Change(((0.420, 0.515), (0.460, 0.500), (0.500, 0.502)), 3.5, -0.6),
        Change(((0.430, 0.630), (0.500, 0.637)), 4.0, -0.6),
        Change(((0.500, 0.400),), 7.0, 0.0, 1.6),
    ),
}

#: Quantile of age from which on faces change, and the exponent of the increase to the oldest.
_FROM, _POWER = 0.05, 1.0
#: Deviation of the logarithm of a change between people, and its limit; weight of what a side adds to a person's own.
_VARIES, _MOST, _ASIDE = 0.55, 0.8, 0.4
#: Distance from the lids, mm, within which nothing moves: they lie on the eyeballs.
_LIDS = (1.5, 6.0)
_FIXED = ("eyes", "teeth")
#: Number of points along a line.
_POINTS = 24


class Ageing(nn.Module):
    """Displacement of people's neutral heads by their age, for the embedded default.

    Parameters
    ----------
    template:
        The default's topology, with the face tile.
    """

    field: torch.Tensor
    rows: torch.Tensor
    axis: torch.Tensor

    def __init__(self, template: Template) -> None:
        super().__init__()
        tile, normals = tile_places(template), vertex_normals(template.verts[None], template.faces)[0]
        fixed = among(template.parts, _FIXED)
        free = step(_from_lids(template), *_LIDS) * ~fixed
        down = template.verts.new_tensor([0.0, -1.0, 0.0])
        fields = []
        for changes in CHANGES.values():
            for mirrored in (False, True):
                total = torch.zeros_like(template.verts)
                for change in changes:
                    share = torch.exp(-0.5 * (_distance(template, tile, change.line, mirrored) / change.radius) ** 2)
                    total = total + share[:, None] * (change.out * normals + change.down * down)
                fields.append(total * free[:, None])
        draws = torch.randn(len(fields), IDENTITY_DIM, generator=torch.Generator().manual_seed(8))
        axis = trait_axes()[TRAITS.index("age")]
        both = draws[0::2].repeat_interleave(2, dim=0) + _ASIDE * draws
        both = both - (both @ axis)[:, None] * axis  # a person keeps these while the age is edited
        self.register_buffer("field", torch.stack(fields).flatten(1), persistent=False)
        self.register_buffer("rows", both / both.norm(dim=1, keepdim=True), persistent=False)
        self.register_buffer("axis", axis.clone(), persistent=False)

    def forward(self, identity: torch.Tensor) -> torch.Tensor:
        """Return displacements (B, V, 3) mm for identity codes (B, 20); differentiable."""
        gains = torch.exp(_VARIES * (identity @ self.rows.T).clamp(-_MOST / _VARIES, _MOST / _VARIES))
        return ((aged(identity @ self.axis)[:, None] * gains) @ self.field).unflatten(1, (-1, 3))


def aged(trait: torch.Tensor) -> torch.Tensor:
    """Return how far people have aged, in [0, 1], from the networks' trait "age": 0 for the young."""
    return ((age_share(trait) - _FROM) / (1 - _FROM)).clamp_min(1e-6) ** _POWER


def tile_places(template: Template) -> torch.Tensor:
    """Return tile coordinates (V, 2) of vertices, x = u and y = 1 - v."""
    x, y = vertex_uvs(dataclasses.replace(template, uvs=template.tile_uvs)).unbind(1)
    return torch.stack((x, 1 - y), dim=1)


def _from_lids(template: Template) -> torch.Tensor:
    """Return the distance (V,) in mm of vertices from the lids; inf where it is larger than matters."""
    verts, lids = template.verts, template.verts[template.parts == PARTS.index("lids")]
    low, high = lids.amin(dim=0) - _LIDS[1], lids.amax(dim=0) + _LIDS[1]
    near = ((verts > low) & (verts < high)).all(dim=1)
    away = torch.full((len(verts),), torch.inf)
    away[near] = torch.cdist(verts[near], lids).amin(dim=1)
    return away


def _distance(
    template: Template, tile: torch.Tensor, line: tuple[tuple[float, float], ...], mirrored: bool
) -> torch.Tensor:
    """Return the distance (V,) in mm of vertices from a line on the template."""
    points = torch.tensor(line, dtype=torch.float32)
    if mirrored:
        points[:, 0] = 1 - points[:, 0]
    place = torch.linspace(0, len(points) - 1, _POINTS if len(points) > 1 else 1)
    low = place.long().clamp_max(max(len(points) - 2, 0))
    along = torch.lerp(points[low], points[(low + 1).clamp_max(len(points) - 1)], (place - low)[:, None])
    # The point of the surface: a mean of the nearest vertices in the tile.
    away, near = torch.cdist(along, tile).topk(4, largest=False)
    weight = 1 / (away + 1e-4)
    spots = (template.verts[near] * (weight / weight.sum(1, keepdim=True))[..., None]).sum(1)
    return torch.cdist(template.verts, spots).amin(dim=1)
