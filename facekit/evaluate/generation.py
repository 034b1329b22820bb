"""Generation experiment: the claims of 3DFaceCAM (Rai et al., WACV 2023) against control groups.

Disentangled identity and expression, controllable intensity, textures that match shape. The paper's own tables were not
available, so none of its figures is quoted; the measures are the field's: reconstruction, generalisation and
specificity (Styner et al., IPMI 2003), decoupling and diversity (Abrevaya et al., 3DV 2019).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from facekit.conventions import EXPRESSIONS
from facekit.data.faceset import FaceSet
from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.generators import (
    Autoencoder,
    BilinearModel,
    BlindSkin,
    Generator,
    LinearModel,
    MeanFace,
    NetworkModel,
    StrangersSkin,
    UpstreamWay,
)
from facekit.evaluate.people import NOTE, modes_people
from facekit.evaluate.skins import BLIND, SIGHTED, TILE, SkinControls, skin_ranks, skin_tiles
from facekit.metrics.distributions import sliced_wasserstein
from facekit.metrics.expression import flicker
from facekit.metrics.generation import (
    diversity,
    expression_leak,
    identity_leak,
    rebuilding_error,
    specificity,
    steadiness,
)
from facekit.metrics.geometry import face_vertices
from facekit.metrics.identity import STILL, identity_distance, proportions
from facekit.metrics.texture import delta_e, lab
from facekit.pipeline import FacePipeline

PROTOCOL = "generation-2"
#: Intensities of a sweep, evenly spaced as :func:`steadiness` requires.
SWEEP = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
#: Number of people whose textures are made at every intensity, for the first half of the swept expressions.
_SWEPT_SKINS = 6


@dataclass(frozen=True)
class Size:
    """Sample sizes of the experiment.

    Parameters
    ----------
    people, test:
        Number of people in the synthetic set, and of those held out.
    made:
        Number of people that each method generates.
    expressions:
        Expressions of the set.
    swept:
        Expressions that are measured over intensity.
    """

    people: int
    test: int
    made: int
    expressions: tuple[str, ...]
    swept: tuple[str, ...]


FULL = Size(130, 30, 60, EXPRESSIONS, ("smile", "mouth_stretch", "anger", "brow_raiser", "sadness", "eye_closed"))
QUICK = Size(40, 8, 24, ("neutral", "smile", "mouth_stretch", "anger", "brow_raiser", "eye_closed"), ("smile", "anger"))


def generation(
    pipe: FacePipeline,
    data: FaceSet | None = None,
    quick: bool = False,
    test: int | None = None,
    seed: int = 0,
    controls: str | Path | None = None,
) -> Experiment:
    """Build the experiment; nothing is measured yet.

    Parameters
    ----------
    pipe:
        Model to measure; it must share the set's topology.
    data:
        People to fit the controls to and to measure on; by default :func:`facekit.evaluate.people.modes_people`.
    quick:
        Few people and expressions: two minutes or less on two cores.
    test:
        Number of people held out; by default a quarter of the set at most.
    seed:
        Random seed of the people that are drawn, held out and generated.
    controls:
        Folder written by ``facekit.train``'s stage "controls": adds texture networks with and without identity.
    """
    size = QUICK if quick else FULL
    skins = None if controls is None else SkinControls.load(controls)
    bench = _Bench(pipe, data, size, test, seed, skins)
    name = "modes" if data is None else data.name
    methods: dict[str, tuple[bool, Callable[[], Sequence[Figure]]]] = {
        "data": (True, bench.of_data),
        pipe.name: (False, lambda: bench.of_network(NetworkModel(pipe, bench.measured))),
        "autoencoder without GAN": (True, lambda: bench.of(Autoencoder(pipe, bench.measured, bench.train))),
        "linear (PCA)": (True, lambda: bench.of(LinearModel(bench.train))),
        "bilinear (Tucker)": (True, lambda: bench.of(BilinearModel(bench.train))),
        "mean face": (True, lambda: bench.of(MeanFace(bench.train))),
        "upstream's sampling": (True, bench.of_upstream),
        "a stranger's texture": (True, bench.of_strangers_skin),
    }
    if skins is not None:
        methods["texture GAN with identity"] = (True, lambda: bench.of_trained_skin(SIGHTED))
        methods["texture GAN without identity"] = (True, lambda: bench.of_trained_skin(BLIND))
    cells = [Cell(name, "held-out people", method, control, run) for method, (control, run) in methods.items()]
    settings = {
        "model": pipe.name,
        "size": repr(size),
        "seed": seed,
        "test": bench.test_count,
        "subjects": None if data is None else list(data.subjects),
        "controls": None if skins is None else (str(skins.folder), skins.steps, len(skins.painted)),
    }
    notes = [NOTE] if name == "modes" else []
    notes += [] if skins is None else [skins.note()]
    return Experiment("generation", f"Generation: {pipe.name} on {name}", PROTOCOL, cells, settings, notes)


class _Bench:
    """Data and models shared by all cells, created on first use."""

    def __init__(
        self,
        pipe: FacePipeline,
        data: FaceSet | None,
        size: Size,
        test: int | None,
        seed: int,
        skins: SkinControls | None,
    ) -> None:
        self.pipe, self.given, self.size, self.seed, self.controls = pipe, data, size, seed, skins
        people = size.people if data is None else len(data)
        self.test_count = test if test is not None else min(size.test, max(people // 4, 1))

    @functools.cached_property
    def parts(self) -> tuple[FaceSet, FaceSet]:
        """Training and test people, with the measured vertices only."""
        if self.given is not None:
            return self.given.cropped().split(self.test_count, self.seed)
        size, first = self.size, 40_000 + 1000 * self.seed
        return modes_people(self.pipe, size.people, size.expressions, first, cropped=True).split(
            self.test_count, self.seed
        )

    @property
    def train(self) -> FaceSet:
        return self.parts[0]

    @functools.cached_property
    def measured(self) -> torch.Tensor:
        """(V,) bool: the measured vertices of the model."""
        if self.given is None:
            return face_vertices(self.pipe.template.mesh(self.pipe.template.verts[None])).cpu()
        whole = torch.ones(self.given.verts.shape[2], dtype=torch.bool)
        return whole if self.given.measured is None else self.given.measured

    @property
    def landmarks(self) -> torch.Tensor | None:
        """(68,) int64: indices of the landmarks into the measured vertices; None if some are not measured."""
        return self.train.landmarks

    @property
    def seeds(self) -> list[int]:
        return [30_000 + 1000 * self.seed + k for k in range(self.size.made)]

    # -- what is measured ---------------------------------------------------------------------------------------------

    def of(self, model: Generator) -> list[Figure]:
        """Measure a shape generator."""
        return self._rebuilt(model) + self._sampled(model)

    def of_network(self, model: NetworkModel) -> list[Figure]:
        """Measure shapes and textures of a network."""
        return self.of(model) + self._skins(model, model)

    def of_upstream(self) -> list[Figure]:
        """Measure upstream's way to sample codes; reconstruction figures are those of the same network."""
        model = UpstreamWay(self.pipe, self.measured)
        return self._sampled(model) + self._skins(model, model)

    def _rebuilt(self, model: Generator) -> list[Figure]:
        """Measure reconstruction of training people and generalisation to test people."""
        train, test = (part.points() for part in self.parts)
        figures = []
        for name, people in (("reconstruction_mm", train[: len(test)]), ("generalisation_mm", test)):
            faces = people.flatten(0, 1)
            error = rebuilding_error(model.rebuild(faces), faces).unflatten(0, people.shape[:2])
            figures.append(Figure(name, error.nanmean(1).tolist()))
        return figures

    def _sampled(self, model: Generator) -> list[Figure]:
        """Measure faces from random codes."""
        made = {name: model.faces(self.seeds, name, 1.0) for name in self.train.expressions}
        near = specificity(made["neutral"], self.train.points()[:, 0])
        return [
            Figure("specificity_mm", near.tolist()),
            *self._apart(made),
            *self._swept(lambda name, at: model.faces(self.seeds, name, at)),
        ]

    def of_strangers_skin(self) -> list[Figure]:
        """Measure textures of other people's identities."""
        shapes, skins = NetworkModel(self.pipe, self.measured), StrangersSkin(self.pipe, self.measured)
        return self._skins(shapes, skins, swept=False)

    def of_trained_skin(self, name: str) -> list[Figure]:
        """Measure textures of a control network, trained with or without identity."""
        assert self.controls is not None
        kind = BlindSkin if name == BLIND else NetworkModel
        skins = kind(self.controls.network(self.pipe, name), self.measured)
        return self._skins(NetworkModel(self.pipe, self.measured), skins)

    def of_data(self) -> list[Figure]:
        """Measure the held-out people themselves, as the reference for the other rows."""
        points = self.parts[1].points()
        made = {name: points[:, k] for k, name in enumerate(self.train.expressions)}
        figures = self._apart(made)
        if self.controls is not None and self.train.textures is None:
            figures += self._distances(self.controls.painted[self.size.made :][: self.size.made])
        return figures

    def _apart(self, made: dict[str, torch.Tensor]) -> list[Figure]:
        """Measure disentanglement on faces (B, n, 3) by expression, with the same people in each."""
        neutral = made["neutral"]
        figures = [Figure("diversity_identity_mm", diversity(neutral).tolist())]
        moved = [(made[name] - neutral).norm(dim=-1).mean(1) for name in made if name != "neutral"]
        figures.append(Figure("diversity_expression_mm", torch.stack(moved).mean(0).tolist()))
        for name in made:
            if name == "neutral":
                continue
            figures.append(Figure("identity_leak_mm", identity_leak(neutral, made[name]).tolist(), name))
            figures.append(Figure("expression_leak_share", expression_leak(neutral, made[name]).tolist(), name))
            if self.landmarks is not None:
                still = self.landmarks[list(STILL)]
                figures.append(
                    Figure("identity_leak_landmarks_mm", identity_leak(neutral, made[name], still).tolist(), name)
                )
                mean = (made[name] - neutral).mean(0)
                rest, worn = (proportions(t[:, self.landmarks]) for t in (neutral, made[name] - mean))
                figures.append(Figure("identity_drift_percent", identity_distance(rest, worn).tolist(), name))
        return figures

    def _swept(self, faces: Callable[[str, float], torch.Tensor]) -> list[Figure]:
        figures = []
        for name in self.size.swept:
            if name not in self.train.expressions:
                continue
            monotone, linear = steadiness(torch.stack([faces(name, at) for at in SWEEP]))
            figures.append(Figure("monotone_share", monotone.float().tolist(), name))
            figures.append(Figure("linearity_r2", linear.tolist(), name))
        return figures

    def _skins(self, shapes: NetworkModel, skins: NetworkModel, swept: bool = True) -> list[Figure]:
        """Measure textures: diversity, match with the shape, flicker with the expression."""
        rest = skin_tiles(skins, self.seeds, "neutral", 0.0)
        figures = [
            Figure("texture_diversity_delta_e", delta_e(rest, rest.roll(1, 0)).flatten(1).mean(1).tolist()),
            Figure("texture_rank", skin_ranks(shapes.faces(self.seeds, "neutral", 0.0), rest)),
        ]
        for name in self.size.swept[: len(self.size.swept) // 2] if swept else ():
            sweep = torch.stack([skin_tiles(skins, self.seeds[:_SWEPT_SKINS], name, at) for at in SWEEP])
            steps = [flicker(lab(sweep[:, k]).flatten(2))[1] for k in range(sweep.shape[1])]
            figures.append(Figure("texture_flicker_delta_e", steps, name))
        return figures + self._distances(rest)

    def _distances(self, tiles: torch.Tensor) -> list[Figure]:
        """Measure the distance of textures from the set's, or else from the teacher's, by octave."""
        if self.parts[1].textures is not None:
            wanted = torch.nn.functional.interpolate(self.parts[1].textures[:, 0], (TILE, TILE), mode="area")
        elif self.controls is not None:
            wanted = self.controls.painted[: self.size.made]
        else:
            return []
        found = enumerate(sliced_wasserstein(tiles, wanted))
        return [Figure("sliced_wasserstein", [value], f"1/{2**octave} size") for octave, value in found]
