"""Eyes and teeth: the iris colour comes from the pictures; sclera and teeth keep the atlas's texture, teeth with a
colour correction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.conventions import PARTS
from facekit.geometry.charts import step
from facekit.models.composers import DefaultComposer
from facekit.models.composers.default import IRIS_GREY
from facekit.reconstruct.texture.delight import drawn_eyes
from facekit.reconstruct.texture.lighting import KeyLight
from facekit.reconstruct.texture.views import View

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Prior strength of iris colour and teeth tone, as a number of pixels.
_IRIS_PRIOR, _TEETH_PRIOR = 40.0, 120.0
#: Range of iris brightness, sRGB.
_IRIS_RANGE = (0.10, 0.60)
#: Colourfulness, as a fraction of the brightest channel, and brightness, sRGB, up to which an iris counts as brown: the
#: room that corneas mirror makes dark irises grey in photographs.
_COLOURLESS, _DARK = (0.15, 0.35), (0.15, 0.24)
#: Red, green and blue of brown irises, sRGB, as fractions of red.
_BROWN = (1.0, 0.60, 0.33)
#: Range of the teeth's colour correction, as factors of linear light.
_TEETH_RANGE = (0.55, 1.05)
#: Brightness below which the static eye texture shows the pupil.
_PUPIL = 0.25


def iris_colour(pipe: FacePipeline, views: list[tuple[View, KeyLight]], identity: torch.Tensor) -> torch.Tensor:
    """Return the iris colour (3,) sRGB from pictures with colour, with their lights, blended with the model's own where
    they show little.
    """
    composer = pipe.composer
    assert isinstance(composer, DefaultComposer)
    found = [torch.zeros(3, 0)]
    for view, light in views:
        eyes = view.pixels(pipe.template, PARTS.index("eyes"))
        drawn, iris = drawn_eyes(composer, eyes.uv)
        ring = ((iris > 0.9) & (drawn.mean(0) > _PUPIL) & (eyes.bare > 0.5)).nonzero()[:, 0]
        albedo = linear_to_srgb(light.terms(eyes.geometry[ring]).invert(eyes.colour[:, ring]).clamp(0, 1))
        found.append(albedo / drawn[:, ring] * IRIS_GREY)
    own = composer.iris_colour(identity)[0]
    tints = torch.cat(found, 1)
    if tints.shape[1] < 8:
        return own
    # Specular highlights are brighter, lashes darker: the median is the iris.
    seen = natural_iris(tints.median(1).values.clamp(*_IRIS_RANGE))
    return torch.lerp(own, seen, tints.shape[1] / (tints.shape[1] + _IRIS_PRIOR))


def natural_iris(colour: torch.Tensor) -> torch.Tensor:
    """Return a natural iris colour (3,) sRGB for a measured one: dark irises without colour are brown, for there is no
    other pigment; grey, blue and coloured ones stay.
    """
    high, low = colour.amax(), colour.amin()
    brown = (1 - step((high - low) / high, *_COLOURLESS)) * (1 - step(high, *_DARK))
    return torch.lerp(colour, high * colour.new_tensor(_BROWN), brown)


def with_iris(composer: DefaultComposer, atlas: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Return an atlas (1, 3, S, S) sRGB with the iris in this colour."""
    size = atlas.shape[-2:]
    base, iris = (
        F.interpolate(t[None], size=size, mode="bilinear", antialias=True) for t in (composer.base, composer.iris)
    )
    tinted = (base / IRIS_GREY * colour[:, None, None]).clamp(0, 1)
    return torch.lerp(atlas, tinted, iris)


def teeth_tone(pipe: FacePipeline, views: list[tuple[View, KeyLight]]) -> torch.Tensor:
    """Return the factors (3,) of linear light that match the atlas's teeth to those in pictures with colour."""
    composer, found = pipe.composer, [torch.zeros(3, 0)]
    assert isinstance(composer, DefaultComposer)
    for view, light in views:
        teeth = view.pixels(pipe.template, PARTS.index("teeth"))
        index = (teeth.bare > 0.5).nonzero()[:, 0]
        drawn, _ = drawn_eyes(composer, teeth.uv[index])
        found.append(
            light.terms(teeth.geometry[index]).invert(teeth.colour[:, index]) / srgb_to_linear(drawn).clamp_min(0.05)
        )
    ratios = torch.cat(found, 1)
    if ratios.shape[1] < 24:
        return torch.ones(3)
    # Lips cover some of what the fit takes for teeth: those pixels are darker.
    seen = ratios.quantile(0.7, dim=1)
    seen = seen.mean().clamp(*_TEETH_RANGE) * (seen / seen.mean().clamp_min(0.05)).clamp(0.9, 1.06)
    return torch.lerp(torch.ones(3), seen, ratios.shape[1] / (ratios.shape[1] + _TEETH_PRIOR))


def with_teeth(teeth: torch.Tensor, atlas: torch.Tensor, tone: torch.Tensor) -> torch.Tensor:
    """Return an atlas (1, 3, S, S) sRGB with the texels of teeth (1, 1, S, S) multiplied by these factors."""
    toned = linear_to_srgb((srgb_to_linear(atlas) * tone[:, None, None]).clamp(0, 1))
    return torch.lerp(atlas, toned, teeth)
