"""PublishedComposer: from the published generator's face tile to the whole atlas of upstream's mesh."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from facekit.color import luminance
from facekit.conventions import CHIN, LANDMARK_GROUPS, NOSE_ROOT
from facekit.errors import InputError
from facekit.files.readers import load_picture
from facekit.geometry.charts import landmark_uvs, signed_distance, step, to_pixels
from facekit.models.composers.eyes import EyeInpainter
from facekit.models.composers.skin import fill, skin_likeness
from facekit.template import Template

#: Side of the atlas and of the tile, and where upstream pastes the tile (resized to this rectangle), in pixels.
ATLAS, TILE = 1024, 512
ROWS, COLUMNS = (51, 667), (204, 820)

# The blend is computed on grids this much coarser than tile and atlas: only tones are, detail stays with the tile.
_COARSE = 4
_GRID = 128
# Toward its edge the tile fades out within this many of its pixels.
_BORDER = 56.0
# The face, where the tile is always shown: the outline of jaw and forehead drawn in by this share, and its soft edge.
_FACE_SHARE, _FACE_EDGE = 0.93, 40.0
# Brightness against the tone from which on skin is lit, the weight of skin in shadow, and how far the tone itself takes
# over away from the face.
_LIT, _SHADOW, _FAR = (0.76, 0.98), 0.08, 0.85
# Grain of the painted skin, relative to its brightness: at most this, else the tile's own.
_GRAIN = 0.03


class PublishedComposer(nn.Module):
    """The generator's tile is only the face; this makes an atlas of it.

    Mode "blend" (the default) ends what users of the published code see: the tile's hard border, one subject's red
    cap and the dark stains around the eyes. The tile's skin is carried on over the border by a membrane, so that
    neither a step nor a change of tone is left: hair, cap and background fade into it, grain like the tile's own covers
    it, and :class:`facekit.models.composers.eyes.EyeInpainter` mends the eyes. Every weight is a smooth function of the
    tile: a sweep does not flicker. Mode "upstream" is the published paste.

    Parameters
    ----------
    base:
        (512, 512, 3) uint8 RGB, upstream's base texture.
    template:
        Upstream's mesh, whose UVs and landmarks say where face and eyes lie.
    offset_px:
        (dx, dy), whole pixels of the atlas by which "blend" moves the tile right and down. On the published base
        texture, tile and mesh agree to a pixel (``benchmarks/compose.py`` measures it), hence (0, 0).
    mode:
        "blend" or "upstream".
    """

    base: torch.Tensor
    face: torch.Tensor
    edge: torch.Tensor
    patches: torch.Tensor
    tile_grid: torch.Tensor
    grain: torch.Tensor
    MODES = ("blend", "upstream")

    def __init__(
        self, base: torch.Tensor, template: Template, offset_px: tuple[int, int] = (0, 0), mode: str = "blend"
    ) -> None:
        super().__init__()
        self.mode = self._checked(mode)
        if base.shape != (TILE, TILE, 3) or base.dtype != torch.uint8:
            raise InputError(
                f"a base texture ({TILE}, {TILE}, 3) uint8", f"{tuple(base.shape)} {base.dtype}", "import it again"
            )
        dx, dy = (int(round(v)) for v in offset_px)
        self.rows, self.columns = slice(ROWS[0] + dy, ROWS[1] + dy), slice(COLUMNS[0] + dx, COLUMNS[1] + dx)
        if min(self.rows.start, self.columns.start) < 0 or max(self.rows.stop, self.columns.stop) > ATLAS:
            raise InputError("an offset that keeps the tile in the atlas", f"{offset_px}", "measure it again")
        picture = resized(base.permute(2, 0, 1)[None].float() / 255, ATLAS)
        crop = resized(picture[:, :, slice(*ROWS), slice(*COLUMNS)], TILE)
        side = ROWS[1] - ROWS[0]

        def tile_pixels(uvs: torch.Tensor) -> torch.Tensor:
            corner = torch.tensor([self.columns.start, self.rows.start])
            return (to_pixels(uvs.cpu(), ATLAS) - corner) * (TILE / side)

        landmarks = tile_pixels(landmark_uvs(template))
        self.register_buffer("base", picture, persistent=False)
        self.register_buffer("face", _face(landmarks)[None, None], persistent=False)
        self.register_buffer("edge", _edge()[None, None], persistent=False)
        self.register_buffer("patches", _patches(landmarks)[None, None], persistent=False)
        self.register_buffer("tile_grid", _tile_grid(self.rows, self.columns), persistent=False)
        self.register_buffer("grain", _grain(), persistent=False)
        self.mender = EyeInpainter(crop, template, tile_pixels)

    @classmethod
    def load(cls, files: Mapping[str, Path], template: Template, mode: str = "blend") -> PublishedComposer:
        """Build it from the file ``base``."""
        return cls(load_picture(files["base"]), template, mode=mode)

    @property
    def size(self) -> int:
        """Side of the atlas in texels."""
        return ATLAS

    def with_mode(self, mode: str) -> PublishedComposer:
        """Return the same composer in another mode; its buffers are shared."""
        other = copy.copy(self)
        other.mode = self._checked(mode)
        return other

    def forward(
        self, tile: torch.Tensor, identity: torch.Tensor | None = None, texture_noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The atlas (B, 3, 1024, 1024), sRGB in [0, 1].

        Parameters
        ----------
        tile:
            (B, 3, 512, 512) sRGB in [0, 1], the generator's picture after clamping.
        identity, texture_noise:
            Not used: all that this model knows of a skin is in its tile.
        """
        if tile.ndim != 4 or tile.shape[1:] != (3, TILE, TILE):
            raise InputError(f"a tile (B, 3, {TILE}, {TILE})", f"{tuple(tile.shape)}", "pass the generator's output")
        return self.paste(tile) if self.mode == "upstream" else self.blend(tile)

    def paste(self, tile: torch.Tensor) -> torch.Tensor:
        """Put the tile onto the base texture as the published code does."""
        atlas = self.base.expand(len(tile), -1, -1, -1).clone()
        atlas[:, :, slice(*ROWS), slice(*COLUMNS)] = resized(tile, ROWS[1] - ROWS[0])
        return atlas

    def blend(self, tile: torch.Tensor) -> torch.Tensor:
        """Carry the tile's skin on over its border, and mend the eyes."""
        side = ROWS[1] - ROWS[0]
        # In this layout, which is a picture file's own, pictures are resized twice as fast.
        tile = tile.contiguous(memory_format=torch.channels_last)
        coarse = F.avg_pool2d(tile, _COARSE)
        tone = self.tone(coarse)
        tile = self.mender(tile, tone)
        like = _softened(skin_likeness(coarse, tone))
        surround = self.surround(coarse, like, tone)
        atlas = resized(surround.contiguous(memory_format=torch.channels_last), ATLAS)
        atlas = atlas * (1 + self.grain * self.roughness(tile))
        shown = self.face + (1 - self.face) * self.edge * like
        window = atlas[:, :, self.rows, self.columns]
        window.lerp_(resized(tile, side), resized(shown, side))
        return atlas.clamp_(0, 1)

    @classmethod
    def _checked(cls, mode: str) -> str:
        if mode not in cls.MODES:
            raise InputError(f"compose out of {', '.join(cls.MODES)}", repr(mode), "choose one of these")
        return mode

    def tone(self, coarse: torch.Tensor) -> torch.Tensor:
        """The skin tone (B, 3, 1, 1) of cheeks, forehead and chin; what is unlike it (hair, a shadow) counts less."""
        tone = _mean(coarse, self.patches.expand(len(coarse), -1, -1, -1))
        for _ in range(2):
            tone = _mean(coarse, self.patches * (skin_likeness(coarse, tone) + 1e-3))
        return tone

    def surround(self, coarse: torch.Tensor, like: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
        """The tile's skin carried on over the whole atlas (B, 3, 128, 128)."""
        # Lit skin leads; shadows count where there is nothing else, lest the whole head take their tone.
        lit = step(luminance(coarse) / luminance(tone).clamp_min(0.02), *_LIT)
        known = like * self.edge * (_SHADOW + (1 - _SHADOW) * lit)
        known, colour = (
            F.grid_sample(t, self.tile_grid.expand(len(t), -1, -1, -1), padding_mode="border", align_corners=False)
            for t in (known, coarse)
        )
        inside = (self.tile_grid.abs().amax(-1) < 1).float()[:, None]
        away = _FAR * step(self.tile_grid.norm(dim=-1)[:, None], 0.35, 1.25)
        return torch.lerp(fill(colour, known * inside, tone), tone, away)

    def roughness(self, tile: torch.Tensor) -> torch.Tensor:
        """Grain of the tile's skin (B, 1, 1, 1), relative to its brightness, at most ``_GRAIN``."""
        light = luminance(tile)
        fine = F.avg_pool2d((light - F.avg_pool2d(light, 3, 1, 1)).square(), _COARSE)
        weight = self.patches / self.patches.sum()
        deviation = ((fine * weight).sum((2, 3), keepdim=True) + 1e-10).sqrt()
        level = (F.avg_pool2d(light, _COARSE) * weight).sum((2, 3), keepdim=True).clamp_min(0.02)
        return (deviation / level).clamp_max(_GRAIN)


def resized(picture: torch.Tensor, side: int) -> torch.Tensor:
    """(B, C, h, w) to (B, C, side, side), bilinear between texel centres, as upstream resizes."""
    return F.interpolate(picture, size=(side, side), mode="bilinear", align_corners=False)


def _softened(like: torch.Tensor) -> torch.Tensor:
    """Likeness drawn in, so that no dark fringe is left, and blurred, so that no edge shows."""
    drawn_in = -F.max_pool2d(-like, 5, 1, 2)
    for _ in range(2):
        drawn_in = F.avg_pool2d(drawn_in, 7, 1, 3, count_include_pad=False)
    return step(drawn_in, 0.2, 0.9)


def _mean(picture: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (picture * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)


def _centres() -> torch.Tensor:
    """Centres (h, w, 2) of the coarse grid's cells, x and y in pixels of the tile."""
    place = (torch.arange(TILE // _COARSE) + 0.5) * _COARSE
    return torch.stack(torch.meshgrid(place, place, indexing="ij"), dim=-1).flip(-1)


def _face(landmarks: torch.Tensor) -> torch.Tensor:
    """Mask of the face on the coarse grid: jaw and, mirrored over the brows, the forehead."""
    centre = landmarks[LANDMARK_GROUPS["nose_bridge"]].mean(0)
    brow, chin = landmarks[LANDMARK_GROUPS["brows"], 1].mean(), landmarks[CHIN, 1]
    crown = brow - 0.42 * (chin - brow)
    width = 0.36 * (landmarks[16, 0] - landmarks[0, 0])
    turn = torch.linspace(0.12, 0.88, 13) * torch.pi
    top = torch.stack((centre[0] + width * turn.cos(), brow - (brow - crown) * turn.sin()), dim=-1)
    outline = centre + _FACE_SHARE * (torch.cat([landmarks[LANDMARK_GROUPS["jaw"]], top]) - centre)
    count = TILE // _COARSE
    distance = signed_distance(outline / _COARSE, slice(0, count), slice(0, count)) * _COARSE
    return step(distance, 0.0, -_FACE_EDGE)


def _edge() -> torch.Tensor:
    """1 inside the tile, falling to 0 at its border, on the coarse grid."""
    place = _centres()
    return step(torch.minimum(place, TILE - place).amin(-1), _COARSE, _BORDER)


def _patches(landmarks: torch.Tensor) -> torch.Tensor:
    """Weights of cheeks, forehead and chin, on the coarse grid."""
    height = landmarks[CHIN, 1] - landmarks[NOSE_ROOT, 1]
    up = torch.tensor([0.0, 1.0]) * height
    spots = (
        0.5 * (landmarks[2] + landmarks[31]), 0.5 * (landmarks[14] + landmarks[35]), landmarks[27] - 0.42 * up,
        0.5 * (landmarks[57] + landmarks[8]),
    )  # fmt: skip
    place = _centres()
    bumps = [torch.exp(-(place - spot).square().sum(-1) / (2 * (0.075 * height) ** 2)) for spot in spots]
    return torch.stack(bumps).sum(0)


def _tile_grid(rows: slice, columns: slice) -> torch.Tensor:
    """Position in the tile of each cell of the atlas's coarse grid: (1, 128, 128, 2) as grid_sample wants it."""
    place = (torch.arange(_GRID) + 0.5) * (ATLAS / _GRID)
    x, y = (2 * (place - span.start) / (span.stop - span.start) - 1 for span in (columns, rows))
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y), dim=-1)[None]


def _grain() -> torch.Tensor:
    """Noise (1, 1, 1024, 1024) of unit deviation, about two texels wide: always the same."""
    noise = torch.randn(1, 1, ATLAS, ATLAS, generator=torch.Generator().manual_seed(0))
    noise = F.avg_pool2d(noise, 3, 1, 1)
    return (noise - F.avg_pool2d(noise, 7, 1, 3)) / noise.std()
