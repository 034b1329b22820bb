"""Losses of the encoder: vertices, blendshapes, action units, their velocity, and calibrated uncertainties."""

from __future__ import annotations

import torch

from facekit.models.encoder import Encoded
from facekit.motion.units import ACTION_UNITS
from facekit.reconstruct.points import FacePoints
from facekit.train.encoder.data import Clips

#: Fraction of its largest intensity above which a unit's region has five times the weight (as in AUFART).
_ACTIVE, _FIVE = 0.5, 5.0
#: A point belongs to a unit that moves it by at least this fraction of the unit's largest displacement.
_REGION = 0.15


class Losses:
    """Losses, with precomputed data of the rig.

    Parameters
    ----------
    recipes:
        (units, 52) float32: each action unit as blendshapes.
    to_units:
        (52, all units) float32: blendshapes as action units, see :mod:`facekit.motion.mapping`.
    """

    def __init__(
        self, points: FacePoints, recipes: torch.Tensor, to_units: torch.Tensor, units: tuple[int, ...]
    ) -> None:
        shapes = torch.from_numpy(points.shapes).float()
        modes = torch.from_numpy(points.modes).float()
        moved = torch.einsum("pcs,us->upc", shapes, recipes).norm(dim=-1)
        self.regions = (moved > _REGION * moved.amax(dim=1, keepdim=True)).float()
        self.shapes, self.modes = _gram(shapes), _gram(modes)
        each = [_gram(shapes[region > 0]) for region in self.regions]
        self.by_unit = torch.stack(each)
        self.to_units = to_units[:, [list(ACTION_UNITS).index(unit) for unit in units]]

    def to(self, device: torch.device) -> Losses:
        """Move to a device, in place."""
        for name in ("regions", "shapes", "modes", "by_unit", "to_units"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def __call__(self, told: Encoded, clips: Clips, units: bool = True, speed: bool = True) -> dict[str, torch.Tensor]:
        """Return every term, weighted; their sum is the loss."""
        off = told.shapes - clips.shapes
        who = told.identity - clips.identity
        terms = {
            "expression": 0.5 * _squared(off, self.shapes).mean(),
            "person": 0.15 * _squared(who, self.modes).mean(),
            "shapes": 8.0 * off.square().mean(),
            "sure": 0.05 * _likelihood(off, told.shapes_spread).mean(),
            "sure_person": 0.1 * _likelihood(who, told.identity_spread).mean(),
        }
        if units:
            true = clips.shapes @ self.to_units
            active = (true >= _ACTIVE).float()
            regions = torch.einsum("bks,ust,bkt->bku", off, self.by_unit, off)
            terms["units"] = 4.0 * (off @ self.to_units).square().mean() + 0.02 * _FIVE * (active * regions).mean()
        if speed and off.shape[1] > 2 and bool(clips.moving.any()):
            moving = off[clips.moving]
            first, second = moving.diff(dim=1), moving.diff(n=2, dim=1)
            terms["speed"] = 1.0 * _squared(first, self.shapes).mean() + 0.5 * _squared(second, self.shapes).mean()
        return terms


def _gram(fields: torch.Tensor) -> torch.Tensor:
    """Return (K, K): the quadratic form of the mean squared displacement, mm², of fields (P, 3, K) by their weights."""
    return torch.einsum("pci,pcj->ij", fields, fields) / len(fields)


def _squared(off: torch.Tensor, gram: torch.Tensor) -> torch.Tensor:
    return ((off @ gram) * off).sum(dim=-1)


def _likelihood(off: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Return twice the negative log likelihood of errors with this log variance."""
    return off.square() * (-spread).exp() + spread
