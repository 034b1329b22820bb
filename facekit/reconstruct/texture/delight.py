"""Light and albedo apart: what lit the pictures, and which codes of the texture network the skin has.

The codes, and for each picture second-order harmonics and a key light, are found by maximum a posteriori: pictures are
predicted at the texels of a coarse tile, by the renderer's own equation (:mod:`~facekit.reconstruct.texture.lighting`),
with weights that let go of what the prediction cannot explain (hair, glasses, shadows).

A darker skin in more light looks the same. What settles it is no prior of tone, which would pull people to the middle:
codes are free along the network's direction of melanin. It is settled by the whites of the eyes, whose albedo hardly
differs between people, and by how pictures are taken: exposed for the light, nearly white.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from facekit.color import srgb_to_linear
from facekit.conventions import EXPRESSION_DIM, IDENTITY_DIM, PARTS, TEXTURE_NOISE_DIM
from facekit.models.composers import DefaultComposer
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.lighting import Geometry, KeyLight, gleaming, untone
from facekit.reconstruct.texture.views import View
from facekit.render.harmonics import basis
from facekit.render.shading import tone
from facekit.traits import TRAITS

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Texels along a side of the coarse tile.
COARSE = 128
#: Skins that are tried first, from fair to dark, in deviations.
_TONES = (-1.8, -1.2, -0.6, 0.0, 0.6, 1.2, 1.8)
#: Steps of Adam, and their lengths for codes and for lights.
_STEPS, _CODE_RATE, _LIGHT_RATE = 60, 0.10, 0.04
#: Logarithm of pictures is taken of values this much above 0.
_FLOOR = 0.02
#: Least deviation of the logarithm of a picture from its prediction; as how many independent numbers its texels count.
_NOISE, _COUNT = 0.06, 80.0
#: Where a residual, a mean over red, green and blue, is no noise any more.
_ODD = 0.30
#: Logarithm of what a white face returns: its mean and deviation over pictures; deviations of the light's colour, of
#: its first and of its second order against the mean.
_LEVEL, _LEVEL_SPREAD, _TINT, _FIRST, _SECOND = -0.10, 0.35, 0.12, 0.7, 0.25
#: Further from that mean no picture is.
_LEVEL_MOST = 0.8
#: Deviations of whites of eyes against ours in logarithms, in brightness, likewise where shaded, and in colour.
_WHITE, _WHITE_SHADE, _WHITE_TINT = 0.10, 0.22, 0.05
#: Dark glasses: from here on it is no white that is seen.
_WHITE_ODD = 1.0
#: Pixels that show the white of an eye, from which on it is believed.
_WHITE_PIXELS = 12


@dataclass(frozen=True)
class Delit:
    """What :func:`delight` found.

    Parameters
    ----------
    identity, texture_noise:
        (1, 20) and (1, 128) float32, codes of the texture network.
    lights:
        One a picture, in its camera's frame.
    misfit:
        (P,) a picture: the residual's size, mean over colours, at the texels of the coarse tile.
    whites:
        Whether whites of eyes were seen; without them tone is a guess.
    """

    identity: torch.Tensor
    texture_noise: torch.Tensor
    lights: list[KeyLight]
    misfit: list[torch.Tensor]
    whites: bool


@dataclass(frozen=True)
class _Shot:
    """One picture at the texels that it shows: their places in the tile, logarithm of colour, weight, geometry; and the
    white of the eyes, its logarithm, our albedo of it and its geometry, or None."""

    texels: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    geometry: Geometry
    white: tuple[torch.Tensor, torch.Tensor, Geometry] | None


def delight(
    pipe: FacePipeline, views: list[View], grid: TileGrid, steps: int = _STEPS, masks: list[torch.Tensor] | None = None
) -> Delit:
    """Find codes and lights.

    Parameters
    ----------
    grid:
        Of :data:`COARSE` texels a side.
    masks:
        (P,) in [0, 1] a picture, over the grid's texels: what is known to be skin. By default all of it may be.
    """
    shots = [_shot(pipe, view, grid, None if masks is None else masks[k]) for k, view in enumerate(views)]
    draw = _drawer(pipe, grid)
    with torch.no_grad():
        identity, lights = _start(pipe, shots, draw)
    noise = torch.zeros(1, TEXTURE_NOISE_DIM)
    free = _melanin(pipe)
    # Lights are held for the mean skin of the start: codes then change tone and light together, which pictures hardly
    # tell apart, and the two can move along that valley.
    with torch.no_grad():
        first = _mean(shots, draw(noise, identity))
    codes = [identity, noise]
    lamps = [[light.sh, light.key, light.colour.log()] for light in lights]
    for tensor in (*codes, *(t for lamp in lamps for t in lamp)):
        tensor.requires_grad_(True)
    groups = [
        {"params": codes, "lr": _CODE_RATE},
        {"params": [t for lamp in lamps for t in lamp], "lr": _LIGHT_RATE},
    ]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98))
    for step in range(steps):
        for group, rate in zip(optimizer.param_groups, (_CODE_RATE, _LIGHT_RATE), strict=True):
            group["lr"] = rate * min(1.0, 3.0 * (1 - step / steps) + 0.05)
        albedo = draw(noise, identity)
        lift, cost = first / _mean(shots, albedo), _code_cost(identity, noise, free)
        for shot, lamp in zip(shots, lamps, strict=True):
            light = KeyLight(lamp[0] * lift, lamp[1], lamp[2].exp() * lift)
            cost = cost + _cost(shot, light, albedo) + _light_cost(light)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
    with torch.no_grad():
        albedo, misfit = draw(noise, identity), []
        lift = first / _mean(shots, albedo)
        found = [KeyLight(lamp[0] * lift, lamp[1].clone(), lamp[2].exp() * lift) for lamp in lamps]
        for shot, light in zip(shots, found, strict=True):
            whole = torch.full((len(grid.inside),), float("inf"))
            whole[shot.texels] = _residual(shot, light, albedo).abs().mean(0)
            misfit.append(whole)
    return Delit(identity.detach(), noise.detach(), found, misfit, any(shot.white for shot in shots))


def _drawer(pipe: FacePipeline, grid: TileGrid) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The linear albedo (3, P) of codes at the grid's texels."""

    def draw(noise: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        rest = torch.zeros(1, EXPRESSION_DIM)
        tile = pipe.texture.coarse(noise, identity, rest, grid.size)[0]
        return srgb_to_linear(grid.gather(tile).clamp(0.01, 1.0))

    return draw


def _shot(pipe: FacePipeline, view: View, grid: TileGrid, mask: torch.Tensor | None) -> _Shot:
    seen = view.texels(grid)
    weight = seen.weight if mask is None else seen.weight * mask
    texels = (weight > 0.05).nonzero()[:, 0]
    target = (tone(seen.colour[:, texels]) + _FLOOR).log()
    return _Shot(texels, target, weight[texels], seen.geometry[texels], white_of_eyes(pipe, view))


def white_of_eyes(pipe: FacePipeline, view: View) -> tuple[torch.Tensor, torch.Tensor, Geometry] | None:
    """Find the whites of eyes in a picture.

    Returns
    -------
    tuple or None
        Logarithm of their colour (3, 1), our linear albedo of them (3, 1) and the mean geometry; None where too little
        of them is seen.
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
    # Lids and lashes that the fit missed are darker, mirrored lamps brighter.
    light = colour.mean(0) / (ours.mean(0) * geometry.material[0]).clamp_min(0.02)
    low, high = (float(light.quantile(q)) for q in (0.6, 0.93))
    kept = ((light >= low) & (light <= high)).nonzero()[:, 0]
    middle = Geometry(*(t[:, kept].mean(1, keepdim=True) for t in (geometry.normal, geometry.view, geometry.material)))
    middle = Geometry(F.normalize(middle.normal, dim=0), F.normalize(middle.view, dim=0), middle.material)
    target = (tone(colour[:, kept]).mean(1, keepdim=True) + _FLOOR).log()
    return target, ours[:, kept].mean(1, keepdim=True), middle


def _mean(shots: list[_Shot], albedo: torch.Tensor) -> torch.Tensor:
    """Mean albedo (3,) of the skin that is seen."""
    total = sum((albedo[:, shot.texels] @ shot.weight for shot in shots), albedo.new_zeros(3))
    return total / sum(float(shot.weight.sum()) for shot in shots)


def drawn_eyes(composer: DefaultComposer, uv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Look eyes up in the static picture at (P, 2): sRGB (3, P) with a grey iris, and how much it is iris, (P,)."""
    place = torch.stack((2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]), -1)[None, None]
    wide = F.max_pool2d(composer.iris[None], 5, 1, 2)[0]
    found = F.grid_sample(torch.cat((composer.base, wide))[None], place, align_corners=False)[0, :, 0]
    return found[:3], found[3]


def _residual(shot: _Shot, light: KeyLight, albedo: torch.Tensor) -> torch.Tensor:
    return (light.predict(albedo[:, shot.texels], shot.geometry) + _FLOOR).log() - shot.target


def _cost(shot: _Shot, light: KeyLight, albedo: torch.Tensor) -> torch.Tensor:
    """How unlikely a picture is: its residuals, as far as they are no outliers, and those of whites of eyes."""
    square = _residual(shot, light, albedo).square().mean(0)
    # Geman and McClure's function: what is far off costs the same, however far.
    lost = (shot.weight * square / (1 + square / _ODD**2)).sum() / shot.weight.sum().clamp_min(1.0)
    # How noisy a picture is, it tells itself: what no light and skin explain in photographs must not decide between
    # a darker skin and less light.
    cost = 0.5 * _COUNT * (1 + lost / _NOISE**2).log()
    if shot.white is not None:
        target, ours, geometry = shot.white
        off = (light.predict(ours, geometry) + _FLOOR).log() - target
        level, tint = off.mean(), off - off.mean()
        # Brows and lids that cast a shadow make whites darker; nothing makes them lighter.
        low = 0.5 * (level / torch.where(level > 0, _WHITE_SHADE, _WHITE)) ** 2
        cost = cost + low / (1 + (level / _WHITE_ODD) ** 2) + 0.5 * (tint / _WHITE_TINT).square().sum()
    return cost


def _light_cost(light: KeyLight) -> torch.Tensor:
    """How unlikely a light is: its level, its colour, how much it comes from one side."""
    mean = light.sh[0].clamp_min(1e-3)
    level = light.level()
    tint = level.log() - level.log().mean()
    lamp = light.colour.log() - light.colour.log().mean()
    mean_level = level.log().mean() - _LEVEL
    # Nobody exposes a face by more than two stops too much or too little.
    beyond = (mean_level.abs() - _LEVEL_MOST).clamp_min(0)
    cost = 0.5 * (mean_level / _LEVEL_SPREAD) ** 2 + 100.0 * beyond.square()
    cost = cost + 0.5 * (tint / _TINT).square().sum()
    cost = cost + 0.5 * (lamp / _TINT).square().sum()
    shares = light.sh[1:] / mean
    grey = shares.mean(1, keepdim=True)
    cost = cost + 0.5 * (grey[:3] / _FIRST).square().sum() + 0.5 * (grey[3:] / _SECOND).square().sum()
    return cost + 0.5 * ((shares - grey) / 0.12).square().sum()


def _code_cost(identity: torch.Tensor, noise: torch.Tensor, free: torch.Tensor | None) -> torch.Tensor:
    """Half the squared codes; along ``free``, a direction (20,) of the identity, only what no one has costs."""
    if free is None:
        return 0.5 * (identity.square().sum() + noise.square().sum())
    along = (identity @ free)[:, None]
    rest = identity - along * free
    return 0.5 * (rest.square().sum() + noise.square().sum() + (along.abs() - 1.8).clamp_min(0).square().sum() * 4)


def _melanin(pipe: FacePipeline) -> torch.Tensor | None:
    """The direction (20,) of the identity along which skin darkens, where the model tells it."""
    micro = getattr(pipe.composer, "micro", None)
    return None if micro is None else micro.axes[TRAITS.index("melanin")]


def _start(
    pipe: FacePipeline, shots: list[_Shot], draw: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> tuple[torch.Tensor, list[KeyLight]]:
    """Try some skins from fair to dark, each with the harmonics that suit it best, and take the likeliest."""
    noise, free, tones = torch.zeros(1, TEXTURE_NOISE_DIM), _melanin(pipe), _TONES
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
    """Fit harmonics to a picture by reweighted least squares, with a weak lamp above to start from."""
    colour = untone((shot.target.exp() - _FLOOR).clamp(0.0, 1.0))
    cosines = colour.new_tensor((1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25))
    shapes = basis(shot.geometry.normal) * cosines[:, None]
    lamp, tint = colour.new_tensor([-0.3, 0.5, 0.8]), colour.new_full((3,), 0.05)
    weight, sh = shot.weight, torch.zeros(9, 3)
    # Gleam grows with the harmonics, too: on dark skin it is half of the picture.
    occlusion, gleam = shot.geometry.material[0], gleaming(shot.geometry)
    # Ridge: what pulls each coefficient to light of one brightness from everywhere.
    ridge = colour.new_tensor((0.0, *(0.02,) * 3, *(0.15,) * 5))
    for _ in range(4):
        for c in range(3):
            rows, want = shapes * (occlusion * albedo[c, shot.texels] + gleam), colour[c]
            scale = weight / want.clamp_min(0.03).square()
            system = (rows * scale) @ rows.T
            system += torch.diag(ridge * system[0, 0] + 1e-6)
            sh[:, c] = torch.linalg.solve(system, (rows * scale) @ want)
        light = KeyLight(sh, lamp, tint)
        size = _residual(shot, light, albedo).abs().mean(0)
        weight = shot.weight / (1 + (size / _ODD) ** 2) ** 2
    return KeyLight(sh.clone(), lamp.clone(), tint.clone())
