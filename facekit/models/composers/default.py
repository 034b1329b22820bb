"""DefaultComposer: from the network's face tile to the whole atlas of the embedded default.

The tile covers face, ears and neck. The teacher paints its outer border in one tone per face, and the back of the head
is painted in the same tone here, so that no border is visible. Eyes, teeth and mouth come from a static picture; the
iris is tinted by the identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.files.readers import load_arrays, load_picture
from facekit.geometry.charts import mask_box, rect_box, step
from facekit.geometry.uv import bake_skirted, box_blurred
from facekit.models.brows import BrowShape
from facekit.models.composers.complexion import Complexion
from facekit.models.composers.contours import Contours
from facekit.models.composers.lips import LipTone
from facekit.models.composers.micro import SCALP_COVER, MicroLayer
from facekit.models.composers.neck import NeckTone, neck_share
from facekit.models.eyelids import Eyelids
from facekit.template import Template

# Iris colours, sRGB, from dark brown to blue-grey: control points of a path that the identity interpolates.
_IRIS_PATH = (
    (0.17, 0.09, 0.05),
    (0.26, 0.15, 0.08),
    (0.34, 0.23, 0.12),
    (0.33, 0.30, 0.19),
    (0.31, 0.35, 0.34),
    (0.29, 0.37, 0.45),
)
# Mean grey of the iris fibres in the static picture, chosen a little lower for livelier eyes.
IRIS_GREY = 0.62
# Rows of the tile, as fractions of its height, that the teacher paints in the border tone: top of the scalp and bottom
# of the neck.
_BORDER_ROWS = ((0.025, 0.045), (0.955, 0.975))
# Width of the border, as a fraction of the tile's side, in which this tone replaces the network's output, whose
# convolutions see zero padding there.
_BORDER_WIDTH = 0.035
# Share of red, green and blue light that lids absorb over other skin, which is thicker and has fewer vessels near its
# surface, and the width over which this fades out, texels.
_LIDS, _LIDS_FADE = (0.045, 0.065, 0.055), 17
# Hairline behind the ear and at the nape, mm: heights y at two depths z, and the width of the fade.
_HAIRLINE = ((-10.0, 2.0), (-80.0, -42.0))
_HAIR_FADE = 16.0


class DefaultComposer(nn.Module):
    """Compose the atlas from tile, identity and noise.

    Parameters
    ----------
    base:
        (H, W, 3) uint8 sRGB: static colours of eyes, teeth and mouth.
    parts:
        (H, W) uint8: part id per texel, 255 outside of triangles.
    iris:
        (H, W) uint8: weight of the identity's iris colour, 255 is 1.
    complexion:
        Layer of structure, blotches and moles.
    micro:
        Layer of the finest detail.
    brows:
        Shape of the brows.
    template:
        Template with the tile's rectangle in the atlas, and the hairline on the back of the head.
    """

    base: torch.Tensor
    iris: torch.Tensor
    outside: torch.Tensor
    scalp: torch.Tensor
    lids: torch.Tensor
    iris_path: torch.Tensor
    #: Modes of this composer.
    MODES = ("blend",)

    def __init__(
        self,
        base: torch.Tensor,
        parts: torch.Tensor,
        iris: torch.Tensor,
        complexion: Complexion,
        micro: MicroLayer,
        brows: BrowShape,
        template: Template,
    ) -> None:
        super().__init__()
        height, width = parts.shape
        self.rows, self.columns = rect_box(template.tile_rect, height, width)
        self.complexion, self.micro, self.brows = complexion, micro, brows
        side = self.rows.stop - self.rows.start
        self.contours = Contours(template, template.tile_uvs, side)
        self.eyelids = Eyelids(template, template.tile_uvs, side)
        self.lips = LipTone(parts[self.rows, self.columns])
        shares = torch.stack((_scalp(template), neck_share(template)), 1)
        scalp, neck = bake_skirted(shares, template, (height, width)).split(1)
        self.neck = NeckTone(neck.clone())
        skin = torch.zeros(len(PARTS) + 1)
        for name in ("skin", "lips", "lids", "back_of_head", "neck"):
            skin[PARTS.index(name)] = 1.0
        outside = skin[parts.long().clamp_max(len(PARTS))]
        outside[self.rows, self.columns] = 0.0
        self.register_buffer("base", base.permute(2, 0, 1).float() / 255, persistent=False)
        self.register_buffer("iris", iris[None].float() / 255, persistent=False)
        self.register_buffer("outside", outside[None], persistent=False)
        self.register_buffer("scalp", scalp * outside, persistent=False)
        lids = (parts == PARTS.index("lids")).float()[None]
        for _ in range(2):
            lids = box_blurred(lids, _LIDS_FADE)
        self.back_box, self.iris_box = mask_box(outside > 0), mask_box(iris > 0)
        self.lids_box = mask_box(lids[0] > 0.01)
        absorbed = lids[(..., *self.lids_box)] * torch.tensor(_LIDS)[:, None, None]
        self.register_buffer("lids", 1 - absorbed, persistent=False)
        self.register_buffer("iris_path", torch.tensor(_IRIS_PATH), persistent=False)

    @classmethod
    def load(cls, files: Mapping[str, Path], template: Template, mode: str = "blend") -> DefaultComposer:
        """Build it from the files ``base``, ``parts``, ``iris``, ``complexion`` and ``micro``."""
        base, parts, iris = (load_picture(files[role]) for role in ("base", "parts", "iris"))
        fine = load_arrays(files["micro"])
        layers = Complexion(load_arrays(files["complexion"])), MicroLayer(fine), BrowShape(fine)
        return cls(base, parts, iris, *layers, template).with_mode(mode)

    @property
    def size(self) -> int:
        """Side of the atlas in texels."""
        return self.base.shape[-1]

    def with_mode(self, mode: str) -> DefaultComposer:
        """Return the composer itself, which has only one mode."""
        if mode not in self.MODES:
            raise InputError(f"compose out of {', '.join(self.MODES)}", repr(mode), "choose one of these")
        return self

    def forward(self, tile: torch.Tensor, identity: torch.Tensor, texture_noise: torch.Tensor) -> torch.Tensor:
        """Return the atlas (B, 3, H, W), sRGB in [0, 1].

        Parameters
        ----------
        tile:
            (B, 3, S, S) sRGB in [0, 1]: the generator's output.
        identity, texture_noise:
            (B, 20), (B, 128): codes of iris colour, complexion and micro detail; these do not depend on the expression,
            so that nothing flickers in a sweep.
        """
        if tile.ndim != 4 or tile.shape[1] != 3:
            raise InputError("a tile (B, 3, S, S)", f"{tuple(tile.shape)}", "pass the generator's output")
        atlas = self.base.expand(len(tile), -1, -1, -1).clone()
        tone = self.border_tone(tile)[:, :, None, None]
        tile = torch.lerp(tile, tone, _border(tile.shape[-1], tile.device))
        traits = self.micro.projections(identity)
        tile = self.brows.painted(self.brows.form(identity, texture_noise, traits), tile)
        tile = self.complexion(tile, identity, texture_noise, traits)
        atlas[:, :, self.rows, self.columns] = self.micro(tile, identity, texture_noise)
        atlas[(..., *self.lids_box)] *= self.lids
        face, box = atlas[:, :, self.rows, self.columns], (..., *self.contours.box)
        # A copy: gradients need what was there before.
        face[box] = self.contours.painted(face[box].clone(), texture_noise)
        box = (..., *self.eyelids.box)
        face[box] = self.eyelids.painted(face[box].clone(), texture_noise, traits)
        box = (..., *self.lips.box)
        face[box] = self.lips.painted(face[box].clone(), traits)
        # Update only the charts that change: the whole atlas would cost three times as much.
        box = (..., *self.back_box)
        hair = SCALP_COVER * self.micro.hair_strength(identity)[:, None, None, None] * self.scalp[box]
        back = torch.lerp(tone, self.micro.hair_colour(identity)[:, :, None, None], hair)
        atlas[box] = torch.lerp(atlas[box], back, self.outside[box])
        box = (..., *self.neck.box)
        atlas[box] = self.neck.painted(atlas[box])
        box = (..., *self.iris_box)
        tinted = atlas[box] / IRIS_GREY * self.iris_colour(identity)[:, :, None, None]
        atlas[box] = torch.lerp(atlas[box], tinted, self.iris[box])
        return atlas.clamp_(0, 1)

    def scalp_cover(self) -> torch.Tensor:
        """Return the density (1, H, W) in [0, 1] of painted scalp hair for those who have it."""
        cover = self.scalp.clone()
        tile = cover[:, self.rows, self.columns]
        cover[:, self.rows, self.columns] = self.micro.layers[-1].view(1, *tile.shape[1:])
        return cover

    @staticmethod
    def border_tone(tile: torch.Tensor) -> torch.Tensor:
        """Return the skin tone (B, 3) at the tile's border on scalp and neck."""
        size = tile.shape[-1]
        strips = [tile[:, :, round(a * size) : round(b * size), size // 4 : -size // 4] for a, b in _BORDER_ROWS]
        return torch.stack([s.mean(dim=(2, 3)) for s in strips]).mean(dim=0)

    def iris_colour(self, identity: torch.Tensor) -> torch.Tensor:
        """Return the iris colour (B, 3) sRGB: brown to blue along one path, light eyes only with light skin."""
        traits = self.micro.projections(identity)
        lightness = 1 - torch.special.ndtr(traits["melanin"])
        # Hair colour is loosely correlated with eye colour; "hue" is otherwise a small shift of the skin.
        lean = torch.special.ndtr(0.8 * traits["hue"] + 0.6 * traits["hair_colour"])
        position = lean * (1.3 * lightness).clamp(0.12, 1)
        position = position * (len(_IRIS_PATH) - 1)
        low = position.floor().clamp_max(len(_IRIS_PATH) - 2)
        index = low.long()
        return torch.lerp(self.iris_path[index], self.iris_path[index + 1], (position - low)[:, None])


def _border(size: int, device: torch.device) -> torch.Tensor:
    """Return a mask (size, size): 1 at the edge of a picture, falling to 0 at ``_BORDER_WIDTH`` of its side."""
    place = (torch.arange(size, device=device) + 0.5) / size
    inside = torch.minimum(place, 1 - place)
    inside = torch.minimum(inside[:, None], inside[None, :])
    return step(1.4 * (1 - inside / _BORDER_WIDTH), 0.0, 1.0)


def _scalp(template: Template) -> torch.Tensor:
    """Return the density of hair on the back of the head at vertices of the mean head: (V,) in [0, 1]."""
    _, y, z = template.verts.unbind(-1)
    (z0, y0), (z1, y1) = _HAIRLINE
    line = y0 + (y1 - y0) * ((z0 - z) / (z0 - z1)).clamp(0, 1)
    return step(y - line, 0.0, _HAIR_FADE)
