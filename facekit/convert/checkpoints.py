"""Read upstream's networks without executing code in their files.

``torch.save`` writes pickles, which can name code to run. Here they may name tensors only.
"""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from facekit.errors import FacekitError, WeightsError
from facekit.files.readers import DAMAGE
from facekit.models.config import ShapeConfig, TextureConfig, from_manifest
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel

REFETCH = "it is damaged or foreign: fetch or unpack it again"
_AS_IT_IS = "use upstream's file as it is"
# Beginning of files of torch before 1.6 (a pickled magic number), and members of the zip of later ones.
LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_ZIP_START = b"PK\x03\x04"
_ZIP_MEMBER = re.compile(
    r"[^/]+/(data\.pkl|version|byteorder|data/\d+|\.format_version|\.storage_alignment|\.data/serialization_id)"
)
_MAX_PICKLE, _MAX_MEMBERS = 16 << 20, 10_000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Network:
    """One of upstream's checkpoints.

    Parameters
    ----------
    title:
        Name for messages.
    path:
        Path below ``checkpoints/``.
    role, prefix:
        Converted file that contains its tensors, and the prefix of their names there.
    """

    title: str
    path: str
    role: str
    prefix: str


NETWORKS = (
    Network("shape decoder", "ae/Decoder/2000", "shape", "decoder."),
    Network("identity generator", "gan3d/Generator_Checkpoint_id/8.0", "shape", "generator_identity."),
    Network("expression generator", "gan3d/Generator_Checkpoint_exp/8.0", "shape", "generator_expression."),
    Network("texture generator", "texture_models/checkpoint/142000_g.model", "texture", ""),
)


def network_shapes(config: Mapping[str, Any]) -> dict[Network, dict[str, torch.Size]]:
    """Return the shape of every tensor of every network, by its name after upstream's ``module.``.

    Parameters
    ----------
    config:
        ``{"shape": {...}, "texture": {...}}``, as in the manifest.
    """
    with torch.device("meta"):
        modules = {
            "shape": ShapeModel(from_manifest(ShapeConfig, config["shape"])),
            "texture": TextureModel(from_manifest(TextureConfig, config["texture"])),
        }
    shapes: dict[Network, dict[str, torch.Size]] = {}
    for network in NETWORKS:
        named = modules[network.role].state_dict().items()
        shapes[network] = {
            name.removeprefix(network.prefix): value.shape for name, value in named if name.startswith(network.prefix)
        }
    return shapes


def read_networks(paths: Mapping[Network, Path], config: Mapping[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    """Return the tensors of each converted file by role (``shape``, ``texture``), float32, with our modules' names.

    They are memory-mapped if the format allows: keep the files until the tensors are written.

    Raises
    ------
    WeightsError
        If a file cannot be read; or with all errors of all files at once: each missing, unexpected or misshapen tensor,
        and each that is not dense, finite float32.
    """
    faults: list[str] = []
    roles: dict[str, dict[str, torch.Tensor]] = {network.role: {} for network in NETWORKS}
    for network, shapes in network_shapes(config).items():
        state = read_state(paths[network], f"{network.path}, the {network.title}")
        found = [fault for name in (shapes | state) for fault in _faults(name, shapes, state)]
        faults += [f"{network.path} ({network.title}): {fault}" for fault in found]
        roles[network.role] |= {network.prefix + name: value for name, value in state.items()}
    if faults:
        raise WeightsError(
            "tensors that fit the networks", "; ".join(faults), "use upstream's published checkpoints as they are"
        )
    return {role: {name: _own(value) for name, value in tensors.items()} for role, tensors in roles.items()}


def read_state(path: Path, label: str) -> dict[str, torch.Tensor]:
    """Read a state dict written by ``torch.save``, names without ``module.``, with ``weights_only``.

    Raises
    ------
    WeightsError
        If the file is damaged, names anything but tensors, or is not a plain dict of them.
    """
    try:
        modern = _check_container(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about storage classes named in old files
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=modern)
    except FacekitError:
        raise
    except DAMAGE as error:
        raise WeightsError(f"a checkpoint of tensors at {label}", f"{path} ({brief(error)})", REFETCH) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise WeightsError(
            f"a dict of tensors by name at {label}", type(state).__name__, "use upstream's file as it is"
        )
    strange = [name for name, value in state.items() if type(value) not in (torch.Tensor, torch.nn.Parameter)]
    if strange:
        got = ", ".join(f"{short(name)} of type {type(state[name]).__name__}" for name in strange)
        raise WeightsError(f"nothing but tensors at {label}", got, _AS_IT_IS)
    stripped = {name.removeprefix("module."): value.detach() for name, value in state.items()}
    if len(stripped) != len(state):
        raise WeightsError(f"every tensor once at {label}", "names with and without module.", _AS_IT_IS)
    return stripped


def _check_container(path: Path) -> bool:
    """Return True for torch's zip format, False for the older one; verify checksums, which torch does not."""
    with path.open("rb") as stream:
        start = stream.read(len(LEGACY_START))
    # Old torch also accepts a tar or a script archive here, and some versions unpickle those without protection.
    if start == LEGACY_START and not tarfile.is_tarfile(path):
        return False
    if not start.startswith(_ZIP_START):
        raise ValueError("neither of torch's formats")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) > _MAX_MEMBERS or sum(member.file_size for member in members) > path.stat().st_size:
            raise ValueError("more content than the file has room for")
        for member in members:
            if not _ZIP_MEMBER.fullmatch(member.filename) or member.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"unexpected member {short(member.filename)}")
            if member.filename.endswith("data.pkl") and member.file_size > _MAX_PICKLE:
                raise ValueError(f"data.pkl of {member.file_size} bytes")
            with archive.open(member) as content:
                while content.read(_CHUNK):
                    pass
    return True


def _faults(name: str, shapes: Mapping[str, torch.Size], state: Mapping[str, torch.Tensor]) -> list[str]:
    if name not in state:
        return [f"missing {name}"]
    if name not in shapes:
        return [f"unexpected {short(name)}"]
    value, shown = state[name], short(name)
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        return [f"{shown} is no dense tensor ({value.layout}, {value.dtype}, {value.device.type})"]
    if value.dtype != torch.float32:
        return [f"{shown} holds {value.dtype} instead of torch.float32"]
    if value.shape != shapes[name]:
        return [f"{shown} is {tuple(value.shape)} instead of {tuple(shapes[name])}"]
    if not all(torch.isfinite(edge) for edge in torch.aminmax(value)):  # both propagate NaN; needs no second array
        return [f"{shown} holds numbers that are not finite"]
    return []


def _own(value: torch.Tensor) -> torch.Tensor:
    """Return the tensor with its own storage, as safetensors requires; copied only if the storage is shared."""
    alone = value.is_contiguous() and value.untyped_storage().nbytes() == value.nbytes
    return value if alone else value.clone(memory_format=torch.contiguous_format)


def brief(error: Exception) -> str:
    """Return the first sentence of an error: torch continues with advice to load without protection."""
    text = str(error).strip().split("\n")[0]
    return short(f"{type(error).__name__}: {text}", 160)


def short(text: str, length: int = 80) -> str:
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"
