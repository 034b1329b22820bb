"""Measurements of the embedded default on samples that no training run drew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from facekit.conventions import EXPRESSIONS, PARTS
from facekit.latents import FaceLatents
from facekit.metrics.texture import delta_e, high_frequency_energy
from facekit.pipeline import FacePipeline
from facekit.train.shape.data import ShapeBasis, ShapeTeacher
from facekit.train.shape.stage import ShapeEncoder, coordinate_model, decode
from facekit.train.texture.data import TextureCodes, TextureSamples, held_out

_PEOPLE, _TEXTURES = 32, 24


@torch.no_grad()
def evaluate(pack: Path, work: Path) -> dict[str, Any]:
    """All figures of the model card; also written to ``evaluation.json`` in the work folder."""
    pipe = FacePipeline.from_pretrained("default", device="cpu")
    basis = ShapeBasis.load(work / "shape_basis.npz", pipe.template.parts)
    results = {**_autoencoder(pipe, basis, work), **_shape(pipe, basis), **_texture(pipe, pack)}
    (work / "evaluation.json").write_text(json.dumps(results, indent=1))
    return results


def _autoencoder(pipe: FacePipeline, basis: ShapeBasis, work: Path) -> dict[str, Any]:
    """Encode and decode held-out faces."""
    model = coordinate_model(pipe.shape.config, basis)
    encoder = ShapeEncoder(pipe.shape.config, basis)
    state = torch.load(work / "autoencoder.pt", weights_only=True)
    encoder.load_state_dict(state["encoder"])
    model.decoder.load_state_dict(state["decoder"])
    s = ShapeTeacher(basis).sample(64, torch.Generator().manual_seed(777))
    shape = s["shape_identity"] + s["shape_expression"]
    error = basis.vertices(decode(model, *encoder(shape)) - shape).norm(dim=-1)
    skin = pipe.template.parts <= PARTS.index("lids")
    return {
        "reconstruction_mm": float(error.mean()),
        "reconstruction_face_mm": float(error[:, skin].mean()),
        "variation_mm": float(basis.vertices(shape).norm(dim=-1).mean()),
    }


def _shape(pipe: FacePipeline, basis: ShapeBasis) -> dict[str, Any]:
    """How far generated expressions are from the teacher's, and how they behave."""
    teacher = ShapeTeacher(basis)
    people = FaceLatents.sample(50_000, _PEOPLE)
    face = pipe.template.parts <= PARTS.index("lids")
    modes = torch.cat([people.identity, people.shape_noise, torch.zeros(_PEOPLE, 75)], dim=1)
    neutral = pipe.decode_shape(people.with_expression("neutral", 0.0))
    at_full = pipe.decode_shape(people.with_expression("neutral", 1.5))
    target = pipe.template.verts + basis.vertices(modes @ basis.identity)
    results: dict[str, Any] = {
        "neutral_drift_mm": float((at_full - neutral).norm(dim=-1).max()),
        "identity_mm": float((neutral - target).norm(dim=-1)[:, face].mean()),
        "expressions": {},
    }
    upper, lower = pipe.template.landmarks[[37, 38, 43, 44]], pipe.template.landmarks[[41, 40, 47, 46]]
    for name in EXPRESSIONS[1:]:
        moved = [pipe.decode_shape(people.with_expression(name, 0.1 * k)) - neutral for k in range(16)]
        posed = people.with_expression(name).expression
        wanted = basis.vertices(teacher.pose(modes, posed, people.style))
        # Progress along the posed direction: monotone means that it never steps back by over a hundredth.
        progress = torch.stack([(m * moved[10]).sum(dim=(1, 2)) / moved[10].square().sum(dim=(1, 2)) for m in moved])
        flips = [_flipped(pipe, neutral, neutral + moved[k]) for k in (10, 15)]
        results["expressions"][name] = {
            "size_mm": float(moved[10].norm(dim=-1)[:, face].mean()),
            "error_mm": float((moved[10] - wanted).norm(dim=-1)[:, face].mean()),
            "monotone": float((progress.diff(dim=0) > -0.01).all(dim=0).float().mean()),
            "flipped_at_1": flips[0],
            "flipped_at_1.5": flips[1],
        }
        if name == "eye_closed":
            closed = neutral + moved[10]
            results["lid_gap_mm"] = float((closed[:, upper, 1] - closed[:, lower, 1]).max(dim=1).values.median())
            results["lid_gap_open_mm"] = float((neutral[:, upper, 1] - neutral[:, lower, 1]).mean())
    return results


def _flipped(pipe: FacePipeline, neutral: torch.Tensor, posed: torch.Tensor) -> float:
    """Triangles that turned by over 90 degrees against the neutral face, on average a person."""
    faces = pipe.template.faces
    a, b = (
        torch.linalg.cross(v[:, faces[:, 1]] - v[:, faces[:, 0]], v[:, faces[:, 2]] - v[:, faces[:, 0]])
        for v in (neutral, posed)
    )
    return float(((a * b).sum(dim=-1) < 0).float().sum(dim=1).mean())


def _texture(pipe: FacePipeline, pack: Path) -> dict[str, Any]:
    """Fidelity to the teacher, steadiness through sweeps, and the energy of the finest octave."""
    from facekit.train.skin.photographs import density_to_srgb
    from facekit.train.skin.stage import reference_density

    size = pipe.texture.config.sizes[-1]
    codes = held_out(_TEXTURES)
    neutral = TextureCodes(codes.noise, codes.identity, torch.zeros_like(codes.expression))
    samples = TextureSamples(pack, size)
    painted = samples.paint(codes, size)
    made, rest = _made(pipe, codes), _made(pipe, neutral)
    changed = painted - samples.paint(neutral, size)
    shuffled = painted.roll(1, 0)
    atlas = torch.cat(
        [
            pipe.composer(made[i : i + 4], codes.identity[i : i + 4], codes.noise[i : i + 4])
            for i in range(0, _TEXTURES, 4)
        ]
    )
    composed = atlas[:, :, pipe.composer.rows, pipe.composer.columns]
    flicker = []
    for person in FaceLatents.sample(60_000, 4):
        sweep = FaceLatents.cat([person.with_expression("smile", 0.1 * k) for k in range(16)])
        tiles = pipe.decode_texture(sweep).clamp(0, 1)
        flicker.append(delta_e(tiles[1:], tiles[:-1]).flatten(1).mean(dim=1).max())
    energy = {}
    for name, tiles in (("network", made), ("teacher", painted), ("composed", composed)):
        skins = torch.from_numpy(density_to_srgb(reference_density(pack, tiles.shape[-1]))).float()
        energy[name] = float(high_frequency_energy(tiles).mean() / high_frequency_energy(skins).mean())
    return {
        "texture_delta_e": float(delta_e(made, painted).mean()),
        "texture_delta_e_between_people": float(delta_e(shuffled, painted).mean()),
        "expression_explained": float(1 - (made - rest - changed).square().sum() / changed.square().sum()),
        "sweep_step_delta_e": float(torch.stack(flicker).max()),
        "high_frequency": energy,
    }


def _made(pipe: FacePipeline, codes: TextureCodes) -> torch.Tensor:
    """The network's tiles of these codes, a few at a time."""
    every = zip(codes.noise.split(4), codes.identity.split(4), codes.expression.split(4), strict=True)
    return torch.cat([pipe.texture(*some) for some in every]).clamp(0, 1)
