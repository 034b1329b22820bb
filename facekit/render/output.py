"""RenderOutput, the result of :func:`facekit.render.render`, and backgrounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from facekit.checks import as_slice
from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.errors import InputError
from facekit.geometry.lists import flat_indices

if TYPE_CHECKING:
    from PIL.Image import Image

    from facekit.render.labels import Labels

_COLUMNS = ("rgb", "alpha", "depth", "normals", "face_ids")
Background = str | tuple[float, float, float] | None


@dataclass(frozen=True)
class RenderOutput:
    """B pictures. ``len(pictures)`` is B, ``pictures[i]`` picks one.

    Parameters
    ----------
    rgb:
        (B, 3, H, W) float32 sRGB in [0, 1]: over the background, or straight (not multiplied by alpha) if transparent.
    alpha:
        (B, 1, H, W) float32 in [0, 1]: coverage of each pixel by the mesh.
    depth:
        (B, 1, H, W) float32: depth in mm along the optical axis at the pixel centre; inf for background.
    normals:
        (B, 3, H, W) float32: unit shading normals in camera space (+X right, +Y up, +Z to the viewer), including
        displacement; zero for background.
    face_ids:
        (B, H, W) int64: index of the triangle at the pixel centre; -1 for background, -2 for hair, -3 for a beard.
    transparent:
        Whether saved pictures have an alpha channel.
    labels:
        Landmarks and parts, for :meth:`save_all`.
    hair:
        (B, 1, H, W) float32 in [0, 1]: coverage of each pixel by hair, beard, brows and lashes; None without any.
    """

    rgb: torch.Tensor
    alpha: torch.Tensor
    depth: torch.Tensor
    normals: torch.Tensor
    face_ids: torch.Tensor
    transparent: bool = False
    labels: Labels | None = field(default=None, repr=False, compare=False)
    hair: torch.Tensor | None = None

    @classmethod
    def cat(cls, pictures: Sequence[RenderOutput]) -> RenderOutput:
        """Concatenate pictures of one size; missing hair coverage is filled with zeros."""
        first = pictures[0]
        columns = {name: torch.cat([getattr(p, name) for p in pictures]) for name in _COLUMNS}
        strands = None
        if any(p.hair is not None for p in pictures):
            strands = torch.cat([torch.zeros_like(p.alpha) if p.hair is None else p.hair for p in pictures])
        labels = [p.labels for p in pictures if p.labels is not None]
        joined = type(labels[0]).cat(labels) if labels else None
        return dataclasses.replace(first, **columns, hair=strands, labels=joined)

    def __repr__(self) -> str:
        """Summarise the sizes in one line."""
        return f"RenderOutput({len(self)} of {self.rgb.shape[3]} x {self.rgb.shape[2]} pixels)"

    def _repr_png_(self) -> bytes:
        from facekit.files.images import encode_png

        return encode_png(self.to_uint8()[0].numpy())

    def __len__(self) -> int:
        return self.rgb.shape[0]

    def __getitem__(self, index: int | slice) -> RenderOutput:
        picked = as_slice(index, len(self), "picture")
        labels = None if self.labels is None else self.labels[picked]
        strands = None if self.hair is None else self.hair[picked]
        columns = {name: getattr(self, name)[picked] for name in _COLUMNS}
        return dataclasses.replace(self, labels=labels, hair=strands, **columns)

    def to_uint8(self) -> torch.Tensor:
        """Return (B, H, W, 3) uint8 on the CPU, or (B, H, W, 4) if transparent."""
        picture = torch.cat((self.rgb, self.alpha), dim=1) if self.transparent else self.rgb
        picture = (picture.detach().clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8)
        return picture.permute(0, 2, 3, 1).contiguous().cpu()

    def to_pil(self, index: int = 0) -> Image:
        """Return one picture as a PIL image, RGB or RGBA."""
        from PIL import Image

        return Image.fromarray(self[index].to_uint8()[0].numpy())

    def save(self, path: str | Path) -> Path:
        """Write the picture (B must be 1) as .png, .jpg or .webp."""
        from facekit.files.images import save_image

        if len(self) != 1:
            raise InputError("one picture", f"a batch of {len(self)}", "save pictures[i], each under its own name")
        return save_image(self.to_uint8()[0].numpy(), path)

    def save_all(self, folder: str | Path) -> list[Path]:
        """Write colours, alpha, depth, normals, triangle ids, part masks and landmarks into a folder.

        See :func:`facekit.render.labels.save_all` for the files.
        """
        from facekit.render.labels import save_all

        return save_all(self, folder)


def background_of(background: Background, height: int, width: int, like: torch.Tensor) -> torch.Tensor | None:
    """Return the background, (3, H, W) float32 sRGB; None for transparent."""
    if isinstance(background, str):
        if background == "transparent":
            return None
        if background == "studio":
            return _studio(height, width, like)
        raise InputError('background "studio", "transparent" or an RGB', repr(background), "choose one of them")
    colour = torch.as_tensor(background, dtype=torch.float32, device=like.device)
    if colour.shape != (3,) or not bool(((colour >= 0) & (colour <= 1)).all()):
        raise InputError("a background of three numbers between 0 and 1 (sRGB)", f"{background}", 'or use "studio"')
    return colour[:, None, None].expand(3, height, width)


def _studio(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Return a lit paper backdrop: brightest behind the head, darker toward the corners and the floor."""
    y = (torch.arange(height, device=like.device) + 0.5) / height
    x = (torch.arange(width, device=like.device) + 0.5) / width
    across = torch.exp(-1.35 * ((x - 0.5) * (width / height) / 0.80).square())
    down = torch.exp(-1.35 * ((y - 0.40) / 0.86).square())
    edge, middle = (like.new_tensor(c)[:, None, None] for c in ((0.46, 0.475, 0.50), (0.80, 0.81, 0.825)))
    # Ordered noise of half a step (Jimenez 2014) hides the banding of smooth ramps in 8 bits.
    ramp = 0.06711056 * torch.arange(width, device=like.device)
    noise = torch.frac(52.9829189 * torch.frac(ramp + 0.00583715 * torch.arange(height, device=like.device)[:, None]))
    glow = across * down[:, None]
    return (edge + (noise - 0.5) / 255.0) + (middle - edge) * glow


def resolve(linear: torch.Tensor, alpha: torch.Tensor, behind: torch.Tensor | None) -> torch.Tensor:
    """Composite linear colours multiplied by alpha, (B, 3, H, W), over a sRGB background, or unmultiply them without
    one.

    Colours are blended in linear light. Only covered pixels are processed, as sRGB encoding dominates the cost.
    """
    batch, _, height, width = linear.shape
    coverage = alpha.reshape(-1)
    place = flat_indices(coverage > 0)
    covered = coverage.index_select(0, place)
    part = flat_indices(covered < 1.0)
    edge, rest = place.index_select(0, part), 1.0 - covered.index_select(0, part)
    rows = []
    for k in range(3):
        colour = linear[:, k].reshape(-1).index_select(0, place)
        ground = colour.new_zeros(batch * height * width) if behind is None else behind[k].reshape(-1).repeat(batch)
        if behind is None:
            colour = colour / covered
        elif part.numel():
            colour = colour.index_add(0, part, rest * srgb_to_linear(ground.index_select(0, edge)))
        colour = linear_to_srgb(colour.clamp(0.0, 1.0))
        rows.append(ground.scatter_(0, place, colour).view(batch, height, width))
    return torch.stack(rows, dim=1)
