"""A synthetic flat face on a grid with upstream's UV layout, and tiles and a base texture to compose on it."""

from __future__ import annotations

import math

import torch

from facekit.conventions import PARTS
from facekit.template import Template

SKIN = torch.tensor([0.78, 0.58, 0.48])
OTHER = torch.tensor([0.55, 0.38, 0.30])
CAP = torch.tensor([0.75, 0.08, 0.18])
EYES = ((0.431, 0.705), (0.569, 0.705))
# Half the width and height of an eye's opening, in UV.
OPENING = (0.030, 0.011)


def ellipse(x: float, y: float, a: float, b: float, count: int, start: float = math.pi) -> torch.Tensor:
    """Points (count, 2), clockwise with v up, starting at the left end."""
    turn = start - torch.arange(count) * (2 * math.pi / count)
    return torch.stack((x + a * turn.cos(), y + b * turn.sin()), dim=-1)


def landmark_places() -> torch.Tensor:
    """UVs (68, 2) of landmarks, as faces have them."""
    turn = torch.linspace(math.pi, 2 * math.pi, 17)
    jaw = torch.stack((0.5 + 0.172 * turn.cos(), 0.70 + 0.285 * turn.sin()), dim=-1)
    arch = torch.linspace(0, math.pi, 5)
    brow = torch.stack((torch.linspace(0.385, 0.48, 5), 0.755 + 0.02 * arch.sin()), dim=-1)
    mirrored = torch.stack((1 - brow[:, 0], brow[:, 1]), dim=-1).flip(0)
    bridge = torch.stack((torch.full((4,), 0.5), torch.linspace(0.705, 0.62, 4)), dim=-1)
    nose = torch.stack((torch.linspace(0.472, 0.528, 5), torch.tensor([0.6, 0.594, 0.59, 0.594, 0.6])), dim=-1)
    eyes = [ellipse(*centre, *OPENING, 6) for centre in EYES]
    mouth = [ellipse(0.5, 0.53, 0.055, 0.02, 12), ellipse(0.5, 0.53, 0.045, 0.004, 8)]
    return torch.cat([jaw, brow, mirrored, bridge, nose, *eyes, *mouth])


def facemask(cells: int = 160) -> Template:
    """A grid (cells + 1)² with open eyes; x, y in mm from u, v."""
    line = torch.linspace(0.01, 0.99, cells + 1)
    v, u = torch.meshgrid(line, line, indexing="ij")
    uvs = torch.stack((u, v), dim=-1).reshape(-1, 2)
    corner = (torch.arange(cells)[:, None] * (cells + 1) + torch.arange(cells)).reshape(-1)
    a, b, c, d = corner, corner + 1, corner + cells + 2, corner + cells + 1
    faces = torch.stack((torch.stack((a, b, c), -1), torch.stack((a, c, d), -1)), dim=1).reshape(-1, 3)
    middle = uvs[faces].mean(1)
    for x, y in EYES:
        outside = ((middle[:, 0] - x) / OPENING[0]) ** 2 + ((middle[:, 1] - y) / OPENING[1]) ** 2 > 1
        faces, middle = faces[outside], middle[outside]
    landmarks = torch.cdist(landmark_places(), uvs).argmin(1)
    verts = torch.stack(((uvs[:, 0] - 0.5) * 400, (uvs[:, 1] - 0.6) * 400, torch.zeros(len(uvs))), dim=-1)
    parts = torch.where(uvs[:, 1] < 0.33, PARTS.index("neck"), PARTS.index("skin")).to(torch.uint8)
    return Template(verts, faces, uvs, faces.clone(), parts, landmarks, torch.ones(len(uvs)), (0.2, 0.35, 0.8, 0.95))


def painted(size: int, box: tuple[float, float, float, float], skin: torch.Tensor, stain: float) -> torch.Tensor:
    """A face (3, size, size) with a red cap, brows, lips and dark eyes, seen through a box (u0, v0, u1, v1) of UV.

    stain: 0 for clean eyes, 1 for black ones with stains all around.
    """
    u0, v0, u1, v1 = box
    place = (torch.arange(size) + 0.5) / size
    v, u = torch.meshgrid(v1 - (v1 - v0) * place, u0 + (u1 - u0) * place, indexing="ij")

    def blob(x: float, y: float, a: float, b: float, soft: float = 4.0) -> torch.Tensor:
        return torch.exp(-((((u - x) / a) ** 2 + ((v - y) / b) ** 2) ** (soft / 2)))

    shade = 1 - 0.8 * (u - 0.5) ** 2
    picture = skin[:, None, None] * shade
    for x, y, a, b, colour, strength in (
        (0.5, 0.53, 0.055, 0.02, (0.62, 0.2, 0.2), 0.9),
        (0.43, 0.768, 0.045, 0.01, (0.15, 0.1, 0.08), 0.8), (0.57, 0.768, 0.045, 0.01, (0.15, 0.1, 0.08), 0.8),
        *((x, y, 0.04, 0.022, (0.08, 0.04, 0.03), 0.9 * stain) for x, y in EYES),
    ):  # fmt: skip
        amount = strength * blob(x, y, a, b)
        picture = picture * (1 - amount) + torch.tensor(colour)[:, None, None] * amount
    grain = torch.randn(1, size, size, generator=torch.Generator().manual_seed(1)) * 0.008
    # The cap: above an arch over the forehead.
    cap = torch.sigmoid((v - 0.90 + 1.6 * (u - 0.5) ** 2) * 250)
    return (picture * (1 + grain) * (1 - cap) + CAP[:, None, None] * cap).clamp(0, 1)


def base_texture() -> torch.Tensor:
    """(512, 512, 3) uint8: another subject, with dark eyes and a cap."""
    return (painted(512, (0, 0, 1, 1), OTHER, 1.0) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()


def face_tile(skin: torch.Tensor = SKIN, stain: float = 1.0) -> torch.Tensor:
    """(1, 3, 512, 512): simulated output of the generator, in upstream's rectangle."""
    return painted(512, (204 / 1024, 1 - 667 / 1024, 820 / 1024, 1 - 51 / 1024), skin, stain)[None]
