"""Quality measures of a reconstruction, and warnings about its photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facekit.errors import optional_import
from facekit.reconstruct.landmarker import OVAL, FaceLandmarks
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import seen_from
from facekit.reconstruct.unknowns import Fitted

#: Thresholds of warnings: yaw and pitch in degrees, iris distance in pixels, brightness and contrast, error in % of the
#: iris distance, sharpness of a face that is scaled to 160 pixels between the irises.
_TURNED, _SMALL, _DARK, _FLAT, _OFF, _BLURRED = (38.0, 28.0), 45.0, 0.08, 0.025, 6.0, 12.0
_SCALED = 100.0
#: Mean difference between the channels of a face, of 255, below which a photograph has no colour.
_GREY = 4.0


@dataclass(frozen=True)
class Quality:
    """Quality of a reconstruction.

    Parameters
    ----------
    reprojection:
        Per photograph: mean distance between fitted and detected landmarks without the outline, in % of the iris
        distance.
    seen:
        Fraction of the face that the photographs show, in [0, 1].
    uncertainty:
        Posterior standard deviation of the neutral shape in mm, averaged over the face.
    yaw, pitch:
        Per photograph, degrees: yaw, positive if the subject's left side is seen, and pitch, positive if the head is
        seen from above.
    warnings:
        Messages for the user.
    """

    reprojection: tuple[float, ...]
    seen: float
    uncertainty: float
    yaw: tuple[float, ...]
    pitch: tuple[float, ...]
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls,
        fitted: Fitted,
        points: FacePoints,
        faces: list[FaceLandmarks],
        pictures: list[np.ndarray],
        names: list[str],
    ) -> Quality:
        """Measure a fit on the photographs (H, W, 3) uint8 that it was made from."""
        inner = np.ones(len(points.base), dtype=bool)
        inner[list(OVAL)] = False
        warnings: list[str] = []
        errors, yaws, pitches = [], [], []
        covered = np.zeros(len(points.base), dtype=bool)
        for k, face in enumerate(faces):
            yaw, pitch, _ = seen_from(fitted.rotation[k], fitted.translation[k])
            yaws.append(float(np.degrees(yaw)))
            pitches.append(float(np.degrees(pitch)))
            away = np.linalg.norm(fitted.predicted[k] - face.points, axis=1)[inner].mean()
            errors.append(float(100 * away / _eye_distance(fitted, points, k)))
            camera = points.neutral(fitted.identity) @ fitted.rotation[k].T + fitted.translation[k]
            normals = points.normals @ fitted.rotation[k].T
            covered |= -(normals * camera).sum(axis=1) / np.linalg.norm(camera, axis=1) > 0.35
            told = _told(pictures[k], face, yaws[-1], pitches[-1], errors[-1])
            warnings += [f"{names[k]}: {sentence}" for sentence in told]
        spread = np.einsum("pcm,mn,pcn->p", points.modes, fitted.covariance, points.modes)
        uncertainty = float(np.sqrt(spread.clip(0, None)).mean())
        return cls(tuple(errors), float(covered.mean()), uncertainty, tuple(yaws), tuple(pitches), tuple(warnings))


def _eye_distance(fitted: Fitted, points: FacePoints, k: int) -> float:
    """Return the distance between the eyeball centres in pixels, without foreshortening."""
    apart = float(np.linalg.norm(points.centres[1] - points.centres[0]))
    return apart * float(fitted.focal[k]) / -float(fitted.translation[k][2])


def _told(pixels: np.ndarray, face: FaceLandmarks, yaw: float, pitch: float, error: float) -> list[str]:
    told = []
    if abs(yaw) > _TURNED[0]:
        told.append(f"the head is turned by {abs(yaw):.0f}°; the far side is a guess, add a frontal photograph")
    if abs(pitch) > _TURNED[1]:
        told.append(f"the head is seen from {'above' if pitch > 0 else 'below'} by {abs(pitch):.0f}°")
    left, top, right, bottom = (round(v) for v in face.box)
    part = pixels[max(0, top) : max(1, bottom), max(0, left) : max(1, right)]
    if not part.size:
        return told
    cv2 = optional_import("cv2", "photo", "reading photographs")
    scale = _SCALED / max(right - left, 1)
    if right - left < _SMALL * 2.2:
        told.append(f"the face is {right - left} pixels wide: shape and skin are coarse")
    size = (max(8, round(part.shape[1] * min(1, scale * 2))), max(8, round(part.shape[0] * min(1, scale * 2))))
    grey = cv2.cvtColor(cv2.resize(part, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
    if grey.mean() / 255 < _DARK:
        told.append("the face is dark: its colours are a guess")
    elif grey.std() / 255 < _FLAT:
        told.append("the face has hardly any contrast")
    elif float(np.ptp(part, axis=2).mean()) < _GREY:
        told.append("the photograph has no colour: those of skin, eyes and hair are a guess")
    contrast = max(float(grey.std()), 1.0)
    if float(cv2.Laplacian(grey, cv2.CV_32F).std()) / contrast * _SCALED < _BLURRED:
        told.append("the face is blurred")
    if error > _OFF:
        told.append(f"the fit is off by {error:.1f} % of the eyes' distance: something may cover the face")
    return told
