"""Export of trained networks: half-precision safetensors and the manifest's record."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import torch
from torch import nn

from facekit.files.atomic import atomic_write
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.weights import models

ROLES = {
    "template": "template.npz",
    "shape": "shape.safetensors",
    "texture": "texture.safetensors",
    "base": "atlas_base.png",
    "parts": "atlas_parts.png",
    "iris": "atlas_iris.png",
    "complexion": "complexion.npz",
    "micro": "micro.npz",
    "detail": "detail.npz",
    "blendshapes": "blendshapes.npz",
    "modes": "modes.npz",
    "landmarks": "landmarks.npz",
    "skin_mask": "skin_mask.safetensors",
    "hair": "hair.npz",
    "encoder": "encoder.safetensors",
    "dense": "dense.safetensors",
    "looked": "looked.npz",
}


def write_weights(module: nn.Module, path: Path) -> None:
    """Write a network's tensors in half precision, which halves the package and costs under 0.02 mm or 0.1/255."""
    from safetensors.torch import save_file

    tensors = {name: value.detach().half().contiguous() for name, value in module.state_dict().items()}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary)
        temporary.chmod(0o644)  # safetensors creates files readable by their owner only


@torch.no_grad()
def round_rows(module: nn.Module, steps: int = 127) -> None:
    """Quantise each row of a network's matrices to this many steps, a power of two, on either side of zero.

    The half-precision file keeps its size, but compresses to half of it in a package.
    """
    for value in module.parameters():
        if value.ndim > 1:
            most = value.abs().amax(dim=tuple(range(1, value.ndim)), keepdim=True).clamp_min(1e-12)
            step = torch.exp2((most / steps).log2().ceil())
            value.copy_((value / step).round() * step)


@torch.no_grad()
def silence_neutral(weight: torch.Tensor, column: int, axis: int) -> None:
    """Zero the weights of the code's "neutral" entry, so that neutral at any intensity equals the zero code.

    Training makes both faces nearly equal; this removes the remaining difference.
    """
    weight.select(axis, column).zero_()


def write_manifest(manifest: Path, assets: Path, shape: ShapeConfig, texture: TextureConfig) -> None:
    """Write sizes and hashes of the files in ``assets`` to the manifest's record of the default; other records are
    kept.

    Files that are not trained yet are omitted.
    """
    data = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {"version": 1, "models": {}}
    files = {}
    for role, name in ROLES.items():
        if not (assets / name).is_file():
            continue
        content = (assets / name).read_bytes()
        files[role] = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    data["models"]["default"] = {
        "summary": "The embedded default: trained by facekit/train on ICT Face Model Light and MakeHuman skins",
        "licence": "MIT (weights); sources: MIT (USC ICT) and CC0 1.0 (MakeHuman), see NOTICE",
        "origin": "make train-default",
        "embedded": True,
        "config": {
            "shape": dataclasses.asdict(shape),
            "texture": dataclasses.asdict(texture),
            "composer": "default",
        },
        "files": files,
    }
    with atomic_write(manifest) as temporary:
        temporary.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    models.cache_clear()  # cached records are out of date


def parameters(module: nn.Module) -> int:
    """Count the trained parameters."""
    return sum(int(torch.numel(p)) for p in module.parameters())
