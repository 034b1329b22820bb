"""A stand-in for upstream's published files: the documented names, shapes and formats, filled with seeded numbers.

``build(folder)`` writes ``checkpoints.zip`` and ``data/`` as a user would have them on disk; ``record_of`` gives the
manifest's record for them (their sizes, no published hashes), ``install`` imports them in place of the real ones for
one test.
The small size takes 50 ms, the full one has the published 323 MB decoder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit import convert, weights
from facekit.convert import template as facts
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.weights import manifest

NAME = "3dfacecam"
IDENTITIES = 847

DECODER = "ae/Decoder/2000"
IDENTITY = "gan3d/Generator_Checkpoint_id/8.0"
EXPRESSION = "gan3d/Generator_Checkpoint_exp/8.0"
TEXTURE = "texture_models/checkpoint/142000_g.model"

FULL = {"shape": {"vertices": 26317}, "texture": {}}
SMALL = {
    "shape": {"vertices": 26 * 34, "decoder_widths": [24, 32], "generator_widths": [16, 24, 32]},
    "texture": {"channels": [8, 8, 8, 8, 8, 4, 4, 4]},
}
ROWS_COLUMNS = {26 * 34: (26, 34), 26317: (153, 172)}  # 153 · 172 = 26316, and one vertex that no triangle uses


@dataclass(frozen=True)
class Published:
    """Files written by :func:`build`, and their content.

    Parameters
    ----------
    checkpoints:
        The zip, or the folder ``checkpoints/`` when built with ``zipped=False``.
    data:
        The folder with the four data files.
    states:
        The state dicts by their path below ``checkpoints/``, names as upstream saved them.
    identities:
        (people, 20) float32, row k - 1 is training identity k.
    config:
        Sizes of the networks, as in the manifest.
    """

    checkpoints: Path
    data: Path
    states: dict[str, dict[str, torch.Tensor]]
    identities: torch.Tensor
    config: dict


def build(
    folder: Path,
    size: str = "small",
    seed: int = 0,
    zipped: bool = True,
    legacy: bool = False,
    people: int = IDENTITIES,
) -> Published:
    """Write checkpoints and data below ``folder``.

    Parameters
    ----------
    size:
        ``"small"`` (884 vertices, few channels, still a 512² tile) or ``"full"`` (the published sizes).
    zipped:
        Whether the checkpoints are a zip, as on upstream's drive, or the folder that it unpacks to.
    legacy:
        Save in the format that torch wrote before 1.6.
    people:
        Training identities.
    """
    config = SMALL if size == "small" else FULL
    states = state_dicts(config, seed)
    unpacked = folder / "checkpoints"
    for name, state in states.items():
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, unpacked / name, _use_new_zipfile_serialization=not legacy)
    checkpoints = unpacked
    if zipped:
        checkpoints = zip_folder(unpacked, folder / "checkpoints.zip")
        for name in states:
            (unpacked / name).unlink()
    generator = torch.Generator().manual_seed(seed + 1)
    identities = torch.randn(people, 20, generator=generator)
    data = write_data(folder / "data", config["shape"]["vertices"], identities, seed)
    return Published(checkpoints, data, states, identities, config)


def zip_folder(folder: Path, target: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """Pack ``folder`` under its own name."""
    with zipfile.ZipFile(target, "w", compression, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent).as_posix())
    return target


# -- networks ---------------------------------------------------------------------------------------------------------


def state_dicts(config: dict, seed: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    """The four state dicts, float32, by their path below ``checkpoints/``; the texture's names carry ``module.``."""
    generator = torch.Generator().manual_seed(seed)
    shape, texture = ShapeConfig(**config["shape"]), TextureConfig(**config["texture"])
    noise, identity, expression = shape.noise, shape.identity, shape.expression
    codes = (shape.identity_latent, shape.expression_latent)
    return {
        DECODER: _mlp((sum(codes), *shape.decoder_widths, 3 * shape.vertices), generator, out=4.0),
        IDENTITY: _mlp((noise + identity, *shape.generator_widths, codes[0]), generator),
        EXPRESSION: _mlp((noise + identity + expression, *shape.generator_widths, codes[1]), generator),
        TEXTURE: {f"module.{name}": value for name, value in _progan(texture, generator).items()},
    }


def _mlp(widths: tuple[int, ...], generator: torch.Generator, out: float = 1.0) -> dict[str, torch.Tensor]:
    """Linear layers ``fc0.0 …`` that keep the size of their input; the last is scaled by ``out``."""
    state = {}
    for k, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        gain = out if k == len(widths) - 2 else 1.0
        state[f"fc{k}.0.weight"] = _uniform((outputs, inputs), gain * math.sqrt(2 / inputs), generator)
        state[f"fc{k}.0.bias"] = _uniform((outputs,), 0.05 * gain, generator)
    return state


def _progan(config: TextureConfig, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The generator's 48 tensors (fewer for a smaller one), drawn as equalised layers are; pictures lie around 0.5."""
    state = {}

    def conv(name: str, shape: tuple[int, ...], outputs: int, scale: float = 1.0, bias: float = 0.0) -> None:
        state[f"{name}.conv.weight_orig"] = _uniform(shape, scale, generator)
        state[f"{name}.conv.bias"] = bias + _uniform((outputs,), 0.05, generator)

    first = config.channels[0]
    conv("input_layer.0", (config.code, first, 4, 4), first)
    inputs = first
    for size, channels in zip(config.sizes, config.channels, strict=True):
        conv(f"progression_{size}.conv.0", (channels, inputs, 3, 3), channels)
        conv(f"progression_{size}.conv.2", (channels, channels, 3, 3), channels)
        if size > 4:
            conv(f"to_rgb_{size}", (3, channels, 1, 1), 3, scale=0.15, bias=0.5)
        inputs = channels
    return state


def _uniform(shape: tuple[int, ...], deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Sample uniform numbers of this standard deviation around zero, much faster than normal ones for 81 million."""
    return (torch.rand(shape, generator=generator) - 0.5).mul_(math.sqrt(12.0) * deviation)


# -- data files -------------------------------------------------------------------------------------------------------


def write_data(folder: Path, vertices: int, identities: torch.Tensor, seed: int = 0) -> Path:
    """The four data files, flat in ``folder``: OBJ, triangles from 1, pickled identities, picture as BGR."""
    folder.mkdir(parents=True, exist_ok=True)
    verts, faces, uvs, faces_uvs = head(vertices)
    lines = ["mtllib ./base_mtl.mtl"]  # upstream's names a material file and a picture that need not be there
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in verts.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in uvs.tolist()]
    lines.append("usemtl material_0")
    for corners, uv_corners in zip((faces + 1).tolist(), (faces_uvs + 1).tolist(), strict=True):
        lines.append("f " + " ".join(f"{a}/{b}" for a, b in zip(corners, uv_corners, strict=True)))
    (folder / "template_mesh.obj").write_text("\n".join(lines) + "\n")
    np.save(folder / "face_v.npy", faces.numpy() + 1)
    dictionary = {k + 1: identities[k].clone() for k in range(len(identities))}
    (folder / "zid_dictionary.pkl").write_bytes(pickle.dumps(dictionary, protocol=4))
    np.save(folder / "base_tex.npy", np.random.default_rng(seed).integers(0, 208, (512, 512, 3), dtype=np.uint8))
    return folder


def head(vertices: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """An ellipsoid of upstream's size, open at the poles, with a UV seam at the back.

    Returns
    -------
    verts (V, 3) float32 mm, faces (F, 3) int64, uvs (T, 2) float32, faces_uvs (F, 3) int64, from 0.
    """
    rows, columns = ROWS_COLUMNS[vertices]
    height = torch.linspace(-0.48 * math.pi, 0.48 * math.pi, rows)
    angle = -math.pi + torch.arange(columns) * (2 * math.pi / columns)
    lat, lon = torch.meshgrid(height, angle, indexing="ij")
    unit = torch.stack([lat.cos() * lon.sin(), lat.sin(), lat.cos() * lon.cos()], dim=-1).reshape(-1, 3)
    unit = torch.cat([unit, unit.new_zeros(vertices - rows * columns, 3)])
    v, u = torch.meshgrid(torch.linspace(0.05, 0.95, rows), torch.linspace(0.02, 0.98, columns + 1), indexing="ij")
    uvs = torch.stack([u, v], dim=-1).reshape(-1, 2)
    r, c = torch.meshgrid(torch.arange(rows - 1), torch.arange(columns), indexing="ij")

    def triangles(width: int) -> torch.Tensor:
        a, b = r * width + c, r * width + (c + 1) % width
        lower = torch.stack([a, b, b + width], dim=-1)
        return torch.cat([lower, torch.stack([a, b + width, a + width], dim=-1)], dim=-1).reshape(-1, 3)

    return unit * torch.tensor([106.0, 145.0, 108.0]), triangles(columns), uvs, triangles(columns + 1)


# -- manifest ---------------------------------------------------------------------------------------------------------


def record_of(published: Published, hashes: bool = False) -> weights.ModelRecord:
    """The manifest's record with these sizes; with ``hashes``, those of the data files stand for published ones."""
    record, sources = weights.record(NAME), {}
    for role, source in record.sources.items():
        sources[role] = dataclasses.replace(source, size=None, sha256=None)
        if hashes and role != "checkpoints":
            content = (published.data / source.name).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            sources[role] = dataclasses.replace(source, size=len(content), sha256=digest)
    return dataclasses.replace(record, config={**record.config, **published.config}, sources=sources)


def describe(verts: np.ndarray, **_: np.ndarray) -> dict[str, np.ndarray]:
    """Stand-in for ``facts.describe``, which only supports upstream's mesh: landmarks at plausible places of a face."""
    count = len(verts)
    turn = np.linspace(0, np.pi, 17)
    jaw = np.stack([-70 * np.cos(turn), -80 * np.sin(turn)], -1)
    brows = [(x, 48) for x in np.linspace(-58, 58, 10)]
    nose = [(0, 30), (0, 20), (0, 8), (0, -4), *((x, -14) for x in (-16, -8, 0, 8, 16))]
    eye = np.array([(-16, 0), (-6, 8), (6, 8), (16, 0), (6, -8), (-6, -8)]) * 1.4
    ring = np.linspace(np.pi, -np.pi, 12, endpoint=False)
    lips = np.stack([28 * np.cos(ring), 10 * np.sin(ring) - 40], -1)
    inner = np.linspace(np.pi, -np.pi, 8, endpoint=False)
    inner = np.stack([20 * np.cos(inner), 4 * np.sin(inner) - 40], -1)
    places = np.concatenate([jaw, brows, nose, eye + [-36, 28], eye + [36, 28], lips, inner])
    gap = np.linalg.norm(verts[None, :, :2] - places[:, None], axis=-1) + 1e6 * (verts[None, :, 2] <= 0)
    return {"parts": np.zeros(count, np.uint8), "landmarks": gap.argmin(1), "ao": np.ones(count, np.float32)}


def pretend(published: Published, monkeypatch, cache: Path) -> weights.ModelRecord:
    """Use these files' record as the manifest's, and ``cache`` as the cache, until the test ends."""
    record = record_of(published)
    known = {**manifest.models(), NAME: record}
    monkeypatch.setenv("FACEKIT_CACHE", str(cache))
    monkeypatch.setattr(manifest, "models", lambda: known)
    monkeypatch.setattr(facts, "describe", describe)
    return record


def install(published: Published, monkeypatch, cache: Path) -> weights.ModelRecord:
    """Do as ``pretend``, and import the files into the cache."""
    record = pretend(published, monkeypatch, cache)
    convert.import_files(NAME, published.checkpoints, published.data)
    return record
