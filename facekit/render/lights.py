"""Lights and presets of small studio setups."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from facekit.errors import InputError
from facekit.geometry.angles import direction
from facekit.render.harmonics import irradiance

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """A distant softbox.

    Parameters
    ----------
    azimuth, elevation:
        Direction in degrees, as in :meth:`facekit.render.Camera.orbit`, positive azimuth to the image right (the
        subject's left), 0 behind the camera.
    strength:
        Reflected light of a facing surface, as a factor on its albedo.
    colour:
        Linear RGB.
    gloss:
        Factor on its specular reflection. Large boxes from behind need less: their grazing reflection makes skin look
        like plastic.
    size:
        Half its angular diameter in degrees: sets the size of its reflection in the eyes and the softness of its
        shadow.
    """

    azimuth: float
    elevation: float
    strength: float
    colour: Colour = (1.0, 1.0, 1.0)
    size: float = 10.0
    gloss: float = 1.0


@dataclass(frozen=True)
class Lights:
    """Setup of lights. The first light casts the shadow in high quality.

    Parameters
    ----------
    lights:
        Directional lights; key first.
    sky, ground:
        Linear RGB of the light from straight above and straight below (a hemisphere, blended in between).
    frame:
        "camera": the lights are fixed to the camera, as on a turntable; "world": fixed to the subject.
    background:
        Default background of :func:`facekit.render.render`: "studio" or an sRGB triple.
    unlit:
        Whether to show the albedo without shading.
    sh:
        Additional environment light: second-order spherical harmonics of the radiance, float32, linear RGB, in
        ``frame``; (9, 3) for all pictures, or (B, 9, 3), one set per picture. Order and scale are those of
        :mod:`facekit.render.harmonics`, whose ``project`` computes them from an environment map. Pictures are
        differentiable with respect to it.
    """

    lights: tuple[Light, ...] = ()
    sky: Colour = (0.0, 0.0, 0.0)
    ground: Colour = (0.0, 0.0, 0.0)
    frame: str = "camera"
    background: str | Colour = "studio"
    unlit: bool = False
    sh: torch.Tensor | None = field(default=None, compare=False)
    name: str = field(default="custom", compare=False)

    def __post_init__(self) -> None:
        if self.sh is not None:
            sh = torch.as_tensor(self.sh, dtype=torch.float32)
            if sh.ndim not in (2, 3) or sh.shape[-2:] != (9, 3) or not bool(torch.isfinite(sh).all()):
                raise InputError(
                    "finite spherical harmonics (9, 3) or (B, 9, 3)",
                    f"{tuple(sh.shape)}",
                    "see facekit.render.harmonics",
                )
            object.__setattr__(self, "sh", sh)

    @classmethod
    def preset(cls, name: str) -> Lights:
        """Return one of :data:`PRESETS`."""
        if name not in PRESETS:
            raise InputError(f"lights out of {', '.join(PRESETS)}", repr(name), "choose one, or pass a Lights")
        return PRESETS[name]

    def irradiance(self, normal: torch.Tensor, rotation: torch.Tensor, frame: torch.Tensor) -> torch.Tensor | None:
        """Return the environment light reflected by a white surface, (3, P) linear RGB; None without ``sh``.

        Parameters
        ----------
        normal:
            (3, P) unit normals, camera space.
        rotation:
            (B, 3, 3): the cameras' rotations.
        frame:
            (P,) int64: the picture of each sample.
        """
        if self.sh is None:
            return None
        if self.frame == "world":
            if len(rotation) == 1:
                normal = rotation[0].t() @ normal
            else:
                normal = torch.einsum("pij,ip->jp", rotation.index_select(0, frame), normal)
        sh = self.sh.to(normal)
        return irradiance(sh if sh.ndim == 2 else sh[0] if len(sh) == 1 else sh.index_select(0, frame), normal)

    def of_frames(self, frames: slice) -> Lights:
        """Return the lights of some of the pictures."""
        if self.sh is None or self.sh.ndim == 2 or len(self.sh) == 1:
            return self
        return replace(self, sh=self.sh[frames])

    def directions(self, rotation: torch.Tensor) -> torch.Tensor:
        """Return unit vectors toward the lights in camera space, (N, L, 3), for cameras with ``rotation`` (N, 3, 3)."""
        angles = rotation.new_tensor([[light.azimuth, light.elevation] for light in self.lights]).reshape(-1, 2)
        vectors = direction(angles[:, 0], angles[:, 1])
        if self.frame == "world":
            return torch.einsum("nij,lj->nli", rotation, vectors)
        return vectors.expand(rotation.shape[0], -1, -1)


PRESETS: dict[str, Lights] = {
    # Classic portrait: a large key from the upper left, a weak fill, two rims from behind.
    "studio": Lights(
        lights=(
            Light(-38.0, 34.0, 0.74, (1.0, 0.965, 0.92), 13.0),
            Light(46.0, 10.0, 0.21, (0.88, 0.94, 1.0), 20.0, gloss=0.5),
            Light(152.0, 20.0, 0.50, (0.92, 0.96, 1.0), 12.0, gloss=0.3),
            Light(-156.0, 26.0, 0.38, (1.0, 0.97, 0.93), 12.0, gloss=0.3),
        ),
        sky=(0.40, 0.41, 0.43),
        ground=(0.19, 0.175, 0.165),
        name="studio",
    ),
    # Bright overcast day: most of the light comes from the sky.
    "daylight": Lights(
        lights=(
            Light(-24.0, 52.0, 0.46, (1.0, 0.97, 0.92), 24.0),
            Light(150.0, 35.0, 0.22, (0.85, 0.93, 1.0), 30.0, gloss=0.3),
        ),
        sky=(0.66, 0.71, 0.78),
        ground=(0.24, 0.235, 0.22),
        name="daylight",
    ),
    # Dark, with light from behind.
    "rim": Lights(
        lights=(
            Light(-30.0, 24.0, 0.16, (1.0, 0.95, 0.9), 12.0),
            Light(132.0, 20.0, 1.5, (0.75, 0.88, 1.0), 14.0, gloss=0.5),
            Light(-136.0, 24.0, 1.4, (1.0, 0.82, 0.66), 14.0, gloss=0.5),
        ),
        sky=(0.10, 0.11, 0.13),
        ground=(0.05, 0.05, 0.06),
        background=(0.075, 0.08, 0.09),
        name="rim",
    ),
    # The texture itself, to check and judge albedo.
    "flat": Lights(background=(1.0, 1.0, 1.0), unlit=True, name="flat"),
}
