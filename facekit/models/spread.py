"""Spread: heads that differ as much as people do, which regression to the mean has taken from the shape networks."""

from __future__ import annotations

import torch
from torch import nn

from facekit.geometry.charts import step
from facekit.models.eyes import Eyeball
from facekit.models.ties import Ties
from facekit.template import Template

#: Factor on a person's deviation from the mean head: in the face, and on skull, ears and neck.
_FACE, _HEAD = 1.65, 1.05
#: Distance from the face's centre over which one becomes the other, mm.
_FADE = (75.0, 130.0)
#: Distances from the centre of an eye, mm, up to which its surroundings move rigidly with it, and from which on freely.
_EYE = (15.0, 32.0)
_MOUTH = (14.0, 45.0)
#: Side in mm of the cells in which deviations are averaged, and the number of cells that a vertex follows.
_CELL, _CELLS = 8.0, 8


class Spread(nn.Module):
    """Increase of the deviation of neutral heads from the mean head.

    The networks' heads differ less than heads drawn from the modes that they were trained on: by a sixth at the jaw, a
    quarter around the eyes and at the brows. A recogniser takes too many of them for one person.

    What is added is smooth over some 8 mm, so that closed lips move together; around the eyes it is a translation, so
    that eyeballs stay round and lids on them.

    Parameters
    ----------
    template:
        Template with landmarks.
    centre:
        (V, 3) mm: displacement of the head in the middle, which stays.
    """

    centre: torch.Tensor
    gain: torch.Tensor
    cell: torch.Tensor
    size: torch.Tensor

    def __init__(self, template: Template, centre: torch.Tensor) -> None:
        super().__init__()
        verts = template.verts
        middle = verts[template.landmarks[17:]].mean(dim=0)
        far = step((verts - middle).norm(dim=1), *_FADE)
        _, cell, size = torch.unique((verts / _CELL).floor(), dim=0, return_inverse=True, return_counts=True)
        places = torch.zeros(len(size), 3).index_add(0, cell, verts) / size[:, None]
        ties = Ties.nearest(verts, places, torch.arange(len(size)), _CELLS, _CELL)
        eyes = [Eyeball(template, left).centre(verts[None])[0, 0] for left in (False, True)]
        lips = verts[template.landmarks[48:]].mean(dim=0)
        middles = [(eyes[0], _EYE), (eyes[1], _EYE), (lips, _MOUTH)]
        around = torch.stack([1 - step((verts - at).norm(dim=1), *reach) for at, reach in middles])
        around = around / around.sum(0).clamp_min(1)
        values = {"centre": centre, "gain": (_FACE - 1 + (_HEAD - _FACE) * far)[:, None], "cell": cell}
        values.update(size=size[:, None].float(), index=ties.index, share=ties.share, around=around)
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, rest: torch.Tensor) -> torch.Tensor:
        """Return what is to be added (B, V, 3) to displacements of neutral heads (B, V, 3), mm; differentiable."""
        away = rest - self.centre
        mean = away.new_zeros(len(away), len(self.size), 3).index_add(1, self.cell, away) / self.size
        ties = Ties(self.get_buffer("index"), self.get_buffer("share"))
        smooth = self.gain * ties(mean)
        around = self.get_buffer("around")
        whole = (around > 0.999).to(smooth)
        moved = (whole / whole.sum(1, keepdim=True)) @ smooth  # (B, 2, 3)
        return smooth * (1 - around.sum(0))[:, None] + around.t() @ moved
