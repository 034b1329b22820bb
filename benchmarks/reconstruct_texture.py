"""Errors of the albedo from photographs, by skin tone, as Markdown::

    python benchmarks/reconstruct_texture.py [--people 4] [--first 60000] [--pictures 1] [--misfit 1.5] [--occluded]
        [--picture PNG]

People are synthetic, of seeds that no training saw, with skin that the texture network cannot draw exactly
(:func:`facekit.evaluate.photographs.marked`); so many of each class of the individual typology angle. Errors are CIE76
over the face, without scalp, ears and neck, with the 95 % interval of their mean over people. Controls: the network's
texture alone, the pictures' texels alone, the mean texture. Shapes are the true ones, off by ``--misfit`` mm; lights,
exposure and white balance are unknown.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from facekit import FaceLatents, FacePipeline
from facekit.evaluate.occluders import OCCLUDERS
from facekit.evaluate.photographs import (
    ITA_CLASSES,
    Photograph,
    ita_class,
    marked,
    misfitted,
    photograph,
    skin_tone,
)
from facekit.files.images import save_image, to_uint8
from facekit.geometry.charts import rect_box
from facekit.metrics.texture import delta_e, lab
from facekit.progress import progress
from facekit.reconstruct.texture import mask
from facekit.reconstruct.texture.compose import PictureStudy, TextureResult
from facekit.reconstruct.texture.grid import TileGrid
from facekit.render import Camera, render

COLUMNS = ("blend", "photo", "gan", "mean texture", "bias of L*")


def people_by_class(pipe: FacePipeline, count: int, first: int) -> list[tuple[str, int]]:
    """Return ``count`` seeds of each class of skin tone from ``first`` on, with the class."""
    found: dict[str, list[int]] = defaultdict(list)
    for seed in range(first, first + 5000):
        latents = FaceLatents.sample(seed)
        with torch.inference_mode():
            atlas = pipe.compose(pipe.decode_texture(latents), latents)
            atlas = marked(atlas, pipe.template.tile_rect, np.random.default_rng((seed, 10_000)))
        name = ita_class(float(skin_tone(atlas, pipe.template.tile_rect)[0]))
        if len(found[name]) < count:
            found[name].append(seed)
        if all(len(found[name]) == count for name, _ in ITA_CLASSES):
            break
    return [(name, seed) for name, _ in ITA_CLASSES for seed in found[name]]


def face_of(pipe: FacePipeline, size: int) -> torch.Tensor:
    """(S, S) bool, the texels that count."""
    grid = TileGrid.of(pipe.template, size)
    return grid.spread((mask.region(pipe, grid) * grid.skin)[None])[0] > 0.5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=4, help="of each class of skin tone (default 4)")
    parser.add_argument("--first", type=int, default=60_000, help="seed from which on people are taken (default 60000)")
    parser.add_argument("--pictures", type=int, default=1, help="of each person (default 1)")
    parser.add_argument("--misfit", type=float, default=1.5, help="mm rms that shapes are off (default 1.5)")
    parser.add_argument("--occluded", action="store_true", help="put hair, glasses, hats, hands, scarves in front")
    parser.add_argument("--picture", type=Path, help="PNG of photographs, re-renders and the truth")
    a = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    rows, columns = rect_box(pipe.template.tile_rect, pipe.composer.size, pipe.composer.size)
    face = face_of(pipe, rows.stop - rows.start)
    mean = FaceLatents.sample(0, truncation=0.0)
    with torch.inference_mode():
        plain = pipe.compose(pipe.decode_texture(mean), mean)
    errors, strips = defaultdict(list), []
    for number, (name, seed) in enumerate(progress(people_by_class(pipe, a.people, a.first), desc="people")):
        kinds = [OCCLUDERS[(number + k) % len(OCCLUDERS)] if a.occluded else None for k in range(a.pictures)]
        taken = [photograph(pipe, seed, shot=k, occluder=kind) for k, kind in enumerate(kinds)]
        truth, row = taken[0].albedo, []
        verts = torch.stack([misfitted(t.verts, a.misfit, seed) for t in taken])
        neutral = misfitted(taken[0].neutral, a.misfit, seed)
        study = PictureStudy.of([t.picture for t in taken], verts, [t.camera for t in taken], pipe, neutral)
        found = {mode: study.texture(mode) for mode in ("blend", "photo", "gan")}
        for atlas in (*(found[mode].albedo for mode in found), plain):
            row.append(float(delta_e(atlas[..., rows, columns], truth[..., rows, columns])[0][face].mean()))
        tones = [lab(t[..., rows, columns])[0, 0][face].mean() for t in (found["blend"].albedo, truth)]
        errors[name].append([*row, float(tones[0] - tones[1])])
        if a.picture is not None:
            strips.append(strip(pipe, taken[0], found["blend"]))
    print(f"\n{a.pictures} picture(s) a person, shapes {a.misfit:g} mm off{', occluded' if a.occluded else ''}\n")
    print(f"| skin tone | people | {' | '.join(COLUMNS)} |\n|{' --- |' * (len(COLUMNS) + 2)}")
    for name, rows_ in errors.items():
        print(line(name, np.array(rows_)))
    whole = np.array([row for rows_ in errors.values() for row in rows_])
    print(line("all", whole))
    means = {name: np.mean(rows_, 0) for name, rows_ in errors.items()}
    ratio = max(v[0] for v in means.values()) / min(v[0] for v in means.values())
    print(f"\nworst class over best: {ratio:.2f}; worst person {whole[:, 0].max():.1f}")
    if a.picture is not None:
        save_image(to_uint8(torch.cat(strips, 1)), a.picture)


def line(name: str, rows: np.ndarray) -> str:
    """One line of the table, of the errors (people, columns) of a class."""
    least, most = np.quantile(
        [np.random.default_rng(k).choice(rows[:, 0], len(rows)).mean() for k in range(2000)], (0.025, 0.975)
    )
    means = [f"{value:.1f}" for value in rows.mean(0)]
    means[0] += f" ({least:.1f} to {most:.1f})"
    return f"| {name} | {len(rows)} | {' | '.join(means)} |"


def strip(pipe: FacePipeline, taken: Photograph, found: TextureResult, side: int = 256) -> torch.Tensor:
    """Photograph, re-render, front and sides of it, the truth's front: (3, side, 6 * side)."""
    picture = taken.picture.permute(2, 0, 1)[None]
    cells = [torch.nn.functional.interpolate(picture, size=(side, side), mode="area")[0]]
    mesh = pipe.template.mesh(taken.verts[None], found.albedo)
    cells.append(render(mesh, taken.camera, side, lights=found.lights[0], background=(0.4, 0.4, 0.4)).rgb[0])
    mesh = pipe.template.mesh(taken.neutral[None], found.albedo)
    cells += [render(mesh, Camera.orbit(turn), side, lights="daylight").rgb[0] for turn in (0, 50, -50)]
    mesh = pipe.template.mesh(taken.neutral[None], taken.albedo)
    cells.append(render(mesh, Camera.front(), side, lights="daylight").rgb[0])
    return torch.cat(cells, 2)


if __name__ == "__main__":
    main()
