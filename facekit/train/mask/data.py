"""Samples for the skin mask: synthetic photographs with hair, beards, glasses, hats, hands and scarves, and the masks
of bare skin and of beards.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from facekit.evaluate.occluders import OCCLUDERS, occlude
from facekit.evaluate.photographs import Photograph, misfitted, photograph
from facekit.files.atomic import atomic_write
from facekit.geometry.parts import among
from facekit.latents import FaceLatents
from facekit.models.skin_mask import CHANNELS, MASK_SIZE, OUTPUTS
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.texture.grid import SKIN_PARTS
from facekit.reconstruct.texture.segment import guide, window
from facekit.reconstruct.texture.views import View
from facekit.render.rasterize import rasterize
from facekit.train.mask.beards import beard, zones
from facekit.train.mask.hair import HairStyle, draw_hair
from facekit.traits import set_traits

#: First seed of the people for training; benchmarks use others.
FIRST_SEED = 200_000
#: Side of the pictures in pixels, and of the atlas in texels.
_SIZE, _ATLAS = 288, 1024
#: Shares of people with darker skin, and of those with a beard that is painted on.
_DARK, _BEARDED = 0.3, 0.45
#: Number of samples of a photograph, each with other occluders, another development and other errors of the fit.
_VARIANTS = 3
STYLES = ("afro01", "bob01", "bob02", "braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04")


def samples(
    pipe: FacePipeline, styles: list[HairStyle], grown: dict[str, torch.Tensor], number: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Make the samples of one photograph: the network's input (9, S, S), and the masks of bare skin and of beards
    (2, S, S) in [0, 1].

    ``styles`` is the pack's hair, ``grown`` the result of :func:`facekit.train.mask.beards.zones`.
    """
    rng = np.random.default_rng((number, 77))
    identity = FaceLatents.sample(FIRST_SEED + number).identity
    if rng.random() < _DARK:
        identity = set_traits(identity, melanin=float(rng.uniform(0.6, 0.98)))
    taken = photograph(
        pipe,
        FIRST_SEED + number,
        size=_SIZE,
        identity=identity,
        hair=_hair(pipe, rng),
        paint=beard(grown, rng) if rng.random() < _BEARDED else None,
        gloss=float(np.exp(rng.normal(0.3, 0.7))),
    )
    if rng.random() < 0.25 and styles:
        depth = rasterize(taken.verts[None], pipe.template.faces, taken.camera, _SIZE)[1][0]
        style = styles[rng.integers(len(styles))]
        picture, cover = draw_hair(
            taken.picture, depth, taken.camera, style, taken.verts, pipe.template, rng, float(rng.uniform(0.5, 1.2))
        )
        taken = dataclasses.replace(taken, picture=picture, covered=torch.maximum(taken.covered, cover))
    return [_sample(pipe, taken, FIRST_SEED + _VARIANTS * number + k, rng) for k in range(_VARIANTS)]


def _sample(
    pipe: FacePipeline, taken: Photograph, seed: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make one sample of a photograph: with occluders, as a camera develops it, and with a fit's errors."""
    for kind, chance in zip(OCCLUDERS, (0.12, 0.3, 0.12, 0.2, 0.12), strict=True):
        if rng.random() < chance:
            taken = _occluded(pipe, taken, kind, rng)
    if rng.random() < 0.5:  # a small or soft picture
        factor = float(rng.uniform(0.3, 0.9))
        small = F.interpolate(taken.picture.permute(2, 0, 1)[None], scale_factor=factor, mode="area")
        soft = F.interpolate(small, size=(_SIZE, _SIZE), mode="bilinear")[0].permute(1, 2, 0)
        taken = dataclasses.replace(taken, picture=soft)
    picture = developed(taken.picture.clamp(0, 1), rng)
    wrong = misfitted(taken.verts, float(rng.uniform(0.5, 3.5)), seed)
    view = View.of(picture, wrong, taken.camera, pipe.template)
    return guide(view, pipe.template), truth(pipe, taken, view)


def developed(picture: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Develop a picture (H, W, 3) sRGB as cameras do: exposure, contrast and saturation."""
    picture = picture ** float(np.exp(rng.normal(0, 0.2)))
    bent = picture * picture * (3 - 2 * picture)
    picture = torch.lerp(picture, bent, float(rng.uniform(-0.3, 0.9)))
    grey = picture.mean(2, keepdim=True)
    return torch.lerp(grey, picture, float(rng.uniform(0.45, 1.3))).clamp(0, 1)


def _hair(pipe: FacePipeline, rng: np.random.Generator) -> str:
    """Return a hair style and a beard by name, each drawn alone: men wear plaits, and women none."""
    style = "bald" if rng.random() < 0.2 else str(rng.choice(pipe.hair_styles[1:]))
    return f"{style}+{rng.choice(pipe.beard_styles[1:]) if rng.random() < 0.2 else pipe.beard_styles[0]}"


def truth(pipe: FacePipeline, taken: Photograph, view: View) -> torch.Tensor:
    """Return the true masks of bare skin, which beards grow on, and of beards, (2, S, S), in the window of a view."""
    template = pipe.template
    left, top, side = window(view, template)
    # The view's camera is that of a crop; use it to find the window in the whole picture.
    camera = view.camera.crop(top, left, (side, side), view.size)
    ids = rasterize(taken.verts[None], template.faces, camera, MASK_SIZE)[0][0]
    skin = (ids >= 0) & among(template.parts, SKIN_PARTS)[template.faces[ids.clamp_min(0)]].all(-1)
    size = taken.picture.shape[0]
    fx, fy, cx, cy = camera.intrinsics(MASK_SIZE)[0].tolist()
    gx, gy, hx, hy = taken.camera.intrinsics(size)[0].tolist()
    along = torch.arange(MASK_SIZE) + 0.5
    x, y = hx + (along - cx) * gx / fx, hy + (along - cy) * gy / fy
    place = torch.stack(torch.meshgrid(y * 2 / size - 1, x * 2 / size - 1, indexing="ij")[::-1], -1)
    masks = torch.stack((taken.covered, taken.bearded))
    covered, bearded = F.grid_sample(masks[None], place[None], padding_mode="border", align_corners=False)[0]
    seen = skin.float() * (1 - covered)
    return torch.stack((seen, seen * bearded))


def _occluded(pipe: FacePipeline, taken: Photograph, kind: str, rng: np.random.Generator) -> Photograph:
    place = taken.camera.project(taken.verts[None], _SIZE)[0, :, :2]
    crown = place[int(taken.verts[:, 1].argmax())]
    marks = place[pipe.template.landmarks].numpy()
    drawn, cover = occlude(taken.picture.clamp(0, 1).numpy(), marks, crown.numpy(), kind, rng)
    covered = torch.maximum(taken.covered, torch.from_numpy(cover))
    return dataclasses.replace(taken, picture=torch.from_numpy(drawn), covered=covered)


def make_samples(pipe: FacePipeline, pack: Path, path: Path, count: int, start: int = 0) -> None:
    """Make the samples of ``count`` photographs, with the pack's hair, if any, and store them in 8 bits."""
    there = (pack / "hair" / "hair.npz").is_file()
    styles = [HairStyle.load(pack / "hair", name, pipe.template) for name in STYLES] if there else []
    seen = np.zeros((count, _VARIANTS, CHANNELS, MASK_SIZE, MASK_SIZE), np.int8)
    masks = np.zeros((count, _VARIANTS, OUTPUTS, MASK_SIZE, MASK_SIZE), np.uint8)
    grown = zones(pipe, _ATLAS)
    for k in progress(range(count), desc="skin mask's pictures"):
        for n, (x, y) in enumerate(samples(pipe, styles, grown, start + k)):
            seen[k, n] = (x * 127).round().clamp(-127, 127).to(torch.int8).numpy()
            masks[k, n] = (y * 255).round().to(torch.uint8).numpy()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, seen=seen.reshape(-1, *seen.shape[2:]), masks=masks.reshape(-1, *masks.shape[2:]))
