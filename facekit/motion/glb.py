"""Animated GLB: morph targets with animated weights, and a head that turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekit.conventions import BLENDSHAPES
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write
from facekit.io.glb import Clip, encode_glb
from facekit.motion.head import Neck, quaternions
from facekit.motion.motion import Motion
from facekit.source import rig_weights


def save_glb(
    motion: Motion,
    path: Path,
    face: FaceOutput,
    *,
    rig: str = "arkit",
    texture_format: str = "png",
    normal_map: bool = True,
    quantize: bool = True,
) -> Path:
    """Write a face with ARKit's 52 morph targets and an animation of their weights and of the head.

    Morph targets are linear and have no correctives: if these matter, render the motion instead.

    Parameters
    ----------
    rig:
        "arkit", or "both" to also keep the face's expression.
    texture_format, normal_map, quantize:
        See :func:`facekit.io.glb.write`.
    """
    if rig not in ("arkit", "both"):
        raise InputError('a rig with blendshapes, "arkit" or "both"', repr(rig), "choose one of them")
    found = face.rig(rig)
    names = list(found.names)
    worn = rig_weights(face.latents, found.names)[0].cpu().numpy()
    weights = np.tile(worn, (len(motion), 1)).astype(np.float32)
    weights[:, [names.index(name) for name in BLENDSHAPES]] = motion.blendshapes.clamp(0, 1).numpy()
    turns = quaternions(motion.head).numpy() if bool(motion.head.any()) else None
    x, y, z = Neck(found.neutral).pivot.tolist()
    clip = Clip((motion.times - motion.times[0]).numpy(), weights, turns, (x, y, z))
    data = encode_glb(face, True, texture_format, None, normal_map, 0, rig, quantize, clip)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path
