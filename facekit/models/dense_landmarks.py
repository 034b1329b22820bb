"""DenseLandmarks: a network that predicts 478 landmarks with uncertainty, identity and blendshapes from a face crop.

Dense landmarks with predicted uncertainty, learned from synthetic pictures alone, and the loss, are due to Wood et al.
(ECCV 2022). Our additions: landmarks are predicted twice, the second time from feature maps sampled at the first
prediction (hypercolumns, Hariharan et al., CVPR 2015; shape-indexed features, Cao et al., IJCV 2014) with weights per
landmark; and the same features predict identity weights and blendshapes, so that shading cues of depth are used, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from facekit.models.config import DenseConfig
from facekit.models.drawn import normal, normal_

#: Side of the input in pixels, and its width in mm on the mean head.
CROP, CROP_MM = 192, 212.0
#: Unit, mm, of the predicted landmarks; bounds of the logarithm of standard deviations.
UNIT, LEAST, MOST = 3.0, -3.5, 2.0
#: Unit of the predicted standard deviations of blendshapes.
SHAPE_UNIT = 0.2
#: Side of the pixel blocks that are folded into channels at the input (space to depth; Shi et al., CVPR 2016).
_DEEP = 4


@dataclass(frozen=True)
class DenseOutput:
    """Network output for B crops.

    Parameters
    ----------
    first, points:
        (B, 478, 2): first and final landmarks, in :data:`UNIT` from the crop's centre, y down.
    spread:
        (B, 478): logarithm of the landmarks' standard deviation along each axis, in the same unit.
    identity, identity_spread:
        (B, M): identity mode weights, and logarithms of their standard deviations.
    shapes, shapes_spread:
        (B, 52): blendshapes, and logarithms of their standard deviations in :data:`SHAPE_UNIT`.
    """

    first: torch.Tensor
    points: torch.Tensor
    spread: torch.Tensor
    identity: torch.Tensor
    identity_spread: torch.Tensor
    shapes: torch.Tensor
    shapes_spread: torch.Tensor


class DenseLandmarks(nn.Module):
    """Predict landmarks, identity and blendshapes from crops.

    Crops are upright and :data:`CROP_MM` wide on the mean head, see :class:`facekit.reconstruct.dense.Frame`.
    """

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        c = self.config = config
        self.stages = nn.ModuleList()
        before = 3 * _DEEP**2
        for width, blocks in zip(c.widths, c.blocks, strict=True):
            self.stages.append(_Stage(before, width, blocks, halved=bool(len(self.stages))))
            before = width
        side = CROP // _DEEP >> (len(c.widths) - 1)
        self.squeeze = nn.Conv2d(before, c.squeezed, 1)
        self.whole = nn.Linear(c.squeezed * side**2, c.hidden)
        self.first = nn.Linear(c.hidden, 2 * c.points)
        self.views = nn.ModuleList([nn.Conv2d(width, c.seen, 1) for width in c.widths[:-1]])
        self.local = normal(c.points, c.seen, c.local, std=c.seen**-0.5)
        self.local_bias = nn.Parameter(torch.zeros(c.points, c.local))
        self.gather = nn.Linear(c.points * c.local, c.gathered)
        self.second = nn.Linear(c.hidden + c.gathered, 3 * c.points)
        self.person = nn.Linear(c.hidden + c.gathered, 2 * (c.modes + c.shapes))
        self.scale = nn.Parameter(torch.full((2,), 0.3))
        for head in (self.first, self.second, self.person):
            normal_(head.weight, 1e-3)
            nn.init.zeros_(head.bias)

    def forward(self, crops: torch.Tensor) -> DenseOutput:
        """Process crops (B, 3, S, S) float32, normalised to zero mean and unit standard deviation."""
        c = self.config
        x, maps = F.pixel_unshuffle(crops, _DEEP).contiguous(memory_format=torch.channels_last), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        whole = F.relu(self.whole(F.relu(self.squeeze(x)).flatten(1)))
        first = self.first(whole).float().unflatten(1, (-1, 2))
        places = (first.detach() * (2 * UNIT / CROP_MM))[:, :, None]
        seen = [
            F.grid_sample(view(m).float(), places, align_corners=False)[..., 0]
            for view, m in zip(self.views, maps[:-1], strict=True)
        ]
        local = torch.einsum("bcp,pcl->bpl", F.relu(torch.stack(seen).sum(dim=0)), self.local) + self.local_bias
        told = torch.cat((whole, F.relu(self.gather(F.relu(local).flatten(1)))), dim=1)
        said = self.second(told).float().unflatten(1, (-1, 3))
        points = first + said[..., :2] + self.scale * local[..., :2].float()
        person = self.person(told).float()
        identity, identity_spread, shapes, shapes_spread = person.split((c.modes, c.modes, c.shapes, c.shapes), dim=1)
        return DenseOutput(
            first,
            points,
            said[..., 2].clamp(LEAST, MOST),
            identity,
            identity_spread.clamp(LEAST, MOST),
            shapes,
            shapes_spread.clamp(LEAST, MOST),
        )


class _Stage(nn.Module):
    """Downsampling by two, then residual blocks initialised to zero (ReZero, Bachlechner et al., UAI 2021)."""

    def __init__(self, before: int, width: int, blocks: int, halved: bool) -> None:
        super().__init__()
        self.enter = nn.Conv2d(before, width, 3, stride=2 if halved else 1, padding=1)
        self.norm = nn.GroupNorm(max(1, width // 8), width)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
                for _ in range(blocks)
            ]
        )
        self.gain = nn.Parameter(torch.zeros(blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.enter(x)))
        for block, gain in zip(self.blocks, self.gain, strict=True):
            x = F.relu(x + gain * block(x))
        return x
