"""Detail experiment after HiFace (Chai et al., ICCV 2023): error of the displaced mesh against the smooth mesh.

HiFace tests a detail module by whether the error decreases from coarse to fine in every region, where it increases in
earlier methods. Here the ground truth is a displacement map per face, so distances are along the normal, texel by
texel; no nearest-point search can hide wrong relief.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from facekit.assembly import load_detail
from facekit.conventions import EXPRESSIONS, TEXTURE_NOISE_DIM
from facekit.data import reliefs
from facekit.data.facescape import find_people, read_displacement
from facekit.data.faceset import FaceSet
from facekit.data.reliefs import ReliefSet
from facekit.errors import InputError
from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.shape import AT_1, INTENSITIES
from facekit.files.atomic import expanded
from facekit.geometry.uv import bake, rasterize_uv
from facekit.io.reading import read_untextured
from facekit.latents import FaceLatents
from facekit.metrics.displacement import DisplacementErrors, displacement_errors, relief_rises
from facekit.metrics.geometry import landmark_regions
from facekit.models.detail_layer import DetailLayer
from facekit.models.detail_tile import TileStrain, compose_parts
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.render import Camera, render

if TYPE_CHECKING:
    from PIL import Image

PROTOCOL = "detail-1"
NOTE = (
    "The relief is modelled, not scanned: the teacher that the module learned from, on people that it never saw. "
    "'codes' are people of the shape network; 'modes' are people drawn from the identity modes in expressions of the "
    "blendshapes, whose strains the module never learned from. Pores, which no module claims, are left out of both."
)
SCANS = "held-out scans"
SCANS_NOTE = (
    "People are every twentieth of FaceScape's, whom facekit.train.detail.facescape keeps back; of fewer than 20 all, "
    "and then a module trained on them has seen them. There is no module for scalar tension beside it."
)
_HELD_OUT = 20
#: Number of people for the intensity sweep, in full and quick runs (the first of each split), and of people in quick
#: runs.
_SWEPT, _SWEPT_QUICK, _QUICK = 8, 2, 6
_TRANSFER_SEEDS, _TRANSFER, _TRANSFER_SIZE = (12, 31, 54, 8), "brow_raiser", 256
#: From codes (B, 20), neutral and posed vertices to static and dynamic displacement, (B, 1, S, S) mm each.
Way = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def detail(pipe: FacePipeline, folder: str | Path, quick: bool = False) -> Experiment:
    """Build the experiment.

    Parameters
    ----------
    pipe:
        Pipeline with the detail module to measure; for FaceScape's scans one with the codes of its people.
    folder:
        A set of :mod:`facekit.data.reliefs`, or FaceScape's own folder, see :func:`scans`.
    quick:
        The first 6 people of each split.
    """
    bench = _Bench(pipe, folder, quick)
    methods: dict[str, tuple[bool, Callable[[str], Sequence[Figure]]]] = {
        "no detail": (True, lambda split: bench.figures(split, _nothing)),
        "static alone": (True, lambda split: bench.figures(split, bench.static)),
        "dynamic alone": (True, lambda split: bench.figures(split, bench.dynamic, swept=True)),
        "mean person's detail": (True, lambda split: bench.figures(split, bench.mean)),
        "a stranger's detail": (True, lambda split: bench.figures(split, bench.shipped, strangers=True)),
        "scalar tension": (True, lambda split: bench.figures(split, bench.scalar, swept=True)),
        f"{pipe.name}, across furrows": (False, lambda split: bench.figures(split, bench.shipped, swept=True)),
    }
    files = {path.stem: path.stat().st_size for path in sorted(expanded(folder).glob("*.npz"))}
    cells = [
        Cell("relief" if files else "FaceScape", split, name, control, functools.partial(measure, split))
        for split in files or [SCANS]
        for name, (control, measure) in methods.items()
    ]
    settings = {"model": pipe.name, "data": str(folder), "quick": quick, "files": files}
    pictures = {"transfer": lambda: transfer(pipe)}
    notes = [NOTE if files else SCANS_NOTE]
    return Experiment("detail", f"Detail: {pipe.name}", PROTOCOL, cells, settings, notes, pictures)


@torch.no_grad()
def scans(pipe: FacePipeline, folder: str | Path) -> ReliefSet:
    """Load the FaceScape people that training holds out: every twentieth, or all of fewer than 20.

    Maps use FaceScape's UV layout, which the published model shares.

    Raises
    ------
    InputError
        If the model lacks the codes of these people.
    FileError
        If people, meshes or maps are missing.
    """
    people = find_people(folder)
    people = people[::_HELD_OUT] if len(people) >= _HELD_OUT else people
    if pipe.identities is None or people[-1].number > len(pipe.identities):
        raise InputError("a model with the codes of FaceScape's people", pipe.name, "take --model 3dfacecam")
    names = tuple(name for name in EXPRESSIONS if all(name in person.files for person in people))
    template, layer, size = pipe.template, pipe.detail_layer, pipe.detail_layer.size // 2
    verts, maps = [], []
    for person in progress(people, desc="scans"):
        for name in names:
            mesh, picture = person.files[name]
            assert picture is not None
            verts.append(read_untextured(mesh).verts[0])
            maps.append(read_displacement(picture, size).half())
    shape = (len(people), len(names))
    faces = FaceSet(
        SCANS, tuple(str(p.number) for p in people), names, torch.stack(verts).unflatten(0, shape), template.faces
    )
    codes = torch.stack([pipe.identities[person.number - 1] for person in people])
    ids, weights = rasterize_uv(template.uvs, template.faces_uvs, size)
    sure = bake(layer.trust[None, :, None], template.faces_uvs, ids, weights)[0, 0]
    weight = sure / sure.mean().clamp_min(1e-6)
    return ReliefSet(faces, codes, torch.stack(maps).unflatten(0, shape), weight, on_tile=False)


class _Bench:
    """Data and models shared by all cells, created on first use."""

    def __init__(self, pipe: FacePipeline, folder: str | Path, quick: bool) -> None:
        self.pipe, self.folder = pipe, folder
        self.most, self.swept = (_QUICK, _SWEPT_QUICK) if quick else (None, _SWEPT)

    @functools.cached_property
    def sets(self) -> dict[str, ReliefSet]:
        if not any(expanded(self.folder).glob("*.npz")) and any(expanded(self.folder).glob("*/models_reg")):
            return {SCANS: scans(self.pipe, self.folder)}
        return {relief.faces.name: relief for relief in reliefs.load(self.folder)}

    @property
    def on_tile(self) -> bool:
        return next(iter(self.sets.values())).on_tile

    @functools.cached_property
    def shipped(self) -> Way:
        return _way(self.pipe, self.pipe.detail_layer) if self.on_tile else _in_uv(self.pipe.detail_layer)

    @functools.cached_property
    def scalar(self) -> Way:
        path = reliefs.controls(self.folder).get("scalar")
        if path is None:
            raise InputError("controls/scalar.npz in the set", "none", "make the set with the stage relief")
        return _way(self.pipe, load_detail(self.pipe.template, self.pipe.composer.size, path))

    def static(self, identity: Tensor, rest: Tensor, posed: Tensor) -> tuple[Tensor, Tensor]:
        still, moved = self.shipped(identity, rest, posed)
        return still, torch.zeros_like(moved)

    def dynamic(self, identity: Tensor, rest: Tensor, posed: Tensor) -> tuple[Tensor, Tensor]:
        still, moved = self.shipped(identity, rest, posed)
        return torch.zeros_like(still), moved

    def mean(self, identity: Tensor, rest: Tensor, posed: Tensor) -> tuple[Tensor, Tensor]:
        return self.shipped(torch.zeros_like(identity), rest, posed)

    @functools.cached_property
    def regions(self) -> dict[str, Tensor]:
        """Weights (S, S) of each region over the tile's texels."""
        template, layer = self.pipe.template, self.pipe.detail_layer
        uvs, size = (layer.tile_uvs, layer.model.config.size) if self.on_tile else (template.uvs, layer.size // 2)
        ids, weights = rasterize_uv(uvs, template.faces_uvs, size)
        masks = landmark_regions(template.mesh(template.verts[None]))
        return {
            name: bake(mask.float()[None, :, None], template.faces, ids, weights)[0, 0] for name, mask in masks.items()
        }

    @torch.no_grad()
    def figures(self, split: str, way: Way, swept: bool = False, strangers: bool = False) -> list[Figure]:
        """Return all figures of one variant on one split."""
        if split not in self.sets:
            raise InputError(f"a split out of {', '.join(self.sets)}", repr(split), "make the set again")
        relief = self.sets[split]
        count = len(relief) if self.most is None else min(self.most, len(relief))
        weights = {"all": relief.weight} | {name: relief.weight * share for name, share in self.regions.items()}
        rows: list[dict[tuple[str, str], float]] = []
        for person in range(count):
            verts, wanted = relief.faces.verts[person], relief.maps[person].float()[:, None]
            who = (person + 1) % count if strangers else person
            still, moved = way(relief.identity[who].expand(len(verts), -1), verts[:1], verts)
            found = {name: displacement_errors(still + moved, wanted, weight) for name, weight in weights.items()}
            worn = displacement_errors(moved[1:], wanted[1:] - wanted[:1], relief.weight)
            rows.append(_row(found, worn, relief.faces.expressions))
        figures = [Figure(metric, [row[metric, part] for row in rows], part) for metric, part in rows[0]]
        return figures + (self._swept(relief, way, min(self.swept, count)) if swept else [])

    def _swept(self, relief: ReliefSet, way: Way, people: int) -> list[Figure]:
        """Measure furrows over intensity, on meshes interpolated and extrapolated linearly from the neutral to the
        posed face.
        """
        figures = []
        steps = torch.tensor(INTENSITIES)[:, None, None]
        for place, name in enumerate(relief.faces.expressions):
            if place == 0:
                continue
            rises, depth = [], []
            for person in range(people):
                rest, posed = relief.faces.verts[person, :1], relief.faces.verts[person, place]
                code = relief.identity[person].expand(len(steps), -1)
                moved = way(code, rest, rest + steps * (posed - rest))[1] * (relief.weight > 0)
                rises.append(float(relief_rises(moved)))
                depth.append(-float(moved[AT_1].min()))
            figures += [Figure("monotone_share", rises, name), Figure("furrow_depth_mm", depth, name)]
        return figures


def _row(
    found: dict[str, DisplacementErrors], worn: DisplacementErrors, expressions: Sequence[str]
) -> dict[tuple[str, str], float]:
    """Return one person's figures by metric and region."""
    row = {}
    for region, errors in found.items():
        fine, coarse = float(errors.fine.mean()), float(errors.coarse.mean())
        row["distance_um", region] = 1000 * fine
        row["gain_percent", region] = 100 * (1 - fine / max(coarse, 1e-9))
    whole = found["all"]
    row["worse_share", "all"] = float((whole.fine > whole.coarse).float().mean())
    row["energy_share", "all"] = 1 - float(whole.left.sum() / whole.total.sum().clamp_min(1e-12))
    row["expression_energy_share", "all"] = 1 - float(worn.left.sum() / worn.total.sum().clamp_min(1e-12))
    for place, name in enumerate(expressions):
        row["distance_by_expression_um", name] = 1000 * float(whole.fine[place])
    return row


def _nothing(identity: Tensor, rest: Tensor, posed: Tensor) -> tuple[Tensor, Tensor]:
    none = torch.zeros(len(posed), 1, 1, 1)
    return none, none


def _way(pipe: FacePipeline, layer: DetailLayer) -> Way:
    """Return the variant of a detail module on its own tile."""
    template, model = pipe.template, layer.model
    strain = TileStrain.at_home(layer, template.faces, template.faces_uvs)

    def way(identity: Tensor, rest: Tensor, posed: Tensor) -> tuple[Tensor, Tensor]:
        return compose_parts(model, identity, strain.enlarged(rest, posed, model.config.size))

    return way


def _in_uv(layer: DetailLayer) -> Way:
    """Return the variant of a detail module as faces use it, with pores, in the mesh's UV layout at half the
    resolution.
    """

    def way(identity: Tensor, rest: Tensor, posed: Tensor) -> tuple[Tensor, Tensor]:
        noise = identity.new_zeros(len(identity), TEXTURE_NOISE_DIM)
        still, moved = (avg_pool2d(layer(identity, noise, rest, posed, m)[0], 2) for m in ("static", "dynamic"))
        return still, moved

    return way


@torch.no_grad()
def transfer(pipe: FacePipeline, seeds: Sequence[int] = _TRANSFER_SEEDS, expression: str = _TRANSFER) -> Image.Image:
    """Render each person's face and static detail (rows) with each person's dynamic detail (columns)."""
    from facekit.evaluate.figures import grid

    codes = [pipe.to_model_codes(FaceLatents.sample(seed).with_expression(expression)) for seed in seeds]
    camera = Camera((0.0, 15.0, 990.0), (0.0, 15.0, 90.0), fov=13.5)
    pictures = []
    for own in codes:
        rest, posed = pipe.decode_neutral(own), pipe.decode_shape(own)
        static = pipe.detail_layer(own.identity, own.texture_noise, rest, posed, "static")[0]
        row = []
        for other in codes:
            dynamic = pipe.detail_layer(other.identity, other.texture_noise, rest, posed, "dynamic")[0]
            mesh = dataclasses.replace(pipe.template.mesh(posed), displacement=static + dynamic)
            row.append(render(mesh, camera, image_size=_TRANSFER_SIZE).rgb[0].cpu())
        pictures.append(row)
    names = [f"person {seed}" for seed in seeds]
    return grid(pictures, [f"face and static:\n{name}" for name in names], [f"dynamic: {name}" for name in names])
