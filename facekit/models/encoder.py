"""Action-unit transformer: from the landmarks of a few frames to one identity and blendshapes per frame.

From AUFART (Kim and Lee, ICT Express 11(3), 2025): 27 action-unit tokens and a global one, graph attention over these
28 with four heads, a pre-norm transformer with CLS token and learned positions, and the expression read from CLS. Ours:
the input (landmarks, the landmarker's scores, and what the landmark network reads in each frame, instead of two
networks on pixels), a linear path in closed form that the transformer corrects, ARKit's blendshapes with gaze as
output, layers across frames, the identity token with a weight of each frame for each mode, and uncertainties. It is
also smaller.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import nn

from facekit.models.config import EncoderConfig
from facekit.models.drawn import normal

#: Number of pose features per frame; bounds of the logarithm of variances.
POSE, _LEAST, _MOST = 6, -8.0, 2.0
#: Unit, mm, of the landmark offsets.
SCALE = 3.0


@dataclass(frozen=True)
class Observed:
    """Encoder input for B clips of K frames, float32.

    Parameters
    ----------
    offsets:
        (B, K, 478, 2): landmarks relative to the mean head's in the same pose, upright, in :data:`SCALE` mm.
    scores:
        (B, K, 52) in [0, 1]: the landmarker's blendshape scores.
    pose:
        (B, K, 6), the sine of the head's yaw first.
    reading, unsure:
        (B, K, M + 52): identity mode weights and blendshapes that the landmark network reads in each frame alone, and
        the logarithms of their standard deviations.
    times:
        (B, K), seconds; stills of a person have times far apart.
    visible:
        (B, K) in [0, 1]: visibility of the face; 0 excludes a frame.
    """

    offsets: torch.Tensor
    scores: torch.Tensor
    pose: torch.Tensor
    reading: torch.Tensor
    unsure: torch.Tensor
    times: torch.Tensor
    visible: torch.Tensor

    def to(self, device: torch.device) -> Observed:
        """Move to a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class Encoded:
    """Encoder output for B clips of K frames: means and logarithms of variances.

    Parameters
    ----------
    shapes, shapes_spread:
        (B, K, 52): blendshapes.
    identity, identity_spread:
        (B, M): identity mode weights, in standard deviations.
    """

    shapes: torch.Tensor
    shapes_spread: torch.Tensor
    identity: torch.Tensor
    identity_spread: torch.Tensor


class GraphAttention(nn.Module):
    """Graph attention over fully connected tokens (Veličković et al., ICLR 2018), added to them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.project = nn.LayerNorm(width), nn.Linear(width, width, bias=False)
        self.own = normal(heads, width // heads, std=0.1)
        self.other = normal(heads, width // heads, std=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.project(self.norm(x)).unflatten(-1, (self.heads, -1))
        own, other = ((h * a).sum(dim=-1) for a in (self.own, self.other))  # (B, T, H)
        weight = F.leaky_relu(own[:, :, None] + other[:, None], 0.2).softmax(dim=2)
        return x + F.elu(torch.einsum("bijh,bjhc->bihc", weight, h).flatten(2))


class Layer(nn.Module):
    """Pre-norm transformer layer with an additive bias on the attention logits."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.between = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        q, k, v = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.between(x)


class Encoder(nn.Module):
    """Predict blendshapes and one identity from frames; see the module for the sources.

    The buffer ``regions`` (27, points) in {0, 1} holds the landmarks that each unit uses.
    """

    regions: torch.Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        c = self.config = config
        self.register_buffer("regions", torch.ones(len(c.units), c.points))
        inner, read = 2 * c.points + c.shapes + POSE + c.modes + c.shapes, c.modes + c.shapes
        self.linear = nn.Linear(2 * inner, read)
        self.anchors = normal(c.points, c.anchor)
        self.queries = normal(len(c.units), c.queries, c.anchor, std=0.5)
        self.unit_in = normal(len(c.units), 2 * c.queries, c.width, std=(2 * c.queries) ** -0.5)
        self.score_in = nn.Linear(c.shapes, len(c.units) * 8)
        self.score_out = normal(len(c.units), 8, c.width, std=0.2)
        self.all_in = nn.Sequential(
            nn.Linear(POSE + c.shapes + 3 * read, c.width), nn.GELU(), nn.Linear(c.width, c.width)
        )
        self.graph = GraphAttention(c.width, c.heads) if c.graph else nn.Identity()
        self.cls = nn.Parameter(torch.zeros(c.width))
        self.place = normal(len(c.units) + 2, c.width, std=0.02)
        self.layers = nn.ModuleList([Layer(c.width, c.heads, c.hidden) for _ in range(c.layers)])
        self.person = nn.Parameter(torch.zeros(c.width))
        self.count_in = nn.Linear(1, c.width)
        self.slopes = nn.Parameter(torch.linspace(-1.0, 2.0, c.heads))
        self.temporal = nn.ModuleList([Layer(c.width, c.heads, c.hidden) for _ in range(c.temporal)])
        self.shapes_out = nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, 2 * c.shapes))
        self.identity_out = nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, 3 * c.modes))
        self.share_out = nn.Sequential(nn.LayerNorm(c.width), nn.Linear(c.width, c.modes))
        for head in (self.shapes_out[1], self.identity_out[1], self.share_out[1]):  # initially the linear path alone
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def flat(self, seen: Observed) -> torch.Tensor:
        """Return the features (B, K, F) of the linear path: all that is seen, and all of it times the head's yaw."""
        row = torch.cat((seen.offsets.flatten(-2), seen.scores, seen.pose, seen.reading), dim=-1)
        return torch.cat((row, row * seen.pose[..., :1]), dim=-1)

    def used(self, seen: Observed) -> Observed:
        """Return the part of the input that this configuration uses."""
        if self.config.reading:
            return seen
        none = torch.zeros_like(seen.reading)
        return replace(seen, reading=none, unsure=none)

    def first(self, seen: Observed) -> torch.Tensor:
        """Return identity and blendshapes (B, K, M + 52) of the linear path, which corrects the network's reading."""
        return seen.reading + self.linear(self.flat(seen))

    def frames(self, seen: Observed, first: torch.Tensor) -> torch.Tensor:
        """Return a token (B, K, width) per frame, from that frame alone and the linear path's answer (B, K, M + 52)."""
        logits = torch.einsum("uqa,pa->uqp", self.queries, self.anchors)
        weight = logits.masked_fill(self.regions[:, None] < 0.5, -torch.inf).softmax(dim=-1)
        offsets, scores = seen.offsets.flatten(0, 1), seen.scores.flatten(0, 1)
        looked = torch.einsum("uqp,npc->nuqc", weight, offsets).flatten(2)
        told = self.score_in(scores).unflatten(-1, (-1, 8))
        tokens = torch.einsum("nuk,ukw->nuw", looked, self.unit_in) + torch.einsum("nuk,ukw->nuw", told, self.score_out)
        whole = self.all_in(torch.cat((seen.pose, seen.scores, seen.reading, seen.unsure, first), dim=-1))
        x = self.graph(torch.cat((tokens, whole.flatten(0, 1)[:, None]), dim=1))
        x = torch.cat((self.cls.expand(len(x), 1, -1), x), dim=1) + self.place
        for layer in self.layers:
            x = layer(x)
        return x[:, 0].unflatten(0, first.shape[:2])

    def forward(self, seen: Observed) -> Encoded:
        """Predict from B clips of K frames."""
        c, seen = self.config, self.used(seen)
        visible = seen.visible.clamp_min(1e-6)
        first = self.first(seen)
        people, shapes = first.split((c.modes, c.shapes), dim=-1)
        x = self.frames(seen, first)
        many = self.count_in(visible.sum(dim=1, keepdim=True).log())
        x = torch.cat(((self.person + many)[:, None], x), dim=1)
        away = F.pad((seen.times[:, :, None] - seen.times[:, None]).abs(), (1, 0, 1, 0))
        bias = -(self.slopes.exp()[None, :, None, None] * away[:, None])
        bias = bias + F.pad(visible.log(), (1, 0))[:, None, None]
        for layer in self.temporal:
            x = layer(x, bias)
        # Each frame tells each mode with its own weight: a profile tells the nose's length, a frontal view its width.
        share = (self.share_out(x[:, 1:]) + visible.log()[..., None]).softmax(dim=1)
        gain, more, spread_people = self.identity_out(x[:, 0]).chunk(3, dim=-1)
        change, spread = self.shapes_out(x[:, 1:]).chunk(2, dim=-1)
        return Encoded(
            shapes + change,
            (spread - 3.0).clamp(_LEAST, _MOST),
            (people * share).sum(dim=1) * (1 + gain) + more,
            spread_people.clamp(_LEAST, _MOST),
        )
