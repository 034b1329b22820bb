"""Detail maps: SD-DeTail of HiFace (Chai et al., ICCV 2023, arXiv 2303.11225), whose code is not public.

The paper gives the form: static displacement from a linear basis, and dynamic displacement interpolated between two
maps of polarised expressions, one compressed, one stretched; all are regressed from identity, and composed by the
tension of the mesh::

    D_x = mean_x + basis_x · φ_x                                 x: static, compressed, stretched
    D   = D_static + UV(w_c) ⊙ D_compressed + UV(w_s) ⊙ D_stretched
    w_c = clip(gain_c · s - bias_c, 0, 1)        w_s = clip(-gain_s · s - bias_s, 0, 1)

Sizes, regressors and the choice of s are ours: HiFace's scalar edge tension, or the strain across the local furrow
(:mod:`facekit.geometry.strain`) divided by its reference strain. The latter does not cancel where skin is compressed in
one direction and stretched in the other, and adapts to the local range of strain. The coefficients belong to the
person: an animation keeps them fixed and changes only s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import nn

from facekit.errors import WeightsError
from facekit.models.config import DetailConfig
from facekit.models.shape import MLP

#: The three kinds of maps, in the order used throughout.
KINDS = ("static", "compressed", "stretched")


class DetailCodes(NamedTuple):
    """Coefficients φ of B people, (B, n) float32 each."""

    static: torch.Tensor
    compressed: torch.Tensor
    stretched: torch.Tensor


class DetailModel(nn.Module):
    """Predict displacement maps on the face tile from identity, and compose them by strain."""

    furrows: torch.Tensor

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        c = self.config = config
        counts = (c.static, c.compressed, c.stretched)
        self.mean = nn.ParameterList(nn.Parameter(torch.zeros(c.size * c.size)) for _ in KINDS)
        self.basis = nn.ParameterList(nn.Parameter(torch.zeros(n, c.size * c.size)) for n in counts)
        self.regress_static = MLP((c.identity, c.hidden, c.static))
        self.regress_dynamic = MLP((c.identity + c.static, c.hidden, c.compressed + c.stretched))
        # gain_c, bias_c, gain_s, bias_s
        self.response = nn.Parameter(torch.tensor([0.6, 0.05, 0.6, 0.05]))
        # Furrow directions: cos and sin of twice the angle to the tile's x axis, times the confidence; and the
        # reference strain, at which the furrow is fully formed.
        self.register_buffer("furrows", torch.cat((torch.zeros(2, c.field, c.field), torch.ones(1, c.field, c.field))))

    def coefficients(self, identity: torch.Tensor) -> DetailCodes:
        """Return coefficients φ for identity codes (B, 20); they do not depend on expression."""
        static = self.regress_static(identity)
        dynamic = self.regress_dynamic(torch.cat([identity, static], dim=1))
        return DetailCodes(static, *dynamic.split([self.config.compressed, self.config.stretched], dim=1))

    def maps(self, codes: DetailCodes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return D_static, D_compressed and D_stretched on the tile, each (B, 1, S, S) mm."""
        size = (-1, 1, self.config.size, self.config.size)
        static, compressed, stretched = (
            torch.addmm(mean, code, basis).view(size)
            for mean, basis, code in zip(self.mean, self.basis, codes, strict=True)
        )
        return static, compressed, stretched

    def weights(self, strain: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return w_c and w_s in [0, 1] for normalised strain of any shape: positive is compressed, negative
        stretched.
        """
        # The parameters are clamped at 0: a neutral face has no dynamic detail.
        gain_c, bias_c, gain_s, bias_s = self.response.clamp_min(0).unbind()
        return (gain_c * strain - bias_c).clamp(0, 1), (-gain_s * strain - bias_s).clamp(0, 1)


class DetailHome(NamedTuple):
    """Topology that a module's maps belong to: number of vertices, and the tile's rectangle in its UV layout."""

    vertices: int
    tile_rect: tuple[float, float, float, float]


def pack_detail(model: DetailModel, home: DetailHome) -> dict[str, torch.Tensor]:
    """Return the module as arrays for an npz: maps in 8 bits with a step each, the rest in half precision.

    A step is an eighth of the map's standard deviation (the rounding error is then 1 / 28 of it), or more if the
    largest value requires it.
    """
    arrays: dict[str, torch.Tensor] = {
        "directional": torch.tensor(model.config.composition == "directional"),
        "vertices": torch.tensor(home.vertices),
        "tile_rect": torch.tensor(home.tile_rect),
    }
    for name, value in model.state_dict().items():
        if name.startswith(("mean.", "basis.")):
            rows = value.reshape(-1, value.shape[-1])
            used = rows.square().sum(1) / (rows != 0).sum(1).clamp_min(1)
            step = torch.maximum(used.sqrt() / 8, rows.abs().amax(1) / 127).clamp_min(1e-12)
            arrays[name] = (rows / step[:, None]).round().to(torch.int8).view(value.shape)
            arrays[f"{name}.step"] = step.float()
        else:
            arrays[name] = value.half()
    return arrays


def unpack_detail(arrays: Mapping[str, torch.Tensor]) -> tuple[DetailModel, DetailHome]:
    """Return the frozen module and its topology from arrays written by :func:`pack_detail`.

    Raises
    ------
    WeightsError
        If the arrays are not in this format or have inconsistent sizes.
    """
    try:
        counts = [len(arrays[f"basis.{k}"]) for k in range(len(KINDS))]
        hidden, identity = arrays["regress_static.fc0.0.weight"].shape
        config = DetailConfig(
            *(round(arrays["mean.0"].numel() ** 0.5), *counts),
            hidden=hidden,
            field=arrays["furrows"].shape[-1],
            composition="directional" if bool(arrays["directional"]) else "scalar",
            identity=identity,
        )
        state = {}
        model = DetailModel(config)
        for name in model.state_dict():
            state[name] = arrays[name].float()
            if arrays[name].dtype == torch.int8:
                step = arrays[f"{name}.step"]
                state[name] *= step[:, None] if state[name].ndim == 2 else step
        model.load_state_dict(state, assign=True)
        home = DetailHome(int(arrays["vertices"]), tuple(arrays["tile_rect"].tolist()))
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError("arrays of a detail module", f"{error}", "reinstall facekit, or train it again") from error
    return model.requires_grad_(False).eval(), home
