"""Portraits for ``judges.py``: the default's people, 512² in the studio's light, all from one camera."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from facekit import EXPRESSIONS, Camera, FaceLatents, FacePipeline
from facekit.evaluate.people import modes_people
from facekit.progress import progress
from facekit.render import render
from facekit.render.camera import HAIR_FRAMING

SIZE = 512
#: Seeds of the first strangers, of those who make faces, who age, and who are women and men.
STRANGERS, ACTORS, AGED, SEXED = 3000, 3100, 3200, 3300
LEVELS = (0.5, 1.0, 1.5)
AGES = (20, 30, 40, 50, 60, 75)
#: The masculinity of women and of men.
SEXES = {"female": 0.1, "male": 0.9}
WORN = {"hair": "auto", "bare": None}
#: Bare strangers in whom one thing differs, or comes from elsewhere.
CONTROLS = {
    "skins": "bare, own skin on the mean head",
    "shapes": "bare, own head under the mean skin",
    "modes": "bare, own skin on a head drawn from the head model's modes",
}


def paint(pipe: FacePipeline, folder: Path, people: int, judged: int) -> None:
    """Write portraits: ``strangers-hair/SEED.png``, ``acting/SEED smile 1.0.png``, ``ages/SEED 20.png`` and such."""
    wanted: dict[str, tuple[FaceLatents, str | None]] = {}
    for worn, hair in WORN.items():
        for seed in range(STRANGERS, STRANGERS + people):
            wanted[f"strangers-{worn}/{seed}"] = FaceLatents.sample(seed), hair
        for sex, masculinity in SEXES.items():
            for seed in range(SEXED, SEXED + 2 * judged):
                wanted[f"{sex}-{worn}/{seed}"] = FaceLatents.sample(seed, masculinity=masculinity), hair
    for seed in range(ACTORS, ACTORS + judged):
        for name in EXPRESSIONS:
            for level in LEVELS if name != "neutral" else (1.0,):
                wanted[f"acting/{seed} {name} {level}"] = FaceLatents.sample(seed, 1, name, level), "auto"
    for seed in range(AGED, AGED + judged):
        for age in AGES:
            wanted[f"ages/{seed} {age}"] = FaceLatents.sample(seed, age=age), "auto"
    camera = Camera.front(**HAIR_FRAMING)
    for name, (codes, hair) in progress(list(wanted.items()), desc="portraits"):
        path = folder / f"{name}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with torch.inference_mode():
                pipe(latents=codes, hair=hair).render(image_size=SIZE, camera=camera).save(path)


@torch.inference_mode()
def paint_controls(pipe: FacePipeline, folder: Path, people: int) -> None:
    """Write the bare strangers of :data:`CONTROLS`, named ``strangers-skins/SEED.png`` and such."""
    mean = pipe(latents=FaceLatents.sample(0, truncation=0.0), hair=None).mesh
    drawn = modes_people(pipe, people, ("neutral",), STRANGERS).verts
    for k in progress(range(people), desc="controls"):
        mesh = pipe(latents=FaceLatents.sample(STRANGERS + k), hair=None).mesh
        looks = {
            "skins": dataclasses.replace(mesh, verts=mean.verts),
            "shapes": dataclasses.replace(mesh, texture=mean.texture, displacement=None),
            "modes": dataclasses.replace(mesh, verts=drawn[k]),
        }
        for name, look in looks.items():
            path = folder / f"strangers-{name}" / f"{STRANGERS + k}.png"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                render(look, Camera.front(**HAIR_FRAMING), SIZE).save(path)
