"""Memory estimates: render as many frames at once as fit into free memory."""

from __future__ import annotations

import torch

from facekit.mesh import FaceMesh

#: Bytes of intermediate lists per pixel and sample, per vertex and per face; and per texture value, for its pyramid and
#: its source.
_A_SAMPLE, _A_VERTEX, _A_FACE, _A_TEXEL = 700, 200, 500, 12
#: On a CPU small lists are faster than large ones, however much memory there is.
_FREE_CPU = 256 << 20
#: Fraction of a device's free memory that is used: the rest is for the rounding up of torch's allocator.
_SHARE = 0.6


def free_memory(device: torch.device) -> int:
    """Return the available memory in bytes: measured on CUDA, including torch's reserve; a constant elsewhere."""
    if device.type != "cuda":
        return _FREE_CPU
    free, _ = torch.cuda.mem_get_info(device)
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int((free + idle) * _SHARE)


def frame_bytes(mesh: FaceMesh, height: int, width: int, samples: int) -> int:
    """Return the memory in bytes that a frame takes beyond its result, for this number of samples per pixel; without
    gradients.
    """
    texels = sum(
        t.shape[1] * t.shape[2] * t.shape[3] * copies
        for t, copies in ((mesh.texture, 1), (mesh.displacement, 3))
        if t is not None
    )
    return (
        height * width * samples * _A_SAMPLE
        + mesh.verts.shape[1] * _A_VERTEX
        + len(mesh.faces) * _A_FACE
        + texels * _A_TEXEL
    )


def frames_at_once(frames: int, each: int, result: int, free: int) -> int:
    """Return the number of ``frames`` to render together, at least one.

    Parameters
    ----------
    each:
        Memory in bytes per frame, see :func:`frame_bytes`.
    result:
        Memory in bytes of the result of all frames, allocated from the start.
    free:
        Available memory in bytes, see :func:`free_memory`.
    """
    return max(1, min(frames, (free - result) // max(each, 1)))
