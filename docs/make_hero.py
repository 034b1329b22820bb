"""Draws ``docs/hero.webp``, the picture at the top of README.md: five people, and one person's expressions."""

from pathlib import Path

import numpy as np
import torch

import facekit
from facekit.files.images import save_image
from facekit.viz.sheets import close_up, contact_sheet, render_faces

PEOPLE = (10, 15, 12, 7, 16)
EXPRESSIONS = (("smile", 1.0), ("mouth_stretch", 1.0), ("anger", 1.2), ("lip_puckerer", 1.0), ("brow_raiser", 1.2))


def main() -> None:
    """Render ten faces in high quality and lay them out."""
    pipe = facekit.FacePipeline.from_pretrained()
    people = facekit.FaceLatents.cat([facekit.FaceLatents.sample(seed) for seed in PEOPLE])
    someone = people[1]
    posed = facekit.FaceLatents.cat([someone.with_expression(name, value) for name, value in EXPRESSIONS])
    faces = pipe(latents=facekit.FaceLatents.cat([people.with_expression("smile", 0.35), posed]))
    pictures = torch.cat([render_faces(face, close_up(), 480, quality="high") for face in faces])
    labels = [f"seed {seed}" for seed in PEOPLE]
    labels += [f"{name.replace('_', ' ')} {value:g}" for name, value in EXPRESSIONS]
    page = contact_sheet(pictures, labels, columns=5, cell_size=300)
    path = save_image(np.asarray(page), Path(__file__).with_name("hero.webp"), quality=88)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
