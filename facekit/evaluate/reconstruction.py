"""Reconstruction experiment: heads from synthetic photographs, against ground truth and control groups.

Correspondence is known, so errors are distances between the same vertices after alignment; a nearest-point search could
hide a wrong shape. None of these people was used to calibrate the landmarker's response. Textures are measured by
``benchmarks/reconstruct_texture.py``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from facekit.conventions import NOSE_TIP
from facekit.errors import FileError, optional_import
from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.photographs import Photograph, photograph
from facekit.files.images import to_uint8
from facekit.geometry.correspond import similarity
from facekit.latents import FaceLatents
from facekit.metrics.geometry import face_vertices, landmark_regions
from facekit.motion.mapping import action_units, expressions_to_blendshapes
from facekit.motion.units import ACTION_UNITS
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.reconstruct.api import cameras_of, refine_and_fit, views_of
from facekit.reconstruct.find import average_close_ups
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture
from facekit.reconstruct.unknowns import Fitted
from facekit.render import Camera

PROTOCOL = "reconstruction-2"
#: The measured face is skin, lips and lids within this distance (mm) of the tip of the nose.
REACH_MM = 95.0
#: Action units whose error is reported: brows, lids, nose, cheeks, mouth, jaw.
UNITS = (1, 2, 4, 5, 6, 7, 9, 12, 15, 17, 20, 25, 26)
NOTE = (
    "Photographs are synthetic: people drawn from the identity modes that the fit itself has, with expressions of the "
    "shape network, which the fit has not; random pose, lens, light, background and marks on the skin. Faces are found "
    "by MediaPipe, whose points are the controls'; ours come from a network that learned from other renders. People "
    "who lie outside of the modes are measured by benchmarks/reconstruct.py."
)


@dataclass(frozen=True)
class Shots:
    """One person's photographs and the faces detected in them; None without a face."""

    photographs: list[Photograph]
    marks: list[FaceLandmarks | None]

    def found(self, count: int) -> list[tuple[Photograph, FaceLandmarks]]:
        """Return those of the first ``count`` photographs in which a face was detected."""
        pairs = zip(self.photographs[:count], self.marks[:count], strict=True)
        return [(photo, marks) for photo, marks in pairs if marks is not None]


def reconstruction(pipe: FacePipeline, quick: bool = False, seed: int = 0) -> Experiment:
    """Build the experiment: mean face, fits of the landmarker's points, our fit of one and of several photographs.

    Needs the extra ``photo``.

    Parameters
    ----------
    quick:
        8 people with 3 photographs each in place of 40 with 5.
    seed:
        Random seed of people and photographs.
    """
    people, most = (8, 3) if quick else (40, 5)
    bench = _Bench(pipe, people, most, seed)
    methods: dict[str, tuple[bool, Callable[[], Sequence[Figure]]]] = {
        "mean face": (True, lambda: bench.figures(1, None)),
        "landmarker without its response, 1 photograph": (True, lambda: bench.figures(1, "plain")),
        "landmarker, 1 photograph": (True, lambda: bench.figures(1, "landmarker")),
        "facekit, 1 photograph": (False, lambda: bench.figures(1, "facekit")),
        f"facekit, {most} photographs": (False, lambda: bench.figures(most, "facekit")),
    }
    cells = [Cell("synthetic", "test", name, control, run) for name, (control, run) in methods.items()]
    settings = {"model": pipe.name, "people": people, "photographs": most, "seed": seed}
    return Experiment("reconstruction", "Reconstruction of synthetic people", PROTOCOL, cells, settings, [NOTE])


class _Bench:
    """Data and models shared by all cells, created on first use."""

    def __init__(self, pipe: FacePipeline, people: int, most: int, seed: int) -> None:
        self.pipe, self.people, self.most, self.seed = pipe, people, most, seed
        template = pipe.template
        nose = template.verts[template.landmarks[NOSE_TIP]]
        mesh = template.mesh(template.verts[None])
        self.face = face_vertices(mesh) & ((template.verts - nose).norm(dim=1) < REACH_MM)
        self.regions = {name: mask & self.face for name, mask in landmark_regions(mesh).items()}

    @functools.cached_property
    def photo(self) -> PhotoModel:
        return PhotoModel.of(self.pipe)

    @functools.cached_property
    def shots(self) -> list[Shots]:
        optional_import("mediapipe", "photo", "faces from photographs")
        with Landmarker() as landmarker:
            return [self._shot(number, landmarker) for number in progress(range(self.people), desc="photographs")]

    def _shot(self, number: int, landmarker: Landmarker) -> Shots:
        who = 70_000 + 1000 * self.seed + number
        weights = torch.randn(len(self.photo.modes), generator=torch.Generator().manual_seed(who))
        rest = FaceLatents.sample(who, intensity=0.0)
        neutral = self.photo.neutral(self.pipe.template.verts, weights)
        person = self.pipe.with_person(Person(neutral, rest, self.pipe.skin(rest)))
        photographs = [_without_skin(photograph(person, who, shot=k, size=512)) for k in range(self.most)]
        marks = []
        for photo in photographs:
            pixels = _pixels(photo).pixels
            faces = landmarker(pixels)
            marks.append(average_close_ups(pixels, faces[0], landmarker, self.photo.mirror) if faces else None)
        return Shots(photographs, marks)

    @torch.no_grad()
    def figures(self, count: int, way: str | None) -> list[Figure]:
        """Return figures of fits to ``count`` photographs; ``way`` None is the mean face."""
        rows: list[dict[tuple[str, str], float]] = []
        for shots in self.shots:
            found = shots.found(count)
            if not found:
                rows.append({})
            elif way is None:
                rows.append(self._errors(found, self.pipe.template.verts, None, None))
            else:
                fitted = self._fitted(found, way)
                neutral = self.photo.head(self.pipe.template, fitted)
                rows.append(self._errors(found, neutral, self._moved(neutral, fitted), fitted))
        if not any(rows):
            raise FileError("a face in some photograph", "none found", "see facekit doctor about the landmarker")
        names = list(dict.fromkeys(name for row in rows for name in row))
        return [Figure(m, [row.get((m, r), math.nan) for row in rows], r) for m, r in names]

    def _fitted(self, found: list[tuple[Photograph, FaceLandmarks]], way: str) -> Fitted:
        """Fit the network's landmarks as reconstruct() does, or the landmarker's with or without its response."""
        pictures, faces = [_pixels(photo) for photo, _ in found], [marks for _, marks in found]
        if way == "facekit":
            return refine_and_fit(self.photo, pictures, faces)[0]
        response = self.photo.response.without() if way == "plain" else self.photo.response
        return fit(self.photo.points, response, views_of(pictures, faces, response))

    def _moved(self, neutral: torch.Tensor, fitted: Fitted) -> torch.Tensor:
        """Return the displacements (K, V, 3) in mm of the fitted expressions."""
        rest = FaceLatents.sample(0, intensity=0.0, truncation=0.0)
        person = self.pipe.with_person(Person(neutral, rest))
        weights = torch.from_numpy(fitted.blendshapes).float()
        return person.decode_shape(rest.repeat(len(weights)).with_blendshapes(weights)) - neutral

    def _errors(
        self,
        found: list[tuple[Photograph, FaceLandmarks]],
        neutral: torch.Tensor,
        moved: torch.Tensor | None,
        fitted: Fitted | None,
    ) -> dict[tuple[str, str], float]:
        """Return all errors of one person by metric and region."""
        true = found[0][0].neutral
        errors = {}
        for metric, scaled in (("shape_mm", False), ("shape_scaled_mm", True)):
            away = _aligned(neutral, true, self.face, scaled)
            errors[metric, "all"] = float(away[self.face].mean())
            for region, mask in self.regions.items():
                errors[metric, region] = float(away[mask].mean())
        motion = torch.stack([photo.verts - photo.neutral for photo, _ in found])
        missed = motion if moved is None else moved - motion
        errors["motion_mm", "all"] = float(missed[:, self.face].norm(dim=-1).mean())
        said = np.zeros((len(found), 52)) if fitted is None else fitted.blendshapes
        wanted = expressions_to_blendshapes(torch.cat([photo.latents.expression for photo, _ in found]))
        ours, theirs = action_units(torch.from_numpy(said).float()), action_units(cast("torch.Tensor", wanted))
        gap = (cast("torch.Tensor", ours) - cast("torch.Tensor", theirs)).abs().mean(0)
        for unit in UNITS:
            errors["action_unit_error", f"AU{unit}"] = float(gap[list(ACTION_UNITS).index(unit)])
        if fitted is not None:
            said_cameras = cameras_of(fitted, [_pixels(photo) for photo, _ in found])
            pairs = [(said_cameras[k], photo.camera) for k, (photo, _) in enumerate(found)]
            wide = [100 * abs(float(a.fov[0] / b.fov[0]) - 1) for a, b in pairs]
            errors["field_of_view_percent", "all"] = float(np.mean(wide))
            errors["pose_degrees", "all"] = float(np.mean([_turned(a, b) for a, b in pairs]))
        return errors


def _without_skin(photo: Photograph) -> Photograph:
    """Drop the textures to save memory: 200 atlases would take two gigabytes."""
    return dataclasses.replace(photo, albedo=torch.empty(0), covered=torch.empty(0))


def _pixels(photo: Photograph) -> Picture:
    """Return the photograph as 8-bit pixels."""
    return Picture(to_uint8(photo.picture.permute(2, 0, 1)), "render")


def _aligned(found: torch.Tensor, true: torch.Tensor, mask: torch.Tensor, scaled: bool) -> torch.Tensor:
    """Return distances (V,) in mm after alignment on the vertices of ``mask``."""
    size, turn, shift = similarity(found[mask], true[mask], scaled)
    return (size * found.double() @ turn.T + shift - true.double()).norm(dim=1)


def _turned(a: Camera, b: Camera) -> float:
    """Return the angle in degrees between two cameras' rotations."""
    first, second = (camera.rotation()[0].double() for camera in (a, b))
    cosine = ((first @ second.T).trace() - 1) / 2
    return float(torch.rad2deg(torch.acos(cosine.clamp(-1, 1))))
