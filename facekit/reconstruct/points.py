"""The face rig evaluated at the 478 landmarks: positions and their derivatives by identity and blendshapes.

The same model as for the mesh (template, identity modes, :class:`facekit.models.blendshapes.Blendshapes`) at a
five-hundredth of the cost. Contact between the lips, and between lids and eyes, is only computed on the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES, GAZE_ACROSS, GAZE_UP
from facekit.geometry.normals import vertex_normals
from facekit.models.blendshapes import BLINKS, Blendshapes
from facekit.models.eyes import gaze_rotation
from facekit.models.modes import IdentityModes
from facekit.reconstruct.algebra import product
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS
from facekit.template import Template

_CLOSE, _OPEN = BLENDSHAPES.index("mouthClose"), BLENDSHAPES.index("jawOpen")
_IRISES = (RIGHT_IRIS, LEFT_IRIS)
#: Indices of the gaze blendshapes (Out, In, Up, Down) of the right and the left eye, and the sign of outward gaze.
_LOOKS = tuple(
    tuple(BLENDSHAPES.index(f"eyeLook{way}{side}") for way in ("Out", "In", "Up", "Down")) for side in ("Right", "Left")
)
_TOWARD = (-1.0, 1.0)
_STEP = 1e-3


@dataclass(frozen=True)
class FacePoints:
    """Linear rig at 478 landmarks; all arrays float64, mm.

    Parameters
    ----------
    base, normals:
        (478, 3): positions on the template, and unit normals.
    modes:
        (478, 3, M): identity modes.
    shapes:
        (478, 3, 52): blendshapes.
    pairs, corrections:
        (P, 2) int64 and (478, 3, P): pairs of blendshapes, and the offsets that the product of their weights adds.
    blinks:
        Right and left, (478, 3, M): change of the blink blendshape with identity.
    centres, centre_modes:
        (2, 3) and (2, 3, M): eyeball centres and their change with identity, right first.
    """

    base: np.ndarray
    normals: np.ndarray
    modes: np.ndarray
    shapes: np.ndarray
    pairs: np.ndarray
    corrections: np.ndarray
    blinks: tuple[np.ndarray, np.ndarray]
    centres: np.ndarray
    centre_modes: np.ndarray

    @classmethod
    def of(
        cls,
        template: Template,
        modes: IdentityModes,
        rig: Blendshapes,
        corners: torch.Tensor,
        shares: torch.Tensor,
    ) -> FacePoints:
        """Evaluate the rig at points in triangles with vertices ``corners`` (478, 3) int64 and barycentric weights
        ``shares`` (478, 3).
        """

        def at(fields: torch.Tensor) -> np.ndarray:
            """Interpolate fields (K, V, 3) at the points: (478, 3, K)."""
            return (fields[:, corners] * shares[:, :, None]).sum(dim=2).permute(1, 2, 0).double().numpy()

        with torch.no_grad():
            shapes = rig.deltas.unflatten(1, (-1, 3))
            corrections = torch.zeros(len(rig.pairs), *template.verts.shape)
            corrections[:, rig.corrected] = rig.corrections.unflatten(1, (-1, 3))
            heads = template.verts + modes.deltas
            blinks = [at(rig.lids(_one(blink).expand(len(heads), -1), heads)) for blink in BLINKS]
            mean = torch.cat([eye.centre(template.verts[None])[0] for eye in rig.eyes])
            moved = torch.stack([eye.centre(heads)[:, 0] for eye in rig.eyes]) - mean[:, None]
            normals = at(vertex_normals(template.verts[None], template.faces))[..., 0]
        return cls(
            base=at(template.verts[None])[..., 0],
            normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
            modes=at(modes.deltas),
            shapes=at(shapes),
            pairs=rig.pairs.numpy(),
            corrections=at(corrections),
            blinks=(blinks[0], blinks[1]),
            centres=mean.double().numpy(),
            centre_modes=moved.permute(0, 2, 1).double().numpy(),
        )

    def neutral(self, identity: np.ndarray) -> np.ndarray:
        """Return neutral positions (478, 3) in mm for identity weights (M,)."""
        return self.base + _sum(self.modes, identity)

    def places(self, identity: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return positions (478, 3) in mm for identity (M,) and blendshapes (52,)."""
        taken, _ = self._taken(weights)
        rest = self.neutral(identity)
        places = rest + _sum(self.shapes, taken)
        places += _sum(self.corrections, taken[self.pairs[:, 0]] * taken[self.pairs[:, 1]])
        for blink, follow in zip(BLINKS, self.blinks, strict=True):
            if weights[blink]:
                places += _sum(follow, identity) * weights[blink]
        for side in (0, 1):
            iris = list(_IRISES[side])
            centre = self.centres[side] + self.centre_modes[side] @ identity
            places[iris] = centre + (rest[iris] - centre) @ gaze(weights[None], side)[0].T
        return places

    def __call__(self, identity: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions and their derivatives.

        Parameters
        ----------
        identity, weights:
            (M,) and (52,).

        Returns
        -------
        tuple
            Positions (478, 3) in mm, their derivatives by identity (478, 3, M) and by blendshapes (478, 3, 52).
        """
        taken, closing = self._taken(weights)
        by_identity, by_weights = self.modes.copy(), self.shapes.copy()
        # Product rule: each pair contributes to the derivatives by both of its weights.
        slope = np.zeros((len(self.pairs), BLENDSHAPE_DIM))
        rows = np.arange(len(self.pairs))
        slope[rows, self.pairs[:, 0]] = taken[self.pairs[:, 1]]
        slope[rows, self.pairs[:, 1]] += taken[self.pairs[:, 0]]
        by_weights += _sum(self.corrections, slope)
        if closing:
            by_weights[..., _OPEN] += by_weights[..., _CLOSE]
            by_weights[..., _CLOSE] = 0
        for blink, follow in zip(BLINKS, self.blinks, strict=True):
            by_identity += follow * weights[blink]
            by_weights[..., blink] += _sum(follow, identity)
        for side in (0, 1):
            self._turn(side, identity, weights, by_identity, by_weights)
        return self.places(identity, weights), by_identity, by_weights

    def _taken(self, weights: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return weights (52,) with mouthClose limited to jawOpen, and whether the limit was active."""
        closing = bool(weights[_CLOSE] > weights[_OPEN])
        taken = weights.copy()
        if closing:
            taken[_CLOSE] = weights[_OPEN]
        return taken, closing

    def _turn(
        self, side: int, identity: np.ndarray, weights: np.ndarray, by_identity: np.ndarray, by_weights: np.ndarray
    ) -> None:
        """Set the derivatives of one iris, which rotates about its eye's centre, in place."""
        iris = list(_IRISES[side])
        centre = self.centres[side] + self.centre_modes[side] @ identity
        away = (self.neutral(identity) - centre)[iris]
        looks = list(_LOOKS[side])
        nudged = np.tile(weights, (1 + len(looks), 1))
        nudged[np.arange(1, 1 + len(looks)), looks] += _STEP
        turn, *turned = gaze(nudged, side)
        own = self.modes[iris] - self.centre_modes[side]
        by_identity[iris] = self.centre_modes[side] + turn @ own
        by_weights[iris] = 0
        for look, other in zip(looks, turned, strict=True):
            by_weights[iris, :, look] = away @ ((other - turn) / _STEP).T


def gaze(weights: np.ndarray, side: int) -> np.ndarray:
    """Return rotations (K, 3, 3) of the right (0) or the left (1) eye for blendshape weights (K, 52)."""
    out, inward, up, down = torch.from_numpy(weights[:, _LOOKS[side]]).T
    return gaze_rotation(_TOWARD[side] * GAZE_ACROSS * (out - inward), GAZE_UP * (up - down)).numpy()


def _sum(fields: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return sums of fields (N, 3, K) with weights (K,) or (K, J): (N, 3) or (N, 3, J), in one product of matrices."""
    return product(fields.reshape(-1, len(weights)), weights).reshape(*fields.shape[:2], *weights.shape[1:])


def _one(shape: int) -> torch.Tensor:
    code = torch.zeros(1, BLENDSHAPE_DIM)
    code[0, shape] = 1.0
    return code
