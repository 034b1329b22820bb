"""Arrays of the complexion layer: skin structure of the pack between tone and grain, and moles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facekit.files.atomic import atomic_write
from facekit.train.arrays import smoothstep
from facekit.train.skin import marks
from facekit.train.skin.layers import FULL, MOLES
from facekit.train.skin.photographs import HAEMOGLOBIN_AXIS, load_chart, load_skins, tile_grid, tone_curve
from facekit.train.skin.teacher import unit_rows

#: Density of the largest 8-bit value, side of a mole's patch, and of the blotch maps.
SCALE, PATCH, BLOTCHES = 0.30, 24, 64
#: Stride in tile texels of the lip map.
LIPS = 2
#: Fraction of the skins' structure kept on lips, which have their own lines.
_ON_LIPS = 0.15
# Rows of the tile, under the chin, over which structure fades out.
_NECK = (0.80, 0.90)


def build_complexion_asset(pack: Path, path: Path) -> None:
    """Write the asset of :class:`facekit.models.composers.complexion.Complexion` to `path` (``.npz``)."""
    bank, chart = load_skins(pack, FULL), load_chart(pack, FULL)
    lips = marks.zones(FULL, chart.openings)["lips"]
    fade = chart.fade * (1 - (1 - _ON_LIPS) * lips)
    # Below the jaw the chart is stretched, which would draw structure out into stripes.
    neck = 1 - smoothstep(tile_grid(FULL)[1], *_NECK)
    grey = bank.detail.mean(1) * fade * neck
    # Skin structure is reddish brown rather than grey: its amount per colour channel, over all skins.
    tint = (bank.detail * fade * neck * grey[:, None]).sum((0, 2, 3)) / np.square(grey).sum()
    melanin = tone_curve(3)[2] - tone_curve(3)[0]
    moles, corners = _patches(marks.spot_layers(FULL, moles=MOLES)[1] * chart.fade)
    cell = FULL // BLOTCHES
    with atomic_write(path) as temporary:
        np.savez_compressed(
            temporary,
            structure=np.rint(grey * 127 / SCALE).clip(-127, 127).astype(np.int8),
            structure_scale=np.float32(SCALE),
            tint=tint.astype(np.float32),
            rows=unit_rows(len(bank.names), 3),
            old=bank.old,
            male=bank.male,
            fade=fade.reshape(BLOTCHES, cell, BLOTCHES, cell).mean((1, 3)).astype(np.float32),
            lips=np.rint(255 * lips[::LIPS, ::LIPS]).astype(np.uint8),
            melanin=(melanin / melanin.mean()).astype(np.float32),
            blood=(HAEMOGLOBIN_AXIS / HAEMOGLOBIN_AXIS.mean()).astype(np.float32),
            moles=moles,
            mole_corners=corners,
        )


def _patches(spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return squares (M, PATCH, PATCH) uint8 around the single spots of layers (M, S, S), and their corners (M, 2)
    int32.
    """
    size = spots.shape[-1]
    peaks = np.stack([np.unravel_index(layer.argmax(), layer.shape) for layer in spots])
    corners = np.clip(peaks - PATCH // 2, 0, size - PATCH).astype(np.int32)
    squares = [layer[y : y + PATCH, x : x + PATCH] for layer, (y, x) in zip(spots, corners, strict=True)]
    return np.rint(255 * np.stack(squares)).astype(np.uint8), corners
