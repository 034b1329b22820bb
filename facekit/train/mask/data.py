"""Samples for the skin mask: synthetic photographs with hair, glasses, hats, hands and scarves, and the mask of bare
skin.
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
from facekit.models.skin_mask import CHANNELS, MASK_SIZE
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.texture.grid import SKIN_PARTS
from facekit.reconstruct.texture.segment import guide, window
from facekit.reconstruct.texture.views import View
from facekit.render.rasterize import rasterize
from facekit.train.mask.hair import HairStyle, draw_hair

#: First seed of the people for training; benchmarks use others.
FIRST_SEED = 200_000
_SIZE = 288
STYLES = ("afro01", "bob01", "bob02", "braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04")


def sample(pipe: FacePipeline, styles: list[HairStyle], number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make one sample: the network's input (9, S, S), and the mask of bare skin (1, S, S) in [0, 1]."""
    rng = np.random.default_rng((number, 77))
    taken = photograph(pipe, FIRST_SEED + number, size=_SIZE)
    depth = rasterize(taken.verts[None], pipe.template.faces, taken.camera, _SIZE)[1][0]
    if rng.random() < 0.6 and styles:
        style = styles[rng.integers(len(styles))]
        picture, cover = draw_hair(
            taken.picture, depth, taken.camera, style, taken.verts, pipe.template, rng, float(rng.uniform(0.5, 1.2))
        )
        taken = dataclasses.replace(taken, picture=picture, covered=torch.maximum(taken.covered, cover))
    for kind, chance in zip(OCCLUDERS, (0.15, 0.3, 0.12, 0.2, 0.12), strict=True):
        if rng.random() < chance:
            taken = _occluded(pipe, taken, kind, rng)
    if rng.random() < 0.5:  # a small or soft picture
        factor = float(rng.uniform(0.3, 0.9))
        small = F.interpolate(taken.picture.permute(2, 0, 1)[None], scale_factor=factor, mode="area")
        soft = F.interpolate(small, size=(_SIZE, _SIZE), mode="bilinear")[0].permute(1, 2, 0)
        taken = dataclasses.replace(taken, picture=soft)
    picture = (taken.picture.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.15)))).clamp(0, 1)
    wrong = misfitted(taken.verts, float(rng.uniform(0.5, 3.5)), FIRST_SEED + number)
    view = View.of(picture, wrong, taken.camera, pipe.template)
    seen = guide(view, pipe.template)
    return seen, bare(pipe, taken, view)


def bare(pipe: FacePipeline, taken: Photograph, view: View) -> torch.Tensor:
    """Return the ground-truth mask of bare skin, (1, S, S), in the window of a view."""
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
    covered = F.grid_sample(taken.covered[None, None], place[None], padding_mode="border", align_corners=False)[0]
    return skin[None].float() * (1 - covered)


def _occluded(pipe: FacePipeline, taken: Photograph, kind: str, rng: np.random.Generator) -> Photograph:
    place = taken.camera.project(taken.verts[None], _SIZE)[0, :, :2]
    crown = place[int(taken.verts[:, 1].argmax())]
    marks = place[pipe.template.landmarks].numpy()
    drawn, cover = occlude(taken.picture.clamp(0, 1).numpy(), marks, crown.numpy(), kind, rng)
    covered = torch.maximum(taken.covered, torch.from_numpy(cover))
    return dataclasses.replace(taken, picture=torch.from_numpy(drawn), covered=covered)


def make_samples(pipe: FacePipeline, pack: Path, path: Path, count: int, start: int = 0) -> None:
    """Make samples with the pack's hair, if any, and store them in 8 bits."""
    there = (pack / "hair" / "hair.npz").is_file()
    styles = [HairStyle.load(pack / "hair", name, pipe.template) for name in STYLES] if there else []
    seen = np.zeros((count, CHANNELS, MASK_SIZE, MASK_SIZE), np.int8)
    skin = np.zeros((count, 1, MASK_SIZE, MASK_SIZE), np.uint8)
    for k in progress(range(count), desc="skin mask's pictures"):
        x, y = sample(pipe, styles, start + k)
        seen[k] = (x * 127).round().clamp(-127, 127).to(torch.int8).numpy()
        skin[k] = (y * 255).round().to(torch.uint8).numpy()
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, seen=seen, skin=skin)
