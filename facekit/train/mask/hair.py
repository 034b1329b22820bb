"""The pack's hair, fitted to heads and drawn into their pictures as strands, for training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.files.images import load_image
from facekit.geometry.normals import vertex_normals
from facekit.render import Camera
from facekit.template import Template

#: Number of points sampled on the cards, and coverage above which there is hair.
_POINTS, _SOLID = 300_000, 0.35
#: Number of nearest scalp vertices that hair follows, and its distance from the skin in mm.
_NEAREST, _AWAY = 8, 2.0
_MELANIN = (
    (0.09, 0.07, 0.06),
    (0.21, 0.14, 0.10),
    (0.38, 0.25, 0.16),
    (0.66, 0.50, 0.33),
    (0.47, 0.24, 0.13),
    (0.6, 0.58, 0.56),
)


@dataclass(frozen=True)
class HairStyle:
    """Points on hair cards: (N, 3) mm on the mean head, grey level (N,), and weights of the vertices that they
    follow.
    """

    points: torch.Tensor
    grey: torch.Tensor
    near: torch.Tensor
    share: torch.Tensor

    @classmethod
    def load(cls, folder: Path, name: str, template: Template, seed: int = 0) -> HairStyle:
        """Read a style of the pack's ``hair`` folder."""
        arrays = np.load(folder / "hair.npz", allow_pickle=False)
        verts, uvs, faces, charts = (arrays[f"{name}/{part}"] for part in ("verts", "uvs", "faces", "faces_uvs"))
        rng = np.random.default_rng(seed)
        corners = verts[faces]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        face = rng.choice(len(faces), _POINTS, p=area / area.sum())
        a, b = rng.random((2, _POINTS, 1))
        fold = a + b > 1
        a, b = np.where(fold, 1 - a, a), np.where(fold, 1 - b, b)
        points = corners[face, 0] * (1 - a - b) + corners[face, 1] * a + corners[face, 2] * b
        chart = uvs[charts[face]]
        uv = chart[:, 0] * (1 - a - b) + chart[:, 1] * a + chart[:, 2] * b
        path = folder / f"{name}.png"
        if path.is_file():
            picture = load_image(path)
            side = picture.shape[0]
            x = np.clip((uv[:, 0] % 1 * side).astype(int), 0, side - 1)
            y = np.clip(((1 - uv[:, 1] % 1) * side).astype(int), 0, side - 1)
            texel = picture[y, x].astype(np.float32)
            solid, grey = texel[:, 3] > _SOLID * 255, texel[:, :3].mean(1)
        else:  # strands along the cards
            solid = rng.random(_POINTS) < 0.8
            grey = 100 + 40 * np.sin(uv[:, 0] * 900) + rng.normal(0, 20, _POINTS)
        points, grey = torch.from_numpy(points[solid]).float(), torch.from_numpy(grey[solid]).float()
        grey = (grey / grey.mean()).clamp(0.3, 2.2)
        distance, near = _nearest(points, template.verts)
        share = 1 / (distance + 1.0)
        return cls(points, grey, near, share / share.sum(1, keepdim=True))

    def worn(self, verts: torch.Tensor, template: Template) -> torch.Tensor:
        """Move the points with a head's vertices (V, 3)."""
        moved = ((verts - template.verts)[self.near] * self.share[..., None]).sum(1)
        return self.points + moved + _AWAY * vertex_normals(verts[None], template.faces)[0][self.near[:, 0]]


def _nearest(points: torch.Tensor, verts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    from scipy.spatial import KDTree

    distance, near = KDTree(verts.numpy()).query(points.numpy(), k=_NEAREST)
    return torch.from_numpy(distance).float(), torch.from_numpy(near)


def draw_hair(
    picture: torch.Tensor,
    depth: torch.Tensor,
    camera: Camera,
    style: HairStyle,
    verts: torch.Tensor,
    template: Template,
    rng: np.random.Generator,
    level: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw a style into a picture (H, W, 3) of a head with this depth (H, W); return also its coverage (H, W) in [0,
    1].
    """
    height, width = depth.shape
    fine = 2
    place = camera.project(style.worn(verts, template)[None], (height, width))[0]
    x, y, z = (place[:, 0] * fine).long(), (place[:, 1] * fine).long(), place[:, 2]
    inside = (x >= 0) & (x < width * fine) & (y >= 0) & (y < height * fine) & (z > 1)
    x, y, z, grey = x[inside], y[inside], z[inside], style.grey[inside]
    visible = z < depth[(y // fine), (x // fine)] + 6
    x, y, z, grey = x[visible], y[visible], z[visible], grey[visible]
    flat = y * (width * fine) + x
    order = z.argsort(descending=True)  # the nearest is written last
    front = torch.full((height * fine * width * fine,), -1, dtype=torch.int64)
    front[flat[order]] = order
    hit = front >= 0
    colour = torch.tensor(_MELANIN[rng.integers(len(_MELANIN))]) * float(level * np.exp(rng.normal(0, 0.25)))
    shade = grey[front.clamp_min(0)] * float(rng.uniform(0.7, 1.3))
    drawn = (colour * shade[:, None] + float(rng.uniform(0, 0.08)) * shade[:, None] ** 3).clamp(0, 1) * hit[:, None]
    both = torch.cat((drawn, hit[:, None].float()), 1).view(height * fine, width * fine, 4).permute(2, 0, 1)
    closed = torch.nn.functional.max_pool2d(both[None], 3, 1, 1)[0]
    both = torch.where(both[3:] > 0, both, closed)
    small = torch.nn.functional.avg_pool2d(both[None], fine)[0]
    cover = small[3]
    drawn_over = picture * (1 - cover[..., None]) + small[:3].permute(1, 2, 0)
    # Skin between strands should not count as bare: close the mask.
    wide = torch.nn.functional.max_pool2d(cover[None, None], 7, 1, 3)
    return drawn_over, torch.maximum(cover, -torch.nn.functional.max_pool2d(-wide, 7, 1, 3)[0, 0])
