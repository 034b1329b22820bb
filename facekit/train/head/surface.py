"""The template's skin: refined where curved, cut back in the sockets, laid out in the atlas, labelled."""

from __future__ import annotations

import numpy as np
from matplotlib.path import Path as Path2D
from scipy.interpolate import PchipInterpolator
from scipy.spatial import KDTree

from facekit.train.head import parts as head_parts
from facekit.train.head.parts import Patch
from facekit.train.head.topology import (
    CatmullClark,
    adjacency,
    catmull_clark,
    close_selection,
    compact,
    components,
    grow,
    refine,
)
from facekit.train.pack import BACK as PACK_BACK
from facekit.train.pack import EYE_SOCKET, FACE, MOUTH_SOCKET, HeadPack

PART_NAMES = ("skin", "lips", "lids", "eyes", "teeth", "mouth", "back_of_head", "neck")
SKIN, LIPS, LIDS, EYES, TEETH, MOUTH, BACK, NECK = range(8)

# The atlas, u0, v0, u1, v1 (origin bottom-left). Other modules depend on it.
TILE_RECT = (0.0, 0.25, 0.75, 1.0)
ATLAS = {
    "back": (0.755, 0.755, 0.995, 0.995),
    "mouth_socket": (0.755, 0.505, 0.995, 0.745),
    "eye_socket": (0.755, 0.255, 0.995, 0.495),
    "gums": (0.005, 0.005, 0.245, 0.245),
    "teeth": (0.255, 0.005, 0.495, 0.245),
    "eyes": (0.505, 0.005, 0.745, 0.245),
}
EYE_SOCKET_RINGS = 3
MOUTH_SOCKET_RINGS = 4
# Poses in which teeth, gums and tongue are most visible: what none of them shows is removed.
OPEN_POSES = (
    {
        "jawOpen": 1.3,
        "mouthUpperUp_L": 0.8,
        "mouthUpperUp_R": 0.8,
        "mouthLowerDown_L": 0.6,
        "mouthLowerDown_R": 0.6,
    },
    {
        "mouthStretch_L": 1.2,
        "mouthStretch_R": 1.2,
        "mouthUpperUp_L": 1.3,
        "mouthUpperUp_R": 1.3,
        "mouthLowerDown_L": 1.3,
        "mouthLowerDown_R": 1.3,
        "mouthSmile_L": 0.6,
        "mouthSmile_R": 0.6,
        "jawOpen": 0.3,
    },
    {"mouthFunnel": 1.3, "jawOpen": 0.6, "mouthSmile_L": 0.3, "mouthSmile_R": 0.3},
)
REFINE_POSES: tuple[dict[str, float], ...] = (
    {},
    {"mouthSmile_L": 1, "mouthSmile_R": 1},
    {"jawOpen": 1},
    {"mouthFunnel": 1},
    {"mouthPucker": 1},
    {"eyeBlink_L": 1, "eyeBlink_R": 1},
    {"noseSneer_L": 1, "noseSneer_R": 1, "browDown_L": 1, "browDown_R": 1},
    {"mouthRollLower": 1, "mouthRollUpper": 1},
)


def posed(head: HeadPack, weights: dict[str, float]) -> np.ndarray:
    """Return the pack's mean head ``(N, 3)`` in mm with a combination of its expression shapes."""
    return head.verts + sum(w * head.expression_shapes[head.expression_names.index(k)] for k, w in weights.items())


def into_rect(uv: np.ndarray, rect: tuple[float, float, float, float]) -> np.ndarray:
    """Map unit-square coordinates ``(n, 2)`` to an atlas rectangle."""
    return np.array(rect[:2]) + uv * (np.array(rect[2:]) - np.array(rect[:2]))


def fitted(uv: np.ndarray, margin: float = 0.01) -> np.ndarray:
    """Scale coordinates uniformly and centre them to fill the unit square."""
    low, high = uv.min(0), uv.max(0)
    return 0.5 + (uv - (low + high) / 2) / (high - low).max() * (1 - 2 * margin)


def atlas_uvs(head: HeadPack, quads_uv: np.ndarray, part_of_quad: np.ndarray) -> np.ndarray:
    """Return all pack UVs ``(T, 2)``, with skin charts moved to their place in the atlas (other rows unchanged)."""
    uvs = head.uvs.copy()
    island = components(quads_uv, len(uvs))
    eye_islands = []
    for name in np.unique(island[quads_uv]):
        index = np.flatnonzero(island == name)
        kind = part_of_quad[np.isin(quads_uv[:, 0], index)].max()
        if kind == FACE:
            uvs[index] = into_rect(head.uvs[index], TILE_RECT)
        elif kind == PACK_BACK:
            uvs[index] = into_rect(head.uvs[index] - [1.0, 0.0], ATLAS["back"])
        elif kind == MOUTH_SOCKET:
            uvs[index] = into_rect(fitted(head.uvs[index]), ATLAS["mouth_socket"])
        else:
            eye_islands.append(index)
    u0, v0, u1, v1 = ATLAS["eye_socket"]
    for slot, index in enumerate(sorted(eye_islands, key=lambda i: head.uvs[i].mean(0)[0])):
        half = (
            u0 + slot * (u1 - u0) / 2,
            v0 + (v1 - v0) / 4,
            u0 + (slot + 1) * (u1 - u0) / 2,
            v1 - (v1 - v0) / 4,
        )
        uvs[index] = into_rect(fitted(head.uvs[index]), half)
    return uvs


def refinement_score(head: HeadPack, quads: np.ndarray, subdivision: CatmullClark) -> np.ndarray:
    """Return the benefit of splitting each skin quad ``(Q,)``: the distance in mm of the smooth surface from the flat
    quad over the poses that bend it most, plus a little for long sides; symmetric between left and right.
    """
    n, n_edges = len(head.verts), len(subdivision.edges)
    score = np.zeros(len(quads))
    for pose in REFINE_POSES:
        rows = subdivision.positions @ posed(head, pose)
        smooth, edge_point, face_point = rows[:n], rows[n : n + n_edges], rows[n + n_edges :]
        bend = np.linalg.norm(edge_point - smooth[subdivision.edges].mean(1), axis=1)[subdivision.edge_of_quad].max(1)
        dome = np.linalg.norm(face_point - smooth[quads].mean(1), axis=1)
        score = np.maximum(score, np.maximum(bend, dome))
    smooth = (subdivision.positions @ head.verts)[:n]
    sides = np.linalg.norm(smooth[quads] - smooth[np.roll(quads, -1, axis=1)], axis=-1).max(1)
    centre = smooth[quads].mean(1)
    normal = np.cross(smooth[quads[:, 2]] - smooth[quads[:, 0]], smooth[quads[:, 3]] - smooth[quads[:, 1]])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    frontal = (normal[:, 2] > -0.1) & (centre[:, 1] > -80) & (np.abs(centre[:, 0]) < 68)
    score = (score + 0.03 * sides) * np.where(frontal, 1.0, 0.15) * (quads.max(1) < head.layout.part_ends[FACE])
    mirror = KDTree(centre).query(centre * [-1, 1, 1])[1]
    return score + score[mirror]


def label_skin(head: HeadPack, quads: np.ndarray, quads_uv: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """Return the part id ``(N,)`` of every skin and socket vertex of the pack."""
    n = len(head.verts)
    links = adjacency(quads, n)

    def within(part: int) -> np.ndarray:
        mask = np.zeros(n, bool)
        mask[head.layout.span(part)] = True
        return mask

    face = within(FACE)
    parts = np.full(n, SKIN, np.uint8)
    uv_of_vertex = np.zeros((n, 2))
    in_tile = quads.max(1) < head.layout.part_ends[FACE]
    uv_of_vertex[quads[in_tile]] = head.uvs[quads_uv[in_tile]]
    back = within(PACK_BACK)
    parts[back] = BACK
    # Neck: below a plane that descends from under the ears to the throat.
    jaw_line = -48.0 - 0.36 * smooth[:, 2].clip(-60, 90)
    neck = smooth[:, 1] < jaw_line
    parts[neck & (face | back)] = NECK
    # Lips: inside a smooth curve through the outer lip landmarks, in UV.
    outline = uvs_of(head.landmarks[48:60], quads[in_tile], quads_uv[in_tile], head.uvs)
    parts[face & inside_lips(uv_of_vertex, outline)] = LIPS
    # Lids: the rim at the eye socket and the rings around it.
    lid_rim = face & (links @ within(EYE_SOCKET).astype(float) > 0)
    parts[grow(lid_rim, links, head.layout.lid_rings) & face] = LIDS
    parts[within(MOUTH_SOCKET) | within(EYE_SOCKET)] = MOUTH
    return parts


def lip_outline(points: np.ndarray) -> np.ndarray:
    """Return a closed smooth curve ``(n, 2)`` through the 12 outer lip landmarks' UVs, with kinks at the mouth
    corners.
    """
    upper = PchipInterpolator(points[:7, 0], points[:7, 1])
    lower = PchipInterpolator(points[[0, 11, 10, 9, 8, 7, 6], 0], points[[0, 11, 10, 9, 8, 7, 6], 1])
    x = np.linspace(points[0, 0], points[6, 0], 80)
    return np.concatenate([np.stack([x, upper(x)], -1), np.stack([x, lower(x)], -1)[::-1]])


def inside_lips(points: np.ndarray, outer_landmarks: np.ndarray) -> np.ndarray:
    """Return the mask of UV points ``(n, 2)`` within the lip outline through the 12 outer landmarks ``(12, 2)``."""
    return Path2D(lip_outline(outer_landmarks)).contains_points(points)


def uvs_of(verts: np.ndarray, faces: np.ndarray, faces_uvs: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Return one UV ``(n, 2)`` of each vertex, that of its first face corner."""
    corner = [np.flatnonzero(faces.ravel() == v)[0] for v in verts]
    return uvs[faces_uvs.ravel()[corner]]


def build_skin(head: HeadPack) -> tuple[Patch, np.ndarray]:
    """Return the skin with its sockets, and the new number ``(N,)`` of each pack vertex it keeps (-1 for others)."""
    n = len(head.verts)
    all_quads = head.part_of_quad <= EYE_SOCKET
    quads, quads_uv, kind = head.quads[all_quads], head.quads_uv[all_quads], head.part_of_quad[all_quads]
    subdivision = catmull_clark(quads, n)
    positions = subdivision.positions @ head.verts
    uvs = atlas_uvs(head, quads_uv, kind)
    parts = label_skin(head, quads, quads_uv, positions[:n])

    score = refinement_score(head, quads, subdivision)
    chosen = np.zeros(len(quads), bool)
    chosen[np.argsort(-score, kind="stable")[: head.layout.refined_quads]] = True
    chosen = close_selection(chosen, subdivision.edge_of_quad)
    mesh = refine(quads, quads_uv, uvs, subdivision, chosen, positions)

    # Sockets: only the visible rings.
    links = adjacency(quads, n)
    reach = np.zeros(n, bool)
    reach[: head.layout.part_ends[PACK_BACK]] = True
    shown = grow(reach, links, EYE_SOCKET_RINGS)
    mouth = head.layout.span(MOUTH_SOCKET)
    shown[mouth] = grow(reach | seen_when_open(head, MOUTH_SOCKET), links, MOUTH_SOCKET_RINGS)[mouth]
    keep = np.all(shown[quads], axis=1)[mesh.quad_of_face]
    used, faces = compact(mesh.faces[keep])
    used_uv, faces_uvs = compact(mesh.faces_uvs[keep])

    # New points take the smallest part id of their corners, so that borders fall on coarse edges.
    part_of_row = np.full(len(positions), 255, np.uint8)
    part_of_row[:n] = parts
    part_of_row[n : n + len(subdivision.edges)] = parts[subdivision.edges].min(1)
    part_of_row[n + len(subdivision.edges) :] = parts[quads].min(1)
    part_of_vert = part_of_row[used]
    uv_of_vert = np.zeros((len(used), 2))
    in_tile = (quads.max(1) < head.layout.part_ends[FACE])[mesh.quad_of_face[keep]]
    uv_of_vert[faces[in_tile]] = mesh.uvs[used_uv][faces_uvs[in_tile]]
    in_lips = inside_lips(uv_of_vert, uvs_of(head.landmarks[48:60], quads, quads_uv, uvs))
    near = np.isin(part_of_vert, (SKIN, LIPS))
    part_of_vert[near] = np.where(in_lips[near], LIPS, part_of_vert[near])
    new_index = np.full(n, -1)
    old = used < n
    new_index[used[old]] = np.flatnonzero(old)
    return Patch(
        positions[used], faces, mesh.uvs[used_uv], faces_uvs, part_of_vert, subdivision.positions[used]
    ), new_index


def seen_when_open(head: HeadPack, kind: int) -> np.ndarray:
    """Return the mask ``(N,)`` bool of vertices of one part that are visible from the front in one of the open
    poses.
    """
    corner, owner = head_parts.triangles_of(head.quads)
    faces = head.quads[owner[:, None], corner]
    ask = np.flatnonzero(head.part_of_quad[owner] == kind)
    seen = head_parts.visible_faces([posed(head, pose) for pose in OPEN_POSES], faces, ask)
    out = np.zeros(len(head.verts), bool)
    out[faces[ask[seen]].ravel()] = True
    return out
