"""Sets of labelled pictures, made in shards by one process or many; interrupted runs are resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facekit.checks import one_of, whole
from facekit.data.shards import MANIFEST
from facekit.errors import FileError, InputError
from facekit.forks import one_thread
from facekit.generate.engines import Crew, run
from facekit.generate.recipe import Recipe
from facekit.generate.sample import SampleMaker
from facekit.generate.shards import Shard, is_whole, sidecars, write_shard
from facekit.generate.storage import Folder, Storage, storage_of, write
from facekit.pipeline import FacePipeline
from facekit.version import __version__

SETTINGS = "dataset.json"
#: Number of samples whose faces are computed at once, by kind of device; it influences the last bits of a set.
_BATCH = {"cpu": 1, "cuda": 8}
#: This process's sample makers by fingerprint: loading a model per shard would take long.
_makers: dict[str, SampleMaker] = {}


@dataclass(frozen=True)
class Plan:
    """Definition of a set.

    Parameters
    ----------
    settings:
        Everything that determines the bytes: recipe, seed, samples per shard, facekit's version, model and kind of
        device.
    count:
        Number of samples.
    """

    settings: Mapping[str, Any]
    count: int

    def to_json(self) -> bytes:
        """Return the content of ``dataset.json``."""
        return (json.dumps({"settings": self.settings, "count": self.count}, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        """Parse :meth:`to_json`; raise ValueError for anything else."""
        try:
            values = json.loads(data)
            return cls(values["settings"], values["count"])
        except (KeyError, TypeError) as error:
            raise ValueError(str(error)) from error

    @property
    def fingerprint(self) -> str:
        """Hash of the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return Recipe.from_dict(self.settings["recipe"])

    def shard(self, number: int) -> tuple[int, int]:
        """Return the first sample and the number of samples of a shard."""
        size = self.settings["shard"]
        return number * size, min(size, self.count - number * size)

    def numbers(self) -> range:
        """Numbers of all shards."""
        return range(-(-self.count // self.settings["shard"]))


@dataclass(frozen=True)
class _Shards:
    """A set as work in chunks, one per shard."""

    place: str
    plan: Plan

    def size(self, number: int) -> int:
        return self.plan.shard(number)[1]

    def __call__(self, number: int, after: Callable[[], None]) -> Shard:
        plan = self.plan
        with one_thread():  # more threads would sum in another order: reproducible bytes need one
            maker = _maker(plan)
            first, count = plan.shard(number)
            batch = _BATCH[plan.settings["device"]]
            return write_shard(maker, storage_of(self.place), number, first, count, plan.fingerprint, batch, after)


def _maker(plan: Plan) -> SampleMaker:
    if plan.fingerprint not in _makers:
        _makers.clear()
        pipe = FacePipeline.from_pretrained(plan.settings["model"], device=plan.settings["device"])
        _makers[plan.fingerprint] = SampleMaker(pipe, plan.recipe, plan.settings["seed"])
    return _makers[plan.fingerprint]


@dataclass(frozen=True)
class Status:
    """Progress of a set.

    Parameters
    ----------
    count:
        Number of samples to make, if known.
    made:
        Number of samples in complete shards, without skipped ones.
    skipped:
        Indices of failed samples, with reasons.
    missing, broken:
        Numbers of missing shards, and of those that differ from their sidecar.
    """

    count: int
    made: int
    skipped: dict[int, str]
    missing: list[int]
    broken: list[int]

    @property
    def complete(self) -> bool:
        """True if all shards are complete."""
        return not self.missing and not self.broken


def generate_pictures(
    recipe: Recipe | str | Path,
    place: str | Path,
    count: int,
    seed: int = 0,
    workers: int = 1,
    engine: str = "local",
    address: str | None = None,
    shard: int = 500,
    device: str = "cpu",
    gpus: float = 1.0,
) -> Status:
    """Make a set of labelled pictures, or its missing part.

    The same recipe, seed and count give the same bytes with any number of workers and either engine. A set can be
    extended with a larger ``count``.

    Parameters
    ----------
    recipe:
        A :class:`Recipe`, the name of a preset, or a file.
    place:
        A folder, or an address supported by fsspec.
    count:
        Number of samples; clips count by frames.
    workers:
        Number of processes, each with one thread. More than one needs the main script guarded by ``__name__ ==
        "__main__"``.
    engine:
        "local", or "ray" (extra ``ray``): one task per shard on the cluster at ``address``.
    shard:
        Number of samples per shard.
    device:
        "cpu", or "cuda", which computes the faces of eight samples at once.
    gpus:
        With "ray" and "cuda", GPUs per task: 0.25 lets four tasks share one.

    Returns
    -------
    Status
        Status of the complete set.

    Raises
    ------
    InputError
        If numbers are invalid, or the place has a set with other settings.
    """
    recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    count, shard = whole(count, "count", 1), whole(shard, "shard", 1)
    seed = whole(seed, "seed", 0, 2**63 - 1)
    crew = Crew(workers, engine, address, gpus if device == "cuda" else 0.0)
    settings = {
        "format": 1,
        "facekit": __version__,
        "model": "default",
        "device": one_of(device, ("cpu", "cuda"), "a device"),
        "seed": seed,
        "shard": shard,
        "recipe": recipe.to_dict(),
    }
    plan, storage = Plan(settings, count), storage_of(place)
    _open(storage, plan)
    found = _status(storage, plan, verify=True)
    left = sorted(found.missing + found.broken)
    run(_Shards(str(place), plan), left, count, crew)
    return _close(storage, plan)


def status(place: str | Path, verify: bool = False) -> Status:
    """Return the progress of the set at ``place``.

    Parameters
    ----------
    verify:
        Whether to hash every shard; otherwise only sizes are compared.

    Raises
    ------
    FileError
        If there is no set.
    """
    storage = storage_of(place)
    plan = _plan_of(storage, str(place))
    return _status(storage, plan, verify)


def _status(storage: Storage, plan: Plan, verify: bool) -> Status:
    found = {s.number: s for s in sidecars(storage) if s.fingerprint == plan.fingerprint}
    missing, broken, made, skipped = [], [], 0, {}
    for number in plan.numbers():
        shard = found.get(number)
        if shard is None or shard.count != plan.shard(number)[1]:
            missing.append(number)
        elif storage.size(shard.tar) != shard.size or verify and not is_whole(storage, shard):
            broken.append(number)
        else:
            made += shard.count - len(shard.skipped)
            skipped |= shard.skipped
    return Status(plan.count, made, skipped, missing, broken)


def _plan_of(storage: Storage, where: str) -> Plan:
    try:
        return Plan.from_json(storage.read(SETTINGS) or b"")
    except ValueError as error:
        raise FileError("a set of pictures", f"no {SETTINGS} in {where}", "facekit generate makes one") from error


def _open(storage: Storage, plan: Plan) -> None:
    """Write the set's definition, or raise if it differs from the existing one."""
    data = storage.read(SETTINGS)
    if data is not None:
        try:
            there = Plan.from_json(data)
        except ValueError:
            there = None
        if there is None or there.fingerprint != plan.fingerprint:
            differ = "unreadable" if there is None else _differences(there.settings, plan.settings)
            raise InputError("the settings of the existing set", differ, "choose another folder, or use these settings")
        if there.count > plan.count:
            raise InputError(
                f"a count of at least the existing {there.count}", f"{plan.count}", "a set can only be extended"
            )
    write(storage, SETTINGS, plan.to_json())


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], where: str = "") -> str:
    found = []
    for name in sorted({*there, *here}):
        a, b = there.get(name), here.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            deeper = _differences(a, b, f"{where}{name}.")
            found += [deeper] if deeper else []
        elif a != b:
            found.append(f"{where}{name} {b} in place of {a}")
    return ", ".join(found)


def _close(storage: Storage, plan: Plan) -> Status:
    """Write manifest, README and sheet, remove leftovers of interrupted runs, and return the status."""
    from facekit.generate.card import describe

    shards = sorted((s for s in sidecars(storage) if s.fingerprint == plan.fingerprint), key=lambda s: s.number)
    if isinstance(storage, Folder):
        for path in storage.path.glob(".faces-*.part.*"):
            path.unlink(missing_ok=True)
    values = {
        "fingerprint": plan.fingerprint,
        "digest": digest(shards),
        "samples": sum(s.count - len(s.skipped) for s in shards),
        "shards": [{"tar": s.tar, "first": s.first, "count": s.count, "sha256": s.sha256} for s in shards],
    }
    write(storage, MANIFEST, (json.dumps(values, indent=1) + "\n").encode())
    describe(storage, plan, shards)
    return _status(storage, plan, verify=False)


def digest(shards: list[Shard]) -> str:
    """Return one hash of all shards."""
    return hashlib.sha256("".join(s.sha256 for s in shards).encode()).hexdigest()
