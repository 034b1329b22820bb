"""Texture measures: fidelity to a reference, continuity over a sweep, energy per octave."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from facekit.metrics.texture import delta_e, high_frequency_energy


@dataclass(frozen=True)
class TextureFigures:
    """Fidelity of generated tiles.

    Parameters
    ----------
    delta_e:
        Mean colour difference from the reference (CIE76 delta E).
    delta_e_between_people:
        The same between the references of two people, as a baseline.
    expression_explained:
        Fraction of the reference's change with expression (energy) that the tiles reproduce; 1 is all.
    """

    delta_e: float
    delta_e_between_people: float
    expression_explained: float


def texture_figures(made: Tensor, made_rest: Tensor, wanted: Tensor, wanted_rest: Tensor) -> TextureFigures:
    """Compare tiles with an expression and neutral ones with the reference's: (N, 3, S, S) sRGB each."""
    changed = wanted - wanted_rest
    missed = made - made_rest - changed
    return TextureFigures(
        delta_e=float(delta_e(made, wanted).mean()),
        delta_e_between_people=float(delta_e(wanted.roll(1, 0), wanted).mean()),
        expression_explained=float(1 - missed.square().sum() / changed.square().sum()),
    )


def largest_step(sweep: Tensor) -> float:
    """Return the largest mean colour difference (CIE76) between neighbours in a sweep of tiles (K, 3, S, S) sRGB in [0,
    1].
    """
    return float(delta_e(sweep[1:], sweep[:-1]).flatten(1).mean(dim=1).max())


#: Boundaries of the frequency octaves, cycles per texel.
OCTAVES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def octave_energies(tiles: Tensor) -> list[float]:
    """Return the median energy per octave of skin in tiles (N, 3, S, S), from coarse to fine."""
    bands = zip(OCTAVES[:-1], OCTAVES[1:], strict=True)
    return [float(high_frequency_energy(tiles, band=band).median()) for band in bands]


def octave_ratios(tiles: Tensor, reference: Tensor) -> list[float]:
    """Return the energy per octave relative to that of the reference (M, 3, S, S)."""
    return [a / b for a, b in zip(octave_energies(tiles), octave_energies(reference), strict=True)]


def fine_energy_ratio(tiles: Tensor, reference: Tensor) -> float:
    """Return the energy of the finest octave of tiles (N, 3, S, S) relative to that of a reference (M, 3, S, S), both
    sRGB.
    """
    return float(high_frequency_energy(tiles).mean() / high_frequency_energy(reference).mean())
