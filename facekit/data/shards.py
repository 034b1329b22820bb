"""FaceShards and FaceStream: sets made by ``facekit generate`` as torch data sets."""

from __future__ import annotations

import bisect
import io
import itertools
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from facekit.errors import FileError, InputError
from facekit.files.images import decode

#: File that lists the shards of a complete set.
MANIFEST = "manifest.json"


class FaceShards(Dataset[dict[str, Any]]):
    """Samples of a set in a folder, with random access.

    ``len(data)`` counts samples, ``data[i]`` is a dictionary of

    * ``key``: its name; ``numbers``: all other labels, described in the set's README;
    * ``rgb``, ``albedo``: (3, H, W) float32 sRGB in [0, 1]; ``mask``: (H, W) int64; ``depth``: (1, H, W) float32 mm;
      ``normals``: (3, H, W) float32; ``uv``: (2, H, W) float32: those in the set;
    * ``landmarks``: (70, 2) float32 pixels, and ``visible``: (70,) bool, if the set has them.

    Parameters
    ----------
    folder:
        Folder of the set.
    only:
        Names of pictures to read; None for all.

    Raises
    ------
    FileError
        If there is no complete set, or a shard is missing or truncated.
    """

    def __init__(self, folder: str | Path, only: Sequence[str] | None = None) -> None:
        self.folder, self.only = Path(folder).expanduser(), None if only is None else tuple(only)
        self.shards = [self.folder / entry["tar"] for entry in manifest_of(self.folder)["shards"]]
        self._places = [_places(path) for path in self.shards]
        self._starts = [0, *itertools.accumulate(len(places) for places in self._places)]

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        shard = bisect.bisect_right(self._starts, index) - 1
        key, files = self._places[shard][index - self._starts[shard]]
        with self.shards[shard].open("rb") as opened:
            content = {suffix: _part(opened, *place) for suffix, place in files.items() if _wanted(suffix, self.only)}
        return sample_of(key, content)


class FaceStream(IterableDataset[dict[str, Any]]):
    """Samples of a set in sequential order, which is fastest on disks; DataLoader workers share the shards.

    Parameters
    ----------
    folder, only:
        As in :class:`FaceShards`.
    """

    def __init__(self, folder: str | Path, only: Sequence[str] | None = None) -> None:
        self.folder, self.only = Path(folder).expanduser(), None if only is None else tuple(only)
        self.shards = [self.folder / entry["tar"] for entry in manifest_of(self.folder)["shards"]]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        own = self.shards if worker is None else self.shards[worker.id :: worker.num_workers]
        for path in own:
            places = _places(path)
            with path.open("rb") as opened:
                for key, files in places:
                    wanted = {s: _part(opened, *place) for s, place in files.items() if _wanted(s, self.only)}
                    yield sample_of(key, wanted)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of a complete set."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError("a complete set of facekit generate", f"{folder} ({error})", "see its --status") from error


def sample_of(key: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Return a sample from the contents of its files by suffix, see :class:`FaceShards`."""
    found: dict[str, Any] = {"key": key}
    for suffix, data in files.items():
        name, _, kind = suffix.rpartition(".")
        if suffix == "json":
            found["numbers"] = json.loads(data)
        elif kind == "npy":
            array = torch.from_numpy(np.load(io.BytesIO(data), allow_pickle=False)).float()
            found[name] = array[None] if array.ndim == 2 else array.permute(2, 0, 1)
        elif name == "mask":
            found[name] = torch.from_numpy(decode(data)).long()
        elif name in ("rgb", "albedo"):
            found[name] = torch.from_numpy(decode(data)).permute(2, 0, 1).float() / 255
    marks = found.get("numbers", {}).get("landmarks")
    if marks is not None:
        found |= {"landmarks": torch.tensor(marks["points"]), "visible": torch.tensor(marks["visible"])}
    return found


def _wanted(suffix: str, only: Sequence[str] | None) -> bool:
    return only is None or suffix == "json" or suffix.partition(".")[0] in only


def raw_samples(opened: BinaryIO, name: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the samples of an open shard in order: key, and contents by suffix; ``name`` is for errors."""
    for key, files in _index(opened, name):
        yield key, {suffix: _part(opened, *place) for suffix, place in files.items()}


def _places(path: Path) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    """Return the samples of a non-empty shard: key, and offset and size of each file by suffix."""
    try:
        with path.open("rb") as opened:
            found = _index(opened, str(path))
    except OSError as error:
        raise _torn(str(path), error) from error
    if not found:
        raise InputError("a shard with samples", f"{path}, which has none", "make the set again")
    return found


def _index(opened: BinaryIO, name: str) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    try:
        with tarfile.open(fileobj=opened) as tar:
            return [
                (key, {entry.name.partition(".")[2]: (entry.offset_data, entry.size) for entry in entries})
                for key, entries in itertools.groupby(tar, lambda entry: entry.name.partition(".")[0])
            ]
    except tarfile.TarError as error:
        raise _torn(name, error) from error


def _torn(name: str, error: Exception) -> FileError:
    return FileError(
        "a whole shard", f"{name} ({error})", "make it again; facekit generate --verify lists the damaged ones"
    )


def _part(opened: Any, offset: int, size: int) -> bytes:
    opened.seek(offset)
    return opened.read(size)
