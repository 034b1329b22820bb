"""Separate light and albedo: estimate the lights of the pictures and the texture network's codes of the skin.

The codes, and second-order harmonics and a key light per picture, are estimated by maximum a posteriori: pictures are
predicted at the texels of a coarse tile with the renderer's own shading equation
(:mod:`~facekit.reconstruct.texture.lighting`), with robust weights for what the prediction cannot explain (hair,
glasses, shadows).

Darker skin in brighter light looks the same. A prior on tone would pull people to the mean, so codes are free along the
network's melanin direction. Two other cues settle the ambiguity: the whites of the eyes, whose albedo hardly differs
between people, and exposure, as photographs are exposed for the light, nearly white. Of a photograph without colour,
only the luminance is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import srgb_to_linear
from facekit.conventions import EXPRESSION_DIM, IDENTITY_DIM, PARTS, TEXTURE_NOISE_DIM
from facekit.geometry.charts import mask_box
from facekit.geometry.uv import box_max
from facekit.models.composers import DefaultComposer
from facekit.reconstruct.texture.adam import Adam
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.lighting import Geometry, KeyLight, gleaming, luminances, untone
from facekit.reconstruct.texture.views import View
from facekit.render.harmonics import basis
from facekit.render.shading import tone
from facekit.traits import TRAITS

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Texels per side of the coarse tile.
COARSE = 128
#: Initial skin tones, from light to dark, in standard deviations.
_TONES = (-1.8, -1.2, -0.6, 0.0, 0.6, 1.2, 1.8)
#: Number of Adam steps, and their learning rates for codes and for lights.
_STEPS, _CODE_RATE, _LIGHT_RATE = 60, 0.10, 0.04
#: Offset added to pictures before the logarithm.
_FLOOR = 0.02
#: Lower bound of the standard deviation of log picture against log prediction; effective number of independent texels.
_NOISE, _COUNT = 0.06, 80.0
#: Scale of the robust loss: residuals beyond it, a mean over red, green and blue, are outliers.
_ODD = 0.30
#: Logarithm of the light reflected by a white face: mean and standard deviation over pictures; scale of the light's
#: colour, standard deviations of its first and of its second order relative to the mean. Cameras balance white: with
#: more room for colour, light that is grey in photographs was found to be blue, and fair skin yellow.
_LEVEL, _LEVEL_SPREAD, _TINT, _FIRST, _SECOND = -0.10, 0.35, 0.06, 0.7, 0.25
#: Hard bound on the deviation from that mean.
_LEVEL_MOST = 0.8
#: Standard deviations of log whites of eyes against the prediction: in brightness, which the shade of lids and lashes
#: changes (0.11 on renders whose shapes are 1.5 mm off) and people's own (some 0.13), and in colour.
_WHITE, _WHITE_TINT = 0.17, 0.10
#: Factors on our whites of eyes: those in portraits are less yellow. Brighter ones make light skin lighter than it is.
_WHITER = (1.04, 1.02, 1.09)
#: A larger residual means that the white is covered, for instance by dark glasses.
_WHITE_ODD = 1.0
#: Least number of pixels that show the white of an eye, and about how many of them are compared.
_WHITE_PIXELS, _WHITES = 12, 64


@dataclass(frozen=True)
class Delit:
    """Result of :func:`delight`.

    Parameters
    ----------
    identity, texture_noise:
        (1, 20) and (1, 128) float32: codes of the texture network.
    lights:
        One per picture, in its camera's frame.
    misfit:
        (P,) per picture: absolute residual, averaged over channels, at the texels of the coarse tile.
    whites:
        Whether whites of eyes are visible; without them the tone is a guess.
    """

    identity: torch.Tensor
    texture_noise: torch.Tensor
    lights: list[KeyLight]
    misfit: list[torch.Tensor]
    whites: bool


@dataclass(frozen=True)
class _Shot:
    """One picture at its visible texels: their indices in the tile, log colour, weight, geometry; some pixels of the
    whites of eyes as log colour, our albedo and geometry, or None; and whether the picture has no colour.
    """

    texels: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    geometry: Geometry
    white: tuple[torch.Tensor, torch.Tensor, Geometry] | None
    grey: bool

    def off(self, light: KeyLight, albedo: torch.Tensor, at: Geometry, target: torch.Tensor) -> torch.Tensor:
        """Return the log prediction of linear albedo (3, P) minus a target (3, P); (1, P) without colour."""
        seen = light.predict(albedo, at)
        return (luminances(seen) + _FLOOR).log() - target[:1] if self.grey else (seen + _FLOOR).log() - target


def delight(
    pipe: FacePipeline, views: list[View], grid: TileGrid, steps: int = _STEPS, masks: list[torch.Tensor] | None = None
) -> Delit:
    """Estimate codes and lights.

    Parameters
    ----------
    grid:
        Tile with :data:`COARSE` texels per side.
    masks:
        (P,) in [0, 1] per picture, over the grid's texels: skin mask. By default all texels may be skin.
    """
    shots = [_shot(pipe, view, grid, None if masks is None else masks[k]) for k, view in enumerate(views)]
    draw = _drawer(pipe, grid, shots)
    with torch.no_grad():
        identity, lights = _start(pipe, shots, draw)
    noise = torch.zeros(1, TEXTURE_NOISE_DIM)
    free = trait_direction(pipe, "melanin")
    # Lights are initialised for the mean skin of the start: then codes change tone and light together, along the valley
    # of the cost that pictures hardly constrain.
    with torch.no_grad():
        first = _mean(shots, draw(noise, identity))
    codes = [identity, noise]
    lamps = [[light.sh, light.key, light.colour.log()] for light in lights]
    leaves = [*codes, *(t for lamp in lamps for t in lamp)]
    rates = [_CODE_RATE] * len(codes) + [_LIGHT_RATE] * (len(leaves) - len(codes))
    for leaf in leaves:
        leaf.requires_grad_(True)
    optimizer = Adam(leaves, rates, betas=(0.9, 0.98))
    for step in range(steps):
        albedo = draw(noise, identity)
        lift, cost = first / _mean(shots, albedo), _code_cost(identity, noise, free)
        for shot, lamp in zip(shots, lamps, strict=True):
            light = KeyLight(lamp[0] * lift, lamp[1], lamp[2].exp() * lift)
            cost = cost + _cost(shot, light, albedo) + _light_cost(light)
        optimizer.step(cost, min(1.0, 3.0 * (1 - step / steps) + 0.05))
    with torch.no_grad():
        albedo, misfit = draw(noise, identity), []
        lift = first / _mean(shots, albedo)
        found = [KeyLight(lamp[0] * lift, lamp[1].clone(), lamp[2].exp() * lift) for lamp in lamps]
        for shot, light in zip(shots, found, strict=True):
            whole = torch.full((len(grid.inside),), float("inf"))
            whole[shot.texels] = _residual(shot, light, albedo).abs().mean(0)
            misfit.append(whole)
    return Delit(identity.detach(), noise.detach(), found, misfit, any(shot.white for shot in shots))


def _drawer(
    pipe: FacePipeline, grid: TileGrid, shots: list[_Shot]
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a function from codes to the linear albedo (3, P) at the texels; only what pictures show is right."""
    shown = grid.parts.new_zeros(len(grid.parts)).float()
    for shot in shots:
        shown[shot.texels] = 1.0
    box = mask_box(grid.spread(shown[None])[0] > 0) if bool(shown.any()) else None

    def draw(noise: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        rest = torch.zeros(1, EXPRESSION_DIM)
        tile = pipe.texture.coarse(noise, identity, rest, grid.size, box)[0]
        return srgb_to_linear(grid.gather(tile).clamp(0.01, 1.0))

    return draw


def _shot(pipe: FacePipeline, view: View, grid: TileGrid, mask: torch.Tensor | None) -> _Shot:
    seen = view.texels(grid)
    weight = seen.shaven if mask is None else seen.shaven * mask
    texels = (weight > 0.05).nonzero()[:, 0]
    target = (tone(seen.colour[:, texels]) + _FLOOR).log()
    return _Shot(texels, target, weight[texels], seen.geometry[texels], white_of_eyes(pipe, view), view.grey)


def white_of_eyes(pipe: FacePipeline, view: View) -> tuple[torch.Tensor, torch.Tensor, Geometry] | None:
    """Measure the whites of the eyes in a picture.

    Returns
    -------
    tuple or None
        Log colour (3, P), our linear albedo (3, P) and the geometry of some pixels; None if too little is visible.
    """
    eyes, composer = view.pixels(pipe.template, PARTS.index("eyes")), pipe.composer
    eyes = eyes[(eyes.bare > 0.5).nonzero()[:, 0]]
    if not isinstance(composer, DefaultComposer) or len(eyes.uv) < _WHITE_PIXELS:
        return None
    drawn, iris = drawn_eyes(composer, eyes.uv)
    white = (iris < 0.05).nonzero()[:, 0]
    if len(white) < _WHITE_PIXELS:
        return None
    colour, geometry, ours = eyes.colour[:, white], eyes.geometry[white], srgb_to_linear(drawn[:, white])
    # Lids and lashes that the fit missed are darker, specular highlights brighter. What is bright by our shade alone
    # would often be a lid's rim, where the mesh has little light.
    light = colour.mean(0) / ours.mean(0).clamp_min(0.02)
    low, high = (float(light.quantile(q)) for q in (0.5, 0.9))
    kept = ((light >= low) & (light <= high)).nonzero()[:, 0]
    kept = kept[:: max(1, len(kept) // _WHITES)]
    # Each pixel with its own normal: an eye is a ball, and two of them have no mean direction that reflects as both do.
    whiter = ours.new_tensor(_WHITER)[:, None]
    return (tone(colour[:, kept]) + _FLOOR).log(), ours[:, kept] * whiter, geometry[kept]


def _mean(shots: list[_Shot], albedo: torch.Tensor) -> torch.Tensor:
    """Return the mean albedo (3,) of visible skin; its luminance if no picture has colour."""
    total = sum((albedo[:, shot.texels] @ shot.weight for shot in shots), albedo.new_zeros(3))
    mean = total / sum(float(shot.weight.sum()) for shot in shots)
    return luminances(mean[:, None])[0].expand(3) if all(shot.grey for shot in shots) else mean


def drawn_eyes(composer: DefaultComposer, uv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample the composer's static eye texture at (P, 2): sRGB (3, P) with a grey iris, and the iris mask (P,)."""
    place = torch.stack((2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]), -1)[None, None]
    wide = box_max(composer.iris[None], 5)[0]
    found = F.grid_sample(torch.cat((composer.base, wide))[None], place, align_corners=False)[0, :, 0]
    return found[:3], found[3]


def _residual(shot: _Shot, light: KeyLight, albedo: torch.Tensor) -> torch.Tensor:
    return shot.off(light, albedo[:, shot.texels], shot.geometry, shot.target)


def _cost(shot: _Shot, light: KeyLight, albedo: torch.Tensor) -> torch.Tensor:
    """Return the negative log likelihood of a picture: robust residuals of skin, and of the whites of the eyes."""
    square = _residual(shot, light, albedo).square().mean(0)
    # Geman and McClure's function: outliers have a bounded cost.
    lost = (shot.weight * square / (1 + square / _ODD**2)).sum() / shot.weight.sum().clamp_min(1.0)
    # The noise level is estimated from the picture itself: what no light and skin explain must not decide between
    # darker skin and less light.
    cost = 0.5 * _COUNT * (1 + lost / _NOISE**2).log()
    if shot.white is not None:
        target, ours, geometry = shot.white
        off = shot.off(light, ours, geometry, target).mean(1)
        level, tint = off.mean(), off - off.mean()
        low = 0.5 * (level / _WHITE) ** 2
        cost = cost + low / (1 + (level / _WHITE_ODD) ** 2) + 0.5 * (tint / _WHITE_TINT).square().sum()
    return cost


def _light_cost(light: KeyLight) -> torch.Tensor:
    """Return the negative log prior of a light: its level, its colour, and how directional it is."""
    mean = light.sh[0].clamp_min(1e-3)
    level = light.level()
    tint = level.log() - level.log().mean()
    lamp = light.colour.log() - light.colour.log().mean()
    mean_level = level.log().mean() - _LEVEL
    # Nobody over- or underexposes a face by more than two stops.
    beyond = (mean_level.abs() - _LEVEL_MOST).clamp_min(0)
    cost = 0.5 * (mean_level / _LEVEL_SPREAD) ** 2 + 100.0 * beyond.square()
    # Student's distribution, of three degrees of freedom: most light is white, and some is as red as a sunset.
    for colour in (tint, lamp):
        cost = cost + 2.0 * (1 + (colour / _TINT).square().sum() / 3.0).log()
    shares = light.sh[1:] / mean
    grey = shares.mean(1, keepdim=True)
    cost = cost + 0.5 * (grey[:3] / _FIRST).square().sum() + 0.5 * (grey[3:] / _SECOND).square().sum()
    return cost + 0.5 * ((shares - grey) / 0.12).square().sum()


def _code_cost(identity: torch.Tensor, noise: torch.Tensor, free: torch.Tensor | None) -> torch.Tensor:
    """Return half the squared norm of the codes; along ``free``, a direction (20,) of the identity, only extreme values
    count.
    """
    if free is None:
        return 0.5 * (identity.square().sum() + noise.square().sum())
    along = (identity @ free)[:, None]
    rest = identity - along * free
    return 0.5 * (rest.square().sum() + noise.square().sum() + (along.abs() - 1.8).clamp_min(0).square().sum() * 4)


def trait_direction(pipe: FacePipeline, trait: str) -> torch.Tensor | None:
    """Return the direction (20,) of the identity along which a trait of the skin grows, if the model has one."""
    micro = getattr(pipe.composer, "micro", None)
    return None if micro is None else micro.axes[TRAITS.index(trait)]


def _start(
    pipe: FacePipeline, shots: list[_Shot], draw: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, list[KeyLight]]:
    """Try initial skins from light to dark, each with its best harmonics, and return the likeliest."""
    noise, free, tones = torch.zeros(1, TEXTURE_NOISE_DIM), trait_direction(pipe, "melanin"), _TONES
    if free is None:
        free, tones = torch.zeros(IDENTITY_DIM), (0.0,)
    best: tuple[float, torch.Tensor, list[KeyLight]] | None = None
    for amount in tones:
        identity = amount * free[None]
        albedo = draw(noise, identity)
        lights = [_harmonics(shot, albedo) for shot in shots]
        cost = sum(float(_cost(s, light, albedo) + _light_cost(light)) for s, light in zip(shots, lights, strict=True))
        if best is None or cost < best[0]:
            best = (cost, identity.clone(), lights)
    assert best is not None
    return best[1], best[2]


def _harmonics(shot: _Shot, albedo: torch.Tensor) -> KeyLight:
    """Fit harmonics to a picture by reweighted least squares, with a weak initial lamp from above."""
    colour = untone((shot.target.exp() - _FLOOR).clamp(0.0, 1.0))
    cosines = colour.new_tensor((1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25))
    shapes = basis(shot.geometry.normal) * cosines[:, None]
    lamp, tint = colour.new_tensor([-0.3, 0.5, 0.8]), colour.new_full((3,), 0.05)
    weight, sh, skin = shot.weight, torch.zeros(9, 3), albedo[:, shot.texels]
    skin = luminances(skin).expand(3, -1) if shot.grey else skin
    # Specular reflection grows with the harmonics, too: on dark skin it is half of the picture.
    occlusion, gleam = shot.geometry.material[0], gleaming(shot.geometry)
    # Ridge penalty, which pulls the coefficients to uniform light.
    ridge = colour.new_tensor((0.0, *(0.02,) * 3, *(0.15,) * 5))
    for _ in range(4):
        for c in range(3):
            rows, want = shapes * (occlusion * skin[c] + gleam), colour[c]
            scale = weight / want.clamp_min(0.03).square()
            system = (rows * scale) @ rows.T
            system += torch.diag(ridge * system[0, 0] + 1e-6)
            sh[:, c] = torch.linalg.solve(system, (rows * scale) @ want)
        light = KeyLight(sh, lamp, tint)
        size = _residual(shot, light, albedo).abs().mean(0)
        weight = shot.weight / (1 + (size / _ODD) ** 2) ** 2
    return KeyLight(sh.clone(), lamp.clone(), tint.clone())
