"""The micro stage: write the assets of complexion and micro layer from the pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from facekit.files.atomic import atomic_write
from facekit.models.composers.micro import ATLAS, SCALP_COVER
from facekit.train.context import Context
from facekit.train.skin import marks
from facekit.train.skin.complexion import build_complexion_asset
from facekit.train.skin.photographs import ellipse, load_chart, reliable_skin, tile_grid
from facekit.train.skin.teacher import unit_rows
from facekit.traits import trait_axes

STRAND_ROWS = (96, 240)  # atlas rows of brows and lashes; a multiple of 3, to start on a tile row


def run(context: Context) -> None:
    """Write ``complexion.npz`` and ``micro.npz``."""
    build_complexion_asset(context.pack, context.out / "complexion.npz")
    build_micro_asset(context.pack, context.out / "micro.npz")


def skin_amplitude(pack: Path, size: int = 96) -> np.ndarray:
    """Return the local standard deviation of the skins' finest octave over brightness (size, size), median over the
    pack.
    """
    good = reliable_skin(pack, ATLAS)
    maps = []
    for path in sorted((pack / "skins_uv").glob("*.png")):
        image = Image.open(path).convert("RGB").resize((ATLAS, ATLAS), Image.Resampling.LANCZOS)
        light = np.asarray(image, np.float32).mean(2) / 255
        sharp = light / ndimage.gaussian_filter(light, 2.0) - 1
        norm = ndimage.gaussian_filter(good, 14) + 1e-3
        power = (ndimage.gaussian_filter(sharp**2 * good, 14) + 1e-3 * np.median(sharp[good > 0.9] ** 2)) / norm
        maps.append(np.sqrt(power + power[:, ::-1]) / np.sqrt(2))
    return np.median(maps, 0).reshape(size, ATLAS // size, size, ATLAS // size).mean((1, 3))


def build_micro_asset(pack: Path, path: Path, grain: float = 0.78) -> None:
    """Write the asset of :class:`facekit.models.composers.micro.MicroLayer` to `path` (``.npz``).

    ``grain`` is a factor on the skins' standard deviation: below 1, as complexion and strands contribute to this
    octave, too, and the sum should match the median skin.
    """
    chart = load_chart(pack, ATLAS)
    zones = marks.zones(ATLAS, chart.openings)
    _, y = tile_grid(ATLAS)
    skin = (1 - np.maximum(zones["lips"], zones["mouth"])) * chart.fade * (1 - chart.openings)
    lids = np.maximum(
        ellipse(ATLAS, 0.36, 0.285, 0.07, 0.025, 0.8),
        ellipse(ATLAS, 0.64, 0.285, 0.07, 0.025, 0.8),
    )
    cell = ATLAS // 96
    weight = (skin * (1 - 0.6 * lids)).reshape(96, cell, 96, cell).mean((1, 3))
    amplitude = skin_amplitude(pack) * weight * grain

    freckles, _ = marks.spot_layers(ATLAS, 3, 1, seed=11, fine=0.62, count=1900)
    density = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((ATLAS, ATLAS)), 20)
    beard = zones["beard"] * (0.85 + 0.15 * np.tanh(density / density.std()))
    stubble = marks.stubble_dots(ATLAS, 2.6, 21) * beard * 0.42 * chart.fade
    # Toward the border the cropped hair becomes an even tint, which continues on the back of the head.
    dots = marks.stubble_dots(ATLAS, 1.9, 22)
    even = dots.mean() + 0.4 * (dots - dots.mean()) * chart.fade
    crop = marks.scalp(ATLAS) * SCALP_COVER * even / dots.mean()
    layers = np.stack([*(freckles * chart.fade * (1 - zones["lips"])), stubble, crop]).clip(0, 1)

    guides = marks.brow_guides(pack)
    centre = guides.mean(0)
    rows = slice(*STRAND_ROWS)
    strands = marks.strand_layers(ATLAS, centre)[:, rows]
    band = strands / np.stack([layer[np.abs(layer) > 0.02].std() for layer in strands])[:, None, None]
    across = np.r_[marks.BROW_X + 0.008, marks.BROW_X[::-1] - 0.012]
    reach = marks.polygon(ATLAS, np.stack([across, np.r_[centre - 0.026, centre[::-1] + 0.026]], 1), 0.006)
    zone = np.maximum(reach, reach[:, ::-1]) * (y < 0.262)
    with atomic_write(path) as temporary:
        np.savez_compressed(
            temporary,
            directions=trait_axes().numpy(),
            amplitude=amplitude.astype(np.float16),
            layers=np.rint(layers * 255).astype(np.uint8),
            strands=(128 + 48 * band).round().clip(0, 255).astype(np.uint8),
            strand_zone=np.rint(zone[rows] * 255).astype(np.uint8),
            strand_top=np.int32(STRAND_ROWS[0]),
            brow_guides=unit_rows(len(guides), 4),
            brow_lift=(guides - centre).astype(np.float32),
            brow_centre=centre.astype(np.float32),
            brow_columns=marks.BROW_X.astype(np.float32),
        )


def reference_skins(pack: Path, size: int) -> torch.Tensor:
    """Load the pack's unmodified skins, (K, 3, size, size) float32 sRGB, as the reference of energy."""
    paths = sorted((pack / "skins_uv").glob("*.png"))
    images = [Image.open(p).convert("RGB").resize((size, size), Image.Resampling.LANCZOS) for p in paths]
    return torch.from_numpy(np.stack([np.asarray(i, np.float32).transpose(2, 0, 1) / 255 for i in images]))
