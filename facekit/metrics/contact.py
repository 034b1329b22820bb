"""Contact: triangles that turn over, lids inside of eyeballs, lips inside of each other, counted in millimetres.

What the rig is judged by. Distances are measured from vertices to the other surface's triangles: eyeballs as they are
rather than by their profile, and lips whole, without what :mod:`facekit.models` leaves out where it keeps them apart.
"""

from __future__ import annotations

import torch

from facekit.conventions import BLENDSHAPES, PARTS, muscle_of
from facekit.geometry.closest import closest_of
from facekit.geometry.connected import largest_two, on_border
from facekit.geometry.normals import cross, dot, vertex_normals
from facekit.template import Template

#: Skin this near to an eyeball at rest, mm, may come to lie over it.
_LID_REACH = 14.0
#: A vertex this deep inside the other lip, mm, is on the other side of the mouth rather than through it.
_LIP_DEPTH = 5.0
#: Lips join at the mouth's corners: nearer than this to one, mm, neither can pierce the other.
_CORNER = 4.0
#: Beyond the rim of a lip's surface, vertices can appear to lie under it. Vertices deeper than the first value, mm,
#: only count if there is flesh between them and the surface, also at the second distance outside of their own surface.
_DOUBTED, _BEFORE = 0.2, 0.1
#: Triangles that are looked at for the one closest to a point.
_NEAREST = 12
#: Points of which winding numbers are found at once.
_AT_ONCE = 8
#: Antagonists, without their sides.
_OPPOSED = {
    "mouthSmile": ("mouthFrown", "mouthPucker", "mouthFunnel"),
    "mouthPucker": ("mouthStretch", "mouthDimple", "mouthFunnel"),
    "mouthFunnel": ("mouthPress", "mouthRollLower", "mouthRollUpper", "mouthStretch", "mouthClose"),
    "mouthLowerDown": ("mouthRollLower", "mouthShrugLower", "mouthPress", "mouthClose"),
    "mouthUpperUp": ("mouthRollUpper", "mouthPress", "mouthShrugUpper", "mouthClose"),
    "browDown": ("browOuterUp",),
    "tongueOut": ("mouthClose", "mouthRollLower", "mouthRollUpper", "mouthPress", "mouthShrugLower"),
}


def flipped_triangles(faces: torch.Tensor, rest: torch.Tensor, posed: torch.Tensor) -> torch.Tensor:
    """Triangles that turned by over 90 degrees, (B, F) bool.

    Parameters
    ----------
    faces:
        (F, 3) int64.
    rest, posed:
        (B, V, 3) float32 mm; ``rest`` the neutral faces.
    """
    a, b = (torch.linalg.cross(v[:, c] - v[:, p], v[:, d] - v[:, p]) for v in (rest, posed) for p, c, d in [faces.T])
    return (a * b).sum(dim=-1) <= 0


def opposed(a: str, b: str) -> bool:
    """Return True for blendshapes that exclude each other because they move one muscle in opposite directions."""
    same_eye = a.startswith("eye") and b.startswith("eye") and a.endswith("Left") == b.endswith("Left")
    ways = {name.removeprefix("eye").removesuffix("Left").removesuffix("Right") for name in (a, b)}
    if same_eye and ways in ({"LookIn", "LookOut"}, {"LookUp", "LookDown"}, {"Blink", "Wide"}, {"Squint", "Wide"}):
        return True
    middle = {name.removesuffix("Left").removesuffix("Right") for name in (a, b)}
    if len(middle) == 1 and a.startswith(("jaw", "mouthLeft", "mouthRight")):
        return True
    return any(middle == {one, other} for one, others in _OPPOSED.items() for other in others)


def face_like(count: int, seed: int = 0) -> torch.Tensor:
    """Weights (count, 52) of random combinations of blendshapes that a face could make.

    Four to nine muscles each, both sides alike but for up to a fifth, none against its antagonist, gaze the same for
    both eyes.
    """
    generator = torch.Generator().manual_seed(seed)
    muscles = sorted({muscle_of(name) for name in BLENDSHAPES if muscle_of(name) != name})
    muscles += [name for name in BLENDSHAPES if muscle_of(name) == name]
    rows = torch.zeros(count, len(BLENDSHAPES))
    for row in rows:
        wanted = int(torch.randint(4, 10, (), generator=generator))
        chosen: list[str] = []
        for k in torch.randperm(len(muscles), generator=generator).tolist():
            names = _names(muscles[k])
            if len(chosen) < wanted and not any(opposed(a, b) for a in chosen for b in names):
                chosen += names[:1]
                weight = float(torch.rand((), generator=generator))
                for name in names:
                    uneven = 1 - 0.2 * float(torch.rand((), generator=generator))
                    row[BLENDSHAPES.index(name)] = weight * (1 if name.startswith("eyeLook") else uneven)
    return rows


def _names(muscle: str) -> list[str]:
    """The blendshapes of a muscle; eyes look together."""
    if muscle in ("eyeLookIn", "eyeLookOut"):
        toward_left = ["eyeLookOutLeft", "eyeLookInRight"]
        return toward_left if muscle == "eyeLookOut" else ["eyeLookInLeft", "eyeLookOutRight"]
    return [muscle] if muscle in BLENDSHAPES else [f"{muscle}Left", f"{muscle}Right"]


class Contact:
    """Measures one topology with eyes and lips."""

    def __init__(self, template: Template) -> None:
        self.template = template
        verts, faces, parts = template.verts, template.faces, template.parts
        part = {name: parts == k for k, name in enumerate(PARTS)}
        middle = verts[part["eyes"]].mean(dim=0)[0]
        self.eyes = []
        for side in (-1, 1):
            ball = part["eyes"] & ((verts[:, 0] - middle) * side > 0)
            near = torch.cdist(verts, verts[ball]).amin(dim=1) < _LID_REACH
            skin = (part["lids"] | part["skin"]) & near
            self.eyes.append((skin.nonzero()[:, 0], _Surface(_inside(faces, ball))))
        corners = verts[template.landmarks[[48, 54, 60, 64]]]
        lips = part["lips"] & (torch.cdist(verts, corners).amin(dim=1) > _CORNER)
        label = largest_two(faces, lips)
        self.mouth = []
        for mine, other in ((0, 1), (1, 0)):
            points = (label == mine).nonzero()[:, 0]
            self.mouth.append((points, _Surface(_inside(faces, label == other))))
        self.flesh = _inside(faces, ~part["eyes"] & ~part["teeth"])

    def lids(self, verts: torch.Tensor) -> torch.Tensor:
        """Depth of the deepest lid vertex inside an eyeball, of vertices (B, V, 3): (B,) mm, 0 where none is."""
        return torch.stack([max(_depth(v, skin, ball)[0].max() for skin, ball in self.eyes) for v in verts])

    def lips(self, verts: torch.Tensor) -> torch.Tensor:
        """Depth of the deepest vertex of one lip inside the other, of vertices (B, V, 3): (B,) mm."""
        return torch.stack([max(self._inside_other(v, *lip).max() for lip in self.mouth) for v in verts])

    def _inside_other(self, verts: torch.Tensor, points: torch.Tensor, other: _Surface) -> torch.Tensor:
        """Return the depth (P,) in mm of one lip's vertices inside the other, 0 for vertices outside of its flesh."""
        depth, place = _depth(verts, points, other)
        deep = ((depth > _DOUBTED) & (depth < _LIP_DEPTH)).nonzero()[:, 0]
        found = torch.where(depth > _DOUBTED, 0.0, depth)
        if len(deep):
            own = verts[points[deep]]
            before = own + _BEFORE * vertex_normals(verts[None], self.flesh)[0, points[deep]]
            flesh = verts[self.flesh]
            pierced = torch.minimum(winding((own + place[deep]) / 2, flesh), winding(before, flesh)) > 0.5
            found[deep] = torch.where(pierced, depth[deep], 0.0)
        return found


def _inside(faces: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return faces[mask[faces].all(dim=1)]


class _Surface:
    """A part of a mesh: its vertices ``used``, triangles ``tris`` (F, 3) among these, and which of them bound it."""

    def __init__(self, tris: torch.Tensor) -> None:
        self.used, self.tris = tris.unique(return_inverse=True)
        self.border = on_border(self.tris, len(self.used))


def _depth(verts: torch.Tensor, points: torch.Tensor, surface: _Surface) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the depth (P,) in mm of points under a surface, 0 outside, and the closest points (P, 3).

    The sign is that of the interpolated vertex normal at the closest place; places on the surface's border tell
    nothing.
    """
    depth, places = verts.new_zeros(len(points)), verts[points].clone()
    own, tris = verts[surface.used], surface.tris
    near = (torch.cdist(places, own).amin(dim=1) < _LIP_DEPTH).nonzero()[:, 0]
    if not len(near):
        return depth, places
    normals = vertex_normals(own[None], tris)[0]
    p = places[near]
    place, weights, face = closest(p, own[tris])
    normal = torch.nn.functional.normalize((normals[tris[face]] * weights[..., None]).sum(dim=1), dim=1)
    counts = weights > 1e-4
    on_border = (counts & surface.border[tris[face]]).sum(dim=1) == counts.sum(dim=1)
    under = -((p - place) * normal).sum(dim=1)
    depth[near], places[near] = torch.where(on_border, 0.0, under.clamp_min(0)), place
    return depth, places


def closest(points: torch.Tensor, corners: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Closest places (P, 3) on triangles (F, 3, 3) to points (P, 3), their barycentric weights (P, 3) and faces (P,).

    Among the triangles whose centres are nearest: of surfaces whose triangles are of one size, the closest is there.
    """
    near = torch.cdist(points, corners.mean(dim=1)).topk(min(_NEAREST, len(corners)), largest=False).indices
    places, weights, best = closest_of(points, corners[near])
    return places, weights, near[torch.arange(len(points)), best]


def winding(points: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Return the winding number (P,) of triangles (F, 3, 3) about points (P, 3): 1 inside a closed surface, 0 outside.

    Also told of surfaces with holes (Jacobson and others, "Robust inside-outside segmentation using generalized winding
    numbers", 2013), by solid angles (Van Oosterom and Strackee, 1983).
    """
    found = [points.new_zeros(0)]
    for some in points.split(_AT_ONCE):
        # By coordinates: sums over an axis of three take many times as long.
        a, b, c = ([corners[None, :, k, axis] - some[:, axis, None] for axis in range(3)] for k in range(3))
        x, y, z = (dot(side, side).sqrt_() for side in (a, b, c))
        over = dot(a, cross(b, c))
        under = x * y * z + dot(a, b) * z + dot(b, c) * x + dot(c, a) * y
        found.append(torch.atan2(over, under).sum(dim=1) / (2 * torch.pi))
    return torch.cat(found)
