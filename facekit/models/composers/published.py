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

#: Side of the atlas and of the tile, and rectangle into which upstream pastes the resized tile, in pixels.
ATLAS, TILE = 1024, 512
ROWS, COLUMNS = (51, 667), (204, 820)

# Downsampling factor of the grids on which the blend is computed: it only needs tones; detail comes from the tile.
_COARSE = 4
_GRID = 128
# Width of the fade at the tile's edge, in tile pixels.
_BORDER = 56.0
# The face, where the tile is always shown: outline of jaw and forehead shrunk by this factor, and width of its soft
# edge.
_FACE_SHARE, _FACE_EDGE = 0.93, 40.0
# Brightness relative to the tone at which skin starts to count as lit, and fully does; weight of skin in shadow;
# largest weight of the tone itself away from the face.
_LIT, _SHADOW, _FAR = (0.76, 0.98), 0.08, 0.85
# Upper bound of the grain of painted skin, relative to its brightness.
_GRAIN = 0.03


class PublishedComposer(nn.Module):
    """Complete the published generator's tile, which covers only the face, to an atlas.

    Mode "blend" (the default) removes the artifacts of the published code: the tile's hard border, one subject's red
    cap and the dark stains around the eyes. The tile's skin is extended beyond the border as a membrane, without a step
    or change of tone; hair, cap and background fade into it, grain like the tile's own covers it, and
    :class:`facekit.models.composers.eyes.EyeInpainter` repairs the eyes. Every weight is a smooth function of the tile,
    so that sweeps do not flicker. Mode "upstream" pastes the tile as the published code does.

    Parameters
    ----------
    base:
        (512, 512, 3) uint8 RGB: upstream's base texture.
    template:
        Upstream's mesh, with UVs and landmarks of face and eyes.
    offset_px:
        (dx, dy): whole atlas pixels by which "blend" moves the tile right and down. On the published base texture, tile
        and mesh agree to a pixel (``benchmarks/compose.py`` measures it), hence (0, 0).
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
        """Return the composer in another mode; its buffers are shared."""
        other = copy.copy(self)
        other.mode = self._checked(mode)
        return other

    def forward(
        self, tile: torch.Tensor, identity: torch.Tensor | None = None, texture_noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the atlas (B, 3, 1024, 1024), sRGB in [0, 1].

        Parameters
        ----------
        tile:
            (B, 3, 512, 512) sRGB in [0, 1]: the generator's output after clamping.
        identity, texture_noise:
            Not used: this model's skin is fully determined by its tile.
        """
        if tile.ndim != 4 or tile.shape[1:] != (3, TILE, TILE):
            raise InputError(f"a tile (B, 3, {TILE}, {TILE})", f"{tuple(tile.shape)}", "pass the generator's output")
        return self.paste(tile) if self.mode == "upstream" else self.blend(tile)

    def paste(self, tile: torch.Tensor) -> torch.Tensor:
        """Paste the tile onto the base texture as the published code does."""
        atlas = self.base.expand(len(tile), -1, -1, -1).clone()
        atlas[:, :, slice(*ROWS), slice(*COLUMNS)] = resized(tile, ROWS[1] - ROWS[0])
        return atlas

    def blend(self, tile: torch.Tensor) -> torch.Tensor:
        """Extend the tile's skin beyond its border, and repair the eyes."""
        side = ROWS[1] - ROWS[0]
        # Resizing is twice as fast in this memory layout.
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
        """Return the skin tone (B, 3, 1, 1) of cheeks, forehead and chin; outliers (hair, shadows) have less weight."""
        tone = _mean(coarse, self.patches.expand(len(coarse), -1, -1, -1))
        for _ in range(2):
            tone = _mean(coarse, self.patches * (skin_likeness(coarse, tone) + 1e-3))
        return tone

    def surround(self, coarse: torch.Tensor, like: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
        """Extend the tile's skin over the whole atlas: (B, 3, 128, 128)."""
        # Lit skin dominates; shadows count only where there is nothing else, or the whole head would take their tone.
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
        """Return the grain (B, 1, 1, 1) of the tile's skin relative to its brightness, at most ``_GRAIN``."""
        light = luminance(tile)
        fine = F.avg_pool2d((light - F.avg_pool2d(light, 3, 1, 1)).square(), _COARSE)
        weight = self.patches / self.patches.sum()
        deviation = ((fine * weight).sum((2, 3), keepdim=True) + 1e-10).sqrt()
        level = (F.avg_pool2d(light, _COARSE) * weight).sum((2, 3), keepdim=True).clamp_min(0.02)
        return (deviation / level).clamp_max(_GRAIN)


def resized(picture: torch.Tensor, side: int) -> torch.Tensor:
    """Resize (B, C, h, w) to (B, C, side, side), bilinear between texel centres, as upstream does."""
    return F.interpolate(picture, size=(side, side), mode="bilinear", align_corners=False)


def _softened(like: torch.Tensor) -> torch.Tensor:
    """Erode the likeness, so that no dark fringe is left, and blur it, so that no edge shows."""
    drawn_in = -F.max_pool2d(-like, 5, 1, 2)
    for _ in range(2):
        drawn_in = F.avg_pool2d(drawn_in, 7, 1, 3, count_include_pad=False)
    return step(drawn_in, 0.2, 0.9)


def _mean(picture: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (picture * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)


def _centres() -> torch.Tensor:
    """Return the centres (h, w, 2) of the coarse grid's cells, x and y in tile pixels."""
    place = (torch.arange(TILE // _COARSE) + 0.5) * _COARSE
    return torch.stack(torch.meshgrid(place, place, indexing="ij"), dim=-1).flip(-1)


def _face(landmarks: torch.Tensor) -> torch.Tensor:
    """Return the face mask on the coarse grid: jaw and, mirrored at the brows, forehead."""
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
    """Return the border mask on the coarse grid: 1 inside the tile, falling to 0 at its border."""
    place = _centres()
    return step(torch.minimum(place, TILE - place).amin(-1), _COARSE, _BORDER)


def _patches(landmarks: torch.Tensor) -> torch.Tensor:
    """Return the weights of cheeks, forehead and chin on the coarse grid."""
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
    """Return tile coordinates of the cells of the atlas's coarse grid for grid_sample: (1, 128, 128, 2)."""
    place = (torch.arange(_GRID) + 0.5) * (ATLAS / _GRID)
    x, y = (2 * (place - span.start) / (span.stop - span.start) - 1 for span in (columns, rows))
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y), dim=-1)[None]


def _grain() -> torch.Tensor:
    """Return fixed noise (1, 1, 1024, 1024) with unit standard deviation, about two texels wide."""
    noise = torch.randn(1, 1, ATLAS, ATLAS, generator=torch.Generator().manual_seed(0))
    noise = F.avg_pool2d(noise, 3, 1, 1)
    return (noise - F.avg_pool2d(noise, 7, 1, 3)) / noise.std()
