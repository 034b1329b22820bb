"""Parts other than skin: our own eyeballs, crowns cut from the pack's teeth, visible gums and tongue.

Each is a :class:`Patch`: its mean shape, and a sparse operator that maps any displacement field of the pack's vertices
to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from facekit.errors import optional_import
from facekit.geometry.angles import GOLDEN_ANGLE
from facekit.train.head.topology import adjacency, compact, components, face_normals, grow
from facekit.train.pack import EYEBALLS, GUMS, TEETH, HeadPack

# Angles of the eyeball's rings from the optical axis, degrees: two at the pupil, two at the limbus, so that iris and
# sclera meet on a mesh edge. The last is behind the lids at every gaze.
EYE_RINGS = (3.5, 7.0, 11.0, 15.0, 18.5, 21.5, 23.5, 26.0, 30.0, 36.0, 44.0, 53.0, 64.0, 78.0, 92.0)
EYE_SEGMENTS = 28
PUPIL_DEG, IRIS_DEG, LIMBUS_DEG = 7.0, 21.5, 23.5
# Radius relative to the eye's sphere at these angles: the cornea bulges half as high as in the pack's sclera, as lids
# that close along straight lines would be pierced otherwise.
BULGE_DEG = (0.0, 8.0, 16.0, 24.0, 32.0, 45.0, 60.0, 92.0)
BULGE_MM = (0.95, 0.85, 0.62, 0.34, 0.17, 0.06, 0.0, -0.05)
# The optical axis points outward by the eye's natural angle between optical and visual axis; without it, faces that
# look at the viewer seem to squint.
OUTWARD_DEG = 4.0
# The UV disk is equidistant up to DISK_DEG; the hidden rest is compressed into its border ring.
DISK_DEG, DISK_SHARE = 62.0, 0.94
GAZE_DEG = {"Up": 20.0, "Down": 25.0, "In": 25.0, "Out": 25.0}
PUPIL_DILATE_DEG = 3.5
# Teeth and gums are set back this far: with some identities of the pack they pierce the lips.
SETBACK_MM = 1.8
# Tooth shifts along y in mm, by the tooth's distance from the middle.
UPPER_SHIFT = ((4.0, 11.0, 16.0, 19.0, 22.0), (-1.3, -1.2, -0.1, -0.4, 0.0))
LOWER_SHIFT = ((4.0, 9.0, 14.0, 18.0, 21.0), (0.4, 0.4, -0.3, 0.0, 0.0))


@dataclass
class Patch:
    """Piece of the template. verts ``(V, 3)`` mm, faces and faces_uvs ``(F, 3)``, uvs ``(T, 2)`` in the atlas, parts
    ``(V,)``, carry: ``(V, N)`` from the pack's vertices.
    """

    verts: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray
    faces_uvs: np.ndarray
    parts: np.ndarray
    carry: sp.csr_matrix


def triangles_of(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return corner numbers ``(F, 3)`` and owning quads ``(F,)`` of a quad list in which triangles repeat a corner."""
    corners = np.concatenate([np.tile([0, 1, 2], (len(quads), 1)), np.tile([0, 2, 3], (len(quads), 1))])
    owner = np.concatenate([np.arange(len(quads))] * 2)
    tri = quads[owner[:, None], corners]
    good = (tri[:, 0] != tri[:, 1]) & (tri[:, 1] != tri[:, 2]) & (tri[:, 2] != tri[:, 0])
    return corners[good], owner[good]


def disk_uv(angle_deg: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Return the point ``(n, 2)`` of the unit square for a direction: the eye's equidistant disk, x to the right."""
    inner = angle_deg / DISK_DEG * DISK_SHARE
    outer = DISK_SHARE + (1 - DISK_SHARE) * (angle_deg - DISK_DEG) / (EYE_RINGS[-1] - DISK_DEG)
    radius = 0.5 * np.where(angle_deg <= DISK_DEG, inner, outer)
    return np.stack([0.5 + radius * np.cos(azimuth), 0.5 + radius * np.sin(azimuth)], axis=-1)


def _eye_directions() -> tuple[np.ndarray, np.ndarray]:
    """Return the angle from the axis (degrees) and azimuth (radians) of each eyeball vertex, pole first."""
    turn = 2 * np.pi * np.arange(EYE_SEGMENTS) / EYE_SEGMENTS
    angle = np.concatenate([[0.0], np.repeat(EYE_RINGS, EYE_SEGMENTS)])
    return angle, np.concatenate([[0.0], np.tile(turn, len(EYE_RINGS))])


def _eye_point(angle_deg: np.ndarray, azimuth: np.ndarray, radius: float, side: str) -> np.ndarray:
    """Return offsets ``(n, 3)`` in mm from the eye's centre, with the optical axis along +Z except for OUTWARD_DEG."""
    length = radius + np.interp(angle_deg, BULGE_DEG, BULGE_MM)
    theta = np.radians(angle_deg)
    direction = np.stack([np.sin(theta) * np.cos(azimuth), np.sin(theta) * np.sin(azimuth), np.cos(theta)], axis=-1)
    turn = np.radians(OUTWARD_DEG if side == "L" else -OUTWARD_DEG)
    c, s = np.cos(turn), np.sin(turn)
    return direction * length[:, None] @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def eye_faces() -> np.ndarray:
    """Return triangles ``(F, 3)`` of one eyeball patch, facing outward."""
    k = np.arange(EYE_SEGMENTS)
    nxt = (k + 1) % EYE_SEGMENTS
    faces = [np.stack([np.zeros_like(k), 1 + k, 1 + nxt], axis=-1)]
    for ring in range(len(EYE_RINGS) - 1):
        a, b = 1 + ring * EYE_SEGMENTS, 1 + (ring + 1) * EYE_SEGMENTS
        faces += [np.stack([a + k, b + k, b + nxt], axis=-1), np.stack([a + k, b + nxt, a + nxt], axis=-1)]
    return np.concatenate(faces)


def eye_sphere(head: HeadPack, side: str) -> tuple[np.ndarray, float, np.ndarray]:
    """Return centre (3,), radius and vertex numbers of the pack's sclera; ``side`` "L" is the subject's left, +X."""
    eyes = head.layout.span(EYEBALLS)
    label = components(head.quads[head.part_of_quad == EYEBALLS], eyes.stop)[eyes]
    shells = []
    for name in np.unique(label):
        index = eyes.start + np.flatnonzero(label == name)
        points = head.verts[index]
        on_side = points[:, 0].mean() > 0 if side == "L" else points[:, 0].mean() < 0
        if on_side:
            shells.append(index)
    # The sclera is the outer of the two shells, which extends further forward.
    best = max(shells, key=lambda index: head.verts[index, 2].max())
    points = head.verts[best]
    rear = points[points[:, 2] < points[:, 2].max() - 9.0]
    system = np.c_[2 * rear, np.ones(len(rear))]
    solution = np.linalg.lstsq(system, (rear**2).sum(1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(solution[3] + centre @ centre)), best


def build_eye(head: HeadPack, side: str, part: int) -> Patch:
    """Return one eyeball patch; displacements are the least-squares affine map of the pack's sclera."""
    centre, radius, sclera = eye_sphere(head, side)
    angle, azimuth = _eye_directions()
    verts = centre + _eye_point(angle, azimuth, radius, side)
    fit = np.linalg.pinv(np.c_[head.verts[sclera], np.ones(len(sclera))])
    rows = np.c_[verts, np.ones(len(verts))] @ fit
    carry = sp.csr_matrix(
        (rows.ravel(), (np.repeat(np.arange(len(verts)), len(sclera)), np.tile(sclera, len(verts)))),
        shape=(len(verts), len(head.verts)),
    )
    faces = eye_faces()
    parts = np.full(len(verts), part, np.uint8)
    return Patch(verts, faces, disk_uv(angle, azimuth), faces, parts, carry)


def eye_expression(name: str, side: str, verts: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray | None:
    """Return the displacement ``(V, 3)`` in mm of one eyeball for the shapes that turn it or widen its pupil; None for
    others.

    In the pack only the lids move with the gaze; here the eyeball rotates with them.
    """
    if not name.endswith("_" + side):
        return None
    angle, azimuth = _eye_directions()
    if name.startswith("PupilDilate"):
        shift = PUPIL_DILATE_DEG * np.interp(angle, [0.0, PUPIL_DEG, IRIS_DEG], [0.0, 1.0, 0.0])
        return _eye_point(angle + shift, azimuth, radius, side) - _eye_point(angle, azimuth, radius, side)
    if not name.startswith("eyeLook"):
        return None
    where = name[len("eyeLook") : -2]
    turn = np.radians(GAZE_DEG[where])
    c, s = np.cos(turn), np.sin(turn)
    if where in ("Up", "Down"):
        s = s if where == "Up" else -s
        rotation = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    else:
        s = s if (where == "Out") == (side == "L") else -s
        rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return (verts - centre) @ (rotation - np.eye(3)).T


def visible_faces(poses: list[np.ndarray], faces: np.ndarray, ask: np.ndarray, rays: int = 48) -> np.ndarray:
    """Return the mask over ``ask`` (numbers into ``faces``) of faces visible from the front in any pose.

    Rays are cast from each face's centre over a cone of 72° about +Z; a face with one unoccluded ray is visible.
    """
    trimesh = optional_import("trimesh", "train", "casting rays")
    z = 1 - (np.arange(rays) + 0.5) / rays * (1 - np.cos(np.radians(72.0)))
    ring = np.sqrt(1 - z**2)
    directions = np.stack(
        [ring * np.cos(GOLDEN_ANGLE * np.arange(rays)), ring * np.sin(GOLDEN_ANGLE * np.arange(rays)), z], -1
    )
    seen = np.zeros(len(ask), bool)
    for verts in poses:
        mesh = trimesh.Trimesh(verts, faces, process=False)
        normal = face_normals(verts, faces[ask])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        start = verts[faces[ask]].mean(1) + 0.02 * normal
        for direction in directions:
            todo = np.flatnonzero(~seen & (normal @ direction > 0.02))
            if len(todo):
                blocked = mesh.ray.intersects_any(start[todo], np.tile(direction, (len(todo), 1)))
                seen[todo] = ~blocked
    return seen


def build_gums(head: HeadPack, seen_verts: np.ndarray, uv_table: np.ndarray, part: int) -> Patch:
    """Return the visible part of gums and tongue plus one ring; ``seen_verts`` ``(N,)`` bool, ``uv_table`` ``(T, 2)``
    in the atlas.
    """
    quads, quads_uv = head.quads[head.part_of_quad == GUMS], head.quads_uv[head.part_of_quad == GUMS]
    keep_verts = grow(seen_verts, adjacency(quads, len(head.verts)), 1)
    keep = keep_verts[quads].all(1)
    corner, owner = triangles_of(quads[keep])
    used, faces = compact(quads[keep][owner[:, None], corner])
    used_uv, faces_uvs = compact(quads_uv[keep][owner[:, None], corner])
    carry = sp.csr_matrix(sp.identity(len(head.verts)))[used]
    verts = head.verts[used] - [0.0, 0.0, SETBACK_MM]
    return Patch(verts, faces, uv_table[used_uv], faces_uvs, np.full(len(used), part, np.uint8), carry)


def _closest_carry(
    points: np.ndarray, verts: np.ndarray, faces: np.ndarray, index: np.ndarray, n: int
) -> sp.csr_matrix:
    """Return rows of barycentric weights at the closest points of a mesh whose vertices are ``index`` of the pack's
    n.
    """
    trimesh = optional_import("trimesh", "train", "closest points")
    mesh = trimesh.Trimesh(verts, faces, process=False)
    nearest, _, face = trimesh.proximity.closest_point_naive(mesh, points)
    weight = trimesh.triangles.points_to_barycentric(verts[faces[face]], nearest)
    weight = np.nan_to_num(np.clip(weight, 0, 1))
    weight /= weight.sum(1, keepdims=True)
    return sp.csr_matrix(
        (weight.ravel(), (np.repeat(np.arange(len(points)), 3), index[faces[face]].ravel())),
        shape=(len(points), n),
    )


def build_teeth(head: HeadPack, seen_verts: np.ndarray, part: int, target: int) -> list[Patch]:
    """Return the crowns, one patch per tooth, simplified to about ``target`` vertices in all; UVs in the tooth's unit
    square.

    The square is an equidistant projection of the crown: biting edge in the middle, gum line on the rim.
    """
    simplifier = optional_import("fast_simplification", "train", "simplifying teeth")
    n = len(head.verts)
    quads = head.quads[head.part_of_quad == TEETH]
    keep = seen_verts[quads].any(1)
    corner, owner = triangles_of(quads[keep])
    tri = quads[keep][owner[:, None], corner]
    label = components(quads, n)
    ratio = target / len(np.unique(tri))
    patches = []
    for name in np.unique(label[tri[:, 0]]):
        whole = np.flatnonzero(label == name)
        used, faces = compact(tri[label[tri[:, 0]] == name])
        if len(faces) < 12:
            continue
        verts = head.verts[used]
        points, simple = (
            simplifier.simplify(
                verts.astype(np.float32),
                faces.astype(np.int32),
                target_reduction=float(np.clip(1 - ratio, 0.0, 0.9)),
            )[:2]
            if ratio < 1
            else (verts, faces)
        )
        keep_points, simple = compact(simple)
        points = np.asarray(points, float)[keep_points]
        rest = points + [0.0, _row_shift(head.verts[whole]), -SETBACK_MM]
        carry = _closest_carry(points, verts, faces, used, n)
        patches.append(
            Patch(
                rest,
                simple,
                _tooth_uv(points, head.verts[whole]),
                simple,
                np.full(len(points), part, np.uint8),
                carry,
            )
        )
    return patches


def _row_shift(tooth: np.ndarray) -> float:
    """Return the upward shift of one tooth in mm. In the pack, the upper incisors hide behind the lip while the canines
    show beside it like fangs: incisors are moved down a little, canines up.
    """
    x, y = np.abs(tooth[:, 0].mean()), tooth[:, 1].mean()
    return float(np.interp(x, *UPPER_SHIFT)) if y > -31.0 else float(np.interp(x, *LOWER_SHIFT))


def _tooth_uv(points: np.ndarray, tooth: np.ndarray) -> np.ndarray:
    """Project a crown ``(V, 3)`` to the unit square, seen from its biting edge, by the angle from the tooth's axis."""
    lower = tooth[:, 1].mean() < -31.0
    out = 1.0 if lower else -1.0
    low, high = points[:, 1].min(), points[:, 1].max()
    centre = np.array([points[:, 0].mean(), low - 1.0 if lower else high + 1.0, points[:, 2].mean()])
    ray = points - centre
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    angle = np.arccos(np.clip(ray[:, 1] * out, -1, 1))
    # Upper crowns are seen from below: mirrored, so that the chart keeps the faces' orientation.
    turn = np.arctan2(-out * ray[:, 2], ray[:, 0])
    radius = 0.47 * angle / max(angle.max(), 1e-6)
    return np.stack([0.5 + radius * np.cos(turn), 0.5 + radius * np.sin(turn)], axis=-1)
