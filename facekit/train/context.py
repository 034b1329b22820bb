"""Settings of a training run, shared by all stages."""

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
    """Folders of a run, and its fraction of the full training.

    Parameters
    ----------
    pack:
        Folder of the training pack.
    work:
        Folder of checkpoints and intermediate results.
    out:
        Folder of the assets.
    manifest:
        Manifest file for their record.
    steps_scale:
        Fraction of the full numbers of steps, samples and measured people.
    width_scale:
        Fraction of the full width of all networks.
    """

    pack: Path
    work: Path
    out: Path
    manifest: Path
    steps_scale: float = 1.0
    width_scale: float = 1.0

    def scaled(self, full: int, least: int = 1) -> int:
        """Scale a number of steps, samples or people from the full training to this run."""
        return max(least, round(full * self.steps_scale))

    def widths(self, *full: int) -> tuple[int, ...]:
        """Scale layer widths from the full training to this run."""
        return tuple(max(_LEAST_WIDTH, round(width * self.width_scale)) for width in full)

    @property
    def shape_basis(self) -> Path:
        """File of the linear shape data, written by the head stage."""
        return self.work / "shape_basis.npz"

    @cached_property
    def template(self) -> Template:
        """Head of this run, read once from the output of the head stage."""
        return Template.load(self.out / "template.npz")

    @cached_property
    def skin_layers(self) -> SkinLayers:
        """Layers of the skin teacher, computed once in ten seconds."""
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
        """Sizes of the texture network; the tile always has 512² texels."""
        return TextureConfig(channels=self.widths(*_TEXTURE_CHANNELS), constant_neutral=True)

    @property
    def detail_config(self) -> DetailConfig:
        """Sizes of the detail module."""
        static, compressed, stretched, hidden = self.widths(24, 16, 8, 96)
        return DetailConfig(static=static, compressed=compressed, stretched=stretched, hidden=hidden)
