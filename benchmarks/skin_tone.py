"""Spread of a person's skin colour over several photographs, as Markdown::

    python benchmarks/skin_tone.py FOLDER

The folder has a folder per person, with two photographs or more of each. Nobody knows the true colours, but a person's
should be the same in every photograph: the spread within people, as a standard deviation of L*, a*, b*, beside that of
the photographs' own colours, and beside the spread between people, which must not shrink along with it. Needs the extra
``photo``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from reconstruct_texture import face_of

from facekit import FaceLatents, FacePipeline
from facekit.color import linear_to_srgb
from facekit.geometry.charts import rect_box
from facekit.metrics.texture import lab
from facekit.progress import progress
from facekit.reconstruct.api import cameras_of, posed_heads, refine_and_fit
from facekit.reconstruct.find import find
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture, read_all
from facekit.reconstruct.texture.compose import PictureStudy

SIZE = 512


def colours(pipe: FacePipeline, photo: PhotoModel, landmarker: Landmarker, picture: Picture) -> np.ndarray:
    """Return the skin's mean L*, a*, b* (2, 3): of the reconstruction, and of the photograph itself."""
    picture, marks, _ = find(picture, landmarker, photo.mirror, None)
    fitted, _ = refine_and_fit(photo, [picture], [marks])
    rest = FaceLatents.sample(0, expression="neutral", intensity=0.0, truncation=0.0)
    shaped, verts = posed_heads(fitted, pipe, photo, rest)
    assert shaped.person is not None
    pixels = torch.from_numpy(picture.pixels).float() / 255
    study = PictureStudy.of([pixels], verts, cameras_of(fitted, [picture]), pipe, shaped.person.neutral)
    atlas = study.texture("blend", SIZE).albedo
    tile = atlas[(..., *rect_box(pipe.template.tile_rect, SIZE, SIZE))]
    face = face_of(pipe, tile.shape[-1])
    seen = study.views[0].texels(study.grid)
    weight = seen.weight * study.skins[0]
    raw = linear_to_srgb((seen.colour * weight).sum(1) / weight.sum().clamp_min(1e-6))
    return np.stack([lab(tile)[0][:, face].mean(1).numpy(), lab(raw[None, :, None, None])[0, :, 0, 0].numpy()])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    pipe = FacePipeline.from_pretrained(device="cpu")
    photo = PhotoModel.of(pipe)
    people: dict[str, np.ndarray] = {}
    with Landmarker() as landmarker:
        for folder in progress([p for p in sorted(parser.parse_args().folder.iterdir()) if p.is_dir()], desc="people"):
            found = [colours(pipe, photo, landmarker, picture) for picture in read_all(folder)]
            people[folder.name] = np.stack(found, 1)
    print("| person | photographs | L* of each, reconstructed | in the photograph |\n| --- | --- | --- | --- |")
    for name, (made, raw) in people.items():
        told = (", ".join(f"{value:.0f}" for value in row[:, 0]) for row in (made, raw))
        print(f"| {name} | {len(made)} | {' | '.join(told)} |")
    print("\n| | within people, L*, a*, b* | between people |\n| --- | --- | --- |")
    for k, what in enumerate(("reconstructed", "photographs")):
        within = np.sqrt(np.mean([np.var(rows[k], axis=0, ddof=1) for rows in people.values()], axis=0))
        between = np.std([rows[k].mean(axis=0) for rows in people.values()], axis=0, ddof=1)
        print(f"| {what} | {', '.join(f'{v:.1f}' for v in within)} | {', '.join(f'{v:.1f}' for v in between)} |")


if __name__ == "__main__":
    main()
