"""Readers of model files: safetensors, npz and 8-bit pictures only, which cannot execute code."""

from __future__ import annotations

import pickle
import struct
import tarfile
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from facekit.errors import WeightsError

_Module = TypeVar("_Module", bound=nn.Module)
#: Exceptions that readers raise on damaged data: unpicklers and numpy's literal reader raise nearly any.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    tarfile.TarError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def load_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file as float32 tensors by name; half precision is converted."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(str(path))
    except (SafetensorError, *DAMAGE) as error:
        raise WeightsError("a whole safetensors file", f"{path} ({error})", "fetch or build it again") from error
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def load_arrays(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the numeric arrays of an npz file as tensors by name, without pickles."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
            return {name: torch.from_numpy(a) for name, a in arrays.items() if a.dtype.kind in "biuf"}  # no texts
    except DAMAGE as error:
        raise WeightsError("a whole npz file", f"{path} ({error})", "reinstall facekit") from error


def load_picture(path: str | Path) -> torch.Tensor:
    """Read an 8-bit picture, (H, W, 3) or (H, W) uint8."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return torch.from_numpy(np.array(picture))
    except (Image.DecompressionBombError, *DAMAGE) as error:
        raise WeightsError("a whole 8-bit picture", f"{path} ({error})", "reinstall facekit") from error


def load_into(module: _Module, tensors: dict[str, torch.Tensor], source: str) -> _Module:
    """Load tensors strictly: the error names every missing, unexpected or misshapen tensor.

    The module takes the tensors without copying them, so that it may be built on the meta device and large files stay
    memory-mapped.

    Raises
    ------
    WeightsError
        If anything does not match.
    """
    wanted = module.state_dict()
    faults = [f"missing {name}" for name in wanted if name not in tensors]
    faults += [f"unexpected {name}" for name in tensors if name not in wanted]
    faults += [
        f"{name} is {tuple(tensors[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    faults += [
        f"{name} holds {tensors[name].dtype} instead of {value.dtype}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].dtype != value.dtype
    ]
    if faults:
        raise WeightsError(f"tensors that fit the network in {source}", "; ".join(faults), "use weights of this model")
    module.load_state_dict(tensors, assign=True)
    return module.eval().requires_grad_(False)
