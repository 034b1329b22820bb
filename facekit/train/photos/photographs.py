"""Synthetic photographs: people from the pack's identity modes with random light, pose, lens and expression.

Vertices, blendshapes and camera are known. Backgrounds are drawn; no photographs are used.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from facekit.conventions import BLENDSHAPES, EXPRESSION_DIM
from facekit.latents import FaceLatents
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.render import Camera, Light, Lights, render
from facekit.train.shape.data import random_expressions

#: Side in pixels of the pictures that the landmarker's response is measured on.
SIZE = 448
#: Ranges of pose in degrees, of field of view in degrees, and of the picture's height in mm at the head.
YAW, PITCH, ROLL, FOV, HEIGHT = 45.0, 20.0, 8.0, (14.0, 45.0), (260.0, 420.0)
#: Identity weights are clipped at this.
_CUT = 2.5
#: Fractions of pictures with closed eyes, and with averted gaze.
_BLINKS, _GLANCES = 0.14, 0.6
_LOOKS = tuple(k for k, name in enumerate(BLENDSHAPES) if name.startswith("eyeLook"))


@dataclass(frozen=True)
class Pose:
    """Viewpoint of a picture.

    Parameters
    ----------
    yaw, pitch, roll:
        Degrees: the camera's direction from the head, where positive yaw shows the subject's left side; roll of the
        camera.
    fov, height:
        Vertical field of view in degrees; height of the picture in mm at the head.
    shift:
        Offset of the head's centre from the picture's, mm along X and Y.
    """

    yaw: float
    pitch: float
    roll: float
    fov: float
    height: float
    shift: tuple[float, float]

    @classmethod
    def drawn(cls, rng: np.random.Generator, fov: float, yaw: float = YAW) -> Pose:
        """Sample a pose for a lens; one in five is almost frontal."""
        turned = rng.uniform(-yaw, yaw) if rng.random() < 0.8 else rng.normal(0, 8)
        return cls(
            float(turned),
            float(rng.uniform(-PITCH, PITCH)),
            float(rng.normal(0, ROLL)),
            fov,
            float(rng.uniform(*HEIGHT)),
            (float(rng.normal(0, 12)), float(rng.normal(0, 12))),
        )

    def camera(self) -> Camera:
        """Return the camera."""
        distance = self.height / 2 / math.tan(math.radians(self.fov / 2))
        x, y = self.shift
        around = Camera.orbit(self.yaw, self.pitch, distance, (x, 8.0 + y, 10.0), self.fov)
        tilt = math.radians(self.roll)
        right_up_back = around.rotation()[0]
        up = math.sin(tilt) * right_up_back[0] + math.cos(tilt) * right_up_back[1]
        return dataclasses.replace(around, up=up[None])


@dataclass(frozen=True)
class Photograph:
    """Synthetic photograph with ground truth.

    Parameters
    ----------
    pixels:
        (S, S, 3) uint8 sRGB.
    person:
        Number of the person.
    pose, camera:
        Viewpoint and camera.
    blendshapes:
        (52,) float32, or None if the expression is not made of blendshapes.
    verts, neutral:
        (V, 3) float32 mm: posed and neutral.
    """

    pixels: np.ndarray
    person: int
    pose: Pose
    camera: Camera
    blendshapes: torch.Tensor | None
    verts: torch.Tensor
    neutral: torch.Tensor


def drawn_people(modes: torch.Tensor, mean: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Sample neutral faces (count, V, 3) in mm from identity modes (M, V, 3) around a mean (V, 3)."""
    weights = torch.randn(count, len(modes), generator=generator).clamp(-_CUT, _CUT)
    return mean + torch.einsum("bm,mvc->bvc", weights, modes)


def drawn_blendshapes(table: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Sample weights (count, 52) in [0, 1]: combinations of expressions with random variation per muscle, and a gaze.

    Parameters
    ----------
    table:
        (20, 52) float32: expressions as combinations of blendshapes.
    """
    mixed = 0.7 * random_expressions(count, generator) + 0.5 * random_expressions(count, generator)
    weights = (mixed @ table.view(EXPRESSION_DIM, -1)) * (
        0.6 + 0.8 * torch.rand(count, table.shape[1], generator=generator)
    )
    weights[:, list(_LOOKS)] = 0
    glances = torch.rand(count, generator=generator) < _GLANCES
    across, up = (torch.randn(count, generator=generator).clamp(-2, 2) * 0.3 * glances for _ in range(2))
    for side, toward in (("Right", -1.0), ("Left", 1.0)):
        for way, amount in (("Out", toward * across), ("In", -toward * across), ("Up", up), ("Down", -up)):
            weights[:, BLENDSHAPES.index(f"eyeLook{way}{side}")] = amount.clamp_min(0)
    closed = torch.rand(count, generator=generator) < _BLINKS
    shut = 0.75 + 0.25 * torch.rand(count, generator=generator)
    for side in ("Left", "Right"):
        k = BLENDSHAPES.index(f"eyeBlink{side}")
        weights[:, k] = torch.where(closed, shut, weights[:, k])
    weights[:, BLENDSHAPES.index("tongueOut")] = 0
    return weights.clamp(0, 1)


def drawn_lights(rng: np.random.Generator) -> Lights:
    """Sample a coloured key light and environment light."""
    red, green, blue = ((1 + rng.normal(0, 0.12, 3)).clip(0.6, 1.4)).tolist()
    ambient = rng.uniform(0.1, 0.6)
    sky, ground = (
        (ambient * share * (1 + rng.normal(0, 0.1, 3)).clip(0.5, 1.5)).tolist()
        for share in (1.0, rng.uniform(0.3, 1.0))
    )
    azimuth, elevation, strength = rng.uniform((-80, -20, 0.2), (80, 60, 1.0)).tolist()
    key = Light(azimuth, elevation, strength, (red, green, blue), size=12.0)
    return Lights(lights=(key,), sky=tuple(sky), ground=tuple(ground))


def drawn_background(rng: np.random.Generator, size: int) -> torch.Tensor:
    """Draw a blurred picture (3, size, size) of coarse and fine patches, sRGB in [0, 1]."""
    picture = torch.zeros(1, 3, size, size)
    tone = rng.uniform(0.1, 0.8, 3)
    for cells, strength in ((3, 0.25), (9, 0.12), (40, 0.05)):
        patch = torch.from_numpy(rng.normal(0, strength, (1, 3, cells, cells))).float()
        picture = picture + F.interpolate(patch, (size, size), mode="bicubic", align_corners=False)
    return (picture[0] + torch.from_numpy(tone).float()[:, None, None]).clamp(0, 1)


class Photographer:
    """Renders pictures of people.

    Parameters
    ----------
    pipe:
        Model with the topology of the people, which also provides skin textures.
    seed:
        Seed of all random choices; texture seeds start at ``100_000 + 1000 * seed``.
    size:
        Side in pixels.
    """

    def __init__(self, pipe: FacePipeline, seed: int, size: int = SIZE) -> None:
        self.pipe, self.seed, self.size = pipe, seed, size
        self.rng = np.random.default_rng(seed)

    @torch.no_grad()
    def pictures(
        self, number: int, neutral: torch.Tensor, blendshapes: torch.Tensor, yaw: float = YAW
    ) -> Iterator[Photograph]:
        """Render a person (V, 3) for each row of blendshapes (K, 52), all with one lens."""
        codes = FaceLatents.sample(100_000 + 1000 * self.seed + number, intensity=0.0)
        person = self.pipe.with_person(Person(neutral, codes, self.pipe.skin(codes)))
        fov = float(self.rng.uniform(*FOV))
        for weights in blendshapes:
            posed = codes.with_blendshapes(weights)
            verts = person.decode_shape(person.to_model_codes(posed))[0]
            yield self.take(number, person, posed, verts, Pose.drawn(self.rng, fov, yaw))

    def take(
        self, number: int, person: FacePipeline, codes: FaceLatents, verts: torch.Tensor, pose: Pose
    ) -> Photograph:
        """Render the person's vertices (V, 3) in random light."""
        camera = pose.camera()
        assert person.person is not None
        mesh = person.mesh(codes, verts[None], person.person.atlas)
        seen = render(mesh, camera, self.size, lights=drawn_lights(self.rng), background="transparent")
        behind = drawn_background(self.rng, self.size)
        picture = torch.lerp(behind, seen.rgb[0].float(), seen.alpha[0].float())
        noise = self.rng.normal(0, 2.0, (self.size, self.size, 3))
        pixels = (picture.permute(1, 2, 0).numpy() * 255 + noise).clip(0, 255).round().astype(np.uint8)
        return Photograph(pixels, number, pose, camera, codes.blendshapes[0], verts, person.person.neutral)
