"""Multiface (Wuu et al., 2022): 13 people on one topology of 7,306 vertices, many cameras.

The layout, of which meshes and, if available, the pictures of one camera are read::

    <folder>/<entity>/tracked_mesh/<clip>/000123.obj         with 000123_transform.txt
    <folder>/<entity>/images/<clip>/<camera>/000123.png

Not tested with the real data.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from facekit.data.clip import Clip
from facekit.data.layout import by_subject, folders
from facekit.errors import FileError
from facekit.files.atomic import expanded

FPS = 30.0
_TREE = "<entity>/tracked_mesh/<clip>/<frame>.obj"


def clips(folder: str | Path, camera: str | None = None) -> list[Clip]:
    """Read all clips.

    Parameters
    ----------
    camera:
        Camera whose pictures to add; frames without one are left out.

    Raises
    ------
    FileError
        If there are no meshes, with the expected tree.
    """
    found = []
    for entity in folders(expanded(folder), _TREE):
        if (entity / "tracked_mesh").is_dir():
            for clip in by_subject(entity / "tracked_mesh", "Multiface", _TREE, (".obj",), FPS, level=1):
                clip = dataclasses.replace(clip, subject=entity.name, name=f"{entity.name}/{clip.name}")
                found.append(clip if camera is None else _with_pictures(entity, clip, camera))
    if not found:
        raise FileError(_TREE, f"none in {folder}", "give the folder that holds Multiface's people")
    return found


def _with_pictures(entity: Path, clip: Clip, camera: str) -> Clip:
    place = entity / "images" / clip.name.rpartition("/")[2] / camera
    pairs = [(place / f"{mesh.stem}.png", mesh) for mesh in clip.meshes]
    there = [pair for pair in pairs if pair[0].is_file()]
    if not there:
        raise FileError("<entity>/images/<clip>/<camera>/<frame>.png", f"none in {place}", "name another camera")
    pictures, meshes = zip(*there, strict=True)
    return dataclasses.replace(clip, pictures=pictures, meshes=meshes)
