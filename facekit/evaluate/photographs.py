"""Synthetic photographs of people with known shape, albedo, light and camera.

Albedo is the texture network's plus features that it cannot generate: moles, patches, make-up (:func:`marked`), so that
a method that inverts the network does not start from the answer. Light is a random room or sky with a lamp; exposure
follows the light, not the face, with a random error; the background has the same light.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.evaluate.occluders import occlude
from facekit.geometry.charts import rect_box
from facekit.hair import HIDDEN, Hair, cover_maps
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.metrics.texture import lab
from facekit.render import Camera, Light, Lights, RenderOutput, render
from facekit.render.harmonics import project
from facekit.render.shading import tone

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline

#: Lower bounds of skin colour classes by individual typology angle in degrees (Chardon et al., 1991; Del Bino et al.,
#: 2006).
ITA_CLASSES: tuple[tuple[str, float], ...] = (
    ("very light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
    ("dark", -91.0),
)


@dataclass(frozen=True)
class Photograph:
    """Synthetic photograph with its ground truth.

    Parameters
    ----------
    picture:
        (H, W, 3) float32 sRGB in [0, 1].
    verts, neutral:
        (V, 3) float32 mm: posed as in the picture, and neutral.
    camera, lights:
        Camera, and lights in the camera's frame.
    albedo:
        (1, 3, S, S) float32 sRGB: the whole atlas.
    covered:
        (H, W) float32 in [0, 1]: opacity of the occluder, or of hair on the scalp.
    latents:
        Latents of the person with the expression.
    bearded:
        (H, W) float32 in [0, 1]: opacity of a beard, painted or worn.
    """

    picture: torch.Tensor
    verts: torch.Tensor
    neutral: torch.Tensor
    camera: Camera
    lights: Lights
    albedo: torch.Tensor
    covered: torch.Tensor
    latents: FaceLatents
    bearded: torch.Tensor


def photograph(
    pipe: FacePipeline,
    seed: int,
    *,
    shot: int = 0,
    size: int = 512,
    yaw: float | None = None,
    occluder: str | None = None,
    marks: float = 1.0,
    identity: torch.Tensor | None = None,
    hair: str | None = None,
    paint: torch.Tensor | None = None,
    gloss: float = 1.0,
) -> Photograph:
    """Render a photograph of the person with this seed.

    Parameters
    ----------
    shot:
        Number of the person's photograph: decides on camera, light and expression.
    size:
        Side in pixels; the head takes up three quarters or more.
    yaw:
        Azimuth of the camera in degrees; random by default, mostly within 40°.
    occluder:
        One of :data:`facekit.evaluate.occluders.OCCLUDERS`, or None.
    marks:
        Strength of the features that the network cannot generate, see :func:`marked`.
    identity:
        (1, 20): replaces the seed's identity code, for instance to choose a skin tone.
    hair:
        Hair and beard as in a call of the pipeline; by default a bare head.
    paint:
        (4, S, S) float32: a beard to paint on the atlas, sRGB and opacity.
    gloss:
        Factor on how strongly the lamp glints on the skin.
    """
    rng = np.random.default_rng((seed, shot))
    latents = FaceLatents.sample(seed)
    if identity is not None:
        latents = dataclasses.replace(latents, identity=identity, style=identity.clone())
    with torch.no_grad():
        albedo = pipe.compose(pipe.decode_texture(latents), latents)
        albedo = marked(albedo, pipe.template.tile_rect, np.random.default_rng((seed, 10_000)), marks)
        if paint is not None:
            albedo = torch.lerp(albedo, paint[:3], paint[3:])
        worn = latents.with_expression(_expression(rng))
        codes = pipe.to_model_codes(worn)
        verts, neutral = pipe.decode_shape(codes)[0], pipe.decode_shape(latents)[0]
        camera, lights = _camera(rng, yaw), room_lights(rng, gloss)
        mesh = pipe.template.mesh(verts[None], albedo)
        dressed = pipe.dress(codes, verts[None], hair)
        quality = "high" if rng.random() < 0.5 else "standard"
        taken = render(mesh, camera, size, lights, background="transparent", quality=quality, hair=dressed or None)
        covered, bearded = _hairy(mesh, camera, taken, dressed, paint)
    behind = room_background(size, rng)
    alpha = taken.alpha[0]
    linear = srgb_to_linear(taken.rgb[0].clamp(0, 1)) * alpha + behind * (1 - alpha)
    linear = linear * torch.tensor(np.exp(rng.normal(0, 0.04, 3)), dtype=torch.float32)[:, None, None]  # white balance
    picture = linear_to_srgb(linear.clamp(0, 1)).permute(1, 2, 0)
    if occluder is not None:
        place = camera.project(verts[None], size)[0, :, :2]
        crown = place[int(verts[:, 1].argmax())]
        drawn, cover = occlude(picture.numpy(), place[pipe.template.landmarks].numpy(), crown.numpy(), occluder, rng)
        picture, covered = torch.from_numpy(drawn), torch.maximum(covered, torch.from_numpy(cover))
    picture = picture + torch.from_numpy(rng.normal(0, 1.5 / 255, picture.shape).astype(np.float32))
    picture = (picture.clamp(0, 1) * 255).round() / 255
    return Photograph(picture, verts, neutral, camera, lights, albedo, covered, worn, bearded)


def _hairy(
    mesh: FaceMesh, camera: Camera, taken: RenderOutput, worn: tuple[Hair | None, ...], paint: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the coverage of a picture's pixels by hair on the scalp, and by a beard, (H, W) in [0, 1] each."""
    assert mesh.texture is not None
    atlas = torch.zeros_like(mesh.texture)
    if paint is not None:
        atlas[:, 1] = paint[3]
    size = taken.face_ids.shape[1]
    covered, bearded = torch.zeros(2, size, size)
    if worn and worn[0] is not None and taken.hair is not None:
        cards, hidden = worn[0].cards, taken.face_ids
        # Brows and lashes are the skin's; single hairs hide the middle of no pixel, but stand beside some that do.
        near = [F.max_pool2d((hidden == HIDDEN - k).float(), 5, 1, 2)[0] for k in (0, 1)]
        covered, bearded = (taken.hair[0, 0] * found for found in near)
        caps = torch.stack((cards.cap - cards.bearded, cards.bearded), 1)
        atlas[:, :2] = torch.maximum(atlas[:, :2], cover_maps(caps, mesh))
    if bool(atlas.any()):
        unlit = dataclasses.replace(mesh, texture=atlas)
        drawn = render(unlit, camera, size, Lights(unlit=True), background="transparent")
        shown = drawn.rgb[0] * drawn.alpha[0]
        covered, bearded = torch.maximum(covered, shown[0]), torch.maximum(bearded, shown[1])
    return covered, bearded


def marked(
    atlas: torch.Tensor, tile_rect: tuple[float, float, float, float], rng: np.random.Generator, strength: float = 1.0
) -> torch.Tensor:
    """Add features that the texture network cannot generate to atlases (B, 3, S, S): uneven tone, moles, blush,
    lipstick, a scar.
    """
    size = atlas.shape[-1]
    rows, columns = rect_box(tile_rect, size, size)
    side = rows.stop - rows.start
    y, x = (torch.linspace(0, 1, side).view(shape) for shape in ((-1, 1), (1, -1)))
    change = torch.zeros(3, side, side)
    for cells, amount in ((5, 0.05), (14, 0.03)):
        field = torch.from_numpy(rng.normal(0, amount, (1, 3, cells, cells)).astype(np.float32))
        field = 0.7 * field.mean(1, keepdim=True) + 0.5 * field
        change += F.interpolate(field, size=(side, side), mode="bicubic", align_corners=False)[0]
    for _ in range(int(rng.integers(4, 16))):  # moles
        cx, cy, r = rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.8), rng.uniform(0.003, 0.009)
        spot = torch.exp(-((((x - cx) ** 2 + (y - cy) ** 2) / r**2) ** 2))
        change -= spot * torch.tensor([0.5, 0.8, 0.9])[:, None, None] * float(rng.uniform(0.4, 1))
    if rng.random() < 0.5:  # the tile position of the lips is fixed
        lips = torch.exp(-((((x - 0.5) / 0.10) ** 2 + ((y - 0.567) / 0.065) ** 2) ** 3))
        change += lips * torch.tensor([0.0, -0.6, -0.4])[:, None, None] * float(rng.uniform(0.2, 1))
    if rng.random() < 0.3:  # a scar
        cx, cy, angle = rng.uniform(0.3, 0.7), rng.uniform(0.15, 0.75), rng.uniform(0, np.pi)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        away = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
        line = torch.exp(-((away / 0.004) ** 2) - (along / 0.05) ** 4)
        change += line * torch.tensor([0.25, 0.1, 0.1])[:, None, None]
    made = atlas.clone()
    linear = srgb_to_linear(atlas[:, :, rows, columns]) * torch.exp(strength * change)
    made[:, :, rows, columns] = linear_to_srgb(linear.clamp(0, 1))
    return made


def misfitted(verts: torch.Tensor, amount: float, seed: int) -> torch.Tensor:
    """Perturb vertices (V, 3) smoothly by ``amount`` mm rms, as a fit's errors do."""
    rng = np.random.default_rng((seed, 20_000))
    waves = torch.from_numpy(rng.normal(0, 1 / 45.0, (24, 3)).astype(np.float32))
    phase = torch.from_numpy(rng.uniform(0, 2 * np.pi, 24).astype(np.float32))
    mix = torch.from_numpy(rng.normal(0, 1, (24, 3)).astype(np.float32)) * (2 / 24) ** 0.5
    return verts + (amount / 3**0.5) * torch.sin(verts @ waves.T + phase) @ mix


def skin_tone(albedo: torch.Tensor, tile_rect: tuple[float, float, float, float]) -> torch.Tensor:
    """Return the individual typology angle (B,) in degrees of atlases (B, 3, S, S): arctan((L* - 50) / b*) of the
    cheeks.
    """
    size = albedo.shape[-1]
    tile = albedo[(..., *rect_box(tile_rect, size, size))]
    side = tile.shape[-1]
    cheeks = [
        tile[:, :, round(0.38 * side) : round(0.5 * side), round(a * side) : round(b * side)]
        for a, b in ((0.2, 0.34), (0.66, 0.8))
    ]
    tones = lab(torch.cat(cheeks, -1)).flatten(2).median(2).values
    return torch.rad2deg(torch.atan2(tones[:, 0] - 50, tones[:, 2]))


def ita_class(angle: float) -> str:
    """Return the name of a typology angle's class in :data:`ITA_CLASSES`."""
    return next((name for name, low in ITA_CLASSES if angle > low), ITA_CLASSES[-1][0])


def _expression(rng: np.random.Generator) -> dict[str, float]:
    if rng.random() < 0.4:
        return {"neutral": 1.0}
    name = rng.choice(("smile", "grin", "brow_raiser", "sadness", "mouth_stretch", "anger", "dimpler"))
    return {str(name): float(rng.uniform(0.2, 0.9))}


def _camera(rng: np.random.Generator, yaw: float | None) -> Camera:
    fov = float(rng.uniform(14, 45))
    around = float(np.clip(rng.normal(0, 22), -60, 60)) if yaw is None else yaw
    seen = float(rng.uniform(300, 370))
    target = (float(rng.normal(0, 8)), 8 + float(rng.normal(0, 8)), 10.0)
    camera = Camera.orbit(around, float(rng.normal(0, 8)), seen / 2 / np.tan(np.radians(fov / 2)), target, fov)
    roll = np.radians(rng.normal(0, 6))
    return dataclasses.replace(camera, up=(float(np.sin(roll)), float(np.cos(roll)), 0.0))


def room_lights(rng: np.random.Generator, gloss: float = 1.0) -> Lights:
    """Sample a sky or a room with a lamp or window, in the camera's frame; a white face reflects about 0.9.

    ``gloss`` is a factor on the lamp's specular reflection.
    """
    warm = rng.normal(0, 0.10)
    tint = np.exp(np.array([warm, rng.normal(0, 0.03), -warm]))
    sky, floor = rng.uniform(0.5, 1.2), rng.uniform(0.1, 0.6)
    rows = np.linspace(1, -1, 24)[:, None, None]
    room = floor + (sky - floor) / (1 + np.exp(-4 * rows)) * np.ones((24, 48, 1))
    room = room * np.exp(rng.normal(0, 0.06, 3)) * np.ones(3)
    for _ in range(int(rng.integers(1, 5))):  # windows, walls, foliage
        cy, cx, ry, rx = rng.uniform(2, 20), rng.uniform(0, 48), rng.uniform(3, 8), rng.uniform(3, 10)
        away = ((np.arange(24)[:, None] - cy) / ry) ** 2 + (((np.arange(48)[None] - cx + 24) % 48 - 24) / rx) ** 2
        room = room + np.exp(-away)[..., None] * rng.uniform(-0.3, 1.6) * np.exp(rng.normal(0, 0.15, 3))
    sh = project(torch.from_numpy(np.clip(room, 0.02, None) * tint).float().permute(2, 0, 1))
    share = float(rng.uniform(0.0, 0.7))
    lamp = np.exp(rng.normal(0, 0.08, 3)) * tint
    front = float(sh[0].mean()) * 0.2821 + 1e-6
    level = 0.9 * float(np.exp(rng.normal(0, 0.28)))
    key = Light(
        float(rng.uniform(-70, 70)),
        float(rng.uniform(-10, 60)),
        level * share * 1.1,
        tuple(lamp / lamp.mean()),
        float(rng.uniform(8, 20)),
        gloss,
    )
    return Lights(lights=(key,), sh=sh * (level * (1 - share * 0.8) / front), background=(0.5, 0.5, 0.5))


def room_background(size: int, rng: np.random.Generator) -> torch.Tensor:
    """Return a background (3, size, size), linear: patches of surfaces in the same light."""
    reflectance = np.exp(rng.normal(-1.4, 0.7, (1, 1, 6, 6))) * np.exp(rng.normal(0, 0.25, (1, 3, 6, 6)))
    field = torch.from_numpy(np.clip(reflectance, 0.01, 0.95)).float()
    mode = "bicubic" if rng.random() < 0.6 else "nearest"
    options = {"align_corners": False} if mode == "bicubic" else {}
    return tone(F.interpolate(field, size=(size, size), mode=mode, **options)[0].clamp(0.005, 1) * 0.9)
