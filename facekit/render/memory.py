"""Memory: as many frames are rendered at once as fit into what is free."""

from __future__ import annotations

import torch

from facekit.mesh import FaceMesh

#: Bytes that a frame's lists take: a pixel and sample, a vertex, a face; and for each value of a texture its pyramid
#: and what it is made from.
_A_SAMPLE, _A_VERTEX, _A_FACE, _A_TEXEL = 700, 200, 500, 12
#: On a CPU lists that stay small are faster than large ones, however much memory there is.
_FREE_CPU = 256 << 20
#: The part of a device's free memory that is used: the rest is left to the rounding up of torch's allocator.
_SHARE = 0.6


def free_memory(device: torch.device) -> int:
    """Bytes that may be used now: measured on CUDA, with what torch holds in reserve; a constant elsewhere."""
    if device.type != "cuda":
        return _FREE_CPU
    free, _ = torch.cuda.mem_get_info(device)
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int((free + idle) * _SHARE)


def frame_bytes(mesh: FaceMesh, height: int, width: int, samples: int) -> int:
    """Bytes that one frame takes beyond its result, for so many samples per pixel; without gradients."""
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
    """Number of ``frames`` to render together, at least one.

    Parameters
    ----------
    each:
        Bytes that one frame's work takes, see :func:`frame_bytes`.
    result:
        Bytes that the result of all frames takes, which is there from the start.
    free:
        Bytes there are, see :func:`free_memory`.
    """
    return max(1, min(frames, (free - result) // max(each, 1)))
