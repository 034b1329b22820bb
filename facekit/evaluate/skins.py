"""Skins of the generation experiment: what is measured on them, and the control networks that ``facekit.train`` makes.

The stage ``controls`` writes its folder as::

    <folder>/texture_blind.safetensors     a texture network without identity
    <folder>/texture_sighted.safetensors   the same network with identity, trained alike
    <folder>/skins.npz                     tiles (N, 3, 128, 128) uint8, sRGB: the teacher that both learned from, on
                                           codes outside of training; steps and share of the shipped schedule
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import avg_pool2d, interpolate

from facekit.errors import FileError
from facekit.evaluate.generators import NetworkModel
from facekit.files.atomic import atomic_write, expanded
from facekit.files.readers import DAMAGE, load_into, load_tensors
from facekit.metrics.generation import retrieval_rank
from facekit.metrics.texture import lab
from facekit.models.texture import TextureModel
from facekit.pipeline import FacePipeline

#: Side of the measured tiles, in texels.
TILE = 128
#: Names of the control networks' files.
BLIND, SIGHTED = "texture_blind.safetensors", "texture_sighted.safetensors"
_PAINTED = "skins.npz"


@dataclass(frozen=True)
class SkinControls:
    """Control networks and the skins that they learned from.

    Parameters
    ----------
    folder:
        Folder of the networks.
    painted:
        (N, 3, 128, 128) float32 sRGB in [0, 1]: neutral skins of held-out codes, by the teacher.
    steps, share:
        Number of training steps of each network, and the fraction of the shipped network's schedule.
    """

    folder: Path
    painted: torch.Tensor
    steps: int
    share: float

    def save(self) -> None:
        """Write everything but the networks."""
        arrays = {"tiles": (self.painted * 255).round().byte().numpy(), "steps": self.steps, "share": self.share}
        with atomic_write(self.folder / _PAINTED) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, folder: str | Path) -> SkinControls:
        """Read a folder of the stage ``controls``.

        Raises
        ------
        FileError
            If it has no skins, or the file has another format.
        """
        path = expanded(folder) / _PAINTED
        try:
            with np.load(path, allow_pickle=False) as data:
                tiles, steps, share = data["tiles"], int(data["steps"]), float(data["share"])
        except DAMAGE as error:
            remedy = "make it with: python -m facekit.train --pack PACK --stages controls"
            raise FileError(f"{_PAINTED} of the stage controls", f"{path} ({error})", remedy) from error
        return cls(path.parent, torch.from_numpy(tiles).float() / 255, steps, share)

    def network(self, pipe: FacePipeline, name: str) -> FacePipeline:
        """Return a copy of the pipeline with a control's texture network, :data:`BLIND` or :data:`SIGHTED`."""
        with torch.device("meta"):
            network = TextureModel(pipe.texture.config)
        other = copy.copy(pipe)
        other.texture = load_into(network, load_tensors(self.folder / name), name).to(pipe.device)
        return other

    def note(self) -> str:
        """Say how the networks were trained."""
        return (
            f"Both texture GANs of the controls were trained alike, for {self.steps} steps, {self.share:.0%} of the "
            "shipped network's schedule: they tell what the identity condition does, not how good the shipped network "
            "is. sliced_wasserstein is the distance from the skins of the teacher that all networks learned from; the "
            "row data is that of the teacher's other skins."
        )


@torch.no_grad()
def skin_tiles(model: NetworkModel, seeds: Sequence[int], name: str, at: float) -> torch.Tensor:
    """Return texture tiles (B, 3, 128, 128) sRGB in [0, 1] of people with these seeds, with an expression."""
    codes = model.pipe.to_model_codes(model.latents(seeds, name, at))
    tiles = [model.pipe.decode_texture(some).clamp(0, 1).cpu() for some in codes.split(8)]
    return torch.cat([interpolate(t, (TILE, TILE), mode="area") for t in tiles])


def skin_ranks(faces: torch.Tensor, tiles: torch.Tensor) -> list[float]:
    """Return ranks of people's own skins; see :func:`facekit.metrics.generation.retrieval_rank`.

    Parameters
    ----------
    faces:
        (B, n, 3): neutral faces.
    tiles:
        (B, 3, 128, 128): the same people's skins.
    """
    colours = avg_pool2d(lab(tiles), TILE // 8).flatten(1)
    few = min(8, len(tiles) // 4)
    parts = (faces.flatten(1), colours)
    a, b = (torch.linalg.svd(t - t.mean(0), full_matrices=False)[0][:, :few] for t in parts)
    return retrieval_rank(a, b).tolist()
