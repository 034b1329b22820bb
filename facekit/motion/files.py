"""Motion files: our own JSON and npz, and tables of Live Link Face or with plain ARKit names.

Reading a file and writing it again gives the same bytes.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES
from facekit.errors import FacekitError, FileError, InputError
from facekit.files.atomic import atomic_write
from facekit.files.readers import DAMAGE
from facekit.motion import livelink
from facekit.motion.motion import Motion

if TYPE_CHECKING:
    from facekit.face import FaceOutput

_ALONE = (".json", ".npz", ".csv")
_WITH_FACE = {".glb": "facekit.motion.glb:save_glb", ".mp4": "facekit.motion.video:save_video"}
_WITH_FACE |= {".webp": "facekit.motion.video:save_video"}
_VERSION = 1


def save(motion: Motion, path: str | Path, face: FaceOutput | None = None, **options: Any) -> Path:
    """Write a motion, or a face that performs it; see :meth:`facekit.Motion.save`.

    Parameters
    ----------
    face:
        One face, B = 1; for .glb, .mp4 and .webp.
    options:
        ``style`` of a .csv, "livelink" or "plain"; else those of the video or GLB writer.

    Raises
    ------
    InputError
        If the suffix, style or option is unknown, or a face is missing or superfluous.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _WITH_FACE:
        if face is None:
            raise InputError(f"a face for {suffix}", "none", "pass one: motion.save(path, face)")
        if len(face) != 1:
            raise InputError("one face", f"a batch of {len(face)}", "pick one with face[i]")
        module, name = _WITH_FACE[suffix].split(":")
        writer = getattr(importlib.import_module(module), name)
        known = [p.name for p in inspect.signature(writer).parameters.values() if p.kind is p.KEYWORD_ONLY]
        unknown = [name for name in options if name not in known]
        if unknown:
            raise InputError(f"options for {suffix} out of: {', '.join(known)}", ", ".join(unknown), "drop them")
        return writer(motion, path, face, **options)
    if suffix not in _ALONE:
        known = " ".join((*_ALONE, *_WITH_FACE))
        raise InputError(f"a name that ends in {known}", f"{path.name!r}", "choose one of these suffixes")
    style = options.pop("style", "livelink") if suffix == ".csv" else None
    if face is not None or options:
        got = "a face" if face is not None else ", ".join(options)
        raise InputError(f"a motion alone for {suffix}", got, "leave it out, or write .glb, .mp4 or .webp")
    if style is not None and style not in livelink.STYLES:
        raise InputError(f"a style out of {', '.join(livelink.STYLES)}", repr(style), "choose one of these")
    writers = {
        ".npz": _npz,
        ".json": _json,
        ".csv": lambda motion: livelink.write(motion, style or "livelink").encode(),
    }
    data = writers[suffix](motion)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return path


def load(path: str | Path, fps: float | None = None) -> Motion:
    """Read a motion; the suffix chooses the format.

    Parameters
    ----------
    fps:
        Frame rate of a table. None derives it from the timestamps.

    Raises
    ------
    InputError
        If the suffix is unknown.
    FileError
        If the file is missing, truncated or not what its suffix says.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _ALONE:
        raise InputError(f"a name that ends in {' '.join(_ALONE)}", f"{path.name!r}", "choose one of these suffixes")
    try:
        if suffix == ".npz":
            return _from_arrays(path)
        text = path.read_text(encoding="utf-8-sig")
        return livelink.read(text, fps) if suffix == ".csv" else _from_json(json.loads(text))
    except (FacekitError, *DAMAGE) as error:
        got = f"{path} ({error})"
        raise FileError("a file of a motion", got, "use one that Motion.save or Live Link Face wrote") from error


def _json(motion: Motion) -> bytes:
    data: dict[str, Any] = {"version": _VERSION, "fps": motion.fps, "times": motion.times.tolist()}
    data["blendshapes"] = {name: motion.track(name).tolist() for name in BLENDSHAPES if bool(motion.track(name).any())}
    data["head"] = motion.head.tolist()
    if motion.gaze is not None:
        data["gaze"] = motion.gaze.tolist()
    return json.dumps(data).encode()


def _from_json(data: dict[str, Any]) -> Motion:
    times = torch.tensor(data["times"], dtype=torch.float64)
    rows = torch.zeros(len(times), len(BLENDSHAPES))
    for name, values in data["blendshapes"].items():
        rows[:, BLENDSHAPES.index(name)] = torch.tensor(values)
    gaze = torch.tensor(data["gaze"]) if "gaze" in data else None
    return Motion(rows, float(data["fps"]), torch.tensor(data["head"]), gaze, times)


def _npz(motion: Motion) -> bytes:
    buffer = io.BytesIO()
    arrays = {name: getattr(motion, name) for name in ("blendshapes", "head", "gaze", "times")}
    known = {name: value.numpy() for name, value in arrays.items() if value is not None}
    np.savez_compressed(buffer, version=_VERSION, fps=np.float64(motion.fps), names=np.array(BLENDSHAPES), **known)
    return buffer.getvalue()


def _from_arrays(path: Path) -> Motion:
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    order = [arrays["names"].tolist().index(name) for name in BLENDSHAPES]
    gaze = torch.from_numpy(arrays["gaze"]) if "gaze" in arrays else None
    columns = (torch.from_numpy(arrays[name]) for name in ("head", "times"))
    head, times = columns
    rows = np.ascontiguousarray(arrays["blendshapes"][:, order])
    return Motion(torch.from_numpy(rows), float(arrays["fps"]), head, gaze, times)
