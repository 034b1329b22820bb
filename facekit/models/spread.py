"""Spread: heads that differ as much as people do, which regression to the mean has taken from the shape networks."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from facekit.geometry.charts import step
from facekit.models.eyes import Eyeball
from facekit.template import Template

#: Factor on a person's deviation from the mean head: in the face, and on skull, ears and neck.
_FACE, _HEAD = 1.05, 1.0
#: Distance from the face's centre over which one becomes the other, mm.
_FADE = (75.0, 130.0)
#: Distances in mm from the centre of an eye and of the mouth, up to which the surroundings move rigidly with it, and
#: from which on freely.
_EYE, _MOUTH = (15.0, 32.0), (14.0, 45.0)
#: Side in mm of the cells over which deviations are smoothed.
_CELL = 8.0


class Spread(nn.Module):
    """Increase of the deviation of neutral heads from the mean head.

    The networks' heads differ less than heads drawn from the modes that they were trained on: by a sixth at the jaw, a
    quarter around the eyes and at the brows. A recogniser takes too many of them for one person.

    What is added is smooth. Around the eyes it is a translation and a rotation about the line of sight, so that
    eyeballs stay round and lids on them; around the mouth an affine map, so that closed lips stay closed. Lips keep
    their height: shapes of the rig that press them together were made for it.

    Parameters
    ----------
    template:
        Template with landmarks and eyes.
    centre:
        (V, 3) mm: displacement of the head in the middle, which stays.
    """

    centre: torch.Tensor
    gain: torch.Tensor
    member: torch.Tensor
    weight: torch.Tensor
    begin: torch.Tensor
    node: torch.Tensor
    share: torch.Tensor
    around: torch.Tensor
    rigid: torch.Tensor
    slopes: torch.Tensor
    offset: torch.Tensor

    def __init__(self, template: Template, centre: torch.Tensor) -> None:
        super().__init__()
        verts = template.verts
        far = step((verts - verts[template.landmarks[17:]].mean(dim=0)).norm(dim=1), *_FADE)
        node, share = _nodes(verts)
        count = torch.bincount(node.flatten())
        total = torch.zeros(len(count)).index_add(0, node.flatten(), share.flatten()).clamp_min(1e-6)
        order = node.flatten().argsort(stable=True)
        middles = [(Eyeball(template, left).centre(verts[None])[0, 0], _EYE) for left in (False, True)]
        middles.append((verts[template.landmarks[48:]].mean(dim=0), _MOUTH))
        around = torch.stack([1 - step((verts - middle).norm(dim=1), *reach) for middle, reach in middles])
        whole = (around >= 1).float()
        offset = verts - torch.stack([middle for middle, _ in middles])[:, None]
        slopes = torch.stack([_slopes(*pair) for pair in zip(offset, around, strict=True)])
        slopes[2, 1:] = 0  # of the mouth, those across the face alone
        values = {
            "centre": centre,
            "gain": (_FACE - 1 + (_HEAD - _FACE) * far)[:, None],
            # Members of each node, one after another, with their weights in its mean.
            "member": order // node.shape[1],
            "weight": (share / total[node]).flatten()[order],
            "begin": count.cumsum(0) - count,
            "node": node,
            "share": share,
            "around": around / around.sum(0).clamp_min(1),
            "rigid": whole / whole.sum(1, keepdim=True),
            "slopes": slopes,
            "offset": offset,
        }
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, rest: torch.Tensor) -> torch.Tensor:
        """Return what is to be added (B, V, 3) to displacements of neutral heads (B, V, 3), mm; differentiable."""
        return self.carried(rest - self.centre, self.gain)

    def carried(self, moves: torch.Tensor, gain: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Return displacements (B, V, 3) mm, times ``gain`` (V, 1), as smooth as eyeballs, lids and lips bear them."""
        away = moves.permute(1, 0, 2).flatten(1)
        means = F.embedding_bag(self.member, away, self.begin, mode="sum", per_sample_weights=self.weight)
        smooth = F.embedding_bag(self.node, means, mode="sum", per_sample_weights=self.share)
        smooth = (gain * smooth).unflatten(1, (-1, 3)).permute(1, 0, 2)
        out = smooth * (1 - self.around.sum(0))[:, None] + self.around.t() @ (self.rigid @ smooth)
        bent = torch.einsum("kiv,bvj->bkij", self.slopes, smooth)  # of displacement j along axis i
        turn = 0.5 * (bent[:, :2, 0, 1] - bent[:, :2, 1, 0])[..., None, None]
        quarter = turn.new_tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
        linear = torch.cat((turn * quarter, bent[:, 2:]), 1)
        return out + torch.einsum("kv,kvi,bkij->bvj", self.around, self.offset, linear)


def _slopes(offset: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the matrix (3, V) from values at offsets (V, 3) mm to the slopes of their linear fit with weights (V,)."""
    away = torch.cat((offset, torch.ones_like(offset[:, :1])), 1).double()
    weighed = away * weight[:, None]
    return torch.linalg.solve(weighed.t() @ away, weighed.t())[:3].float()


def _nodes(verts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eight nodes of a grid around each vertex, (V, 8) int64, and their trilinear weights (V, 8)."""
    place = verts / _CELL - (verts / _CELL).amin(dim=0).floor()
    low = place.long()
    sides = place.new_tensor(list(itertools.product((0, 1), repeat=3)))
    share = (1 - sides + (2 * sides - 1) * (place - low)[:, None]).prod(dim=2)
    size = int(low.max()) + 2
    corner = low[:, None] + sides.long()
    _, node = torch.unique((corner[..., 0] * size + corner[..., 1]) * size + corner[..., 2], return_inverse=True)
    return node, share
