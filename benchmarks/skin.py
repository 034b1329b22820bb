"""Skin that photographs of people give to their textures, as Markdown: python benchmarks/skin.py FOLDER [--every 2]

The folder has photographs of people from the front whose faces nothing covers, for instance the neutral faces of the
Face Research Lab London Set (DeBruine and Jones 2017, CC BY 4.0, doi 10.6084/m9.figshare.5047666). Each is
reconstructed; a texel counts by how far it comes out of the photograph: mean over the texels of a region, and over
people, by how light the cheeks are in the photograph. What is missing the texture network made up.

With ``--grey`` the background is grey, so that it has the colour of the light: a second table has the logarithms of red
over green and of blue over green in the light that was found, less those in the background's corner. The last table
compares cheeks and neck in the photograph with the re-render in its light: CIELAB, median and root mean square over
people. Needs the extra ``photo``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from lips import CLASSES, REGIONS, tones

import facekit
from facekit import FacePipeline
from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.files.images import to_uint8
from facekit.geometry.parts import among
from facekit.geometry.uv import bake, rasterize_uv
from facekit.metrics.texture import lab
from facekit.progress import progress
from facekit.reconstruct.result import Reconstruction
from facekit.reconstruct.texture.grid import SKIN_PARTS
from facekit.render import Lights
from facekit.render.harmonics import irradiance
from facekit.template import Template

#: Height above the brows, mm, and half width of the forehead, where few have a fringe; distance of the other regions
#: from the chin and from the front of the ears.
FOREHEAD, WIDE, ABOVE, BEFORE = (3.0, 28.0), 38.0, 6.0, 12.0
#: The neck: its middle below the chin, half width and half height, in heights of the face; longer side of a re-render.
NECK, SIDE = (0.2, 0.13, 0.05), 900


def regions(template: Template, size: int) -> dict[str, torch.Tensor]:
    """Masks (S, S) bool of the forehead, of eyes, nose and cheeks, and of mouth and jaw, in an atlas."""
    verts, marks = template.verts, template.verts[template.landmarks]
    brows, nose, chin = marks[17:27, 1], marks[33, 1], marks[8, 1]
    skin, front = among(template.parts, SKIN_PARTS), verts[:, 2] > marks[[1, 15], 2].mean() + BEFORE
    high = verts[:, 1] - brows.max()
    masks = {
        "forehead": (high > FOREHEAD[0]) & (high < FOREHEAD[1]) & (verts[:, 0].abs() < WIDE),
        "nose and cheeks": (verts[:, 1] < brows.min()) & (verts[:, 1] > nose) & front,
        "mouth and jaw": (verts[:, 1] <= nose) & (verts[:, 1] > chin + ABOVE) & front,
    }
    ids, weights = rasterize_uv(template.uvs, template.faces_uvs, (size, size))
    return {
        name: (bake((mask & skin)[None, :, None].float(), template.faces, ids, weights)[0, 0] > 0.99) & (ids >= 0)
        for name, mask in masks.items()
    }


def hue(light: torch.Tensor) -> list[float]:
    """Logarithms of red over green and of blue over green of a linear colour (3,)."""
    red, green, blue = light.log().tolist()
    return [red - green, blue - green]


def arriving(lights: Lights) -> torch.Tensor:
    """Light (3,) that white faces reflect which look ahead."""
    assert lights.sh is not None
    ahead, forward = torch.tensor([[0.0], [0.0], [1.0]]), lights.directions(torch.eye(3)[None])[0, :, 2]
    lamps = [k.strength * float(f) * torch.tensor(k.colour) for k, f in zip(lights.lights, forward, strict=True)]
    return sum(lamps, irradiance(lights.sh, ahead)[:, 0])


def redrawn(made: Reconstruction) -> np.ndarray:
    """CIELAB of cheeks and of the neck in the re-render, less that in the photograph: (2, 3)."""
    pixels, points = made.pictures[0].pixels, made.landmarks[0].numpy()
    scale = SIDE / max(pixels.shape[:2])
    photo = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        drawn = made.face.render(image_size=photo.shape[:2], camera=made.camera, lights=made.lights[0]).rgb[0]
    points = points * scale
    up = points[168] - points[152]
    down, high = -up / np.linalg.norm(up), np.linalg.norm(points[152] - points[10])
    across = np.array([-down[1], down[0]])
    below, wide, tall = (high * share for share in NECK)
    corners = [
        points[152] + below * down + i * wide * across + j * tall * down
        for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    cheeks = [points[list(REGIONS[name])] for name in ("right cheek", "left cheek")]
    found = []
    for polygons in (cheeks, [np.array(corners)]):
        mask = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(mask, [polygon.round().astype(np.int32) for polygon in polygons], 1)
        seen = [torch.from_numpy(picture[mask > 0]).float() / 255 for picture in (to_uint8(drawn), photo)]
        tones = [linear_to_srgb(srgb_to_linear(colour).median(0).values)[None, :, None, None] for colour in seen]
        found.append((lab(tones[0]) - lab(tones[1])).flatten().numpy())
    return np.array(found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=2, help="take every so manieth photograph (default 2)")
    parser.add_argument("--grey", type=int, metavar="PIXELS", help="side of the grey corner, for the light's colour")
    args = parser.parse_args()
    pipe = FacePipeline.from_pretrained(device="cpu")
    masks, rows, lights, differ = {}, [], [], []
    for path in progress(sorted(args.folder.glob("*.jpg"))[:: args.every], desc="photographs"):
        made = facekit.reconstruct(path, model=pipe, hair=None)
        assert made.seen is not None
        masks = masks or regions(pipe.template, made.seen.shape[-1])
        pixels, shares = made.pictures[0].pixels, [float(made.seen[0, 0][mask].mean()) for mask in masks.values()]
        rows.append([tones(pixels, made.landmarks[0].numpy())[0], *shares])
        differ.append(redrawn(made))
        if args.grey:
            corner = torch.from_numpy(pixels[: args.grey, : args.grey].copy())
            behind = srgb_to_linear(corner.float() / 255).flatten(0, 1).median(0).values
            lights.append(np.subtract(hue(arriving(made.lights[0])), hue(behind)))
    table = np.array(rows)
    print("| cheeks | people | " + " | ".join(masks) + " | worst person |")
    print("| --- |" + " ---: |" * (len(masks) + 2))
    for name, (low, high) in (*CLASSES.items(), ("all", (0.0, np.inf))):
        some = table[(table[:, 0] > low) & (table[:, 0] <= high)]
        if len(some):
            shares = [f"{share:.0%}" for share in (*some[:, 1:].mean(axis=0), some[:, 1:].mean(axis=1).min())]
            print(f"| {name} | {len(some)} | " + " | ".join(shares) + " |")
    if args.grey:
        off = np.array(lights)
        root = f"{np.sqrt((off**2).mean()):.3f}"
        means = " | ".join(f"{m:+.3f} ± {s:.3f}" for m, s in zip(off.mean(axis=0), off.std(axis=0), strict=True))
        print("\n| red / green | blue / green | root mean square |\n| --- | --- | --- |")
        print(f"| {means} | {root} |")
    print("\n| re-render less photograph | L* | a* | b* | a* and b*, rms |\n| --- | ---: | ---: | ---: | ---: |")
    for name, some in zip(("cheeks", "neck"), np.array(differ).transpose(1, 0, 2), strict=True):
        middle = " | ".join(f"{m:+.1f}" for m in np.median(some, axis=0))
        print(f"| {name} | {middle} | {np.sqrt((some[:, 1:] ** 2).sum(1).mean()):.1f} |")


if __name__ == "__main__":
    main()
