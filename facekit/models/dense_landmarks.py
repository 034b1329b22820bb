"""DenseLandmarks: a network that looks at a face again and says how far each of 478 points is off, and how surely.

Dense landmarks with an uncertainty of their own, learned from synthetic pictures alone, are Wood et al.'s (ECCV 2022),
and so is the loss. Ours: it corrects points that another detector found, instead of finding them; each point reads the
feature maps where it is thought to be (hypercolumns, Hariharan et al., CVPR 2015; shape-indexed features, Cao et al.,
IJCV 2014) and has weights of its own, so that some ten thousand pictures teach it enough.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from facekit.models.config import DenseConfig

#: Pixels a side of what it sees, and mm of a mean head that it shows.
CROP, CROP_MM = 128, 212.0
#: Offsets go in and come out in this many mm; logarithms of deviations (of this unit) are kept within this.
UNIT, LEAST, MOST = 3.0, -3.5, 2.0
#: So many pixels a side lie in one place from the start (Shi et al., CVPR 2016).
_DEEP = 4


class DenseLandmarks(nn.Module):
    """Crops and points to corrections.

    The crop is upright and :data:`CROP_MM` wide at the mean head, see :class:`facekit.reconstruct.dense.Crop`.
    """

    def __init__(self, config: DenseConfig) -> None:
        super().__init__()
        c = self.config = config
        self.stages = nn.ModuleList()
        before = 3 * _DEEP**2
        for width, blocks in zip(c.widths, c.blocks, strict=True):
            self.stages.append(_Stage(before, width, blocks, halved=bool(len(self.stages))))
            before = width
        looked = sum(c.widths)
        self.local = nn.Parameter(torch.randn(c.points, looked, c.local) * looked**-0.5)
        self.scale = nn.Parameter(torch.full((2,), 0.3))
        inner = c.points * c.local + 2 * c.points + before + c.pose
        self.mix = nn.Sequential(nn.Linear(inner, c.hidden), nn.ReLU(), nn.Linear(c.hidden, 3 * c.points))
        last = self.mix[2]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)

    def forward(
        self, crops: torch.Tensor, places: torch.Tensor, offsets: torch.Tensor, pose: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Look at B faces.

        Parameters
        ----------
        crops:
            (B, 3, S, S) float32, colours less their mean, over their deviation.
        places:
            (B, 478, 2) float32, where the points are thought to be, in [-1, 1] of the crop, y down.
        offsets, pose:
            (B, 478, 2) and (B, 6), as :class:`facekit.reconstruct.encoded.Normaliser` has them; offsets of 0 where
            they are not to count.

        Returns
        -------
        tuple
            What to add to the points, (B, 478, 2) in :data:`UNIT` with y up, and logarithms of the standard deviation
            along each axis of what is then left, (B, 478), in the same unit.
        """
        x, looked = F.pixel_unshuffle(crops, _DEEP).contiguous(memory_format=torch.channels_last), []
        for stage in self.stages:
            x = stage(x)
            looked.append(F.grid_sample(x, places[:, :, None], align_corners=False)[..., 0])  # (B, C, P)
        told = torch.einsum("bcp,pcl->bpl", torch.cat(looked, dim=1), self.local)
        whole = torch.cat((told.flatten(1), offsets.flatten(1), x.mean(dim=(2, 3)), pose), dim=1)
        said = self.mix(whole).unflatten(1, (-1, 3))
        moved = said[..., :2] + self.scale * told[..., :2]
        return moved, said[..., 2].clamp(LEAST, MOST)


class _Stage(nn.Module):
    """A halving, then residual blocks that begin as nothing (ReZero, Bachlechner et al., UAI 2021)."""

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
