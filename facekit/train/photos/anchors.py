"""Positions of the landmarker's points on the template, measured on frontal renders of many people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
import torch

from facekit.conventions import BLENDSHAPES
from facekit.geometry.parts import among
from facekit.models.lips import LipContact
from facekit.pipeline import FacePipeline
from facekit.reconstruct.landmarker import LEFT_IRIS, LOWER_LIP, POINTS, RIGHT_IRIS, UPPER_LIP, Landmarker
from facekit.render import rasterize
from facekit.template import Template
from facekit.train.photos.photographs import Photograph, Photographer

#: Largest angle in degrees from frontal of the views used.
FRONTAL = 20.0
#: Parts with landmarks; views per person; distance in mm beyond which a position is down-weighted; number of neighbours
#: searched.
_SKIN = ("skin", "lips", "lids")
_VIEWS, _ROBUST, _ROUNDS, _NEIGHBOURS = 4, 1.0, 10, 24


@dataclass(frozen=True)
class Anchors:
    """The 478 landmarks on a template.

    Parameters
    ----------
    corners:
        (478, 3) int64: vertices of each landmark's triangle.
    shares:
        (478, 3) float32: barycentric weights.
    mirror:
        (478,) int64: index of each landmark's mirror image.
    """

    corners: torch.Tensor
    shares: torch.Tensor
    mirror: torch.Tensor

    def __call__(self, fields: torch.Tensor) -> torch.Tensor:
        """Interpolate per-vertex values (..., V, 3) at the landmarks: (..., 478, 3)."""
        return (fields[..., self.corners, :] * self.shares[:, :, None]).sum(dim=-2)


def measured(pipe: FacePipeline, people: torch.Tensor, landmarker: Landmarker, seed: int) -> Anchors:
    """Measure the landmarks on neutral people (N, V, 3) in mm."""
    photographer, seen, apart = Photographer(pipe, seed), [], np.zeros((POINTS, POINTS))
    for number, neutral in enumerate(people):
        for picture in photographer.pictures(number, neutral, torch.zeros(_VIEWS, len(BLENDSHAPES)), yaw=FRONTAL):
            found = landmarker(picture.pixels)
            if found:
                seen.append(located(picture, pipe.template, found[0].points))
                mirrored = landmarker(np.ascontiguousarray(picture.pixels[:, ::-1]))
                apart += _apart(found[0].points, mirrored[0].points) if mirrored else 0
    places, hit = (torch.stack(part) for part in zip(*seen, strict=True))
    corners, shares = settled(_robust_mean(places, hit), pipe.template)
    partner = scipy.optimize.linear_sum_assignment(apart)[1]
    return Anchors(corners, shares, torch.from_numpy(partner).long())


def _apart(points: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Return distances (478, 478) of points (478, 2) from those of the mirrored picture, mirrored back, in face
    sizes.
    """
    first, second = ((p - p.mean(axis=0)) / p.std() for p in (points, mirrored * (-1, 1)))
    return np.linalg.norm(first[:, None] - second[None], axis=2)


def located(picture: Photograph, template: Template, points: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return positions (N, 3) on the template of points (N, 2) in a picture, and which of them hit face or eyes, (N,)
    bool.
    """
    size = picture.pixels.shape[0]
    ids, _ = rasterize(picture.verts[None], template.faces, picture.camera, size)
    column, row = (torch.from_numpy(points[:, k]).floor().long().clamp(0, size - 1) for k in (0, 1))
    face = ids[0][row, column]
    corners = template.faces[face.clamp_min(0)]
    triangle = picture.camera.view(picture.verts[None])[0].double()[corners]
    focal = float(picture.camera.focal(size)[0])
    x, y = (torch.from_numpy(points[:, k]).double() - size / 2 for k in (0, 1))
    ray = torch.stack((x / focal, -y / focal, -torch.ones_like(x)), dim=1)
    # The ray is a combination of the corners whose weights are the barycentric ones, up to scale.
    shares = torch.linalg.lstsq(triangle.transpose(1, 2), ray[..., None]).solution[..., 0].clamp_min(0)
    shares = (shares / shares.sum(dim=1, keepdim=True).clamp_min(1e-9)).float()
    return (template.verts[corners] * shares[..., None]).sum(dim=1), (face >= 0) & among(
        template.parts[corners[:, 0]], (*_SKIN, "eyes")
    )


def _robust_mean(places: torch.Tensor, hit: torch.Tensor) -> torch.Tensor:
    """Return robust means (478, 3) of positions (B, 478, 3) with hits; outliers are down-weighted."""
    known = hit[..., None].float()
    mean = (places * known).sum(dim=0) / known.sum(dim=0).clamp_min(1)
    for _ in range(_ROUNDS):
        weight = known / ((places - mean).norm(dim=-1, keepdim=True) + _ROBUST)
        mean = (places * weight).sum(dim=0) / weight.sum(dim=0).clamp_min(1e-9)
    return mean


def settled(points: torch.Tensor, template: Template) -> tuple[torch.Tensor, torch.Tensor]:
    """Project points (478, 3) in mm to the nearest triangles of their part: each lip, the skin, or an eye."""
    part = template.parts[template.faces]
    upper, lower = (torch.isin(template.faces, lip).all(dim=1) for lip in _lips(template))
    skin = among(part, _SKIN).all(dim=1)
    eyes = among(part, ("eyes",)).all(dim=1)
    corners = torch.zeros(POINTS, 3, dtype=torch.long)
    shares = torch.zeros(POINTS, 3)
    rest = torch.ones(POINTS, dtype=torch.bool)
    groups = ((UPPER_LIP, upper), (LOWER_LIP, lower), (RIGHT_IRIS + LEFT_IRIS, eyes))
    for members, faces in groups:
        rest[list(members)] = False
        corners[list(members)], shares[list(members)] = nearest(points[list(members)], template, faces)
    corners[rest], shares[rest] = nearest(points[rest], template, skin)
    return corners, shares


def _lips(template: Template) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the vertices (n,) of the upper and of the lower lip."""
    contact = LipContact(template)
    first, second = (torch.as_tensor(getattr(contact, f"lip_{k}")) for k in (0, 1))
    above = template.verts[first, 1].mean() > template.verts[second, 1].mean()
    return (first, second) if above else (second, first)


def nearest(points: torch.Tensor, template: Template, allowed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return corners (N, 3) and weights (N, 3) of the closest points to points (N, 3) on the allowed triangles (F,)
    bool.
    """
    faces = template.faces[allowed]
    triangles = template.verts[faces]
    near = torch.cdist(points, triangles.mean(dim=1)).topk(min(_NEIGHBOURS, len(faces)), largest=False).indices
    a, b, c = triangles[near].unbind(dim=2)
    u, v, w = b - a, c - a, points[:, None] - a
    uu, uv, vv, wu, wv = ((p * q).sum(dim=-1) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    scale = (uu * vv - uv * uv).clamp_min(1e-9)
    second, third = (vv * wu - uv * wv) / scale, (uu * wv - uv * wu) / scale
    shares = torch.stack((1 - second - third, second, third), dim=-1).clamp_min(0)
    shares = shares / shares.sum(dim=-1, keepdim=True)
    places = (triangles[near] * shares[..., None]).sum(dim=2)
    best = (places - points[:, None]).norm(dim=-1).argmin(dim=1)
    rows = torch.arange(len(points))
    return faces[near[rows, best]], shares[rows, best]
