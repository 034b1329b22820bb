"""Figures of the model card: facekit.evaluate on teacher samples that were not used in training."""

from __future__ import annotations

import copy
import dataclasses
import json
from dataclasses import dataclass
from typing import cast

import torch

from facekit.conventions import EXPRESSIONS, PARTS
from facekit.evaluate import shape as evaluate_shape
from facekit.evaluate import texture as evaluate_texture
from facekit.evaluate.shape import AT_1, INTENSITIES, AutoencoderFigures, ExpressionFigures
from facekit.evaluate.texture import TextureFigures
from facekit.files.readers import load_arrays
from facekit.latents import FaceLatents
from facekit.metrics.displacement import DisplacementFigures, DisplacementTally, WrinkleFigures, wrinkle_figures
from facekit.models.composers import DefaultComposer
from facekit.models.detail import unpack_detail
from facekit.models.detail_tile import TileStrain, compose
from facekit.pipeline import FacePipeline
from facekit.train.context import Context
from facekit.train.detail.data import home_layer, texel_weight
from facekit.train.detail.furrows import tile_metric
from facekit.train.detail.stage import packed_files
from facekit.train.detail.teacher import DetailTeacher
from facekit.train.loop import step_generator
from facekit.train.shape.data import ShapeBasis, ShapeTeacher, random_expressions
from facekit.train.shape.networks import decode
from facekit.train.shape.stage import load_autoencoder
from facekit.train.skin.stage import reference_skins
from facekit.train.texture.data import TextureCodes, TextureSamples, held_out

#: Numbers of people in the full training's figures; a shorter run measures fewer.
PEOPLE, TEXTURES, SWEEPS, DETAIL_PEOPLE, WRINKLED_PEOPLE = 32, 24, 4, 96, 12
#: Expressions whose wrinkles must deepen with intensity.
WRINKLED = ("brow_raiser", "brow_lower", "smile", "grin", "anger", "chin_raiser")
LEAST = 2
_BATCH, _TEXTURE_BATCH = 8, 4
_PEOPLE_SEED, _SWEEP_SEED, _DETAIL_SEED, _WRINKLE_SEED, _AUTOENCODER_SEED = 50_000, 60_000, 70_000, 70_500, 777


@dataclass(frozen=True)
class ShapeReport:
    """Figures of generated shapes in mm; ``expressions`` by name."""

    neutral_drift_mm: float
    identity_mm: float
    lid_gap_mm: float
    lid_gap_open_mm: float
    expressions: dict[str, ExpressionFigures]


@dataclass(frozen=True)
class TextureReport:
    """Figures of generated textures: ``fine_energy`` of the network's and the teacher's tiles, ``octaves`` of composed
    ones.
    """

    fidelity: TextureFigures
    sweep_step_delta_e: float
    fine_energy: dict[str, float]
    octaves: list[float]


@dataclass(frozen=True)
class DetailReport:
    """Figures of the detail module by composition mode: all of the displacement, and the expression's part of it."""

    whole: dict[str, DisplacementFigures]
    dynamic: dict[str, DisplacementFigures]
    wrinkles: dict[str, WrinkleFigures]


@torch.no_grad()
def measure(context: Context, pipe: FacePipeline) -> tuple[AutoencoderFigures, ShapeReport, TextureReport]:
    """Measure everything except detail; also written to ``evaluation.json`` in the work folder."""
    basis = ShapeBasis.load(context.shape_basis, pipe.template.parts)
    samples = TextureSamples(context.skin_layers, pipe.texture.config.sizes[-1])
    autoencoder = measure_autoencoder(context, basis)
    shape = measure_shape(pipe, ShapeTeacher(basis), context.scaled(PEOPLE, LEAST))
    texture = measure_texture(pipe, samples, context)
    reports = {"autoencoder": autoencoder, "shape": shape, "texture": texture}
    text = json.dumps({name: dataclasses.asdict(report) for name, report in reports.items()}, indent=1)
    (context.work / "evaluation.json").write_text(text, encoding="utf-8")
    return autoencoder, shape, texture


def measure_autoencoder(context: Context, basis: ShapeBasis) -> AutoencoderFigures:
    """Measure the reconstruction of held-out faces."""
    model, encoder = load_autoencoder(context, basis)
    count = context.scaled(2 * PEOPLE, LEAST)
    sample = ShapeTeacher(basis).sample(count, torch.Generator().manual_seed(_AUTOENCODER_SEED))
    shape = sample["shape_identity"] + sample["shape_expression"]
    rebuilt = decode(model, *encoder(shape))
    face = face_vertices(context.template.parts)
    return evaluate_shape.autoencoder_figures(basis.vertices(rebuilt), basis.vertices(shape), face)


def measure_shape(pipe: FacePipeline, teacher: ShapeTeacher, count: int) -> ShapeReport:
    """Compare the networks' faces of ``count`` people, without features of their own or age, with the teacher's."""
    pipe = copy.copy(pipe)
    pipe.features = None
    template, basis = pipe.template, teacher.basis
    people, face = FaceLatents.sample(_PEOPLE_SEED, count), face_vertices(template.parts)
    modes = teacher.modes(people.identity, people.shape_noise)
    neutral = pipe.decode_shape(people.with_expression("neutral", 0.0))
    at_end = pipe.decode_shape(people.with_expression("neutral", INTENSITIES[-1]))
    expressions = {}
    for name in EXPRESSIONS[1:]:
        moved = [pipe.decode_shape(people.with_expression(name, k)) - neutral for k in INTENSITIES]
        wanted = basis.vertices(teacher.pose(modes, people.with_expression(name).expression, people.style))
        expressions[name] = evaluate_shape.expression_figures(neutral, moved, wanted, template.faces, face)
        if name == "eye_closed":
            closed = evaluate_shape.lid_gaps(neutral + moved[AT_1], template.landmarks)
    return ShapeReport(
        neutral_drift_mm=evaluate_shape.largest_distance(at_end, neutral),
        identity_mm=evaluate_shape.mean_distance(
            neutral, template.verts + basis.vertices(teacher.neutral(modes)), face
        ),
        lid_gap_mm=float(closed.max(dim=1).values.median()),
        lid_gap_open_mm=float(evaluate_shape.lid_gaps(neutral, template.landmarks).mean()),
        expressions=expressions,
    )


def measure_texture(pipe: FacePipeline, samples: TextureSamples, context: Context) -> TextureReport:
    """Compare generated tiles with the teacher's, and measure sweeps of a smile."""
    codes = held_out(context.scaled(TEXTURES, LEAST))
    rest = TextureCodes(codes.noise, codes.identity, torch.zeros_like(codes.expression))
    made, made_rest = generate_tiles(pipe, codes), generate_tiles(pipe, rest)
    wanted, wanted_rest = samples.paint(codes, samples.size), samples.paint(rest, samples.size)
    steps = []
    for person in FaceLatents.sample(_SWEEP_SEED, context.scaled(SWEEPS)):
        sweep = FaceLatents.cat([person.with_expression("smile", k) for k in INTENSITIES])
        steps.append(evaluate_texture.largest_step(pipe.decode_texture(sweep).clamp(0, 1)))
    composed = compose_tiles(pipe, made, codes)
    plain, large = (reference_skins(context.pack, tiles.shape[-1]) for tiles in (made, composed))
    energy = {
        name: evaluate_texture.fine_energy_ratio(tiles, plain)
        for name, tiles in (("network", made), ("teacher", wanted))
    }
    fidelity = evaluate_texture.texture_figures(made, made_rest, wanted, wanted_rest)
    return TextureReport(fidelity, max(steps), energy, evaluate_texture.octave_ratios(composed, large))


@torch.no_grad()
def measure_detail(context: Context, pipe: FacePipeline) -> DetailReport:
    """Compare both composition modes with the teacher, and sweep the shipped one over intensity."""
    template = pipe.template
    models = {name: unpack_detail(load_arrays(path))[0] for name, path in packed_files(context.work).items()}
    strains = {
        name: TileStrain.at_home(home_layer(pipe, model), template.faces, template.faces_uvs)
        for name, model in models.items()
    }
    size = context.detail_config.size
    teacher = DetailTeacher(context.skin_layers, template, size)
    weight = texel_weight(context.pack, torch.from_numpy(tile_metric(template, size)))
    whole, dynamic = ({name: DisplacementTally(weight) for name in models} for _ in range(2))
    count = context.scaled(DETAIL_PEOPLE, LEAST)
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        people = FaceLatents.cat([FaceLatents.sample(_DETAIL_SEED + k) for k in numbers])
        code = random_expressions(len(people), step_generator(_DETAIL_SEED, start))
        rest = pipe.decode_shape(people.with_expression("neutral", 0.0))
        posed = pipe.decode_shape(dataclasses.replace(people, expression=code))
        wanted, at_rest = (teacher(people.identity, rest, verts) for verts in (posed, rest))
        for name, model in models.items():
            strain = strains[name].enlarged(rest, posed, size)
            made, still = (compose(model, people.identity, s) for s in (strain, torch.zeros_like(strain)))
            whole[name].add(made, wanted)
            dynamic[name].add(made - still, wanted - at_rest)
    swept = context.scaled(WRINKLED_PEOPLE)
    return DetailReport(
        whole={name: tally.figures() for name, tally in whole.items()},
        dynamic={name: tally.figures() for name, tally in dynamic.items()},
        wrinkles={
            name: wrinkle_figures((_dynamic_sweep(pipe, name, k) for k in range(swept)), AT_1) for name in WRINKLED
        },
    )


def _dynamic_sweep(pipe: FacePipeline, expression: str, number: int) -> torch.Tensor:
    """Return dynamic displacement (16, 1, H, W) in mm of one person over :data:`INTENSITIES`."""
    person = FaceLatents.sample(_WRINKLE_SEED + number)
    sweep = FaceLatents.cat([person.with_expression(expression, k) for k in INTENSITIES])
    displacement, _ = pipe.displace(sweep, pipe.decode_shape(pipe.to_model_codes(sweep)), "dynamic")
    return cast(torch.Tensor, displacement)


def face_vertices(parts: torch.Tensor) -> torch.Tensor:
    """Return the mask (V,) bool of skin, lips and lids from part ids (V,)."""
    return parts <= PARTS.index("lids")


def generate_tiles(pipe: FacePipeline, codes: TextureCodes) -> torch.Tensor:
    """Return the network's tiles (N, 3, S, S), sRGB in [0, 1], for these codes, made in chunks."""
    fields = (codes.noise, codes.identity, codes.expression)
    batches = zip(*(field.split(_TEXTURE_BATCH) for field in fields), strict=True)
    return torch.cat([pipe.texture(*batch) for batch in batches]).clamp(0, 1)


def compose_tiles(pipe: FacePipeline, tiles: torch.Tensor, codes: TextureCodes) -> torch.Tensor:
    """Return the face part (N, 3, 768, 768) of the atlas composed from these tiles."""
    batches = zip(*(t.split(_TEXTURE_BATCH) for t in (tiles, codes.identity, codes.noise)), strict=True)
    composer = cast(DefaultComposer, pipe.composer)
    atlas = torch.cat([composer(*batch) for batch in batches])
    return atlas[:, :, composer.rows, composer.columns]
