"""Layers that the skin teacher mixes, made once at full size: photographs, zones, folds, spots, brows, lashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facekit.train.skin import marks
from facekit.train.skin.folds import fold_layers
from facekit.train.skin.photographs import SkinBank, load_chart, load_skins

#: Side in texels of the full layers, and of the smooth ones, which are upsampled after mixing.
FULL, SMOOTH = 512, 128
MOLES = 40
#: Number of noise entries that the teacher uses, for skin blotches.
NOISES = 16
# Zones that are mixed separately, not as marks.
_OWN_ZONES = ("lips", "mouth", "beard")


@dataclass(frozen=True)
class SkinLayers:
    """All layers of a pack, float32.

    Parameters
    ----------
    pack:
        Folder of the pack.
    full:
        Layers (…, 512, 512) by name.
    smooth:
        Layers (…, 128, 128) by name.
    zones:
        (Z, 512, 512) in [0, 1], the zones of ``zone_names``.
    zone_names, fold_names:
        Names of the zones and of the layers ``full["fold"]``.
    bank:
        The cleaned photographs.
    brow_guides:
        (G, 48): height of each brow's centre line at the columns :data:`facekit.train.skin.marks.BROW_X`.
    """

    pack: Path
    full: dict[str, np.ndarray]
    smooth: dict[str, np.ndarray]
    zones: np.ndarray
    zone_names: tuple[str, ...]
    fold_names: tuple[str, ...]
    bank: SkinBank
    brow_guides: np.ndarray


def draw_layers(pack: Path) -> SkinLayers:
    """Make all layers from a training pack; about ten seconds for 14 skins."""
    bank, chart = load_skins(pack, FULL), load_chart(pack, FULL)
    zones, fade = marks.zones(FULL, chart.openings), chart.fade
    names = tuple(name for name in zones if name not in _OWN_ZONES)
    fold_names, folds = fold_layers(FULL)
    freckles, moles = marks.spot_layers(FULL, moles=MOLES)
    guides = marks.brow_guides(pack)
    full = {
        "detail": bank.detail * fade,
        "fold": folds * fade,
        "freckle": freckles * fade,
        "mole": moles * fade,
        "lips": zones["lips"],
        "mouth": zones["mouth"],
        "beard": zones["beard"] * fade,
        "lip_lines": marks.lip_lines(FULL) * zones["lips"],
        "lash": marks.lash_layers(FULL, chart.openings),
        "brow": marks.brow_layers(FULL, guides.mean(0)),
    }
    smooth_fade = fade.reshape(SMOOTH, FULL // SMOOTH, SMOOTH, FULL // SMOOTH).mean((1, 3))
    smooth = {
        "skin_melanin": bank.melanin * smooth_fade,
        "skin_blood": bank.haemoglobin * smooth_fade,
        "noise_field": _blotches() * smooth_fade,
    }
    return SkinLayers(
        pack=pack,
        full={name: np.ascontiguousarray(layer, np.float32) for name, layer in full.items()},
        smooth={name: np.ascontiguousarray(layer, np.float32) for name, layer in smooth.items()},
        zones=np.stack([zones[name] * fade for name in names]).astype(np.float32),
        zone_names=names,
        fold_names=tuple(fold_names),
        bank=bank,
        brow_guides=guides,
    )


def _blotches() -> np.ndarray:
    """Return band-passed noise (NOISES, 128, 128) of unit standard deviation, with blotches a twelfth to a fifth of the
    tile wide.
    """
    noise = np.random.default_rng(8).standard_normal((NOISES, SMOOTH, SMOOTH))
    fy, fx = np.fft.fftfreq(SMOOTH)[:, None] * SMOOTH, np.fft.rfftfreq(SMOOTH) * SMOOTH
    band = np.exp(-0.5 * ((np.hypot(fx, fy) - 7) / 3) ** 2)
    fields = np.fft.irfft2(np.fft.rfft2(noise) * band, s=(SMOOTH, SMOOTH))
    return fields / fields.std((1, 2), keepdims=True)
