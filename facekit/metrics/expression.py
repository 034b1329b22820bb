"""Measure of temporal smoothness: how much a sweep jumps back and forth."""

from __future__ import annotations

import torch
from torch import Tensor

from facekit.errors import InputError


def flicker(frames: Tensor) -> tuple[float, float]:
    """Return the flicker of a sequence: a fraction in [0, 1], and its amplitude in the frames' own unit.

    With the steps d_k between neighbouring frames, as vectors over the channels of each sample, the fraction is::

        sum |d_{k+1} - d_k|  /  sum (|d_k| + |d_{k+1}|)

    over all samples and frames. It is 0 for steady change or none, 1 for alternation from frame to frame, and about
    0.87 (the root of 3/4) for independent noise in every frame. The sums are taken before the division, so samples that
    hardly change hardly count. The amplitude is the mean of |d_{k+1} - d_k| / 2; for frames in L*a*b* it is a delta E
    (CIE76).

    Frames must be evenly spaced: at uneven intensities a steady change would count as flicker.

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
