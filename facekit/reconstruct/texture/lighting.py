"""The renderer's shading and its inverse: from albedo to picture and back, differentiable with respect to the lights.

:mod:`facekit.render.shading` maps a linear albedo b to ``tone(a b + c b² + g)``: a is the incoming light, c the
interreflection in crevices, g the specular term. Given lights and geometry this is a quadratic equation in b.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from facekit.color import luminance
from facekit.geometry.charts import step
from facekit.geometry.normals import dot
from facekit.render.harmonics import irradiance
from facekit.render.lights import Light, Lights
from facekit.render.shading import TONE_START, direct, mirrored, tone

#: Largest value that the inverse tone curve accepts: brighter ones are clipped.
_BRIGHTEST = 0.985

#: Shares of a picture that no mirror makes from which on it tells of the skin's albedo, and fully does.
_MATT = (0.15, 0.45)


def untone(toned: torch.Tensor) -> torch.Tensor:
    """Invert the shoulder of :func:`facekit.render.shading.tone` for linear values in [0, 1]."""
    room = 1.0 - TONE_START
    bent = TONE_START - room * torch.log1p(-(toned.clamp(TONE_START, _BRIGHTEST) - TONE_START) / room)
    return torch.where(toned > TONE_START, bent, toned)


@dataclass(frozen=True)
class Geometry:
    """Surface properties of P points for shading, in camera space.

    Parameters
    ----------
    normal, view, outward:
        (3, P) float32 unit vectors; ``view`` points toward the camera, ``outward`` away from the middle of the head.
    material:
        (4, P): occlusion, roughness, reflectance, scattering, the first rows of
        :func:`facekit.render.materials.material_table`.
    """

    normal: torch.Tensor
    view: torch.Tensor
    outward: torch.Tensor
    material: torch.Tensor

    @property
    def _rows(self) -> tuple[torch.Tensor, ...]:
        return self.normal, self.view, self.outward, self.material

    def __getitem__(self, index: torch.Tensor) -> Geometry:
        return Geometry(*(t[:, index] for t in self._rows))

    @classmethod
    def cat(cls, parts: list[Geometry]) -> Geometry:
        """Concatenate the points of several pictures."""
        rows = zip(*(p._rows for p in parts), strict=True)
        return cls(*(torch.cat(row, 1) for row in rows))


@dataclass(frozen=True)
class Terms:
    """The module's equation at P points under some lights.

    Parameters
    ----------
    arriving, again, gleam:
        (3, P) float32: a, c and g.
    """

    arriving: torch.Tensor
    again: torch.Tensor
    gleam: torch.Tensor

    def reflected(self, albedo: torch.Tensor) -> torch.Tensor:
        """Return the picture (3, P), linear, of linear albedo (3, P), before the tone curve."""
        return self.arriving * albedo + self.again * albedo.square() + self.gleam

    def invert(self, untoned: torch.Tensor) -> torch.Tensor:
        """Return the linear albedo (3, P) of a picture (3, P) after :func:`untone`."""
        rest = (untoned - self.gleam).clamp_min(1e-4)
        # The root that stays finite without interreflection.
        return 2 * rest / (self.arriving + (self.arriving.square() + 4 * self.again * rest).sqrt()).clamp_min(1e-3)

    def coloured(self, grey: torch.Tensor, albedo: torch.Tensor) -> torch.Tensor:
        """Return a picture without colour, (3, P) after :func:`untone`, in the hues of a linear albedo (3, P)."""
        likely = self.reflected(albedo).clamp_min(1e-4)
        return grey * (likely / luminances(likely))

    def told(self, untoned: torch.Tensor) -> torch.Tensor:
        """Return how much a picture (3, P) after :func:`untone` tells of the skin, (P,) in [0, 1]: where most of it is
        mirrored, albedo would be the difference of two numbers alike.
        """
        matt = 1 - self.gleam / untoned.clamp_min(1e-3)
        return step(matt.amin(0), *_MATT)


@dataclass(frozen=True)
class KeyLight:
    """Ambient light as harmonics, and one lamp, in camera space.

    Parameters
    ----------
    sh:
        (9, 3) float32 linear RGB, see :mod:`facekit.render.harmonics`.
    key:
        (3,) float32: direction toward the lamp, of any length.
    colour:
        (3,) float32: linear RGB that a white surface facing the lamp reflects.
    """

    sh: torch.Tensor
    key: torch.Tensor
    colour: torch.Tensor

    def terms(self, at: Geometry) -> Terms:
        """Return the module's equation at some points."""
        occlusion, roughness, reflectance, scatter = at.material
        around = irradiance(self.sh, at.normal)
        facing = dot(at.normal, at.view).clamp(1e-3, 1.0)
        openness = occlusion.square()
        arrives = around * occlusion
        again = around * (0.55 * (1.0 - occlusion) * occlusion)
        gleam = around * gleaming(at)
        toward = torch.nn.functional.normalize(self.key, dim=0)
        cosine, between = (toward @ rows for rows in (at.normal, at.view))
        aperture = 2.0 * openness + 0.25 * occlusion - 1.0
        rows, shine = direct(cosine, between, aperture, roughness.square(), reflectance, scatter, facing)
        colour = self.colour[:, None]
        return Terms(arrives + torch.stack(rows) * colour, again, gleam + shine * colour)

    def predict(self, albedo: torch.Tensor, at: Geometry) -> torch.Tensor:
        """Return the tone-mapped picture (3, P), linear, of linear albedo (3, P)."""
        return tone(self.terms(at).reflected(albedo))

    def level(self) -> torch.Tensor:
        """Return the mean light (3,) reflected by white faces that look ahead and to both sides."""
        ahead = self.sh.new_tensor([[0.0, 0.0, 1.0], [0.7, 0.0, 0.714], [-0.7, 0.0, 0.714]]).T
        cosine = torch.nn.functional.normalize(self.key, dim=0) @ ahead
        lamp = self.colour[:, None] * cosine.clamp_min(0)
        return (irradiance(self.sh, ahead) + lamp).mean(1).clamp_min(1e-3)

    def lights(self) -> Lights:
        """Return the renderer's lights."""
        x, y, z = torch.nn.functional.normalize(self.key.detach().double(), dim=0).tolist()
        azimuth = torch.rad2deg(torch.atan2(torch.tensor(x), torch.tensor(z)))
        elevation = torch.rad2deg(torch.asin(torch.tensor(y).clamp(-1, 1)))
        strength = float(self.colour.detach().mean())
        if strength < 1e-3:
            return Lights(sh=self.sh.detach(), name="photograph")
        tint = (self.colour.detach() / strength).tolist()
        lamp = Light(float(azimuth), float(elevation), strength, (tint[0], tint[1], tint[2]))
        return Lights(lights=(lamp,), sh=self.sh.detach(), name="photograph")


def luminances(colour: torch.Tensor) -> torch.Tensor:
    """Return the luminance (1, P) of linear colours (3, P)."""
    return luminance(colour[None, :, None])[0, :, 0]


def gleaming(at: Geometry) -> torch.Tensor:
    """Return the fraction of ambient light that points (P,) reflect specularly."""
    occlusion, roughness, reflectance, _ = at.material
    facing = dot(at.normal, at.view).clamp(1e-3, 1.0)
    return mirrored(roughness, reflectance, at.normal, at.view, facing, at.outward) * occlusion.square()
