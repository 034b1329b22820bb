"""Choose key frames: sharp, large, with open eyes, from different sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facekit.errors import optional_import
from facekit.reconstruct.clip.film import Frame
from facekit.reconstruct.landmarker import FaceLandmarks

#: Bins in which frames compete: steps of yaw and pitch, degrees, and of jaw opening.
_STEP, _OPEN = 12.0, 0.25
#: Number of key frames for the identity, and of those for the texture; yaw, degrees, from which a frame counts as a
#: side view.
IDENTITY, SKIN, _SIDE = 8, 3, 14.0
#: Frames with less than this fraction of the best frame's quality are left out.
_LEAST = 0.25
#: Face width, pixels, beyond which quality does not increase; face width to which frames are scaled to measure
#: sharpness.
_WIDE, _SCALED = 320.0, 160


@dataclass(frozen=True)
class Candidate:
    """Candidate for a key frame; yaw and pitch in degrees as the landmarker measures them, quality without unit."""

    frame: Frame
    face: FaceLandmarks
    yaw: float
    pitch: float
    quality: float


class Pool:
    """The best frame of each bin so far: a few dozen at most, however long the video."""

    def __init__(self) -> None:
        self._best: dict[tuple[int, int, bool], Candidate] = {}

    def offer(self, frame: Frame, face: FaceLandmarks) -> None:
        """Consider a frame, and keep it if it is the best of its bin."""
        turn = face.matrix[:3, :3] / np.linalg.norm(face.matrix[:3, :3], axis=0)
        yaw, pitch = np.degrees(np.arctan2(turn[0, 2], turn[2, 2])), np.degrees(np.arcsin(np.clip(turn[1, 2], -1, 1)))
        rest = float(np.exp(-_effort(face.scores)))
        wide = min(face.box[2] - face.box[0], _WIDE) / _WIDE
        facing = max(float(turn[2, 2]), 0.0)
        kind = (round(yaw / _STEP), round(pitch / _STEP), face.scores.get("jawOpen", 0.0) > _OPEN)
        known, most = self._best.get(kind), rest * wide * facing
        if known is not None and most <= known.quality:
            return  # sharpness, which is slower to measure, could not help
        quality = most * _sharpness(frame.pixels, face)
        if known is None or quality > known.quality:
            self._best[kind] = Candidate(frame, face, float(yaw), float(pitch), quality)

    def chosen(self) -> list[Candidate]:
        """Return up to :data:`IDENTITY` frames: the best one, then good ones far from those already chosen."""
        left = sorted(self._best.values(), key=lambda one: -one.quality)
        left = [one for one in left if one.quality > _LEAST * left[0].quality]
        picked = left[:1]
        left = left[1:]
        while left and len(picked) < IDENTITY:
            best = max(left, key=lambda one: one.quality * min(_apart(one, other) for other in picked))
            picked.append(best)
            left.remove(best)
        return picked

    def __len__(self) -> int:
        return len(self._best)


def for_skin(yaws: list[float]) -> list[int]:
    """Return indices of the key frames, given their yaw in degrees, for the texture: the best one, and one from each
    side.
    """
    picked = [0]
    for side in (1, -1):
        turned = [k for k in range(len(yaws)) if k not in picked and side * (yaws[k] - yaws[0]) > _SIDE]
        if turned and len(picked) < SKIN:
            picked.append(max(turned, key=lambda k: min(side * yaws[k], 40.0)))
    return picked


def _apart(a: Candidate, b: Candidate) -> float:
    """Return the difference between the views of two candidates, with a lower bound."""
    return 0.15 + min(float(np.hypot(a.yaw - b.yaw, a.pitch - b.pitch)) / 30, 1.0)


def _effort(scores: dict[str, float]) -> float:
    """Return the distance of an expression from neutral; closed eyes count most."""
    lids = scores.get("eyeBlinkLeft", 0.0) + scores.get("eyeBlinkRight", 0.0)
    rest = sum(score for name, score in scores.items() if not name.startswith(("eyeLook", "eyeBlink", "browInner")))
    return 1.5 * lids + 0.35 * rest


def _sharpness(pixels: np.ndarray, face: FaceLandmarks) -> float:
    """Return the sharpness in (0, 1) of the face, scaled to a fixed size."""
    cv2 = optional_import("cv2", "photo", "reading films")
    left, top, right, bottom = (round(v) for v in face.box)
    part = pixels[max(0, top) : max(1, bottom), max(0, left) : max(1, right)]
    if not part.size:
        return 1e-3
    scale = min(1.0, _SCALED / max(part.shape[1], 1))
    size = (max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale)))
    grey = cv2.cvtColor(cv2.resize(part, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = float(cv2.Laplacian(grey, cv2.CV_32F).std()) / max(float(grey.std()), 4.0)
    return edges / (edges + 0.2)
