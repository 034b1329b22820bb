"""Weights: the manifest, and files that are verified before they are loaded.

``weights_manifest.json`` is the sole source of names, files, sizes, hashes, licences and origins. It stands at the top
of the repository; the build copies it into the package.
"""

from __future__ import annotations

import functools
import hashlib
import json
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facekit.errors import FileError, InputError, WeightsError

_MANIFEST = "weights_manifest.json"


@dataclass(frozen=True)
class WeightFile:
    """One file of a model: its name, size in bytes and sha256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """One record of the manifest.

    Parameters
    ----------
    name:
        What ``FacePipeline.from_pretrained`` takes.
    summary, licence, origin:
        One line each, for people.
    embedded:
        Whether the files come with the package.
    config:
        Sizes of the networks: ``{"shape": {...}, "texture": {...}}``.
    files:
        By role: template, shape, texture, …
    """

    name: str
    summary: str
    licence: str
    origin: str
    embedded: bool
    config: dict[str, Any]
    files: dict[str, WeightFile]

    def path(self, role: str) -> Path:
        """Where the file of this role lies on disk."""
        return assets_folder() / self.files[role].name


def assets_folder() -> Path:
    """The folder of the embedded default."""
    return Path(str(resources.files("facekit") / "assets"))


def _manifest_path() -> Path:
    package = Path(str(resources.files("facekit")))
    for folder in (package, package.parent):  # in a wheel inside the package, in a checkout beside it
        if (folder / _MANIFEST).is_file():
            return folder / _MANIFEST
    raise FileError(f"{_MANIFEST} in the package", "none", "reinstall facekit")


@functools.cache
def models() -> dict[str, ModelRecord]:
    """All records of the manifest, by name."""
    path = _manifest_path()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: ModelRecord(
                name=name,
                **{key: record[key] for key in ("summary", "licence", "origin", "embedded", "config")},
                files={role: WeightFile(**entry) for role, entry in record["files"].items()},
            )
            for name, record in data["models"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError("a readable weights manifest", f"{path} ({error!r})", "reinstall facekit") from error


def record(name: str) -> ModelRecord:
    """The record of one model.

    Raises
    ------
    InputError
        For an unknown name; the message lists the known ones.
    """
    if name not in models():
        raise InputError(f"a model out of {', '.join(models())}", repr(name), "choose a listed name")
    return models()[name]


def verify(name: str) -> None:
    """Compare every file of a model with the manifest's size and sha256.

    Raises
    ------
    WeightsError
        When a file is missing, truncated or altered.
    """
    for role in record(name).files:
        verified(name, role)


def verified(name: str, role: str) -> Path:
    """The path of one file after its size and sha256 were compared with the manifest."""
    entry, path = record(name).files[role], record(name).path(role)
    if not path.is_file():
        raise WeightsError(f"the {role} file of {name!r}", f"none at {path}", "reinstall facekit")
    size = path.stat().st_size
    if size != entry.size:
        raise WeightsError(f"{entry.name} of {entry.size} bytes", f"{size} bytes", "it is damaged: reinstall facekit")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != entry.sha256:
        raise WeightsError(
            f"{entry.name} with sha256 {entry.sha256[:12]}…", f"{digest[:12]}…", "it is damaged: reinstall facekit"
        )
    return path


def load_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file as float32 tensors by name. Half-precision storage is widened."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError("a whole safetensors file", f"{path} ({error})", "fetch or build it again") from error
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def load_arrays(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the numbers of an npz file as tensors by name; nothing pickled is opened."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
            return {name: torch.from_numpy(a) for name, a in arrays.items() if a.dtype.kind in "biuf"}  # no texts
    except (OSError, ValueError, zipfile.BadZipFile, TypeError) as error:
        raise WeightsError("a whole npz file", f"{path} ({error})", "reinstall facekit") from error


def load_picture(path: str | Path) -> torch.Tensor:
    """Read an 8-bit picture, (H, W, 3) or (H, W) uint8."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return torch.from_numpy(np.array(picture))
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise WeightsError("a whole 8-bit picture", f"{path} ({error})", "reinstall facekit") from error


def load_into(module: nn.Module, tensors: dict[str, torch.Tensor], source: str) -> nn.Module:
    """Load tensors strictly: every missing, unexpected or misshapen tensor is named.

    Raises
    ------
    WeightsError
        When anything does not fit.
    """
    wanted = module.state_dict()
    faults = [f"missing {name}" for name in wanted if name not in tensors]
    faults += [f"unexpected {name}" for name in tensors if name not in wanted]
    faults += [
        f"{name} is {tuple(tensors[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if faults:
        raise WeightsError(f"tensors that fit the network in {source}", "; ".join(faults), "use weights of this model")
    module.load_state_dict(tensors)
    return module.eval().requires_grad_(False)
