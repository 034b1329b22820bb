"""Lights: what falls on the face. Presets are small studio set-ups."""

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
        Degrees, where it stands: as in :meth:`facekit.render.Camera.orbit`, positive azimuth to the image right (the
        subject's left), 0 behind the camera.
    strength:
        A surface that faces it returns albedo times strength.
    colour:
        Linear RGB.
    gloss:
        How strong its specular reflection is against a bare lamp's. Large boxes from behind need less: their grazing
        shine is what makes skin look like plastic.
    size:
        Half its angle in degrees: how large its reflection in a wet eye is, and how soft its shadow.
    """

    azimuth: float
    elevation: float
    strength: float
    colour: Colour = (1.0, 1.0, 1.0)
    size: float = 10.0
    gloss: float = 1.0


@dataclass(frozen=True)
class Lights:
    """A set-up of lights. The first light casts the shadow in high quality.

    Parameters
    ----------
    lights:
        Directional lights; key first.
    sky, ground:
        Linear RGB of the light from straight above and straight below (a hemisphere, blended in between).
    frame:
        "camera": the lights stand around the camera and move with it, as on a turntable; "world": around the subject.
    background:
        What :func:`facekit.render.render` puts behind unless told: "studio" or an sRGB triple.
    unlit:
        Show the albedo as it is.
    sh:
        Light from everywhere besides: second-order spherical harmonics of the radiance, float32, linear RGB, in
        ``frame``; (9, 3) for all pictures, or (B, 9, 3), one set per picture. Order and scale are those of
        :mod:`facekit.render.harmonics`, whose ``project`` makes them of an environment map. Pictures have gradients to
        it.
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
        """One of :data:`PRESETS`."""
        if name not in PRESETS:
            raise InputError(f"lights out of {', '.join(PRESETS)}", repr(name), "choose one, or pass a Lights")
        return PRESETS[name]

    def irradiance(self, normal: torch.Tensor, rotation: torch.Tensor, frame: torch.Tensor) -> torch.Tensor | None:
        """Light from everywhere that a white surface returns, (3, P) linear RGB; None without ``sh``.

        Parameters
        ----------
        normal:
            (3, P) unit, camera space.
        rotation:
            (B, 3, 3), the cameras' rotations.
        frame:
            (P,) int64, the picture of each sample.
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
        """The lights of some of the pictures; the same where all pictures have one set of harmonics."""
        if self.sh is None or self.sh.ndim == 2 or len(self.sh) == 1:
            return self
        return replace(self, sh=self.sh[frames])

    def directions(self, rotation: torch.Tensor) -> torch.Tensor:
        """Unit vectors toward the lights in camera space, (N, L, 3), for cameras with ``rotation`` (N, 3, 3)."""
        angles = rotation.new_tensor([[light.azimuth, light.elevation] for light in self.lights]).reshape(-1, 2)
        vectors = direction(angles[:, 0], angles[:, 1])
        if self.frame == "world":
            return torch.einsum("nij,lj->nli", rotation, vectors)
        return vectors.expand(rotation.shape[0], -1, -1)


PRESETS: dict[str, Lights] = {
    # A large key from the upper left, a weak fill, two rims from behind: the classic portrait.
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
    # A bright overcast day: the sky does most of the work.
    "daylight": Lights(
        lights=(
            Light(-24.0, 52.0, 0.46, (1.0, 0.97, 0.92), 24.0),
            Light(150.0, 35.0, 0.22, (0.85, 0.93, 1.0), 30.0, gloss=0.3),
        ),
        sky=(0.66, 0.71, 0.78),
        ground=(0.24, 0.235, 0.22),
        name="daylight",
    ),
    # Dark, drawn by light from behind.
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
    # The texture itself, for checks and for judging albedo.
    "flat": Lights(background=(1.0, 1.0, 1.0), unlit=True, name="flat"),
}
