"""The viewer's rig: ARKit's 52 blendshapes of one person as sparse displacements, and motions as binary blocks.

Each blendshape is sent as the pipeline makes it, including contact of lids and lips; pairs of blendshapes that do not
add up get a corrective. Eyeballs are left out: the page rotates them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.conventions import BLENDSHAPES, GAZE_ACROSS, GAZE_UP, PARTS
from facekit.geometry.spheres import fit_sphere
from facekit.latents import FaceLatents
from facekit.viz.viewer.block import pack
from facekit.viz.viewer.tracks import Entries, Subject

if TYPE_CHECKING:
    from facekit.mesh import FaceMesh
    from facekit.motion import Motion

#: Quantisation steps of displacements (mm) and strain.
STEP, STRAIN_STEP = 0.02, 0.02
#: Smallest value that is sent, in steps.
_LEAST_MOVE, _LEAST_STRAIN = 1.5, 1.5
_STRAINS = ("tension", "compress", "stretch")
_CLOSE, _JAW = BLENDSHAPES.index("mouthClose"), BLENDSHAPES.index("jawOpen")
# Number of blendshapes computed at once.
_CHUNK = 16


def rig_entries(subject: Subject) -> Entries:
    """Return header and arrays of a person's 52 blendshapes, without textures."""
    pairs = subject.source.shape_pairs
    taken = [_with_jaw(own) for own in (*((k,) for k in range(len(BLENDSHAPES))), *pairs)]
    values = _posed(subject, [{BLENDSHAPES[k]: 1.0 for k in own} for own in taken])
    moved = values.pop("verts")
    eyes = _eyes(subject.mesh)
    moved[:, np.concatenate([eye["vertices"] for eye in eyes] or [np.zeros(0, np.int64)]).astype(np.int64)] = 0
    for name in ("moved", *values):
        table = moved if name == "moved" else values[name]
        table[_CLOSE] -= table[_JAW]
        rows = {frozenset(pair): row for row, pair in enumerate(pairs, start=len(BLENDSHAPES))}
        for together in sorted(rows, key=lambda pair: _CLOSE in pair):  # poses with the jaw contain its pairs, too
            own = taken[rows[together]]
            less = [*own, *(rows[pair] for pair in map(frozenset, itertools.combinations(own, 2)) if pair in rows)]
            # The corrective: the difference from the sum of all others.
            table[rows[together]] -= sum(table[k] for k in less if k != rows[together])
    arrays: dict[str, Any] = _sparse("rig/move", moved, STEP, _LEAST_MOVE, np.int16)
    for name, table in values.items():
        arrays |= _sparse(f"rig/{name}", table[..., None], STRAIN_STEP, _LEAST_STRAIN, np.int8)
    arrays |= {f"rig/eye/{k}": eye.pop("vertices") for k, eye in enumerate(eyes)}
    header = {
        "names": list(BLENDSHAPES),
        "pairs": [list(pair) for pair in pairs],
        "step": STEP,
        "strainStep": STRAIN_STEP,
        "strain": list(values),
        "limits": {"close": _CLOSE, "jaw": _JAW},
        "gaze": [GAZE_ACROSS, GAZE_UP],
        "eyes": eyes,
    }
    return header, arrays


def _with_jaw(shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shapes of a pose: mouthClose is posed with an open jaw, without which it has no effect."""
    return (*shapes, _JAW) if _CLOSE in shapes and _JAW not in shapes else shapes


def motion_block(motion: Motion) -> bytes:
    """Return a motion as a block for the viewer: weights in 8 bits, head angles in degrees."""
    weights = np.rint(motion.blendshapes.numpy().clip(0, 1) * 255).astype(np.uint8)
    head = motion.head.numpy().astype(np.float32)
    return pack({"fps": motion.fps, "frames": len(motion)}, {"motion/weights": weights, "motion/head": head})


def _posed(subject: Subject, poses: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Return displacements (K, V, 3) in mm and strain (K, V) of poses relative to neutral, on the CPU."""
    found: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(poses), _CHUNK):
        codes = [subject.latents.with_blendshapes(pose) for pose in poses[start : start + _CHUNK]]
        frames = subject.source.keyframes(FaceLatents.cat(codes), detail=subject.detail)
        parts = {"verts": frames.verts.cpu() - subject.mesh.verts}
        parts |= {name: getattr(frames, name) for name in _STRAINS if getattr(frames, name) is not None}
        for name, value in parts.items():
            found.setdefault(name, []).append(value.float().cpu().numpy())
    return {name: np.concatenate(values) for name, values in found.items()}


def _sparse(name: str, table: np.ndarray, step: float, least: float, kind: type) -> dict[str, np.ndarray]:
    """Encode rows (K, V, C) as indices of the vertices that move, the start of each row, and quantised values."""
    limit = np.iinfo(kind).max
    steps = np.rint(table / step).clip(-limit, limit).astype(kind)
    row, vertex = np.nonzero((np.abs(table) >= least * step).any(axis=-1))
    index = np.uint16 if table.shape[1] <= 65536 else np.uint32
    start = np.searchsorted(row, np.arange(len(table) + 1)).astype(np.uint32)
    return {
        f"{name}/vertex": vertex.astype(index),
        f"{name}/start": start,
        f"{name}/value": np.ascontiguousarray(steps[row, vertex]).reshape(-1),
    }


def _eyes(mesh: FaceMesh) -> list[dict[str, Any]]:
    """Return vertices, centre and gaze blendshapes of each eyeball; None for a head without eyes."""
    if mesh.parts is None:
        return []
    balls = (mesh.parts == PARTS.index("eyes")).nonzero()[:, 0]
    found = []
    for side, inward in (("Left", "right"), ("Right", "left")):
        x = mesh.verts[0, balls, 0]
        own = balls[x > 0 if side == "Left" else x < 0]
        if not len(own):
            continue
        centre, _ = fit_sphere(mesh.verts[0, own])
        outward = "left" if inward == "right" else "right"
        # Left is the image's right, +X: outward for the subject's left eye.
        look = {outward: "Out", inward: "In", "up": "Up", "down": "Down"}
        found.append(
            {
                "centre": [round(value, 4) for value in centre.tolist()],
                "look": {way: BLENDSHAPES.index(f"eyeLook{name}{side}") for way, name in look.items()},
                "vertices": own.numpy().astype(np.uint16 if int(own.max()) <= 65535 else np.uint32),
            }
        )
    return found
