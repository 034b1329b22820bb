"""The settings of one training run, shared by all of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facekit.models.config import DetailConfig, ShapeConfig, TextureConfig
from facekit.template import Template

if TYPE_CHECKING:
    from facekit.train.skin.layers import SkinLayers

_SHAPE_DECODER, _SHAPE_GENERATOR = (256, 72), (256, 256, 256)
_TEXTURE_CHANNELS = (128, 128, 96, 64, 32, 24, 16, 12)
_LEAST_WIDTH = 4


@dataclass(frozen=True)
class Context:
    """Folders of a run, and its share of the full training.

    Parameters
    ----------
    pack:
        Folder of the training pack.
    work:
        Checkpoints and what one stage leaves for another.
    out:
        Where the assets go.
    manifest:
        File that gets their record.
    steps_scale:
        Share of the full number of steps, of samples, and of people who are measured.
    width_scale:
        Share of the full width of all networks.
    """

    pack: Path
    work: Path
    out: Path
    manifest: Path
    steps_scale: float = 1.0
    width_scale: float = 1.0

    def scaled(self, full: int, least: int = 1) -> int:
        """The number of steps, samples or people that this run has where the full training has ``full``."""
        return max(least, round(full * self.steps_scale))

    def widths(self, *full: int) -> tuple[int, ...]:
        """Layer widths that this run has where the full training has ``full``."""
        return tuple(max(_LEAST_WIDTH, round(width * self.width_scale)) for width in full)

    @property
    def shape_basis(self) -> Path:
        """File of the linear shape data, which the head stage writes."""
        return self.work / "shape_basis.npz"

    @cached_property
    def template(self) -> Template:
        """The head of this run, read once from what the head stage wrote."""
        return Template.load(self.out / "template.npz")

    @cached_property
    def skin_layers(self) -> SkinLayers:
        """The skin teacher's layers, drawn once: they take ten seconds."""
        from facekit.train.skin.layers import draw_layers

        return draw_layers(self.pack)

    @property
    def shape_config(self) -> ShapeConfig:
        """Sizes of the shape networks."""
        return ShapeConfig(
            len(self.template.verts), 100, 30, self.widths(*_SHAPE_DECODER), self.widths(*_SHAPE_GENERATOR)
        )

    @property
    def texture_config(self) -> TextureConfig:
        """Sizes of the texture network; the tile has 512² texels whatever the widths."""
        return TextureConfig(channels=self.widths(*_TEXTURE_CHANNELS), constant_neutral=True)

    @property
    def detail_config(self) -> DetailConfig:
        """Sizes of the detail module."""
        static, compressed, stretched, hidden = self.widths(24, 16, 8, 96)
        return DetailConfig(static=static, compressed=compressed, stretched=stretched, hidden=hidden)
