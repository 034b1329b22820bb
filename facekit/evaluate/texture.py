"""Figures of skin textures: fidelity to a reference, steadiness through a sweep, energy of the finest octave."""

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
        Mean colour difference from the reference (CIE76).
    delta_e_between_people:
        The same between the references of two people: the scale of the first.
    expression_explained:
        Share of the energy of the reference's change with the expression that the tiles have, too; 1 is all.
    """

    delta_e: float
    delta_e_between_people: float
    expression_explained: float


def texture_figures(made: Tensor, made_rest: Tensor, wanted: Tensor, wanted_rest: Tensor) -> TextureFigures:
    """Compare tiles of people with an expression and at rest with the reference's: (N, 3, S, S) sRGB each."""
    changed = wanted - wanted_rest
    missed = made - made_rest - changed
    return TextureFigures(
        delta_e=float(delta_e(made, wanted).mean()),
        delta_e_between_people=float(delta_e(wanted.roll(1, 0), wanted).mean()),
        expression_explained=float(1 - missed.square().sum() / changed.square().sum()),
    )


def largest_step(sweep: Tensor) -> float:
    """Largest mean colour difference (CIE76) between neighbours of a sweep of tiles (K, 3, S, S) sRGB in [0, 1]."""
    return float(delta_e(sweep[1:], sweep[:-1]).flatten(1).mean(dim=1).max())


#: Ends of the octaves that skin is measured in, cycles per texel.
OCTAVES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def octave_energies(tiles: Tensor) -> list[float]:
    """Median energy of skin over tiles (N, 3, S, S), an octave each, from coarse to fine."""
    bands = zip(OCTAVES[:-1], OCTAVES[1:], strict=True)
    return [float(high_frequency_energy(tiles, band=band).median()) for band in bands]


def octave_ratios(tiles: Tensor, reference: Tensor) -> list[float]:
    """The same as a multiple of the reference's, (M, 3, S, S)."""
    return [a / b for a, b in zip(octave_energies(tiles), octave_energies(reference), strict=True)]


def fine_energy_ratio(tiles: Tensor, reference: Tensor) -> float:
    """Energy of the finest octave of skin, as a multiple of the reference's: (N, 3, S, S) and (M, 3, S, S) sRGB."""
    return float(high_frequency_energy(tiles).mean() / high_frequency_energy(reference).mean())
