"""Measures of a sweep: whether it goes on steadily or jumps back and forth."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.errors import InputError


def flicker(frames: Tensor) -> tuple[float, float]:
    """Restlessness of a sequence: a share in [0, 1], and the size of it in the frames' own unit.

    With the steps d_k between neighbouring frames, taken as vectors over the channels of each sample, the share is::

        sum |d_{k+1} - d_k|  /  sum (|d_k| + |d_{k+1}|)

    over all samples and frames. It is 0 where everything changes steadily or not at all, 1 where it goes back and forth
    from frame to frame, and about 0.87 (the root of 3/4) where noise is drawn anew at every frame. Both sums run before
    the division, so samples that hardly change hardly count. The size is the mean of |d_{k+1} - d_k| / 2: half the way
    that a sample jumps and does not go on; for frames in L*a*b* this is a delta E (CIE76).

    Steps have to be even: of frames at uneven intensities a steady face would count as restless.

    Parameters
    ----------
    frames:
        (N, C, S) float, N of 3 or more: C channels at S samples, for instance L*a*b* of S texels.
    """
    if frames.ndim != 3 or len(frames) < 3:
        raise InputError("three or more frames (N, C, S)", f"{tuple(frames.shape)}", "pass a sweep of 3 or more steps")
    steps = frames.diff(dim=0)
    jump = steps.diff(dim=0).norm(dim=1)
    way = steps.norm(dim=1)
    total = float((way[1:] + way[:-1]).sum(dtype=torch.float64))
    share = float(jump.sum(dtype=torch.float64)) / total if total > 0 else 0.0
    return share, float(jump.mean(dtype=torch.float64)) / 2
