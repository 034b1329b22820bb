"""Demonstration: several people, and all outputs for one of them, in one folder."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from facekit.face import FaceOutput
from facekit.files.atomic import expanded
from facekit.files.images import save_image, to_uint8
from facekit.io import save
from facekit.io.maps import save_maps
from facekit.latents import FaceLatents
from facekit.pipeline import FacePipeline
from facekit.progress import progress
from facekit.render import Camera
from facekit.render.camera import HAIR_FRAMING
from facekit.sweeps import sweep_expressions, sweep_intensity
from facekit.viz.animation import save_animation, turntable
from facekit.viz.sheets import contact_sheet, expression_sheet, intensity_strip, render_faces

_EXPRESSION = "smile"
_HERO_INTENSITY = 0.8
_FURROWED = ("smile", "brow_raiser")
# Seeds of the other people on the first sheet; number of people, and their smile's intensity.
_OTHERS, _GREETERS, _GREETING = (48, 36, 23, 11, 5, 24), 6, 0.35
_LEVEL = 1  # four triangles for each: enough for the furrows


@dataclass(frozen=True)
class DemoResult:
    """Files written by :func:`run_demo`.

    Parameters
    ----------
    files:
        Path and description of each, in the order in which they were started.
    seconds:
        Duration, including the loading of the model.
    """

    files: list[tuple[Path, str]]
    seconds: float

    def __str__(self) -> str:
        rows = [(path.name, f"{path.stat().st_size / 1e6:.2f} MB", what) for path, what in self.files]
        name, size = (max(len(row[k]) for row in rows) for k in (0, 1))
        lines = [f"  {row[0]:<{name}}  {row[1]:>{size}}  {row[2]}" for row in rows]
        return "\n".join([f"{self.files[0][0].parent}:", *lines, f"{len(rows)} files in {self.seconds:.1f} s"])


class _Writer:
    """Encode files in threads while the next faces are computed: zlib, WebP and numpy release the interpreter lock."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self.folder, self.pool = folder, pool
        self.jobs: list[tuple[Path, str, Future[Any]]] = []

    def add(self, name: str, what: str, job: Callable[[Path], Any], also: dict[str, str] | None = None) -> None:
        """Run ``job(path)`` in the background; it writes ``folder/name``, and the files of ``also``."""
        path = self.folder / name
        future = self.pool.submit(job, path)
        self.jobs.append((path, what, future))
        self.jobs += [(self.folder / more, about, future) for more, about in (also or {}).items()]

    def finish(self) -> list[tuple[Path, str]]:
        """Wait for all jobs; raise the first error."""
        for _, _, future in self.jobs:
            future.result()
        return [(path, what) for path, what, _ in self.jobs]


def run_demo(
    folder: str | Path = "out",
    seed: int = 15,
    model: str = "default",
    device: str | None = None,
    pipe: FacePipeline | None = None,
    detail: bool | str = True,
    detail_strength: float = 1.0,
) -> DemoResult:
    """Make pictures of six people, and all outputs for one of them.

    Smile sweep, 20 expressions, turntable, a large portrait, meshes, maps, textures and a bundle.

    Parameters
    ----------
    seed:
        Seed of the person.
    model, device:
        As in :meth:`facekit.FacePipeline.from_pretrained`.
    pipe:
        A loaded pipeline, instead of ``model``.
    detail, detail_strength:
        As in the pipeline's call; with ``detail=False`` the maps, the displaced mesh and their picture are omitted.
    """
    start = time.perf_counter()
    folder = expanded(folder)
    pipe = FacePipeline.from_pretrained(model, device) if pipe is None else pipe
    latents, options = FaceLatents.sample(seed), {"detail": detail, "detail_strength": detail_strength}
    # One worker: two would compete with torch for two cores, and hold two GLB files in memory at once.
    with ThreadPoolExecutor(1) as pool:
        out = _Writer(folder, pool)
        stages = (_portrait, _people, _sweep, _expressions, _files, _detail)  # the portrait comes first
        for stage in progress(stages[: len(stages) if detail else -1], desc="demo"):
            stage(pipe, latents, seed, out, options)
        files = out.finish()
    return DemoResult(files, time.perf_counter() - start)


def _people(pipe: FacePipeline, latents: FaceLatents, seed: int, out: _Writer, options: dict[str, Any]) -> None:
    """Draw several people: the one of this demonstration, and others."""
    seeds = [seed, *(k for k in _OTHERS if k != seed)][:_GREETERS]
    everyone = FaceLatents.cat([FaceLatents.sample(k, expression=_EXPRESSION, intensity=_GREETING) for k in seeds])
    pictures = torch.cat([pipe(latents=one, **options).render(image_size=512).rgb for one in everyone])
    labels = [f"seed {k}" for k in seeds]
    page = _pixels(contact_sheet(pictures, labels, columns=3, title="people", cell_size=480))
    out.add("people.png", f"{len(seeds)} people", lambda path: save_image(page, path))


def _sweep(pipe: FacePipeline, latents: FaceLatents, seed: int, out: _Writer, options: dict[str, Any]) -> None:
    faces = sweep_intensity(pipe, latents, _EXPRESSION, **options)
    pictures = render_faces(faces)
    # Drawn here and not in the background, so that no job keeps the textures of 15 faces in memory.
    strip = _pixels(intensity_strip(faces, pictures))
    out.add(
        f"{_EXPRESSION}_sweep.png",
        f"{len(faces)} steps of {_EXPRESSION}, intensity 0 to 1.5",
        lambda path: save_image(strip, path),
    )
    for suffix in ("webp", "gif"):
        out.add(
            f"{_EXPRESSION}_sweep.{suffix}",
            "the same as a loop",
            lambda path: save_animation(pictures, path, fps=15, boomerang=True),
        )


def _expressions(pipe: FacePipeline, latents: FaceLatents, seed: int, out: _Writer, options: dict[str, Any]) -> None:
    faces = sweep_expressions(pipe, latents, **options)
    pictures = render_faces(faces)
    sheet = _pixels(expression_sheet(faces, pictures))
    out.add("expressions.png", "the 20 expressions", lambda path: save_image(sheet, path))
    neutral = to_uint8(faces.mesh.need("texture")[0])
    out.add("neutral_albedo.png", "texture of the neutral face", lambda path: save_image(neutral, path))


def _posed(pipe: FacePipeline, latents: FaceLatents, options: dict[str, Any]) -> FaceOutput:
    return pipe(latents=latents.with_expression(_EXPRESSION, _HERO_INTENSITY), **options)


def _portrait(pipe: FacePipeline, latents: FaceLatents, seed: int, out: _Writer, options: dict[str, Any]) -> None:
    camera = Camera.three_quarter(azimuth=24.0, **HAIR_FRAMING)
    portrait = _posed(pipe, latents, options).render(camera=camera, image_size=1024, quality="high").rgb
    out.add("portrait.png", "large portrait", lambda path: save_image(to_uint8(portrait), path))


def _files(pipe: FacePipeline, latents: FaceLatents, seed: int, out: _Writer, options: dict[str, Any]) -> None:
    face = _posed(pipe, latents, options)
    face = dataclasses.replace(face, metadata={"seed": seed})
    face.rig()  # cached: GLB and bundle are encoded in other threads
    name = _EXPRESSION
    also = {f"{name}_albedo.png": "texture"}
    out.add(f"{name}.obj", "mesh with MTL and texture", lambda path: save(face, path), also)
    out.add(f"{name}.ply", "mesh with vertex colours", lambda path: save(face, path))
    out.add(f"{name}.glb", "mesh with 19 morph targets", lambda path: save(face, path))
    if face.displacement is not None:
        out.add(
            f"{name}_displacement.png",
            "displacement, 16 bits",
            lambda path: save_maps(face, path.parent, name),
            {f"{name}_displacement.json": "how to read it", f"{name}_normal.png": "normal map"},
        )
        displaced = f"mesh with the displacement as {4**_LEVEL * len(face.mesh.faces):,} triangles"
        out.add(f"{name}_displaced.ply", displaced, lambda path: save(face, path, level=_LEVEL))
    out.add(f"{name}.zip", "all of one face in one file", lambda path: save(face, path))

    # The bundle takes much memory, and so do many views: one after the other they stay under 2 GB.
    out.finish()
    frames = turntable(face)
    out.add("turntable.webp", f"{len(frames)} views around", lambda path: save_animation(frames, path, fps=12))


def _detail(pipe: FacePipeline, latents: FaceLatents, seed: int, out: _Writer, options: dict[str, Any]) -> None:
    """Draw a row per expression: without detail, with the person's static detail, with all detail."""
    poses = FaceLatents.cat([latents.with_expression(name, 1.2) for name in _FURROWED])
    faces = pipe(latents=poses, **options)
    camera = Camera.three_quarter(azimuth=20.0, distance=620.0)
    kinds = {"off": None, "static": _static(faces), "full": faces.displacement}
    rows = [
        render_faces(dataclasses.replace(faces, mesh=dataclasses.replace(faces.mesh, displacement=kind)), camera=camera)
        for kind in kinds.values()
    ]
    pictures = torch.stack(rows, dim=1).flatten(0, 1)
    labels = [f"{name.replace('_', ' ')}: {kind}" for name in _FURROWED for kind in kinds]
    page = _pixels(contact_sheet(pictures, labels, columns=len(kinds), title="detail", cell_size=480))
    out.add("detail.png", "detail off, static and full", lambda path: save_image(page, path))


def _static(faces: FaceOutput) -> torch.Tensor | None:
    """Return the displacement that does not depend on the expression."""
    return None if faces.detail is None else faces.detail.strength * faces.detail.static


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)
