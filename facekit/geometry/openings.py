"""Ambient occlusion by lids and lips: of eyes, teeth and the inside of the mouth, depending on the pose.

Ambient occlusion of skin hardly changes with the expression and is precomputed by ray casting; nostrils get what light
their wings let through, too. The brightness of surfaces in an opening depends on its width: with static values, eyes
and teeth would glow between closed lids and lips.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F

from facekit.conventions import PARTS
from facekit.geometry.charts import step

_SKIN, _LIPS, _LIDS, _EYES, _TEETH, _MOUTH = (
    PARTS.index(name) for name in ("skin", "lips", "lids", "eyes", "teeth", "mouth")
)
# Landmarks of the inner edges of the lips, upper and lower, middle thirds.
_INNER = ((61, 62, 63), (67, 66, 65))
# Lengths are in eyeball radii (12 mm), so that the result does not depend on the head's unit. Depth of the shadow of
# the upper and of the lower lid, and light remaining at the rim.
_UPPER, _LOWER = (0.62, 0.20), (0.28, 0.55)
# Fraction of the eye's width over which its corners are dark, and light remaining there; light of the open eye.
_CORNER, _OPEN = (0.20, 0.66), 0.95
# In the corners of eyes the socket is seen: its light; heights of rims above the eyeball over which light reaches them;
# distances from the rims over which it fades. Closed lids hide both.
_LINING, _ABOVE, _INTO = 0.6, (0.02, 0.10), (0.1, 0.6)
# Gap between the lips at which light starts to enter the mouth, and range over which it increases; light in the closed
# mouth.
_GAP, _WIDE, _CLOSED = 0.03, 0.23, 0.06
# Depth behind the lips from which on teeth lie in the shade, and least size of the opening that they see light through.
_BEHIND, _SMALLEST = 0.60, 0.30
# Least light at the inner edges of the closed lips.
_EDGE = 0.30
# Radius of a nose about its base, in eyeball radii; light that comes through its thin wings into nostrils, and the
# precomputed light from which on a place is outside of them.
_NOSE, _THROUGH, _OUTSIDE = 2.1, 0.12, 0.4


@dataclass(frozen=True)
class Openings:
    """Vertices of a topology in the openings, and along their rims.

    Parameters
    ----------
    balls:
        (2, n) int64: vertices of the right and the left eyeball; ``centring`` (2, n) float32: weights of their centres.
    sockets:
        (2, s) int64: vertices of the sockets of both eyes.
    upper, lower:
        (2, k) int64: vertices along the rims of the lids, from the inner corner to the outer; padded with the last one.
    inside, teeth, edge:
        (m,), (t,), (r,) int64: teeth and other parts inside the mouth; the teeth alone; the lips' inner edges.
    lips:
        (2, 3) int64: middle of the lips' inner edges, upper and lower.
    nose:
        (k,) int64: skin of the lower nose, outside and in the nostrils.
    """

    balls: torch.Tensor
    centring: torch.Tensor
    sockets: torch.Tensor
    upper: torch.Tensor
    lower: torch.Tensor
    inside: torch.Tensor
    teeth: torch.Tensor
    edge: torch.Tensor
    lips: torch.Tensor
    nose: torch.Tensor

    @classmethod
    def of(
        cls, verts: torch.Tensor, faces: torch.Tensor, parts: torch.Tensor, landmarks: torch.Tensor
    ) -> Openings | None:
        """Find the openings on a neutral head, vertices (V, 3) and 68 landmarks; None for a head without eyeballs."""
        eyes = (parts == _EYES).nonzero()[:, 0]
        if not len(eyes):
            return None
        links = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
        links = torch.cat((links, links.flip(1)))
        deep = parts[links[:, 1]] == _MOUTH
        rim, edge = (links[deep & (parts[links[:, 0]] == part), 0].unique() for part in (_LIDS, _LIPS))
        sides = [(verts[eyes, 0] > 0) == left for left in (False, True)]
        balls = [eyes[side] for side in sides]
        # Eye sockets are of the mouth's part, too, but above the tip of the nose.
        low = verts[:, 1] < verts[landmarks[30], 1]
        socket = ((parts == _MOUTH) & ~low).nonzero()[:, 0]
        sockets = [socket[(verts[socket, 0] > 0) == left] for left in (False, True)]
        if any(len(right) != len(left) for right, left in (balls, sockets)) or not len(rim):
            return None
        halves = [_halves(verts, rim[(verts[rim, 0] > 0) == left], 1.0 if left else -1.0) for left in (False, True)]
        longest = max(len(row) for half in halves for row in half)
        upper, lower = (
            torch.stack([torch.cat((half[k], half[k][-1:].expand(longest - len(half[k])))) for half in halves])
            for k in (0, 1)
        )
        centring = torch.stack([sphere_weights(verts[ball]) for ball in balls])
        radius = (verts[balls[0]] - centring[0] @ verts[balls[0]]).norm(dim=1).mean()
        nose = (parts == _SKIN) & ((verts - verts[landmarks[33]]).norm(dim=1) < _NOSE * radius)
        behind = (parts == _TEETH) | ((parts == _MOUTH) & low)
        return cls(
            torch.stack(balls),
            centring,
            torch.stack(sockets),
            upper,
            lower,
            behind.nonzero()[:, 0],
            (parts == _TEETH).nonzero()[:, 0],
            edge,
            landmarks[torch.tensor(_INNER, device=landmarks.device)],
            nose.nonzero()[:, 0],
        )

    def to(self, device: str | torch.device) -> Openings:
        """Return a copy on another device."""
        moved: dict[str, Any] = {field.name: getattr(self, field.name).to(device) for field in fields(self)}
        return Openings(**moved)

    @torch.no_grad()
    def occlusion(self, verts: torch.Tensor, ao: torch.Tensor) -> torch.Tensor:
        """Return the occlusion (B, V) in [0, 1] of heads with vertices (B, V, 3), in any unit and orientation.

        ``ao`` (V,) is the precomputed occlusion: kept on skin but in nostrils and, in the corners of eyes, on the
        rims of lids; replaced on eyes and in their sockets, scaled on teeth and mouth.
        """
        points = [verts[:, ball] for ball in self.balls]
        centres = [
            torch.einsum("n,bnk->bk", w, p)[:, None] for w, p in zip(self.centring.to(verts), points, strict=True)
        ]
        radius = (points[0] - centres[0]).norm(dim=-1).mean(dim=1)[:, None]
        shade = ao.to(verts).expand(len(verts), -1).clone()
        shade[:, self.nose] += _THROUGH * (1 - shade[:, self.nose] / _OUTSIDE).clamp_min(0)
        rims = torch.cat((self.upper, self.lower), 1)
        out = torch.stack([verts[:, row] - c for row, c in zip(rims, centres, strict=True)]).mean(dim=(0, 2))
        across = F.normalize(centres[1] - centres[0], dim=-1)[:, 0]
        up = F.normalize(torch.linalg.cross(out, across), dim=-1)
        # Along the face's height alone: lips of a jaw that is pushed forward or aside may lie on each other.
        upper, lower = (verts[:, lip].mean(dim=1) for lip in self.lips)
        gap = ((upper - lower) * up).sum(dim=-1, keepdim=True).clamp_min(0) / radius
        light = _CLOSED + (1 - _CLOSED) * step(gap, _GAP, _GAP + _WIDE)
        shade[:, self.inside] *= light
        shade[:, self.edge] *= _EDGE + (1 - _EDGE) * light
        front = verts[:, self.lips].mean(dim=(1, 2))
        depth = ((front[:, None] - verts[:, self.teeth]) @ F.normalize(out, dim=-1)[:, :, None])[..., 0] / radius
        deep = (depth - _BEHIND).clamp_min(0) / gap.clamp_min(_SMALLEST)
        shade[:, self.teeth] /= 1 + deep.square()
        for side, (ball, row, outward) in enumerate(zip(self.balls, rims, (-across, across), strict=True)):
            away, rim, socket = (
                (v - centres[side]) / radius[..., None]
                for v in (points[side], verts[:, row], verts[:, self.sockets[side]])
            )
            upper, lower = rim.chunk(2, dim=1)
            shade[:, ball] = self._eye(away, upper, lower, outward[:, :, None], up[:, :, None])
            shade[:, row] += (_LINING - shade[:, row]).clamp_min(0) * step(rim.norm(dim=2) - 1, *_ABOVE)
            shade[:, self.sockets[side]] = _LINING * (1 - step(torch.cdist(socket, rim).amin(dim=2), *_INTO))
        return shade

    @staticmethod
    def _eye(
        away: torch.Tensor, upper: torch.Tensor, lower: torch.Tensor, outward: torch.Tensor, up: torch.Tensor
    ) -> torch.Tensor:
        """Return the light (B, n) at points ``away`` (B, n, 3) from an eyeball's centre between rims (B, k, 3), in
        radii.
        """
        x, y = ((away @ axis)[..., 0] for axis in (outward, up))
        light = torch.full_like(x, _OPEN)
        rims = [[(rim @ axis)[..., 0] for axis in (outward, up)] for rim in (upper, lower)]
        for (rim_x, rim_y), (reach, least), sign in zip(rims, (_UPPER, _LOWER), (1.0, -1.0), strict=True):
            under = sign * (_along(rim_x, rim_y, x) - y)
            light = light * (least + (1 - least) * step(under, 0.0, reach))
        inner, outer = rims[0][0][:, :1], rims[0][0][:, -1:]
        place = ((x - inner) / (outer - inner)).clamp(0, 1)
        near = torch.minimum(place, 1 - place)
        return light * (_CORNER[1] + (1 - _CORNER[1]) * step(near, 0.0, _CORNER[0]))


def sphere_weights(points: torch.Tensor) -> torch.Tensor:
    """Return weights (n,) float32 whose combination of points (n, 3) is the centre of their best-fit sphere; they stay
    valid under translation, rotation and scaling.
    """
    points = points.double()
    ones = torch.ones_like(points[:, :1])
    fit = torch.linalg.lstsq(torch.cat((2 * points, ones), 1), points.square().sum(1, keepdim=True)).solution
    wanted = torch.cat((fit[:3, 0], ones[0]))
    return (torch.linalg.pinv(torch.cat((points, ones), 1).T) @ wanted).float()


def _halves(verts: torch.Tensor, rim: torch.Tensor, sign: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Split one eye's rim into upper and lower lid, both from the inner corner to the outer, corners included."""
    x = sign * verts[rim, 0]
    inner, outer = rim[x.argmin()], rim[x.argmax()]
    share = (x - x.min()) / (x.max() - x.min())
    line = verts[inner, 1] + share * (verts[outer, 1] - verts[inner, 1])
    corner = (rim == inner) | (rim == outer)
    above = verts[rim, 1] > line
    rows = []
    for half in (above | corner, ~above | corner):
        rows.append(rim[half][x[half].argsort()])
    return rows[0], rows[1]


def _along(rim_x: torch.Tensor, rim_y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Return the height (B, n) of rims, polylines (B, k), at x (B, n); constant beyond their ends."""
    rim_x, order = rim_x.sort(dim=1)
    rim_y = rim_y.gather(1, order)
    x = torch.minimum(torch.maximum(x, rim_x[:, :1]), rim_x[:, -1:])
    right = torch.searchsorted(rim_x.contiguous(), x.contiguous()).clamp(1, rim_x.shape[1] - 1)
    (x0, x1), (y0, y1) = ((row.gather(1, right - 1), row.gather(1, right)) for row in (rim_x, rim_y))
    return torch.lerp(y0, y1, ((x - x0) / (x1 - x0).clamp_min(1e-6)).clamp(0, 1))
