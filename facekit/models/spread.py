"""Spread: heads that differ as much as people do, which regression to the mean has taken from the shape networks."""

from __future__ import annotations

import itertools

import torch
from torch import nn

from facekit.geometry.charts import step
from facekit.models.eyes import Eyeball
from facekit.template import Template

#: Factor on a person's deviation from the mean head: in the face, and on skull, ears and neck.
_FACE, _HEAD = 1.65, 1.05
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

    What is added is smooth, and around eyes and mouth it is a translation: eyeballs stay round and lids on them, and
    closed lips closed.

    Parameters
    ----------
    template:
        Template with landmarks and eyes.
    centre:
        (V, 3) mm: displacement of the head in the middle, which stays.
    """

    centre: torch.Tensor
    gain: torch.Tensor
    node: torch.Tensor
    share: torch.Tensor
    total: torch.Tensor
    around: torch.Tensor
    rigid: torch.Tensor

    def __init__(self, template: Template, centre: torch.Tensor) -> None:
        super().__init__()
        verts = template.verts
        far = step((verts - verts[template.landmarks[17:]].mean(dim=0)).norm(dim=1), *_FADE)
        node, share = _nodes(verts)
        total = torch.zeros(int(node.max()) + 1).index_add(0, node.flatten(), share.flatten())
        middles = [(Eyeball(template, left).centre(verts[None])[0, 0], _EYE) for left in (False, True)]
        middles.append((verts[template.landmarks[48:]].mean(dim=0), _MOUTH))
        around = torch.stack([1 - step((verts - middle).norm(dim=1), *reach) for middle, reach in middles])
        whole = (around >= 1).float()
        values = {
            "centre": centre,
            "gain": (_FACE - 1 + (_HEAD - _FACE) * far)[:, None],
            "node": node,
            "share": share[..., None],
            "total": total.clamp_min(1e-6)[:, None],
            "around": around / around.sum(0).clamp_min(1),
            "rigid": whole / whole.sum(1, keepdim=True),
        }
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, rest: torch.Tensor) -> torch.Tensor:
        """Return what is to be added (B, V, 3) to displacements of neutral heads (B, V, 3), mm; differentiable."""
        away = (rest - self.centre)[:, :, None] * self.share
        means = rest.new_zeros(len(rest), len(self.total), 3).index_add(1, self.node.flatten(), away.flatten(1, 2))
        smooth = self.gain * ((means / self.total)[:, self.node] * self.share).sum(2)
        return smooth * (1 - self.around.sum(0))[:, None] + self.around.t() @ (self.rigid @ smooth)


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
