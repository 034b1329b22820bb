"""Render training pictures: cut-out heads of random people with hair, in many lights, with occluders.

Shapes are sampled from all of the pack's identity modes; some faces are moved by the pack's own muscles, which the
blendshapes do not span. No photographs are used. Learning on from heads half of which were the embedded default's own
lowered the errors of those alone, and raised them a little on photographs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from facekit.color import linear_to_srgb
from facekit.evaluate.occluders import OCCLUDERS, occlude
from facekit.evaluate.photographs import marked, room_background, room_lights
from facekit.latents import FaceLatents
from facekit.models.hair import BALD
from facekit.motion.mapping import tables
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.render import Camera, render
from facekit.train.photos.photographs import (
    Photograph,
    Pose,
    drawn_background,
    drawn_blendshapes,
    drawn_lights,
    drawn_people,
)
from facekit.train.shape.data import ShapeBasis, ShapeTeacher, random_expressions, soft_cap

#: Side of the pictures in pixels; base of the random seeds.
SIZE, SEED = 288, 400_000
#: Ranges of pose in degrees, of field of view in degrees, and of the picture's height in mm at the head.
_YAW, _PITCH, _ROLL, _FOV, _HEIGHT = 55.0, 25.0, 9.0, (14.0, 45.0), (285.0, 325.0)
#: Fractions of faces moved by muscles, and of pictures with each kind of occluder.
_MUSCLES, _COVERED = 0.4, (0.05, 0.16, 0.05, 0.08, 0.05)
#: Fractions of heads with nothing, not even lashes, and with a bald scalp; of the others, of those with the style of
#: the skin's identity; and of heads with any beard instead of the identity's.
_NOTHING, _BALD, _OWN, _BEARD = 0.08, 0.14, 0.5, 0.2
_MARKS = 1.0


class Studio:
    """Renders pictures of random people.

    Parameters
    ----------
    pipe:
        The default pipeline, for skin textures and hair.
    basis:
        File of the head stage: identity modes and muscles.
    skins:
        Number of different skins.
    """

    def __init__(self, pipe: FacePipeline, basis: Path, skins: int) -> None:
        self.pipe = pipe
        _ = pipe.blendshapes, pipe.contact, pipe.wardrobe  # loaded once, before copies with persons are made
        self.span = ShapeBasis.load(basis, pipe.template.parts)
        self.teacher = ShapeTeacher(self.span)
        self.table = tables()["expressions", "blendshapes"].weights
        with np.load(basis, allow_pickle=False) as data:
            self.modes = torch.from_numpy(data["identity_modes"])
        self.count = skins
        self.kept: dict[int, tuple[FaceLatents, torch.Tensor]] = {}

    @torch.no_grad()
    def heads(self, number: int, shots: int, muscles: bool = True, views: int = 1) -> Iterator[Photograph]:
        """Render cut-out pictures of one person: ``shots`` expressions, from ``views`` sides each.

        Their pixels are (S, S, 4) uint8: premultiplied sRGB, and the alpha of head and occluders.

        Parameters
        ----------
        muscles:
            Whether faces may be moved by the pack's muscles; otherwise by blendshapes only.
        """
        rng = np.random.default_rng((SEED, number))
        generator = torch.Generator().manual_seed(SEED + number)
        template = self.pipe.template
        neutral = drawn_people(self.modes, template.verts, 1, generator)[0]
        codes, atlas = self._skin(int(rng.integers(self.count)))
        person = self.pipe.with_person(Person(neutral, codes, atlas.float() / 255))
        fov, style = float(rng.uniform(*_FOV)), self._style(rng)
        for weights in drawn_blendshapes(self.table, shots, generator):
            if muscles and rng.random() < _MUSCLES:
                verts, posed, known = self._by_muscles(neutral, generator), codes, None
            else:
                posed, known = codes.with_blendshapes(weights), weights
                verts = person.decode_shape(person.to_model_codes(posed))[0]
            assert person.person is not None
            mesh = person.mesh(posed, verts[None], person.person.atlas)
            hair = next(iter(self.pipe.dress(codes, verts[None], style, neutral[None])), None)
            for _ in range(views):
                pose = _drawn(rng, fov)
                camera = pose.camera()
                lights = room_lights(rng) if rng.random() < 0.6 else drawn_lights(rng)
                seen = render(mesh, camera, SIZE, lights=lights, background="transparent", hair=hair)
                pixels = self._covered(seen.rgb[0].float(), seen.alpha[0].float(), camera, verts, rng)
                yield Photograph(pixels, number, pose, camera, known, verts, neutral)

    def pictures(self, number: int, shots: int) -> Iterator[Photograph]:
        """Render whole pictures (S, S, 3) uint8 of one person with blendshape expressions."""
        rng = np.random.default_rng((SEED, number, 2))
        for shot in self.heads(number, shots, muscles=False):
            cover = shot.pixels[..., 3:].astype(np.float32) / 255
            picture = shot.pixels[..., :3] + (1 - cover) * room(rng) + rng.normal(0, 1.5, (SIZE, SIZE, 3))
            yield dataclasses.replace(shot, pixels=picture.clip(0, 255).round().astype(np.uint8))

    def _skin(self, number: int) -> tuple[FaceLatents, torch.Tensor]:
        """Return codes and an atlas (1, 3, H, W) uint8, with features that the texture network cannot generate."""
        if number not in self.kept:
            codes = self.pipe.to_model_codes(FaceLatents.sample(SEED + number, intensity=0.0))
            atlas = self.pipe.skin(codes)
            atlas = marked(atlas, self.pipe.template.tile_rect, np.random.default_rng((SEED, number, 1)), _MARKS)
            self.kept[number] = codes, (atlas.clamp(0, 1) * 255).round().to(torch.uint8)
        return self.kept[number]

    def _style(self, rng: np.random.Generator) -> str | None:
        """Return what a head wears: its identity's style and beard, or random ones."""
        chance, wardrobe = rng.random(), self.pipe.wardrobe
        if wardrobe is None or chance < _NOTHING:
            return None
        own = rng.random() < _OWN
        style = BALD if chance < _NOTHING + _BALD else "auto" if own else str(rng.choice(wardrobe.styles))
        return f"{style}+{rng.choice(wardrobe.beards)}" if rng.random() < _BEARD else style

    def _by_muscles(self, neutral: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return the face (V, 3) moved by random muscles of the pack."""
        mixed = 0.7 * random_expressions(1, generator) + 0.6 * random_expressions(1, generator)
        strength = 0.6 + 0.8 * torch.rand(1, len(self.span.names), generator=generator)
        muscles = soft_cap((mixed @ self.teacher.recipes) * strength, self.teacher.caps)
        moved = self.span.vertices(muscles @ self.span.expression)
        contact = self.pipe.contact
        posed = neutral + moved
        return posed[0] if contact is None else contact[2](posed)[0]

    def _covered(
        self, colour: torch.Tensor, alpha: torch.Tensor, camera: Camera, verts: torch.Tensor, rng: np.random.Generator
    ) -> np.ndarray:
        """Add a random occluder to the head; (S, S, 4) uint8."""
        picture, cover = (colour * alpha).clamp(0, 1).permute(1, 2, 0).numpy(), alpha[0].clamp(0, 1).numpy()
        place = camera.project(verts[None], SIZE)[0, :, :2]
        marks, crown = place[self.pipe.template.landmarks].numpy(), place[int(verts[:, 1].argmax())].numpy()
        for kind, chance in zip(OCCLUDERS, _COVERED, strict=True):
            if rng.random() < chance:
                picture, drawn = occlude(picture, marks, crown, kind, rng)
                cover = 1 - (1 - cover) * (1 - drawn)
        whole = np.concatenate((picture, cover[..., None]), axis=2)
        return (whole * 255).clip(0, 255).round().astype(np.uint8)


def room(rng: np.random.Generator) -> np.ndarray:
    """Draw a background, (S, S, 3) uint8."""
    inside = rng.random() < 0.5
    behind = linear_to_srgb(room_background(SIZE, rng)) if inside else drawn_background(rng, SIZE)
    return (behind.permute(1, 2, 0).numpy() * 255).clip(0, 255).round().astype(np.uint8)


def _drawn(rng: np.random.Generator, fov: float) -> Pose:
    """Sample a pose for a lens: a third of them nearly frontal."""
    turned = rng.uniform(-_YAW, _YAW) if rng.random() < 0.67 else rng.normal(0, 12)
    return Pose(
        float(turned),
        float(np.clip(rng.normal(0, 9), -_PITCH, _PITCH)),
        float(rng.normal(0, _ROLL)),
        fov,
        float(rng.uniform(*_HEIGHT)),
        (float(rng.normal(0, 8)), float(rng.normal(0, 8) - 4.0)),
    )
