"""What the detail module is worth: figures on people and expressions that no training run drew."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from facekit.conventions import PARTS
from facekit.files.readers import load_arrays
from facekit.latents import FaceLatents
from facekit.models.detail import unpack_detail
from facekit.models.detail_layer import DetailLayer, tile_uvs_of
from facekit.pipeline import FacePipeline
from facekit.train.detail.data import TileStrain, texel_weight
from facekit.train.detail.fit import compose
from facekit.train.detail.furrows import tile_metric
from facekit.train.detail.teacher import DetailTeacher
from facekit.train.loop import step_generator
from facekit.train.shape.data import random_expressions

SKIN = tuple(PARTS.index(name) for name in ("skin", "lips", "lids", "neck"))
#: Expressions whose wrinkles have to deepen with intensity.
WRINKLED = ("brow_raiser", "brow_lower", "smile", "grin", "anger", "chin_raiser")
PEOPLE, SWEPT = 96, 12
_BATCH, _SEED = 8, 70_000
_STEP_BACK = 0.01  # of the largest: less is no step back


@torch.inference_mode()
def detail_figures(pack: Path, files: dict[str, Path]) -> dict[str, Any]:
    """Both ways of composition against the teacher, and the shipped one's answer to intensity.

    Parameters
    ----------
    files:
        Packed modules by way of composition.

    Returns
    -------
    dict
        For each way: ``energy``, the share of the displacement's energy that is explained; ``dynamic``, the same of
        what the expression changes; ``coarse_mm`` and ``fine_mm``, the mean distance along the normal from the detailed
        target of the smooth and of the displaced mesh; ``worse``, the share of faces that detail takes further away.
        And ``wrinkles``, a row for each of :data:`WRINKLED`.
    """
    pipe = FacePipeline.from_pretrained("default", device="cpu")
    template = pipe.template
    models, strains = {}, {}
    for name, path in files.items():
        models[name], home = unpack_detail(load_arrays(path))
        places, trust = tile_uvs_of(template, home.tile_rect, SKIN)
        layer = DetailLayer(models[name], pipe.composer.micro, template, places, trust)
        strains[name] = TileStrain(layer, places, template.faces, template.faces_uvs)
    size = next(iter(models.values())).config.size
    teacher = DetailTeacher(pack, template, size)
    weight = texel_weight(pack, torch.from_numpy(tile_metric(template, size)))
    sums = {name: torch.zeros(6) for name in files}
    worse = dict.fromkeys(files, 0)
    for start in range(0, PEOPLE, _BATCH):
        people = FaceLatents.cat([FaceLatents.sample(_SEED + start + k) for k in range(_BATCH)])
        code = random_expressions(_BATCH, step_generator(_SEED, start))
        rest = pipe.decode_shape(people.with_expression("neutral", 0.0))
        posed = pipe.decode_shape(dataclasses.replace(people, expression=code))
        target, at_rest = (teacher(people.identity, rest, verts) for verts in (posed, rest))
        for name, model in models.items():
            strain = torch.nn.functional.interpolate(
                strains[name](rest, posed).float()[:, None], size=(size, size), mode="bilinear", align_corners=False
            )
            made, still = (compose(model, people.identity, s) for s in (strain, torch.zeros_like(strain)))
            error, moved = made - target, target - at_rest
            near, far = (((e.abs() * weight).sum(dim=(1, 2, 3))) for e in (error, target))
            worse[name] += int((near > far).sum())
            pairs = (error.square(), target.square(), (made - still - moved).square(), moved.square())
            sums[name] += torch.stack([*((t * weight).sum() for t in pairs), near.sum(), far.sum()])
    area = float(weight.sum()) * PEOPLE
    figures: dict[str, Any] = {}
    for name, s in sums.items():
        left, total, moved_left, moved_total, near, far = s.tolist()
        figures[name] = {
            "energy": 1 - left / total,
            "dynamic": 1 - moved_left / moved_total,
            "coarse_mm": far / area,
            "fine_mm": near / area,
            "worse": worse[name] / PEOPLE,
        }
    figures["wrinkles"] = {name: _wrinkles(pipe, name) for name in WRINKLED}
    return figures


def _wrinkles(pipe: FacePipeline, name: str) -> dict[str, float]:
    """How the dynamic displacement of one expression answers to intensity, 0 to 1.5 in steps of a tenth."""
    rising, depth, deepest = 0, [], []
    for k in range(SWEPT):
        person = FaceLatents.sample(_SEED + 500 + k)
        sweep = FaceLatents.cat([person.with_expression(name, 0.1 * step) for step in range(16)])
        verts = pipe.decode_shape(pipe.to_model_codes(sweep.to(pipe.device)))
        displacement, _ = pipe.displace(sweep.to(pipe.device), verts, "dynamic")
        energy = displacement.square().mean(dim=(1, 2, 3)).sqrt()
        rising += int(bool((energy.diff() > -_STEP_BACK * energy.max()).all()))
        depth.append(-float(displacement[10].min()))
        deepest.append(-float(displacement[15].min()))
    return {
        "monotone": rising / SWEPT,
        "depth_mm": sum(depth) / SWEPT,
        "depth_mm_at_1.5": sum(deepest) / SWEPT,
    }
