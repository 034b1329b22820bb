"""Occluders in front of faces: glasses, and abstract blobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from facekit.color import srgb_to_linear
from facekit.generate.classes import CLASSES, IGNORE

#: Number of points on a rim, and on a bridge or temple; supersampling factor.
_RIM, _LINE, _FINE = 72, 24, 4
#: Distance of glasses in front of the eyeball's centre, mm; end of the temples on the head, mm.
_FRONT, _EAR = 24.0, torch.tensor([77.0, 34.0, 4.0])
#: Depth tolerance, mm, of the visibility of points.
_NEAR = 3.0

#: From points (n, 3) of the unturned head to rows (n, 4): x and y in pixels, depth in mm, and pixels per mm there.
Project = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Layer:
    """Layer painted over a picture: opacity ``cover`` (H, W) in [0, 1], linear ``colour`` (3, H, W) or (3, 1, 1)
    float32, and class ``label`` where the opacity is above a half.
    """

    cover: torch.Tensor
    colour: torch.Tensor
    label: int

    def over(self, linear: torch.Tensor) -> torch.Tensor:
        """Return the picture (3, H, W) with the layer."""
        return linear + (self.colour - linear) * self.cover

    def mark(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the mask (H, W) uint8 with the layer."""
        return torch.where(self.cover > 0.5, self.label, mask)


class _Canvas:
    """Opacity map for drawing lines and areas, at four times the size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.image = Image.new("L", (size * _FINE, size * _FINE))
        self.draw = ImageDraw.Draw(self.image)

    def area(self, places: torch.Tensor) -> None:
        self.draw.polygon([tuple(p) for p in (places[:, :2] * _FINE - 0.5).tolist()], fill=255)

    def line(self, places: torch.Tensor, depth: torch.Tensor, thick: float) -> None:
        """Draw the visible parts of a line (n, 4) with a thickness of ``thick`` mm."""
        last = self.size - 1
        columns, rows = (places[:, k].floor().long().clamp(0, last) for k in (0, 1))
        seen = (places[:, 2] < depth[rows, columns] + _NEAR) & (places[:, 2] > 1)
        points, widths = (places[:, :2] * _FINE - 0.5).tolist(), (thick * _FINE * places[:, 3]).tolist()
        for k in range(len(points) - 1):
            if bool(seen[k] and seen[k + 1]):
                self.draw.line([*points[k], *points[k + 1]], fill=255, width=max(1, round(widths[k])))
                radius = widths[k] / 2
                self.draw.ellipse([c + s * radius for s in (-1, 1) for c in points[k]], fill=255)

    def cover(self) -> torch.Tensor:
        """Return the opacity (H, W) float32 in [0, 1]."""
        return torch.from_numpy(np.asarray(self.image.reduce(_FINE), dtype=np.float32) / 255)


def glasses(
    wish: Mapping[str, Any], eyes: torch.Tensor, project: Project, depth: torch.Tensor
) -> tuple[Layer, torch.Tensor]:
    """Draw glasses: return the frame's layer, and the transmittance (H, W) of the lenses.

    Parameters
    ----------
    wish:
        ``width``, ``height`` and ``rim``, mm, ``power`` of the superellipse, ``colour`` in sRGB, ``tint``.
    eyes:
        (2, 3) mm: centres of the right and the left eyeball of the unturned head.
    depth:
        (H, W) mm: depth of the picture, inf for background.
    """
    frame, lens = _Canvas(depth.shape[0]), _Canvas(depth.shape[0])
    angle = torch.arange(_RIM) * (2 * math.pi / _RIM)
    across, up = (part.sign() * part.abs() ** (2 / wish["power"]) for part in (angle.cos(), angle.sin()))
    across, up = across * wish["width"] / 2, up * wish["height"] / 2
    share = torch.linspace(0, 1, _LINE)[:, None]
    inner = []
    for side, eye in zip((-1, 1), eyes, strict=True):
        # Lenses are curved with the face: their outer edges are further back.
        back = 0.0035 * (across * side + 20).clamp_min(0).square()
        rim = eye + torch.stack((across, up - 3.0, _FRONT - back), dim=1)
        closed = project(torch.cat((rim, rim[:1])))
        lens.area(closed)
        frame.line(closed, depth, wish["rim"])
        outer = rim[(rim[:, 0] * side).argmax()]
        frame.line(project(outer + (_EAR * torch.tensor([side, 1, 1]) - outer) * share), depth, 0.8 * wish["rim"])
        inner.append(rim[(rim[:, 0] * side).argmin()] + torch.tensor([0.0, 4.0, 0.0]))
    bridge = inner[0] + (inner[1] - inner[0]) * share
    bridge[:, 1] += 2.5 * torch.sin(math.pi * share[:, 0])
    frame.line(project(bridge), depth, wish["rim"])
    colour = srgb_to_linear(torch.tensor(wish["colour"]))[:, None, None]
    return Layer(frame.cover(), colour, CLASSES.index("glasses")), 1 - wish["tint"] * lens.cover()


def blob(wish: Mapping[str, Any], box: tuple[float, float, float, float], size: int) -> Layer:
    """Draw a blob with a wavy outline over a part of the face.

    Parameters
    ----------
    wish:
        ``place`` relative to the face's centre, and ``size``, both in sides of its box; ``waves`` of its outline;
        ``colours``.
    box:
        Left, top, right and bottom of the face in pixels.
    """
    left, top, right, bottom = box
    side = max(right - left, bottom - top)
    x, y = (left + right) / 2 + wish["place"][0] * side, (top + bottom) / 2 + wish["place"][1] * side
    angle = torch.arange(128) * (2 * math.pi / 128)
    waves = [a * torch.cos(k * angle) + b * torch.sin(k * angle) for k, (a, b) in enumerate(wish["waves"], 1)]
    radius = (1 + torch.stack(waves).sum(dim=0)).clamp(0.35, 1.8) * wish["size"] * side
    canvas = _Canvas(size)
    canvas.area(torch.stack((x + radius * angle.cos(), y + radius * angle.sin()), dim=1))
    first, second = srgb_to_linear(torch.tensor(wish["colours"]))[..., None, None]
    ramp = ((torch.arange(size) - (y - side / 2)) / max(side, 1.0)).clamp(0, 1)[:, None]
    return Layer(canvas.cover(), first + (second - first) * ramp, IGNORE)
