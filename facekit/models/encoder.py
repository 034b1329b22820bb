"""Action-unit transformer: from the landmarks of a few frames to one identity and blendshapes per frame.

From AUFART (Kim and Lee, ICT Express 11(3), 2025): 27 action-unit tokens and a global one, graph attention over these
28 with four heads, a pre-norm transformer with CLS token and learned positions, and the expression read from CLS. Ours:
the input (landmarks and the landmarker's scores instead of two networks on pixels), a linear path in closed form that
the transformer corrects, ARKit's blendshapes with gaze as output, layers across frames, the identity token, and
uncertainties. It is also smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    Buffers: ``regions`` (27, points) in {0, 1}, the landmarks that each unit uses; ``missed`` (52, 52), the covariance
    of single-frame blendshape errors on people outside of the training set.
    """

    regions: torch.Tensor
    missed: torch.Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        c = self.config = config
        self.register_buffer("regions", torch.ones(len(c.units), c.points))
        self.register_buffer("missed", torch.zeros(c.shapes, c.shapes).fill_diagonal_(1.0))
        inner = 2 * c.points + c.shapes + POSE
        self.linear = nn.Linear(2 * inner, c.shapes + c.modes)
        self.anchors = normal(c.points, c.anchor)
        self.queries = normal(len(c.units), c.queries, c.anchor, std=0.5)
        self.unit_in = normal(len(c.units), 2 * c.queries, c.width, std=(2 * c.queries) ** -0.5)
        self.score_in = nn.Linear(c.shapes, len(c.units) * 8)
        self.score_out = normal(len(c.units), 8, c.width, std=0.2)
        self.all_in = nn.Sequential(
            nn.Linear(POSE + 2 * c.shapes + c.modes, c.width), nn.GELU(), nn.Linear(c.width, c.width)
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
        for head in (self.shapes_out[1], self.identity_out[1]):  # initially the linear path alone
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def flat(self, offsets: torch.Tensor, scores: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """Return the features (…, F) of the linear path: all inputs, and all inputs times the head's yaw."""
        row = torch.cat((offsets.flatten(-2), scores, pose), dim=-1)
        return torch.cat((row, row * pose[..., :1]), dim=-1)

    def frames(self, offsets: torch.Tensor, scores: torch.Tensor, pose: torch.Tensor, first: torch.Tensor):
        """Return a token (N, width) per frame, from that frame alone."""
        logits = torch.einsum("uqa,pa->uqp", self.queries, self.anchors)
        weight = logits.masked_fill(self.regions[:, None] < 0.5, -torch.inf).softmax(dim=-1)
        looked = torch.einsum("uqp,npc->nuqc", weight, offsets).flatten(2)
        told = self.score_in(scores).unflatten(-1, (-1, 8))
        tokens = torch.einsum("nuk,ukw->nuw", looked, self.unit_in) + torch.einsum("nuk,ukw->nuw", told, self.score_out)
        whole = self.all_in(torch.cat((pose, scores, first), dim=-1))
        x = self.graph(torch.cat((tokens, whole[:, None]), dim=1))
        x = torch.cat((self.cls.expand(len(x), 1, -1), x), dim=1) + self.place
        for layer in self.layers:
            x = layer(x)
        return x[:, 0]

    def forward(
        self,
        offsets: torch.Tensor,
        scores: torch.Tensor,
        pose: torch.Tensor,
        times: torch.Tensor,
        visible: torch.Tensor,
    ) -> Encoded:
        """Process B clips of K frames.

        Parameters
        ----------
        offsets:
            (B, K, 478, 2) float32: landmarks relative to the mean head's in the same pose, upright, in :data:`SCALE`
            mm.
        scores:
            (B, K, 52) float32 in [0, 1]: the landmarker's blendshape scores.
        pose:
            (B, K, 6) float32, the sine of the head's yaw first.
        times:
            (B, K) float32, seconds; stills of a person have times far apart.
        visible:
            (B, K) float32 in [0, 1]: visibility of the face; 0 excludes a frame.
        """
        c, (clips, count) = self.config, offsets.shape[:2]
        seen = visible.clamp_min(1e-6)
        linear = self.linear(self.flat(offsets, scores, pose))
        shapes, people = linear.split((c.shapes, c.modes), dim=-1)
        share = (seen / seen.sum(dim=1, keepdim=True))[..., None]
        identity = (people * share).sum(dim=1)
        flat = [t.flatten(0, 1) for t in (offsets, scores, pose, linear)]
        x = self.frames(*flat).unflatten(0, (clips, count))
        many = self.count_in(seen.sum(dim=1, keepdim=True).log())
        x = torch.cat(((self.person + many)[:, None], x), dim=1)
        away = F.pad((times[:, :, None] - times[:, None]).abs(), (1, 0, 1, 0))
        bias = -(self.slopes.exp()[None, :, None, None] * away[:, None])
        bias = bias + F.pad(seen.log(), (1, 0))[:, None, None]
        for layer in self.temporal:
            x = layer(x, bias)
        gain, more, spread_people = self.identity_out(x[:, 0]).chunk(3, dim=-1)
        change, spread = self.shapes_out(x[:, 1:]).chunk(2, dim=-1)
        return Encoded(
            shapes + change,
            (spread - 3.0).clamp(_LEAST, _MOST),
            identity * (1 + gain) + more,
            spread_people.clamp(_LEAST, _MOST),
        )
