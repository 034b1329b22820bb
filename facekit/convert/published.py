"""Convert upstream's files once to safetensors, npz and PNG in the cache; pickles are not needed afterwards.

Everything is checked before the model's folder is changed. Names of converted files contain their hash, so that old and
new ones coexist, and ``record.json``, replaced atomically, lists those of the model: if an import is killed at any
time, the model is either the old one or the new one. Leftovers are removed by the next import.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facekit.convert.archive import Files, Folder, Zip, digest, has_tail, open_files
from facekit.convert.checkpoints import NETWORKS, Network, network_shapes, read_networks
from facekit.convert.datafiles import read_array, read_identities
from facekit.convert.sources import by_hand, compare, remember
from facekit.errors import FacekitError, FileError, InputError, WeightsError
from facekit.files.atomic import atomic_write
from facekit.weights import manifest, store
from facekit.weights.cache import cache_folder, disk, locked, require_room, sha256_of
from facekit.weights.manifest import ModelRecord

RECORD = "record.json"
_KEPT = (RECORD, "verified.json")

# Folders of the data files in upstream's repository, relative to the user's path.
_LAYOUT = ("", "data/", "texture_model/assets/texture_processing/")
_DATA = {
    "template_mesh": "template_mesh.obj",
    "faces": "face_v.npy",
    "identities": "zid_dictionary.pkl",
    "base_texture": "base_tex.npy",
}
_WANTED = (*(network.path for network in NETWORKS), *_DATA.values())
_MAX_DATA = 64 << 20
_BASE_SHAPE = (512, 512, 3)


def import_files(
    name: str, checkpoints: str | Path, data: str | Path | None = None, *, record: ModelRecord | None = None
) -> Path:
    """Convert the published files of a model on the user's disk into the cache.

    Parameters
    ----------
    name:
        The model's name in the manifest: ``"3dfacecam"``.
    checkpoints:
        Upstream's zip, or the unpacked folder (``checkpoints/`` or its parent).
    data:
        Zip or folder with upstream's data files, found by their names at any depth: a checkout of its repository, its
        ``data/`` folder or a flat one. None searches beside and in ``checkpoints``.
    record:
        The model's record, by default the manifest's.

    Returns
    -------
    Path
        The model's folder in the cache.

    Raises
    ------
    FileError
        If a path is missing, a zip is unsafe or damaged, files are missing, or the cache has no space.
    WeightsError
        If files are not the published ones or do not match the networks. All errors are listed.
    InputError
        If the model is not converted from published files.
    """
    if record is None:
        record = manifest.record(name)
    if record.embedded or not record.sources:
        raise InputError("a model that is converted from published files", f"{name!r}", "import another one")
    where = _Locations(Path(checkpoints).expanduser(), None if data is None else Path(data).expanduser())
    with locked(name), _scratch(name) as scratch:
        found = _collect(name, record, where, scratch)
        _convert(found, record, scratch)
        # All checks have passed.
        folder = _publish(name, record, scratch, found.sources)
        if found.remembered:
            remember(name, found.remembered)
        store.verify(name)  # verify the written files; the recorded result spares the first load from hashing
    return folder


# -- finding ----------------------------------------------------------------------------------------------------------


class _Locations:
    """Folders and zips to search: the user's, then neighbouring ones, as in upstream's repository."""

    def __init__(self, checkpoints: Path, data: Path | None) -> None:
        self.checkpoints = open_files(checkpoints, _WANTED)
        self.data: list[Files] = []
        for place, files in ((data, None), (checkpoints, self.checkpoints)):
            if place is not None:
                above = Path(place).absolute().parent
                names = [prefix + name for name in _DATA.values() for prefix in _LAYOUT]
                self.data += [files or open_files(place, _WANTED), Folder(above, names)]


@dataclass
class _Found:
    """Upstream's files on disk, and notes on them."""

    networks: dict[Network, Path] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    sources: dict[str, dict[str, str | int]] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)


def _collect(name: str, record: ModelRecord, where: _Locations, scratch: Path) -> _Found:
    """Find every file, compare hashes, unpack members of zips to ``scratch``."""
    shapes = network_shapes(record.config)
    sizes = {network: 4 * sum(shape.numel() for shape in shapes[network].values()) for network in NETWORKS}
    # Files of doubles, which are recognised by their content, are twice as large.
    limits = {network: 2 * size + (4 << 20) for network, size in sizes.items()}
    zipped = isinstance(where.checkpoints, Zip)
    with disk(scratch):
        require_room(scratch, sum(sizes.values()) * (2 if zipped else 1) + 2 * _MAX_DATA)

    missing = [n.path for n in NETWORKS if not _candidates(where.checkpoints, n.path)]
    lacking = {role: file for role, file in _DATA.items() if not any(_candidates(p, file) for p in where.data)}
    if missing:
        raise FileError(
            f"{', '.join(missing)} below {where.checkpoints.place}",
            "none there",
            "give upstream's checkpoints.zip, or the folder checkpoints/ that it unpacks to",
        )
    if lacking:
        looked = ", ".join(dict.fromkeys(str(p.place) for p in where.data))
        raise FileError(
            f"upstream's data files {', '.join(lacking.values())} in {looked}",
            "none there",
            f"give their folder as --data, or {by_hand(name, next(iter(lacking)))}",
        )

    found = _Found()
    if zipped:
        _check_zip(name, record, where.checkpoints.place, found)
    for role, file in _DATA.items():
        place = next(p for p in where.data if _candidates(p, file))
        source = record.sources[role]
        chosen = _choose(place, file, _MAX_DATA, source.sha256)
        found.data[role] = place.take(chosen, scratch, _MAX_DATA)
        sha = _note(found, role, found.data[role], chosen)
        compare(name, role, source, sha, f"{place.place / chosen} with")
    for network in NETWORKS:
        chosen = _choose(where.checkpoints, network.path, limits[network], None)
        found.networks[network] = where.checkpoints.take(chosen, scratch, limits[network])
        _note(found, network.path, found.networks[network], chosen)
    return found


def _check_zip(name: str, record: ModelRecord, place: Path, found: _Found) -> None:
    """Compare the zip with its published hash, or with the one remembered from the first download or import."""
    sha = sha256_of(place)
    compare(name, "checkpoints", record.sources["checkpoints"], sha, f"{place} with")
    found.sources["checkpoints"] = {"name": place.name, "size": place.stat().st_size, "sha256": sha}
    found.remembered["checkpoints"] = sha


def _candidates(files: Files, tail: str) -> list[str]:
    return [name for name in files.names if has_tail(name, (tail,))]


def _choose(files: Files, tail: str, limit: int, sha256: str | None) -> str:
    """Return the file with this name: among several the published one, or any if all are identical."""
    names = _candidates(files, tail)
    if len(names) == 1:
        return names[0]
    digests = {candidate: digest(files, candidate, limit) for candidate in names}
    for candidate, sha in digests.items():
        if sha == sha256:
            return candidate
    if len(set(digests.values())) > 1:
        raise FileError(
            f"one {tail} in {files.place}", f"different ones: {', '.join(names)}", "give a more specific folder"
        )
    return names[0]


def _note(found: _Found, role: str, path: Path, chosen: str) -> str:
    try:
        size, sha = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise FileError("a readable file", f"{path} ({error})", "check the path") from error
    found.sources[role] = {"name": chosen.rsplit("/", 1)[-1], "size": size, "sha256": sha}
    return sha


# -- converting -------------------------------------------------------------------------------------------------------


def _convert(found: _Found, record: ModelRecord, scratch: Path) -> None:
    """Write the converted files of every role to ``scratch``, with the manifest's names."""
    files = record.files
    tensors = read_networks(found.networks, record.config)
    base = read_array(found.data["base_texture"], np.uint8, _BASE_SHAPE)
    identities = read_identities(found.data["identities"])
    template = _template(found, record.config["shape"]["vertices"])
    from PIL import Image
    from safetensors.torch import save_file

    with disk(scratch):
        for role in ("shape", "texture"):
            save_file(tensors.pop(role), scratch / files[role].name)
        np.savez(scratch / files["template"].name, **template)
        np.savez(scratch / files["identities"].name, identities=identities)
        Image.fromarray(np.ascontiguousarray(base[..., ::-1])).save(scratch / files["base"].name)  # stored as BGR


def _template(found: _Found, vertices: int) -> dict[str, Any]:
    """Return the arrays of :class:`facekit.template.Template` for upstream's mesh, in upstream's order."""
    from facekit.convert import template as facts
    from facekit.io.reading import read_untextured
    from facekit.models.composers.published import ATLAS, COLUMNS, ROWS

    path = found.data["template_mesh"]
    try:
        mesh = read_untextured(path)
    except (FacekitError, ArithmeticError, LookupError, TypeError) as error:
        raise WeightsError("upstream's template_mesh.obj", f"{path} ({error})", "fetch it again") from error
    triangles = read_array(found.data["faces"], np.int64, (None, 3))
    verts, faces = mesh.verts[0].numpy(), mesh.faces.numpy()
    if len(verts) != vertices:
        raise WeightsError(f"template_mesh.obj with {vertices} vertices", f"{path} with {len(verts)}", "fetch it again")
    if not np.array_equal(triangles - 1, faces):  # it counts from 1, like the OBJ
        raise WeightsError("face_v.npy with the triangles of template_mesh.obj", "other triangles", "fetch both again")
    arrays = {"verts": verts, "faces": faces, "uvs": mesh.uvs.numpy(), "faces_uvs": mesh.faces_uvs.numpy()}
    # (u0, v0, u1, v1), from the bottom left; rows count from the top.
    rect = np.array([COLUMNS[0], ATLAS - ROWS[1], COLUMNS[1], ATLAS - ROWS[0]]) / ATLAS
    return {**arrays, **facts.describe(**arrays), "tile_rect": rect}


# -- publishing -------------------------------------------------------------------------------------------------------


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    """Create an empty folder in the cache for a locked model, replacing that of a killed run."""
    scratch = cache_folder() / "importing" / name
    with disk(scratch):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _publish(name: str, record: ModelRecord, scratch: Path, sources: Mapping[str, dict[str, str | int]]) -> Path:
    """Move the converted files to the model's folder; ``record.json`` comes last and makes them the model."""
    folder = cache_folder() / name
    files: dict[str, dict[str, str | int]] = {}
    with disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for role, entry in record.files.items():
            converted = scratch / entry.name
            size, sha = converted.stat().st_size, sha256_of(converted)
            stored = f"{converted.stem}-{sha[:12]}{converted.suffix}"
            converted.replace(folder / stored)
            files[role] = {"name": stored, "size": size, "sha256": sha}
    content = {"version": 1, "name": name, "files": files, "sources": dict(sources)}
    with atomic_write(folder / RECORD) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    _sweep(folder, {str(entry["name"]) for entry in files.values()})
    return folder


def _sweep(folder: Path, named: set[str]) -> None:
    """Remove files that the record does not list: those of the previous model, and those of killed runs."""
    for path in folder.iterdir():
        if path.name in named or path.name in _KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):  # Windows keeps files mapped by other processes; the next import removes them
                path.unlink()
