"""Sets of meshes in a folder, one per seed; interrupted runs are resumed.

Workers write a sidecar with each face's record; the main process collects these into the manifest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.checks import whole
from facekit.detail import check_detail
from facekit.errors import FileError, InputError
from facekit.generate.engines import Crew, run
from facekit.generate.records import MANIFEST, complete, gather, leave_record, open_manifest, read_manifest, tidy

if TYPE_CHECKING:
    from facekit.face import FaceOutput

_PICTURES = ("png", "jpg", "webp")

# Number of faces computed at once: the texture network is no faster with more, and textures are large.
_BATCH = 4


@dataclass(frozen=True)
class SetResult:
    """Result of :func:`generate_set`.

    Parameters
    ----------
    manifest:
        Path of the manifest.
    made, kept:
        Numbers of faces made in this run and kept from earlier ones.
    """

    manifest: Path
    made: int
    kept: int


def generate_set(
    pipe: Callable[..., FaceOutput],
    folder: str | Path,
    count: int,
    seed: int = 0,
    expression: str | Mapping[str, float] = "neutral",
    intensity: float = 1.0,
    truncation: float = 1.0,
    formats: Sequence[str] = ("glb",),
    detail: bool | str = True,
    detail_strength: float = 1.0,
    maps: bool = False,
    hair: str | None = "auto",
    crew: Crew | None = None,
) -> SetResult:
    """Make the faces of seeds ``seed`` … ``seed + count - 1`` and write each in all ``formats``.

    ``folder/manifest.jsonl`` begins with a record of the settings, followed by one record per face; another run with
    the same settings makes missing faces only. ``count`` and ``seed`` may differ between runs, to extend a set.
    Incomplete faces leave no files.

    Parameters
    ----------
    pipe:
        A :class:`facekit.FacePipeline`.
    formats:
        Suffixes without the dot, from :data:`facekit.io.SUFFIXES`.
    detail, detail_strength:
        As in the pipeline's call: True, ``"static"``, ``"dynamic"`` or False, and a factor.
    maps:
        Whether to also write each face's displacement and normal map, see :func:`facekit.io.maps.save_maps`.
    hair:
        Of the pipeline's call.
    crew:
        Workers; by default this process. Other processes have one thread each, and make the same faces up to rounding;
        more than one needs the main script guarded by ``__name__ == "__main__"``.

    Raises
    ------
    InputError
        If formats are unknown, maps are requested without detail, or settings differ from the folder's.
    FileError
        If the disk has no space for the rest; raised after the first face, which stays, so that the set can be resumed.
    """
    from facekit.files.atomic import expanded
    from facekit.latents import FaceLatents

    folder = expanded(folder)
    formats = _known_formats(formats)
    count, seed = whole(count, "count", 1), whole(seed, "seed", 0, remedy="pass for instance seed=0")
    detail_strength = check_detail(detail, detail_strength)
    if maps and not detail:
        raise InputError("detail with maps", "detail=False", "leave one of them out")
    blend = expression if isinstance(expression, str) else dict(sorted(expression.items()))
    settings = {
        "model": getattr(pipe, "name", "default"),
        "expression": blend,
        "intensity": float(intensity),
        "truncation": float(truncation),
        "formats": formats,
        "detail": detail,
        "detail_strength": detail_strength,
        "maps": bool(maps),
    }
    if hair != "auto":
        settings["hair"] = hair
    # Invalid names and numbers are rejected before anything is written.
    FaceLatents.sample(seed, 1, expression, intensity, truncation)
    manifest, crew = folder / MANIFEST, crew or Crew()
    open_manifest(manifest, settings)
    gather(manifest)
    finished = read_manifest(manifest)[1]

    seeds = range(seed, seed + count)
    missing = [s for s in seeds if not complete(folder, finished.get(s), verify=True)]
    batches = [missing[i : i + _BATCH] for i in range(0, len(missing), _BATCH)]
    work = _Meshes(pipe, folder, settings, batches, one_thread=not crew.alone)
    try:
        run(work, range(len(batches)), count, crew, lambda number, _: gather(manifest, batches[number]))
    except KeyboardInterrupt:
        gather(manifest)
        there = read_manifest(manifest)[1]
        done = sum(complete(folder, there.get(s)) for s in seeds)
        raise KeyboardInterrupt(
            f"{done} of {count} faces are complete in {folder}; run the same command again to go on"
        ) from None
    finally:
        gather(manifest)
    tidy(manifest)
    for path in folder.glob(".face_*.part.*"):  # of killed processes
        path.unlink(missing_ok=True)
    return SetResult(manifest, len(missing), count - len(missing))


@dataclass
class _Meshes:
    """A set as work in chunks of a few faces."""

    pipe: Callable[..., FaceOutput]
    folder: Path
    settings: Mapping[str, Any]
    batches: list[list[int]]
    one_thread: bool

    def __getstate__(self) -> dict[str, Any]:
        # Plain pickle copies CUDA tensors, which torch's multiprocessing would share.
        return {**self.__dict__, "pipe": pickle.dumps(self.pipe)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= {**state, "pipe": pickle.loads(state["pipe"])}  # noqa: S301 - its parent's

    def size(self, number: int) -> int:
        return len(self.batches[number])

    def __call__(self, number: int, after: Callable[[], None]) -> None:
        from facekit.forks import one_thread

        with one_thread() if self.one_thread else contextlib.nullcontext():
            for seed, face in self._faces(self.batches[number]):
                files = _write(face, self.folder, f"face_{seed:06d}", self.settings["formats"], self.settings["maps"])
                leave_record(self.folder, seed, files)
                after()
                if number == 0 and seed == self.batches[0][0]:
                    _need_room(self.folder, sum(files.values()), sum(map(len, self.batches)) - 1)

    def _faces(self, seeds: Sequence[int]) -> Iterator[tuple[int, FaceOutput]]:
        from facekit.latents import FaceLatents

        wish = self.settings
        who = [FaceLatents.sample(s, 1, wish["expression"], wish["intensity"], wish["truncation"]) for s in seeds]
        worn = {"hair": wish["hair"]} if "hair" in wish else {}
        options = {"detail": wish["detail"], "detail_strength": wish["detail_strength"], **worn}
        made = self.pipe(latents=FaceLatents.cat(who), **options)
        for seed, face in zip(seeds, made, strict=True):
            yield seed, dataclasses.replace(face, metadata={**face.metadata, "seed": seed})


def _need_room(folder: Path, size: int, left: int) -> None:
    """Check the disk space for the remaining faces, which need the space of the first one within a few percent."""
    from facekit.weights.cache import say

    if not left:
        return
    need, free = size * left / 1e6, shutil.disk_usage(folder).free / 1e6
    told = f"{need:.0f} MB for {left} more faces of {size / 1e6:.1f} MB each"
    if need > free:
        raise FileError(f"space in {folder}: {told}", f"{free:.0f} MB", "free some, or lower the count or the formats")
    say(f"{told}; {free:.0f} MB are free in {folder}")


def _write(face: FaceOutput, folder: Path, stem: str, formats: list[str], maps: bool) -> dict[str, int]:
    """Write one face with these file names; return sizes in bytes by name."""
    from facekit.files.atomic import recorded
    from facekit.io import save
    from facekit.io.maps import save_maps

    with recorded() as written:
        try:
            if maps and "obj" not in formats:  # an OBJ writes and refers to its own
                save_maps(face, folder, stem)
            for format_ in formats:
                name = f"{stem}_render" if format_ in _PICTURES else stem  # show that it is a picture
                options = {"maps": True} if maps and format_ == "obj" else {}
                save(face, folder / f"{name}.{format_}", **options)
        except BaseException:  # Ctrl-C, too: an incomplete face would look complete
            for path in written:
                path.unlink(missing_ok=True)
            raise
    return {path.name: path.stat().st_size for path in sorted(set(written))}


def _known_formats(formats: Sequence[str]) -> list[str]:
    from facekit.io import SUFFIXES

    names = [name.lower().lstrip(".").replace("jpeg", "jpg") for name in formats]
    known = [suffix.lstrip(".") for suffix in SUFFIXES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        got = ", ".join(unknown) or "none"
        raise InputError(f"formats out of {', '.join(known)}", got, "choose from these, for instance glb,obj")
    return sorted(set(names))
