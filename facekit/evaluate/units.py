"""Control experiment: faces are made for one action unit at increasing intensity, and detectors measure them.

Faces are made in two ways: with blendshapes, and with the 20 expressions' approximation of a unit. Detectors are
distances between the mesh's own landmarks, and MediaPipe's scores on renders; neither was used to make the faces.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.judges import UnitJudge, unit_judge
from facekit.files.images import to_uint8
from facekit.latents import FaceLatents
from facekit.metrics.proxies import PROXIES, unit_intensities, unit_proxies
from facekit.motion.mapping import units_to_blendshapes, units_to_expressions
from facekit.pipeline import FacePipeline
from facekit.progress import progress

PROTOCOL = "units-1"
#: Requested intensities.
INTENSITIES = (0.0, 1.25, 2.5, 3.75, 5.0)
UNITS: tuple[int, ...] = tuple(PROXIES)
NOTE = (
    "Geometry calls the mean head's length at intensity 5 by blendshapes 5, unit by unit, so its scale is no finding; "
    "whether other people follow, and in proportion, is. A unit's crosstalk is the strongest of the other units that "
    "the judge names beside it, as a share: lips and lids move together in people, too, and proxies share landmarks."
)
_PICTURE = 256
#: From an action unit and its intensity to the same people showing it.
Asking = Callable[[FaceLatents, int, float], FaceLatents]


def units(pipe: FacePipeline, quick: bool = False, seed: int = 0) -> Experiment:
    """Build the experiment; the MediaPipe cell needs the extra ``photo``.

    Parameters
    ----------
    quick:
        6 people instead of 24, of whom a third are judged by pictures.
    seed:
        Random seed of the people.
    """
    bench = _Bench(pipe, 6 if quick else 24, seed)
    measures: dict[str, tuple[bool, Callable[[], Sequence[Figure]]]] = {
        "blendshapes, by geometry": (False, lambda: bench.by_geometry(_by_blendshapes)),
        "expressions, by geometry": (False, lambda: bench.by_geometry(_by_expressions)),
        "shuffled intensities, by geometry": (True, lambda: bench.by_geometry(_by_blendshapes, shuffled=True)),
        "blendshapes, by mediapipe": (False, lambda: bench.by_judge(_by_blendshapes, unit_judge("mediapipe"))),
        "expressions, by mediapipe": (False, lambda: bench.by_judge(_by_expressions, unit_judge("mediapipe"))),
    }
    cells = [Cell(pipe.name, "people", name, control, run) for name, (control, run) in measures.items()]
    settings = {"model": pipe.name, "people": bench.count, "seed": seed}
    return Experiment("units", f"Action units: {pipe.name}", PROTOCOL, cells, settings, [NOTE])


class _Bench:
    """Data and models shared by all cells."""

    def __init__(self, pipe: FacePipeline, count: int, seed: int, asked: tuple[int, ...] = UNITS) -> None:
        self.pipe, self.count, self.seed, self.asked = pipe, count, seed, asked
        self._read: dict[Asking, dict[int, Tensor]] = {}

    @functools.cached_property
    def people(self) -> FaceLatents:
        first = 45_000 + 1000 * self.seed
        return FaceLatents.cat([FaceLatents.sample(first + k, intensity=0.0) for k in range(self.count)])

    @functools.cached_property
    def full(self) -> Tensor:
        """Increase (14,) of the mean head's distances at intensity 5."""
        mean = FaceLatents.sample(0, intensity=0.0, truncation=0.0)
        rest = unit_proxies(self._points(mean))[0]
        grown = [unit_proxies(self._points(_by_blendshapes(mean, unit, 5.0)))[0, k] for k, unit in enumerate(UNITS)]
        return torch.stack(grown) - rest

    @torch.no_grad()
    def _points(self, latents: FaceLatents) -> Tensor:
        codes = self.pipe.to_model_codes(latents.to(self.pipe.device))
        return self.pipe.decode_shape(codes)[:, self.pipe.template.landmarks].cpu()

    def by_geometry(self, ask: Asking, shuffled: bool = False) -> list[Figure]:
        """Measure the distances between landmarks."""
        if ask not in self._read:
            rest = self._points(self.people)

            def read(unit: int) -> Tensor:
                steps = [rest, *(self._points(ask(self.people, unit, at)) for at in INTENSITIES[1:])]
                return torch.stack([unit_intensities(points, rest, self.full) for points in steps])

            self._read[ask] = {unit: read(unit) for unit in progress(self.asked, desc="units")}
        return self._figures(self._read[ask], shuffled)

    def by_judge(self, ask: Asking, judge: UnitJudge) -> list[Figure]:
        """Measure with a picture-based detector, on the first third of the people."""
        few = self.people[slice(0, max(2, self.count // 3))]
        rest = self._seen(few, judge)
        readings = {}
        for unit in progress(self.asked, desc=judge.name):
            steps = [rest, *(self._seen(ask(few, unit, at), judge) for at in INTENSITIES[1:])]
            readings[unit] = torch.stack([step - rest for step in steps]).clamp_min(0)
        return self._figures(readings, False)

    @torch.no_grad()
    def _seen(self, latents: FaceLatents, judge: UnitJudge) -> Tensor:
        """Return a detector's output for renders, (B, units); NaN without a face."""
        pictures = []
        for code in latents:
            face = self.pipe(latents=code, hair=None)
            pictures.append(to_uint8(face.render(image_size=_PICTURE).rgb))
        said = judge(pictures)
        missing = np.full(len(pictures), np.nan)
        return torch.from_numpy(np.stack([said.get(unit, missing) for unit in UNITS], axis=1))

    def _figures(self, readings: Mapping[int, Tensor], shuffled: bool) -> list[Figure]:
        """Compute figures from outputs (5, B, units) by requested unit."""
        figures: list[Figure] = []
        asked = np.array(INTENSITIES)
        drawn = np.random.default_rng(self.seed)
        for unit in self.asked:
            place = UNITS.index(unit)
            said = readings[unit].double().numpy()
            own = said[:, :, place]
            order = drawn.permuted(np.tile(asked[:, None], own.shape[1]), axis=0) if shuffled else asked[:, None]
            last = said[-1].clip(max=INTENSITIES[-1])
            others = np.delete(last, place, axis=1).max(axis=1)
            region = f"AU{unit}"
            figures += [
                Figure("unit_correlation", _correlation(np.broadcast_to(order, own.shape), own), region),
                Figure("unit_error", np.abs(own - order).mean(axis=0).tolist(), region),
            ]
            if not shuffled:  # these do not depend on the requested intensities
                share = (others / np.maximum(last[:, place], 1e-3)).clip(max=10)
                figures.append(Figure("monotone_share", _rising(own), region))
                figures.append(Figure("crosstalk_share", share.tolist(), region))
        for metric in dict.fromkeys(figure.metric for figure in figures):
            rows = np.array([figure.values for figure in figures if figure.metric == metric])
            known = np.isfinite(rows).any(axis=0)
            mean = np.where(known, np.nanmean(np.where(known, rows, 0.0), axis=0), np.nan)
            figures.append(Figure(metric, mean.tolist(), f"mean of {len(self.asked)}"))
        return figures


def _by_blendshapes(people: FaceLatents, unit: int, intensity: float) -> FaceLatents:
    return people.with_blendshapes(units_to_blendshapes({unit: intensity})) if intensity else people


def _by_expressions(people: FaceLatents, unit: int, intensity: float) -> FaceLatents:
    return people.with_expression(units_to_expressions({unit: intensity})) if intensity else people


def _correlation(asked: np.ndarray, said: np.ndarray) -> list[float]:
    """Return Pearson's r per column (K, B); 0 for constant outputs, NaN for missing ones."""
    a, b = asked - asked.mean(axis=0), said - said.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    still = np.where(np.isnan(size), np.nan, 0.0)
    return np.where(size > 0, (a * b).sum(axis=0) / np.where(size > 0, size, 1), still).tolist()


def _rising(said: np.ndarray) -> list[float]:
    """Return, per column, 1 if outputs (K, B) increase and never drop by over 2 % of their maximum, else 0."""
    top = said.max(axis=0)
    rising = (np.diff(said, axis=0) > -0.02 * top).all(axis=0) & (top > 0)
    return np.where(np.isnan(top), np.nan, rising).tolist()
