"""Sets of faces in a folder, one a seed, that go on where they were interrupted."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.checks import whole
from facekit.detail import check_detail
from facekit.errors import FileError, InputError
from facekit.version import __version__

if TYPE_CHECKING:
    from facekit.face import FaceOutput

MANIFEST = "manifest.jsonl"
_PICTURES = ("png", "jpg", "webp")

# Faces computed at once: the texture network is no faster with more, and textures are large.
_BATCH = 4


@dataclass(frozen=True)
class SetResult:
    """The result of :func:`generate_set`.

    Parameters
    ----------
    manifest:
        Path of the manifest.
    made, kept:
        Numbers of faces made now and kept from before.
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
) -> SetResult:
    """Make the faces of seeds ``seed`` … ``seed + count - 1`` and write each in all ``formats``.

    ``folder/manifest.jsonl`` begins with a record of the settings and gets one record a finished face; run again with
    the same settings, only what is missing is made. ``count`` and ``seed`` may differ from run to run: a set grows.
    A face that is not finished when the run ends leaves no files.

    Parameters
    ----------
    pipe:
        A :class:`facekit.FacePipeline`.
    formats:
        Suffixes without the dot, of :data:`facekit.io.SUFFIXES`.
    detail, detail_strength:
        Of the pipeline's call: True, ``"static"``, ``"dynamic"`` or False, and a factor.
    maps:
        Whether to write each face's displacement and normal map too, see :func:`facekit.io.maps.save_maps`.
    hair:
        Of the pipeline's call.

    Raises
    ------
    InputError
        For unknown formats, maps without detail, or settings other than those the folder was begun with.
    FileError
        When the disk has no room for the rest, told after the first face; it stays, and the set goes on from there.
    """
    from facekit.files.atomic import expanded
    from facekit.latents import FaceLatents
    from facekit.progress import progress

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
    worn = {} if hair == "auto" else {"hair": hair}
    settings |= worn
    # Bad names and numbers are refused before anything is written.
    FaceLatents.sample(seed, 1, expression, intensity, truncation)
    manifest = folder / MANIFEST
    finished = _open_manifest(manifest, settings)

    seeds = range(seed, seed + count)
    missing = [s for s in seeds if not _complete(folder, finished.get(s))]
    batches = [missing[i : i + _BATCH] for i in range(0, len(missing), _BATCH)]
    done = kept = count - len(missing)

    def faces() -> Any:
        for batch in batches:
            codes = [FaceLatents.sample(s, 1, expression, intensity, truncation) for s in batch]
            made = pipe(latents=FaceLatents.cat(codes), detail=detail, detail_strength=detail_strength, **worn)
            for s, face in zip(batch, made, strict=True):
                yield s, dataclasses.replace(face, metadata={**face.metadata, "seed": s})

    try:
        for s, face in progress(faces(), total=count, desc="faces", initial=kept):
            files = _write(face, folder, f"face_{s:06d}", formats, maps)
            _append(manifest, {"seed": s, "files": files})
            done += 1
            if done == kept + 1:
                _need_room(folder, sum(files.values()), count - done)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{done} of {count} faces are complete in {folder}; run the same command again to go on"
        ) from None
    return SetResult(manifest, count - kept, kept)


def read_manifest(path: str | Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """The settings and the records by seed of a manifest; a last line that was cut off is left out.

    Raises
    ------
    FileError
        When the file is not such a manifest.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
        records = [json.loads(line) for line in lines[:-1] if line.strip()]
        return records[0]["settings"], {record["seed"]: record for record in records[1:]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FileError("a manifest of generated faces", f"{path} ({error!r})", "choose another folder") from error


def _open_manifest(path: Path, settings: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Records of finished faces, after a check that they were made with these settings; makes a new manifest."""
    from facekit.files.atomic import atomic_write

    if not path.exists():
        if path.parent.is_dir() and any(path.parent.glob("face_*")):
            raise InputError("an empty folder", f"faces without a manifest in {path.parent}", "choose another folder")
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps({"facekit": __version__, "settings": settings}) + "\n", encoding="utf-8")
        return {}
    stored, finished = read_manifest(path)
    different = [key for key in settings if stored.get(key) != settings[key]]
    if different:
        was = ", ".join(f"{key} {stored.get(key)!r}" for key in different)
        now = ", ".join(f"{key} {settings[key]!r}" for key in different)
        raise InputError(f"the settings that {path.parent} was begun with ({was})", now, "choose another folder")
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:  # the machine went down in the middle of a line
        with atomic_write(path) as temporary:
            temporary.write_bytes(whole)
    return finished


def _need_room(folder: Path, size: int, left: int) -> None:
    """Tell what the faces that are left will take on the disk; they take what the first took, within a few percent."""
    from facekit.weights.cache import say

    if not left:
        return
    need, free = size * left / 1e6, shutil.disk_usage(folder).free / 1e6
    told = f"{need:.0f} MB for {left} more faces of {size / 1e6:.1f} MB each"
    if need > free:
        raise FileError(f"room in {folder}: {told}", f"{free:.0f} MB", "free some, or lower the count or the formats")
    say(f"{told}; {free:.0f} MB are free in {folder}")


def _append(path: Path, record: dict[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise FileError(f"to write {path}", str(error), "choose a folder that is writable and has room") from error


def _write(face: FaceOutput, folder: Path, stem: str, formats: list[str], maps: bool) -> dict[str, int]:
    """Write one face in a folder of its own name's files; returns their sizes in bytes by name."""
    from facekit.files.atomic import recorded
    from facekit.io import save
    from facekit.io.maps import save_maps

    with recorded() as written:
        try:
            if maps and "obj" not in formats:  # an OBJ brings and names its own
                save_maps(face, folder, stem)
            for format_ in formats:
                name = f"{stem}_render" if format_ in _PICTURES else stem  # in sight what is a picture of the face
                options = {"maps": True} if maps and format_ == "obj" else {}
                save(face, folder / f"{name}.{format_}", **options)
        except BaseException:  # Ctrl-C too: an unfinished face would look like a finished one
            for path in written:
                path.unlink(missing_ok=True)
            raise
    return {path.name: path.stat().st_size for path in sorted(set(written))}


def _complete(folder: Path, record: dict[str, Any] | None) -> bool:
    """Tell whether every file of a record is there with the size it was written with."""
    if record is None:
        return False
    return all((folder / n).is_file() and (folder / n).stat().st_size == s for n, s in record["files"].items())


def _known_formats(formats: Sequence[str]) -> list[str]:
    from facekit.io import SUFFIXES

    names = [name.lower().lstrip(".").replace("jpeg", "jpg") for name in formats]
    known = [suffix.lstrip(".") for suffix in SUFFIXES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        got = ", ".join(unknown) or "none"
        raise InputError(f"formats out of {', '.join(known)}", got, "choose from these, for instance glb,obj")
    return sorted(set(names))
