"""Realism of skin and eyes: energy by octave, sclera, asymmetry, chance; prints Markdown tables.

Run: python benchmarks/realism.py [--people 40] [--pack PATH]. The training pack's skins, which are the reference of the
first table, are measured when the pack is given.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F

#: No training drew these people.
FIRST_SEED = 90_000
#: Cycles per pixel where the eyes' centres are so many pixels apart.
EYE_PIXELS, CHEEK_BANDS = 104.0, ((0.06, 0.12), (0.12, 0.25), (0.25, 0.5))
SIZE = 512
# Half the side of the patch on each cheek, of the eyes' distance.
_PATCH = 0.20
# Deviation of the blur that leaves the shading, pixels.
_SHADING = 8.0
# Cosines of the angles from straight ahead from which on there is sclera, and up to which there is iris.
_SCLERA, _IRIS = 0.84, 0.91


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--pack", type=Path, help="folder of the training pack")
    args = parser.parse_args()
    print(report(args.people, args.pack))


@torch.inference_mode()
def report(people: int, pack: Path | None) -> str:
    """Measure ``people`` faces: Markdown."""
    from facekit import FaceLatents, FacePipeline
    from facekit.evaluate.texture import OCTAVES, octave_energies
    from facekit.metrics.texture import delta_e, lab
    from facekit.models.composers.micro import ATLAS
    from facekit.train.skin.stage import reference_skins

    pipe = FacePipeline.from_pretrained(device="cpu")
    composer = pipe.composer
    tiles, chance, halves, cheeks, eyes = [], [], [], [], []
    for k in range(people):
        codes = FaceLatents.sample(FIRST_SEED + k)
        other = dataclasses.replace(codes, texture_noise=FaceLatents.sample(FIRST_SEED + 5000 + k).texture_noise)
        skins = (pipe.skin(pipe.to_model_codes(c)) for c in (codes, other))
        tile, again = (skin[:, :, composer.rows, composer.columns] for skin in skins)
        tiles.append(tile)
        low, high = round(0.10 * tile.shape[-1]), round(0.80 * tile.shape[-1])
        middle = (..., slice(low, high), slice(round(0.2 * tile.shape[-1]), round(0.8 * tile.shape[-1])))
        chance.append(float(delta_e(tile, again)[middle].mean()))
        light = F.avg_pool2d(lab(tile)[:, :1], 5)
        middle = (..., slice(low // 5, high // 5), slice(round(0.04 * tile.shape[-1]), round(0.16 * tile.shape[-1])))
        halves.append(float((light - light.flip(-1))[middle].abs().mean()))
        bands, ratios = pictured(pipe, codes)
        cheeks.append(bands)
        eyes.append(ratios)
    rows = [
        "| octave, cycles per texel | generated, median × 1e4 | training skins | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]
    ours = octave_energies(torch.cat(tiles))
    theirs = None if pack is None else octave_energies(reference_skins(pack, ATLAS))
    for k, value in enumerate(ours):
        other = "" if theirs is None else f"{1e4 * theirs[k]:.2f}"
        ratio = "" if theirs is None else f"{value / theirs[k]:.2f}"
        rows.append(f"| 1/{1 / OCTAVES[k]:.0f} to 1/{1 / OCTAVES[k + 1]:.0f} | {1e4 * value:.2f} | {other} | {ratio} |")
    rows += ["", f"| of {people} people | median | tenth | ninetieth |", "| --- | ---: | ---: | ---: |"]
    table = torch.tensor(cheeks)
    for k, (a, b) in enumerate(CHEEK_BANDS):
        rows.append(_row(f"cheeks in the picture, {a} to {b} cycles per pixel, × 1e4", 1e4 * table[:, k]))
    slope = -(table[:, 0] / table[:, -1]).log2() / (len(CHEEK_BANDS) - 1)
    rows.append(_row("slope of the cheeks' power over frequency, per octave", slope))
    for name, values in zip(
        ("sclera / skin luminance, skins above 0.2", "iris / sclera"), zip(*eyes, strict=True), strict=True
    ):
        known = torch.tensor(values)
        rows.append(_row(name, known[~known.isnan()]))
    rows.append(_row("another noise, ΔE of the skin", torch.tensor(chance)))
    rows.append(_row("left against right, ΔL*", torch.tensor(halves)))
    return "\n".join(rows)


def pictured(pipe, codes) -> tuple[list[float], tuple[float, float]]:
    """Energy by band of the cheeks; luminance of sclera over skin (NaN for dark skin) and of iris over sclera."""
    from facekit import Camera
    from facekit.color import luminance, srgb_to_linear
    from facekit.conventions import PARTS
    from facekit.metrics.texture import power_in_band

    face = pipe(latents=codes, hair=None)
    camera = Camera.front()
    points = camera.project(face.mesh.verts[:, face.mesh.landmarks], SIZE)[0, :, :2]
    size = round(SIZE * EYE_PIXELS / float((points[42:48].mean(0) - points[36:42].mean(0)).norm()))
    picture = face.render(image_size=size, camera=camera, quality="high")
    points = camera.project(face.mesh.verts[:, face.mesh.landmarks], size)[0, :, :2]
    half = round(_PATCH * EYE_PIXELS)
    light = luminance(picture.rgb)[0, 0]
    # Shading is smoother than the coarsest band.
    even = light / torch.from_numpy(cv2.GaussianBlur(light.numpy(), None, _SHADING))
    places, energies = [], []
    for eye, nose in ((36, 31), (45, 35)):
        # Below the eye's outer half, at the height of the nose's wing.
        x, y = float(0.6 * points[eye, 0] + 0.4 * points[nose, 0]), float(points[nose, 1])
        places.append((slice(round(y) - half, round(y) + half), slice(round(x) - half, round(x) + half)))
        energies.append([float(power_in_band(even[places[-1]][None], band)) for band in CHEEK_BANDS])
    light = luminance(srgb_to_linear(picture.rgb))[0, 0]
    skin = float(torch.stack([light[place].median() for place in places]).mean())
    ids = picture.face_ids[0]
    corner = face.mesh.faces[ids.clamp_min(0), 0]
    ball = (ids >= 0) & (face.mesh.parts[corner] == PARTS.index("eyes"))
    inner = F.avg_pool2d(ball[None, None].float(), 3, 1, 1)[0, 0] > 0.99
    ahead = torch.zeros(face.mesh.verts.shape[1])
    for eye in pipe.blendshapes.eyes:
        away = face.mesh.verts[0, eye.ball] - eye.centre(face.mesh.verts)[0]
        ahead[eye.ball] = away[:, 2] / away.norm(dim=1)
    # By the angle from straight ahead, which the gaze is: iris and pupil lie within it, the sclera beyond.
    white, iris = (float(light[inner & some].median()) for some in (ahead[corner] < _SCLERA, ahead[corner] > _IRIS))
    return torch.tensor(energies).mean(0).tolist(), (white / skin if skin > 0.2 else float("nan"), iris / white)


def _row(name: str, values: torch.Tensor) -> str:
    low, middle, high = (float(values.quantile(q)) for q in (0.1, 0.5, 0.9))
    return f"| {name} | {middle:.2f} | {low:.2f} | {high:.2f} |"


if __name__ == "__main__":
    main()
