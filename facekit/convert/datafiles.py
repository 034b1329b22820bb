"""Read upstream's data files without executing code in them: pickled identities, npy arrays."""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.conventions import IDENTITY_DIM
from facekit.convert.checkpoints import LEGACY_START, REFETCH, brief, short
from facekit.errors import WeightsError
from facekit.files.readers import DAMAGE

#: Number of training identities, numbered from 1 in upstream's dictionary.
IDENTITIES = 847

# Opcodes needed for a pickled dict of tensors.
_OPCODES = frozenset(
    (
        *("PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("BININT", "BININT1", "BININT2", "NEWFALSE", "NEWTRUE"),
        *("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "GLOBAL", "STACK_GLOBAL", "REDUCE"),
    )
)


def read_identities(path: Path) -> np.ndarray:
    """Return upstream's dictionary of training identities, (847, 20) float32; row k - 1 is identity k.

    The file is a pickle of tensors. Three names in it are resolved, to our own functions: a tensor, its storage and an
    empty dict; torch's functions, one of which would open a nested pickle, are never called.

    Raises
    ------
    WeightsError
        If the pickle is damaged or contains anything else.
    """
    try:
        data = path.read_bytes()
        _check_opcodes(data)
        found = _TensorUnpickler(io.BytesIO(data)).load()
        if not isinstance(found, dict) or list(found) != list(range(1, IDENTITIES + 1)):
            raise ValueError(f"not a dict with the keys 1 to {IDENTITIES}")
        if not all(isinstance(value, torch.Tensor) for value in found.values()):
            raise ValueError("values other than tensors")
        identities = torch.stack(list(found.values()))
        if not torch.isfinite(identities).all():
            raise ValueError("numbers that are not finite")
    except DAMAGE as error:
        expected = f"a pickled dict of {IDENTITIES} float32 tensors ({IDENTITY_DIM},)"
        raise WeightsError(expected, f"{path} ({brief(error)})", REFETCH) from error
    return identities.numpy()


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler that resolves three names, to its own functions."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch.storage", "_load_from_bytes"): _storage,
            ("collections", "OrderedDict"): dict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {short(f'{module}.{name}')}")
        return known[module, name]


def _check_opcodes(data: bytes) -> None:
    """Reject opcodes that a dict of tensors does not need; above all memo indices that allocate billions of entries."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name not in _OPCODES:
            raise ValueError(f"the pickle opcode {opcode.name}")
        if opcode.name in ("LONG_BINPUT", "LONG_BINGET") and int(argument or 0) > len(data):
            raise ValueError(f"the memo index {argument}")


def _storage(data: bytes) -> torch.Tensor:
    """Return numbers (N,) float32 from a storage that torch saved as bytes."""
    if not isinstance(data, bytes) or not data.startswith(LEGACY_START):
        raise ValueError("a storage that is not in torch's format")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the class TypedStorage is deprecated, files that name it are not
        storage = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if not isinstance(storage, torch.TypedStorage) or storage.dtype != torch.float32:
            raise ValueError("a storage that does not hold float32")
        return torch.empty(0).set_(storage.untyped())


def _tensor(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: object) -> torch.Tensor:
    """Return an identity from its storage; other arguments (gradient, hooks) are ignored."""
    if tuple(size) != (IDENTITY_DIM,) or tuple(stride) != (1,) or not 0 <= offset <= len(storage) - IDENTITY_DIM:
        raise ValueError(f"a tensor that is not ({IDENTITY_DIM},)")
    return storage[offset : offset + IDENTITY_DIM]


def read_array(path: Path, dtype: type, shape: tuple[int | None, ...]) -> np.ndarray:
    """Read an npy file of this dtype and shape (None: any number of rows), without pickles."""
    wanted = f"{np.dtype(dtype)} {tuple('any' if n is None else n for n in shape)}"
    try:
        # With memory mapping, numpy compares the shape with the file's size before it allocates memory.
        array = np.load(path, allow_pickle=False, mmap_mode="r")
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive")
        fits = array.ndim == len(shape) and all(w in (None, n) for n, w in zip(array.shape, shape, strict=True))
        if array.dtype != dtype or not fits:
            raise ValueError(f"{array.dtype} {array.shape}")
        return np.array(array)
    except DAMAGE as error:
        raise WeightsError(f"an npy file of {wanted}", f"{path} ({brief(error)})", REFETCH) from error
