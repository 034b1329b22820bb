"""FaceScape's measure of single-view reconstruction: distances on a cylinder around the head.

Implemented from the protocol as stated by its public tools (Zhu et al., PAMI 2023, section 6;
https://github.com/zhuhao-nju/facescape), not from their code. Meshes are in mm; only the depth is aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facekit.errors import InputError, optional_import
from facekit.metrics.scans import Surface

#: Number of rays around and along the cylinder, half its height, and the step in distance that separates neighbours.
SIZE, HALF_HEIGHT_MM, _TEAR_MM = 256, 150.0, 15.0


@dataclass(frozen=True)
class Cylinder:
    """Cylindrical depth and normal map: hits of rays from a head's axis.

    Parameters
    ----------
    distance:
        (S, S) float64: distance from the axis in mm; 0 without a hit.
    normal:
        (S, S, 3) float64: normals of the triangles.
    """

    distance: np.ndarray
    normal: np.ndarray

    @property
    def hit(self) -> np.ndarray:
        """Mask (S, S) bool of rays with a hit."""
        return self.distance > 0


@dataclass(frozen=True)
class CylinderErrors:
    """Errors of one prediction.

    Parameters
    ----------
    chamfer_mm:
        Mean distance between the surfaces' points where both are defined.
    normal_rad:
        Mean angle between normals encoded as colours, see :func:`normal_error`.
    completeness_percent:
        Percentage of the true cylinder that the prediction covers.
    """

    chamfer_mm: float
    normal_rad: float
    completeness_percent: float


def cylinder_errors(prediction: Surface, truth: Surface, size: int = SIZE) -> CylinderErrors:
    """Compare surfaces of heads at the origin with axis y.

    Raises
    ------
    InputError
        If the surfaces do not overlap.
    """
    made, true = around(prediction, size), around(truth, size)
    both = made.hit & true.hit
    if not both.any():
        raise InputError("a prediction that overlaps the scan", "no overlap", "check its camera space")
    return CylinderErrors(
        chamfer(unrolled(made, both), unrolled(true, both)),
        normal_error(made.normal[both], true.normal[both]),
        100 * float(both.sum() / true.hit.sum()),
    )


def around(surface: Surface, size: int = SIZE) -> Cylinder:
    """Cast rays from the axis; of several hits the outermost counts."""
    height, turn = np.meshgrid(np.linspace(HALF_HEIGHT_MM, -HALF_HEIGHT_MM, size), _turns(size), indexing="ij")
    none = np.zeros_like(turn)
    origins = np.stack([none, height, none], axis=-1).reshape(-1, 3)
    rays = np.stack([-np.sin(turn), none, -np.cos(turn)], axis=-1).reshape(-1, 3)
    distance, triangle = hits(surface, origins, rays, outermost=True)
    found = np.isfinite(distance)
    normal = np.zeros((size * size, 3))
    normal[found] = surface.normals()[triangle[found]]
    return Cylinder(np.where(found, distance, 0.0).reshape(size, size), normal.reshape(size, size, 3))


def unrolled(cylinder: Cylinder, kept: np.ndarray) -> Surface:
    """Return two triangles for each four neighbours in ``kept`` (S, S) bool with similar distances."""
    size = len(kept)
    distance, turn = np.where(kept, cylinder.distance, 0.0), _turns(size)
    height = np.broadcast_to(np.linspace(HALF_HEIGHT_MM, -HALF_HEIGHT_MM, size)[:, None], kept.shape)
    verts = np.stack([-distance * np.sin(turn), height, -distance * np.cos(turn)], axis=-1).reshape(-1, 3)
    corners = [distance[:-1, :-1], distance[1:, :-1], distance[:-1, 1:], distance[1:, 1:]]
    steps = np.max([np.abs(corners[0] - other) for other in corners[1:]], axis=0)
    whole = (corners[0] > 0) & (steps < _TEAR_MM)
    index = np.arange(size * size).reshape(size, size)
    a, b, c, d = index[:-1, :-1][whole], index[:-1, 1:][whole], index[1:, :-1][whole], index[1:, 1:][whole]
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([d, c, b], axis=1)])
    used, renumbered = np.unique(faces, return_inverse=True)
    return Surface(verts[used], renumbered.reshape(-1, 3))


def chamfer(a: Surface, b: Surface) -> float:
    """Return the mean distance of all vertices of both surfaces from the other surface."""
    return float(np.concatenate([b.nearest(a.verts)[1], a.nearest(b.verts)[1]]).mean())


def normal_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean angle in radians between unit normals (N, 3) *as colours*: 1 is added before they are normalised
    again.

    This is the benchmark's definition; angles are about half of those between the normals themselves.
    """
    first, second = ((t + 1) / np.linalg.norm(t + 1, axis=-1, keepdims=True).clip(1e-12) for t in (a, b))
    return float(np.arccos((first * second).sum(axis=-1).clip(-1, 1)).mean())


def depth_shift(
    prediction: Surface, truth: Surface, camera: np.ndarray | float, size: int = SIZE
) -> tuple[float, float]:
    """Return the median depth difference of the truth over pixels of both, and the truth's mean depth there, mm.

    Parameters
    ----------
    camera:
        (3, 3) float: intrinsics K in pixels of ``size``² pictures, for a camera that looks along +z; or a number: half
        the width of the view of an orthographic camera that looks along -z.
    """
    place = np.stack(np.meshgrid(*2 * (np.arange(size) + 0.5,), indexing="xy"), axis=-1).reshape(-1, 2)
    if isinstance(camera, (int, float)):
        reach = float(max(prediction.verts[:, 2].max(), truth.verts[:, 2].max())) + 1
        across = (2 * place / size - 1) * camera * [1, -1]
        origins = np.concatenate([across, np.full((len(place), 1), reach)], axis=1)
        rays = np.broadcast_to([0.0, 0.0, -1.0], origins.shape)
        depths = [hits(surface, origins, rays)[0] for surface in (prediction, truth)]
    else:
        rays = np.concatenate([(place - camera[:2, 2]) / camera[[0, 1], [0, 1]], np.ones((len(place), 1))], axis=1)
        depths = [hits(surface, np.zeros_like(rays), rays)[0] for surface in (prediction, truth)]
    both = np.isfinite(depths[0]) & np.isfinite(depths[1])
    if not both.any():
        raise InputError(
            "a prediction in front of the camera that overlaps the scan", "no overlap", "check its coordinates"
        )
    made, true = (depth[both] for depth in depths)
    return float(np.median(true - made)), float(true.mean())


def hits(
    surface: Surface, origins: np.ndarray, rays: np.ndarray, outermost: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (N,) to the nearest (or outermost) hits, in ray lengths, and triangle indices (N,); rays are (N,
    3).

    Distance inf and triangle -1 without a hit. Uses Embree if it is installed (extra ``train``), else trimesh with
    rtree (extra ``evaluate``), which takes minutes for a scan.
    """
    optional_import("rtree", "evaluate", "rays against surfaces")
    places, ray, triangle = (
        np.asarray(t) for t in surface.mesh.ray.intersects_location(origins, rays, multiple_hits=True)
    )
    distance, found = np.full(len(rays), np.inf), np.full(len(rays), -1)
    if len(ray):
        along = ((places - origins[ray]) * rays[ray]).sum(axis=1) / (rays[ray] ** 2).sum(axis=1)
        order = np.argsort(along if outermost else -along, kind="stable")  # the last one written stays
        distance[ray[order]], found[ray[order]] = along[order], triangle[order]
    return distance, found


def _turns(size: int) -> np.ndarray:
    """Return angles (S,); the last equals the first, as in the benchmark."""
    return np.arange(size) * 2 * np.pi / (size - 1)
