"""Network configurations, among them those of the embedded default and of the published 3DFaceCAM weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from facekit.conventions import EXPRESSION_DIM, IDENTITY_DIM, SHAPE_NOISE_DIM, TEXTURE_NOISE_DIM


@dataclass(frozen=True)
class ShapeConfig:
    """Widths of the shape networks (3DFaceCAM, Rai et al., WACV 2023, section 3.1).

    Parameters
    ----------
    vertices:
        Number of vertices V; the decoder outputs V × 3 displacements in mm.
    identity_latent, expression_latent:
        Sizes of the autoencoder's two codes.
    decoder_widths:
        Hidden widths of the decoder.
    generator_widths:
        Hidden widths of both generators.
    """

    vertices: int
    identity_latent: int = 100
    expression_latent: int = 30
    decoder_widths: tuple[int, ...] = (512, 1024)
    generator_widths: tuple[int, ...] = (256, 512, 1024)
    noise: int = SHAPE_NOISE_DIM
    identity: int = IDENTITY_DIM
    expression: int = EXPRESSION_DIM


@dataclass(frozen=True)
class TextureConfig:
    """Widths of the texture generator, a conditional ProGAN (Karras et al., ICLR 2018).

    Parameters
    ----------
    channels:
        Channels of the progression blocks at 4², 8², … up to the full size, ``len(channels) - 1`` doublings.
    constant_neutral:
        Fix the neutral entry of the expression code at 1, so that neutral at any intensity is exactly the same input.
        The published weights do not do so.
    """

    channels: tuple[int, ...] = (256, 256, 256, 256, 128, 64, 64, 64)
    constant_neutral: bool = False
    noise: int = TEXTURE_NOISE_DIM
    identity: int = IDENTITY_DIM
    expression: int = EXPRESSION_DIM

    @property
    def code(self) -> int:
        """Length of the input vector: noise, identity and expression."""
        return self.noise + self.identity + self.expression

    @property
    def sizes(self) -> tuple[int, ...]:
        """Side lengths of the blocks' outputs: 4, 8, …"""
        return tuple(4 << k for k in range(len(self.channels)))


#: Signal that weighs dynamic detail: strain across furrows, or the mean tension of edges.
COMPOSITIONS = ("directional", "scalar")


@dataclass(frozen=True)
class DetailConfig:
    """Sizes of the detail module (SD-DeTail of HiFace, Chai et al., ICCV 2023; the paper's own sizes are not
    confirmed).

    Parameters
    ----------
    size:
        Side of the displacement maps on the face tile, texels.
    static, compressed, stretched:
        Number of basis maps of each kind, and so of coefficients per person.
    hidden:
        Width of the regressors' hidden layer.
    field:
        Side of the map of furrow directions.
    composition:
        One of :data:`COMPOSITIONS`; "scalar" is HiFace's.
    """

    size: int = 384
    static: int = 24
    compressed: int = 16
    stretched: int = 8
    hidden: int = 96
    field: int = 96
    composition: str = "directional"
    identity: int = IDENTITY_DIM


_Config = TypeVar("_Config", ShapeConfig, TextureConfig)


def from_manifest(config: type[_Config], sizes: Mapping[str, Any]) -> _Config:
    """Return the configuration that the manifest gives in JSON, which has lists where we have tuples."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()}
    return config(**fields)


#: The published weights: 26,317 vertices, texture 512² with 256 base channels.
PUBLISHED_SHAPE = ShapeConfig(vertices=26317)
PUBLISHED_TEXTURE = TextureConfig()


@dataclass(frozen=True)
class DenseConfig:
    """Sizes of the landmark refinement network (:mod:`facekit.models.dense_landmarks`).

    Parameters
    ----------
    points, modes, shapes:
        Numbers of landmarks, identity weights and blendshapes.
    widths, blocks:
        Features and residual blocks per resolution: a quarter of the crop's, then halved from stage to stage.
    squeezed, hidden:
        Features per pixel kept of the coarsest map, and width of the fully connected layer on all of them.
    seen, local, gathered:
        Features sampled at each landmark, features computed per landmark, and width of the layer that combines all
        landmarks.
    """

    points: int = 478
    modes: int = 80
    shapes: int = 52
    widths: tuple[int, ...] = (40, 80, 128, 144)
    blocks: tuple[int, ...] = (2, 3, 3, 2)
    squeezed: int = 32
    hidden: int = 256
    seen: int = 64
    local: int = 4
    gathered: int = 192


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the action-unit transformer (:mod:`facekit.models.encoder`).

    Parameters
    ----------
    points:
        Number of landmarks.
    units:
        FACS numbers; one token each.
    shapes, modes:
        Numbers of blendshapes and of identity modes.
    width, heads, hidden:
        Token width, attention heads, hidden width (AUFART: 512, 4 of 64, 256).
    queries, anchor:
        Learned queries per unit, and size of the keys they are compared with.
    layers, temporal:
        Number of layers within a frame (AUFART: 6) and across frames (AUFART: none).
    graph:
        Whether to apply graph attention first.
    reading:
        Whether to use what the landmark network reads in each frame.
    """

    points: int = 478
    units: tuple[int, ...] = (
        1, 2, 4, 5, 6, 7, 9, 10, 12, 13, 14, 15, 16, 17, 18, 20, 22, 23, 24, 25, 26, 27, 28, 29, 30, 34, 45,
    )  # fmt: skip
    shapes: int = 52
    modes: int = 80
    width: int = 96
    heads: int = 4
    hidden: int = 192
    queries: int = 16
    anchor: int = 16
    layers: int = 6
    temporal: int = 2
    graph: bool = True
    reading: bool = True
