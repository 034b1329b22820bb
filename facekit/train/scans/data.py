"""Scans for training: packed once into memory-mapped arrays on disk.

Meshes become displacements from the mean neutral face; textures are cropped to the face tile of the published texture
network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from facekit.conventions import EXPRESSION_DIM, EXPRESSIONS, IDENTITY_DIM, TEXTURE_NOISE_DIM
from facekit.data.facescape import Person, find_people
from facekit.errors import FileError
from facekit.files.atomic import atomic_write
from facekit.files.images import load_image
from facekit.io.reading import read_untextured
from facekit.progress import progress
from facekit.train.distributed import World
from facekit.train.loop import step_generator
from facekit.train.texture.data import TextureCodes

#: Face tile in FaceScape's UV layout, from the top and from the left, as fractions (3DFaceCAM, Rai et al., WACV 2023).
TILE_ROWS, TILE_COLUMNS = (51 / 1024, 667 / 1024), (204 / 1024, 820 / 1024)
_CODES_SEED = 847
_INDEX, _VERTS, _TILES = "index.json", "verts.npy", "tiles.npy"


@dataclass(frozen=True)
class Scans:
    """N scans of P people; the arrays are memory-mapped.

    Parameters
    ----------
    verts:
        (N, V, 3) float32 mm.
    tiles:
        (N, S, S, 3) uint8 sRGB, or None if the set has no textures.
    who, worn:
        (N,) int64: indices of the person, and of the expression in :data:`facekit.conventions.EXPRESSIONS`.
    subjects:
        P numbers.
    faces:
        (F, 3) int64.
    mean:
        (V, 3) float32 mm: mean of all neutral scans.
    """

    verts: np.ndarray
    tiles: np.ndarray | None
    who: np.ndarray
    worn: np.ndarray
    subjects: tuple[int, ...]
    faces: np.ndarray
    mean: np.ndarray

    def place(self) -> np.ndarray:
        """Row (P, 20) of each person's scan in each expression; -1 if missing."""
        table = np.full((len(self.subjects), EXPRESSION_DIM), -1)
        table[self.who, self.worn] = np.arange(len(self.who))
        return table

    def identities(self) -> torch.Tensor:
        """Identity codes (P, 20) of the people: standard normal, the same for a number in every run."""
        rows = [torch.randn(IDENTITY_DIM, generator=step_generator(_CODES_SEED, number)) for number in self.subjects]
        return torch.stack(rows)

    def moved(self, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Return displacements (B, V, 3) in mm from the mean face of some scans."""
        return torch.from_numpy(self.verts[rows.numpy()] - self.mean).to(device)


def pack(folder: Path, work: Path, size: int, world: World) -> Scans:
    """Read FaceScape's TU models into arrays in ``work``, or reuse those of an earlier run.

    Only the first process reads; the others wait for it.

    Parameters
    ----------
    size:
        Side of the tiles in texels.

    Raises
    ------
    FileError
        If there are no people, meshes differ in topology, or only some scans have textures.
    """
    people = find_people(folder, maps=False)
    rows = [(person, name) for person in people for name in EXPRESSIONS if name in person.files]
    wanted = {"folder": str(folder), "size": size, "scans": [f"{p.number}/{name}" for p, name in rows]}
    if world.first and not _packed(work, wanted):
        _write(rows, work, size, wanted)
    world.wait()
    told = json.loads((work / _INDEX).read_text(encoding="utf-8"))
    verts = np.load(work / _VERTS, mmap_mode="r")
    tiles = np.load(work / _TILES, mmap_mode="r") if told["textured"] else None
    places = {person.number: k for k, person in enumerate(people)}
    who = np.array([places[person.number] for person, _ in rows])
    worn = np.array([EXPRESSIONS.index(name) for _, name in rows])
    faces = read_untextured(rows[0][0].files[rows[0][1]][0]).faces.numpy()
    mean = verts[worn == 0].mean(axis=0, dtype=np.float64).astype(np.float32)
    return Scans(verts, tiles, who, worn, tuple(places), faces, mean)


def _packed(work: Path, wanted: dict[str, object]) -> bool:
    path = work / _INDEX
    if not path.is_file():
        return False
    told = json.loads(path.read_text(encoding="utf-8"))
    return {name: told.get(name) for name in wanted} == wanted


def _write(rows: list[tuple[Person, str]], work: Path, size: int, wanted: dict[str, object]) -> None:
    """Write the arrays; the index is written last, to confirm that they are complete."""
    work.mkdir(parents=True, exist_ok=True)
    (work / _INDEX).unlink(missing_ok=True)
    pictures = [texture_of(person.files[name][0]) for person, name in rows]
    textured = pictures[0] is not None
    if any((picture is not None) != textured for picture in pictures):
        raise FileError("a texture beside every mesh, or beside none", "some", "add the missing ones, or remove these")
    verts = tiles = None
    for row, (person, name) in enumerate(progress(rows, desc="scans")):
        path, picture = person.files[name][0], pictures[row]
        found = read_untextured(path).verts[0].numpy()
        if verts is None:
            verts = np.lib.format.open_memmap(work / _VERTS, "w+", np.float32, (len(rows), *found.shape))
        if found.shape != verts.shape[1:]:
            raise FileError("meshes of one topology", f"{path}: {found.shape}", "take the TU models")
        verts[row] = found
        if picture is not None:
            if tiles is None:
                tiles = np.lib.format.open_memmap(work / _TILES, "w+", np.uint8, (len(rows), size, size, 3))
            tiles[row] = read_tile(picture, size)
    for array in (verts, tiles):
        if array is not None:
            array.flush()
    with atomic_write(work / _INDEX) as temporary:
        temporary.write_text(json.dumps({**wanted, "textured": textured}), encoding="utf-8")


def texture_of(mesh: Path) -> Path | None:
    """Return the texture file beside a mesh, or None."""
    return next((p for suffix in (".jpg", ".png") if (p := mesh.with_suffix(suffix)).is_file()), None)


def read_tile(path: Path, size: int) -> np.ndarray:
    """Return the face tile of a texture, (size, size, 3) uint8, area averaged."""
    pixels = load_image(path)[..., :3]
    height, width = pixels.shape[:2]
    rows, columns = (
        slice(*(round(share * side) for share in part)) for part, side in ((TILE_ROWS, height), (TILE_COLUMNS, width))
    )
    part = torch.from_numpy(np.ascontiguousarray(pixels[rows, columns])).permute(2, 0, 1)[None].float()
    tile = F.interpolate(part, size=(size, size), mode="area")[0]
    return (tile + 0.5).clamp(0, 255).byte().permute(1, 2, 0).numpy()


class ScanTextures:
    """Tiles of scans with identity and expression codes: :class:`facekit.train.texture.data.TexturePairs`."""

    def __init__(self, scans: Scans, device: torch.device) -> None:
        if scans.tiles is None:
            raise FileError("textures beside the meshes: <k>_<expression>.jpg", "none", "get FaceScape's textures, too")
        self.scans, self.device = scans, device
        self.tiles, self.codes, self.table = scans.tiles, scans.identities(), scans.place()

    def pairs(self, count: int, size: int, generator: torch.Generator) -> tuple[TextureCodes, torch.Tensor]:
        """Return codes and tiles of ``count`` scans, then of the same people with another expression."""
        first = torch.randint(0, len(self.scans.who), (count,), generator=generator)
        who = self.scans.who[first.numpy()]
        second = torch.tensor([_any(self.table[p][self.table[p] >= 0], generator) for p in who])
        rows = torch.cat([first, second]).numpy()
        tiles = torch.from_numpy(self.tiles[rows]).to(self.device).permute(0, 3, 1, 2).float() / 255
        if tiles.shape[-1] > size:
            tiles = F.avg_pool2d(tiles, tiles.shape[-1] // size)
        worn = F.one_hot(torch.from_numpy(self.scans.worn[rows]), EXPRESSION_DIM).float()
        noise = torch.randn(count, TEXTURE_NOISE_DIM, generator=generator).repeat(2, 1)
        codes = TextureCodes(noise, self.codes[torch.from_numpy(np.concatenate([who, who]))], worn)
        return codes.to(self.device), tiles


def _any(choices: np.ndarray, generator: torch.Generator) -> int:
    return int(choices[int(torch.randint(0, len(choices), (1,), generator=generator))])
