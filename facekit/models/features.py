"""Features: what makes a head a person's own, beyond what the identity code says.

The shape networks take 20 numbers, and their people differ mostly in a few ways: a long face, a broad one. Real heads
differ in many ways that have nothing to do with each other: the nose's bridge and its tip, the sockets of the eyes,
cheeks, chin, the left side and the right.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facekit.conventions import PARTS, SHAPE_NOISE_DIM
from facekit.geometry.charts import step
from facekit.metrics.anthropometry import masculine_direction
from facekit.models.eyes import Eyeball
from facekit.models.lip_shape import lip_shapes
from facekit.models.modes import IdentityModes
from facekit.template import Template

#: Modes that the identity code has already: size and proportions of the whole head. Those after them are features.
_KNOWN = 10
#: Standard deviation of features, in those of the head model; the share of a displacement that reaches eyeballs, lids
#: and lips as it is, which their contact bears, and distances in mm from them between which this rises to all of it.
_FEATURES, _PLAIN, _FREE = 1.75, 0.35, (6.0, 16.0)
#: Share of what is smoothed on cheeks, chin and forehead, which would be lumpy, and distances in mm from nose, eyes and
#: mouth between which they begin.
_SMOOTHED, _CHEEKS = 0.6, (10.0, 24.0)
#: Share of it on skull, ears and neck, and distances in mm from the face's centre between which it falls to this.
_SKULL, _FADE = 0.4, (75.0, 130.0)
#: Waves of a mode's weight per unit of the noise, in radians: large enough that weights of people have nothing to do
#: with each other, small enough that a person changes gradually into another.
_WAVES, _SEED = 3.0, 77
#: Distances in mm from the centre of an eye and of the mouth, up to which the surroundings move rigidly with it, and
#: from which on freely.
_EYE, _MOUTH = (15.0, 32.0), (14.0, 45.0)
#: Share by which noses differ more than the head model's, which are smoother than people's; share of what is smoothed
#: on them, whose wings would get edges; and distances in mm from them between which both fade out.
_NOSES, _ROUNDED, _AT_NOSE = 0.2, 0.75, (8.0, 20.0)
#: Openness to light from which on skin of the nose is outside, and below which it is inside of a nostril; the nose's
#: reach from its base, mm, and the width of the mean over the skin outside.
_HIDDEN, _NOSE, _THROUGH = (0.25, 0.5), 35.0, 3.0
#: Standard deviations in mm by which upper and lower lids open further at rest, and the seed of their wave.
_WIDER, _LIDS = (0.38, 0.15), 78
#: Side in mm of the cells over which displacements are smoothed.
_CELL = 8.0


class Features(nn.Module):
    """Displace neutral heads by the head model's modes, with weights that depend on shape noise alone.

    Each weight is a sine of a projection of the noise (as random Fourier features are, Rahimi and Recht, NIPS 2007):
    the mean head stays, weights are bounded, and no two modes go together. Nothing of it makes heads more masculine or
    less, which identity says.

    Parameters
    ----------
    template:
        Template with landmarks and eyes.
    modes:
        Head model on its topology.
    """

    deltas: Tensor
    waves: Tensor
    lids: Tensor

    def __init__(self, template: Template, modes: IdentityModes) -> None:
        super().__init__()
        deltas, verts, marks = modes.deltas, template.verts, template.landmarks
        nose = at_nose(template)
        amount = (_FEATURES * facial(template) * (1 + _NOSES * nose))[:, None]
        known = (of[..., marks, :].double().numpy() for of in (verts, deltas))
        male = F.normalize(torch.from_numpy(masculine_direction(*known)).float(), dim=0)
        deltas = (deltas - male[:, None, None] * torch.einsum("m,mvc->vc", male, deltas))[_KNOWN:]
        deltas = amount * borne(template, deltas, _ROUNDED * nose)
        deltas = torch.cat((with_nostrils(template, deltas), lip_shapes(template)))
        waves = torch.randn(len(deltas), SHAPE_NOISE_DIM, generator=torch.Generator().manual_seed(_SEED))
        self.register_buffer("deltas", deltas, persistent=False)
        self.register_buffer("waves", _WAVES * F.normalize(waves, dim=1), persistent=False)
        lids = torch.randn(1, SHAPE_NOISE_DIM, generator=torch.Generator().manual_seed(_LIDS))
        self.register_buffer("lids", _WAVES * F.normalize(lids, dim=1), persistent=False)

    def forward(self, shape_noise: Tensor) -> Tensor:
        """Return displacements (B, V, 3) mm of people with shape noise (B, 5); differentiable."""
        weights = math.sqrt(2) * torch.sin(shape_noise @ self.waves.t())
        return (weights @ self.deltas.flatten(1)).unflatten(1, (-1, 3))

    def wider(self, shape_noise: Tensor) -> Tensor:
        """Return by how much the upper and the lower lid open further at rest, (B, 2) mm; differentiable."""
        return math.sqrt(2) * torch.sin(shape_noise @ self.lids.t()) * shape_noise.new_tensor(_WIDER)


def facial(template: Template) -> Tensor:
    """Return the share (V,) of a displacement that is kept: all of it on the face, less on skull, ears and neck."""
    away = template.verts - template.verts[template.landmarks[17:]].mean(dim=0)
    return 1 - (1 - _SKULL) * step(away.norm(dim=1), *_FADE)


def at_nose(template: Template) -> Tensor:
    """Return the share (V,) by which vertices belong to the nose: 1 on it, 0 from 20 mm away."""
    verts = template.verts
    return 1 - step(torch.cdist(verts, verts[template.landmarks[27:36]]).amin(dim=1), *_AT_NOSE)


def borne(template: Template, moves: Tensor, rounded: Tensor | float = 0.0) -> Tensor:
    """Return displacements (B, V, 3) mm of neutral heads partly :func:`softened`: most on eyeballs, lids and lips, and
    near them, less on cheeks and forehead, and by the shares ``rounded`` (V,) of the rest.
    """
    verts = template.verts
    away = torch.cdist(verts, verts[template.landmarks[27:60]])
    free = step(away[:, 9:].amin(dim=1), *_FREE) * (template.parts != PARTS.index("mouth"))
    share = (_PLAIN + (1 - _PLAIN) * free) * (1 - _SMOOTHED * step(away.amin(dim=1), *_CHEEKS))
    return torch.lerp(softened(template, moves), moves, (share * (1 - rounded))[:, None])


def with_nostrils(template: Template, moves: Tensor) -> Tensor:
    """Return displacements (B, V, 3) mm with those inside of nostrils replaced by those of the skin around, or the thin
    walls between both would turn inside out.
    """
    verts, away = template.verts, template.verts - template.verts[template.landmarks[33]]
    hidden = 1 - step(template.ao.flatten(), *_HIDDEN)
    nose = (away.norm(dim=1) < _NOSE) & (template.parts == PARTS.index("skin"))
    inside, outside = (nose & (hidden > 0)).nonzero()[:, 0], (nose & (hidden == 0)).nonzero()[:, 0]
    if not len(inside):
        return moves
    weights = torch.softmax(-0.5 * (torch.cdist(verts[inside], verts[outside]) / _THROUGH).square(), dim=1)
    own = moves.index_select(1, inside)
    led = torch.einsum("io,boc->bic", weights, moves.index_select(1, outside))
    return moves.index_copy(1, inside, torch.lerp(own, led, hidden[inside, None]))


def softened(template: Template, moves: Tensor) -> Tensor:
    """Return displacements (B, V, 3) mm of neutral heads as eyeballs, lids and lips bear them.

    They are smoothed. Around the eyes they are a translation and a rotation about the line of sight, so that eyeballs
    stay round and lids on them; around the mouth an affine map, so that closed lips stay closed. Lips keep their
    height: shapes of the rig that press them together were made for it.
    """
    verts = template.verts
    middles = [(Eyeball(template, left).centre(verts[None])[0, 0], _EYE) for left in (False, True)]
    middles.append((verts[template.landmarks[48:]].mean(dim=0), _MOUTH))
    around = torch.stack([1 - step((verts - middle).norm(dim=1), *reach) for middle, reach in middles])
    whole = (around >= 1).float()
    offset = verts - torch.stack([middle for middle, _ in middles])[:, None]
    slopes = torch.stack([_slopes(*pair) for pair in zip(offset, around, strict=True)])
    slopes[2, 1:] = 0  # of the mouth, those across the face alone
    around, rigid = around / around.sum(0).clamp_min(1), whole / whole.sum(1, keepdim=True)
    smooth = _smooth(verts, moves)
    out = smooth * (1 - around.sum(0))[:, None] + around.t() @ (rigid @ smooth)
    bent = torch.einsum("kiv,bvj->bkij", slopes, smooth)  # of displacement j along axis i
    turn = 0.5 * (bent[:, :2, 0, 1] - bent[:, :2, 1, 0])[..., None, None]
    quarter = turn.new_tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    linear = torch.cat((turn * quarter, bent[:, 2:]), 1)
    return out + torch.einsum("kv,kvi,bkij->bvj", around, offset, linear)


def _smooth(verts: Tensor, moves: Tensor) -> Tensor:
    """Return displacements (B, V, 3) averaged over the cells around vertices (V, 3)."""
    node, share = _nodes(verts)
    count = int(node.max()) + 1
    flat = moves.permute(1, 0, 2).flatten(1)
    total = torch.zeros(count).index_add(0, node.flatten(), share.flatten()).clamp_min(1e-6)
    means = torch.zeros(count, flat.shape[1])
    for corner, weight in zip(node.unbind(1), share.unbind(1), strict=True):
        means.index_add_(0, corner, flat * weight[:, None])
    means /= total[:, None]
    smooth = F.embedding_bag(node, means, mode="sum", per_sample_weights=share)
    return smooth.unflatten(1, (-1, 3)).permute(1, 0, 2)


def _slopes(offset: Tensor, weight: Tensor) -> Tensor:
    """Return the matrix (3, V) from values at offsets (V, 3) mm to the slopes of their linear fit with weights (V,)."""
    away = torch.cat((offset, torch.ones_like(offset[:, :1])), 1).double()
    weighed = away * weight[:, None]
    return torch.linalg.solve(weighed.t() @ away, weighed.t())[:3].float()


def _nodes(verts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eight nodes of a grid around each vertex, (V, 8) int64, and their trilinear weights (V, 8)."""
    place = verts / _CELL - (verts / _CELL).amin(dim=0).floor()
    low = place.long()
    sides = place.new_tensor(list(itertools.product((0, 1), repeat=3)))
    share = (1 - sides + (2 * sides - 1) * (place - low)[:, None]).prod(dim=2)
    size = int(low.max()) + 2
    corner = low[:, None] + sides.long()
    _, node = torch.unique((corner[..., 0] * size + corner[..., 1]) * size + corner[..., 2], return_inverse=True)
    return node, share
