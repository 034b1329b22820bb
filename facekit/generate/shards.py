"""Shards: tar files of samples in WebDataset's format, each with a sidecar that confirms its completeness."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from facekit.errors import FacekitError
from facekit.generate.encode import encoded
from facekit.generate.engines import TRIES
from facekit.generate.sample import Sample, SampleMaker
from facekit.generate.storage import Storage, write
from facekit.weights.cache import sha256_of

#: Exceptions that may be caused by a single sample.
_FAULTS = (FacekitError, ArithmeticError, LookupError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True)
class Shard:
    """Sidecar of a shard.

    Parameters
    ----------
    number:
        Number of the shard; its file is ``faces-00000.tar``.
    first, count:
        First sample, and number of samples.
    skipped:
        Indices of failed samples, with reasons.
    size, sha256:
        Size in bytes and hash of the tar file.
    fingerprint:
        Hash of the set's settings.
    """

    number: int
    first: int
    count: int
    skipped: dict[int, str]
    size: int
    sha256: str
    fingerprint: str

    @property
    def tar(self) -> str:
        """Name of the tar file."""
        return f"faces-{self.number:05d}.tar"

    def to_json(self) -> bytes:
        """Return the content of the sidecar."""
        values = {**self.__dict__, "skipped": {str(k): why for k, why in self.skipped.items()}}
        return (json.dumps(values, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Shard:
        """Parse :meth:`to_json`; raise ValueError for anything else."""
        try:
            values = json.loads(data)
            values["skipped"] = {int(k): why for k, why in values["skipped"].items()}
            return cls(**values)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(str(error)) from error


def sidecar_name(number: int) -> str:
    """Return the name of a shard's sidecar."""
    return f"faces-{number:05d}.json"


def key_of(index: int, frames: int) -> str:
    """Return a sample's name in its shard: ``000031415``, or ``000031415_007`` with clip and frame."""
    clip, frame = divmod(index, frames)
    return f"{clip:09d}" if frames == 1 else f"{clip:09d}_{frame:03d}"


def write_shard(
    make: SampleMaker,
    storage: Storage,
    number: int,
    first: int,
    count: int,
    fingerprint: str,
    batch: int = 1,
    after: Callable[[], None] = lambda: None,
) -> Shard:
    """Make and write the samples of one shard, the sidecar last.

    A sample that fails three times is skipped and listed in the sidecar.

    Parameters
    ----------
    make:
        The set's sample maker.
    batch:
        Number of samples whose faces are computed at once.
    after:
        Called after each sample; may raise to stop, which leaves no files.
    """
    skipped: dict[int, str] = {}
    name = f"faces-{number:05d}.tar"
    with storage.writing(name) as path:
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for start in range(first, first + count, batch):
                indices = range(start, min(start + batch, first + count))
                for index, files in zip(indices, _made(make, indices, skipped), strict=True):
                    for suffix, data in files.items():
                        key = key_of(index, make.recipe.clip.frames)
                        tar.addfile(_entry(f"{key}.{suffix}", len(data)), io.BytesIO(data))
                    after()
        size, digest = path.stat().st_size, sha256_of(path)
    shard = Shard(number, first, count, skipped, size, digest, fingerprint)
    write(storage, sidecar_name(number), shard.to_json())
    return shard


def _made(make: SampleMaker, indices: Sequence[int], skipped: dict[int, str]) -> Iterator[dict[str, bytes]]:
    """Yield the files of each sample, one sample in memory at a time; made one by one if a batch fails."""
    together: Sequence[Sample | None] = [None] * len(indices)
    if len(indices) > 1:
        with contextlib.suppress(*_FAULTS):
            together = make.batch(indices)
    for index, sample in zip(indices, together, strict=True):
        yield _tried(make, index, skipped) if sample is None else encoded(sample)


def _tried(make: SampleMaker, index: int, skipped: dict[int, str]) -> dict[str, bytes]:
    for attempt in range(TRIES):
        try:
            return encoded(make(index))
        except _FAULTS as error:
            if isinstance(error, OSError) and not isinstance(error, FacekitError):
                raise  # a full disk is not the sample's fault
            if attempt == TRIES - 1:
                skipped[index] = f"{type(error).__name__}: {error}"
    return {}


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """Return a tar header independent of machine and time."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry


def sidecars(storage: Storage) -> Iterator[Shard]:
    """Yield the sidecars of a set in order, without checking the shards; invalid ones are skipped."""
    for name in storage.names():
        if name.startswith("faces-") and name.endswith(".json"):
            try:
                yield Shard.from_json(storage.read(name) or b"")
            except ValueError:
                continue


def is_whole(storage: Storage, shard: Shard) -> bool:
    """Return True if the shard's file exists with the size and hash in its sidecar."""
    if storage.size(shard.tar) != shard.size:
        return False
    data = storage.read(shard.tar)
    return data is not None and hashlib.sha256(data).hexdigest() == shard.sha256
