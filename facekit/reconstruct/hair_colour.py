"""Colours of hair in photographs: what lamps and the skin between hairs add is taken off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import luminance, srgb_to_linear
from facekit.geometry.charts import step
from facekit.latents import FaceLatents

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Radius, mm, of the cheek samples on the template.
_NEAR = 16.0
#: Least difference of natural hair between red and green as a fraction of that between red and blue, linear RGB.
_WARM = 0.45
#: Ratio of hair albedo to observed brightness, which includes self-shadowing; and the ratio of the albedo to the
#: darkest part's, which mirrors hardly a lamp. Fitted to renders of hair of known colour.
_SHADED, _MATT = 0.95, 1.75
#: Red less blue of natural hair that mirrors nothing, as a fraction of red, linear; albedo of the darkest part from
#: which on less colour means grey hair, and no mirror.
_COLOURED, _GREY = 0.6, (0.035, 0.085)
#: Share of the colour by which skin and its albedo differ that is the light's: pale skin is paler than the model's, and
#: hair would be as red as the difference.
_CAST = 0.5
#: Albedos of skin between which coloured hair becomes as bright as it looks, and the share of it on the darkest, whose
#: hair is black: what shows between short hairs is skin.
_FAIR, _BLACK = (0.08, 0.25), 0.35
#: Light that the darkest part of cropped hair has from the darkest skin, which glints between the hairs, if the crown
#: is so many times as bright as that part.
_GLOSSY, _PATCHY = 0.03, (1.4, 2.0)
#: Coverage by cropped hair at the sides of a head, and the least share of what is seen there that is hair's.
_COVERS, _LEAST = 0.75, 0.35


def unlit(hair: torch.Tensor, matt: torch.Tensor, cheeks: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
    """Return the albedo (3,) of hair: what it mirrors of the lamps, which has no colour, is taken off.

    All (3,) linear RGB: the hair's median in the picture, that of its darkest part, the cheeks', and their albedo.
    """
    white = skin / cheeks.clamp_min(1e-3)
    whole, matt = hair * white, matt * white
    coloured = ((whole[0] - whole[2]) / (_COLOURED * whole[0])).clamp(0, 1)
    light = fair(skin)
    coloured = coloured * (_BLACK + (1 - _BLACK) * light)
    glossy = _GLOSSY * (1 - light) * step(whole.mean() / matt.mean(), *_PATCHY)
    grey = step(matt.mean() - glossy, *_GREY)
    return torch.maximum(_SHADED * coloured * whole, _MATT * grey * matt) / _paleness(cheeks, skin)


def _paleness(cheeks: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
    """Return the factors (3,) by which the cheeks' albedo is redder than the cheeks, apart from the light's colour."""
    ratio = skin / cheeks.clamp_min(1e-3)
    return (ratio / ratio.mean()) ** (1 - _CAST)


def fair(skin: torch.Tensor) -> torch.Tensor:
    """Return how light skin of an albedo (3,), linear RGB, is, from 0 for dark to 1 for light skin."""
    return step(skin.mean(), *_FAIR)


def natural_colour(colour: torch.Tensor) -> torch.Tensor:
    """Return a natural hair colour of the same luminance, (3,) linear RGB, for a measured one.

    Melanin absorbs blue most and red least. Sky, shade and reflections make hair in photographs blue, violet
    or green; natural colours are returned as they are, dyed ones lose their hue.
    """
    red, green, blue = colour
    green = torch.minimum(green, red)
    blue = torch.minimum(blue, green)
    green = torch.minimum(green, red - _WARM * (red - blue))
    found = torch.stack((red, green, blue))
    return found * (luminance(colour.view(1, 3, 1, 1)) / luminance(found.view(1, 3, 1, 1))).item()


def between(hair: torch.Tensor, cheeks: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
    """Return the albedo (3,) of cropped hair, between which skin is seen; it keeps the hue of both.

    All (3,) linear RGB: hair and cheeks in the picture, and the cheeks' albedo.
    """
    seen = _SHADED * hair * skin / cheeks.clamp_min(1e-3) / _paleness(cheeks, skin)
    return seen * ((1 - (1 - _COVERS) * skin.mean() / seen.mean()) / _COVERS).clamp(_LEAST, 1.0)


def cheek_albedo(pipe: FacePipeline, latents: FaceLatents) -> torch.Tensor:
    """Return the skin albedo (3,), linear RGB, of the cheeks in the person's atlas."""
    atlas = pipe.skin(pipe.to_model_codes(latents))[0]
    template = pipe.template
    marks = template.verts[template.landmarks]
    near = torch.cdist(template.verts, 0.5 * (marks[[36, 45]] + marks[[31, 35]])).amin(1) < _NEAR
    u, v = template.uvs[template.faces_uvs[near[template.faces]].unique()].T
    place = torch.stack((2 * u - 1, 1 - 2 * v), -1)[None, None]
    return srgb_to_linear(F.grid_sample(atlas[None], place, align_corners=False)[0, :, 0]).median(dim=1).values
