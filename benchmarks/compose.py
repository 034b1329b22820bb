"""Effect of blending the published model's textures, and fit of texture to mesh, as Markdown::

    python benchmarks/compose.py WHERE [--identities 24] [--pictures FOLDER]

WHERE is either "3dfacecam", once it is installed, or a folder with upstream's ``template_mesh.obj`` and
``base_tex.npy``. With the model, tiles are those of its training identities. Without, they are made of the base
texture's own face, one real subject in the tile's place: as it is, pale with stained eyes, dark with a mosaic.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from facekit.conventions import PARTS
from facekit.geometry.charts import eye_openings, landmark_uvs, to_pixels
from facekit.geometry.uv import bake, rasterize_uv
from facekit.metrics.composition import (
    FOUND,
    find_landmarks,
    landmark_offset,
    neck_mismatch,
    regions,
    seam_step,
    stain_share,
)
from facekit.models.composers.published import ATLAS, COLUMNS, ROWS, TILE, PublishedComposer, resized
from facekit.template import Template

Tiles = dict[str, torch.Tensor]


def from_folder(folder: Path) -> tuple[Template, PublishedComposer, Tiles]:
    """Upstream's mesh and base texture from its data files, and tiles made of the latter."""
    from facekit.convert.template import describe
    from facekit.io.reading import read_untextured

    mesh = read_untextured(next(folder.rglob("template_mesh.obj")))
    arrays = {"verts": mesh.verts[0], "faces": mesh.faces, "uvs": mesh.uvs, "faces_uvs": mesh.faces_uvs}
    facts = describe(**{name: value.numpy() for name, value in arrays.items()})
    template = Template(**arrays, **{k: torch.from_numpy(v) for k, v in facts.items()}, tile_rect=(0.0, 0.0, 1.0, 1.0))
    base = torch.from_numpy(np.load(next(folder.rglob("base_tex.npy")))[..., ::-1].copy())  # stored as BGR
    face = face_of(base)
    pale = (face**0.75 * torch.tensor([1.05, 1.08, 1.12])[:, None, None]).clamp(0, 1)
    dark = face * torch.tensor([0.55, 0.47, 0.42])[:, None, None]
    tiles = {"base": face, "pale, stained": stained(pale, template), "dark, mosaic": pixelated(dark, 10)}
    return template, PublishedComposer(base, template), tiles


def from_model(name: str, count: int) -> tuple[Template, PublishedComposer, Tiles]:
    """The installed model, and tiles of ``count`` of its training identities."""
    from facekit import FacePipeline

    pipe = FacePipeline.from_pretrained(name, device="cpu")
    numbers = torch.linspace(1, 847, count).round().int().tolist()
    with torch.inference_mode():
        tiles = {f"{k}": pipe.decode_texture(pipe.training_identity(k)).clamp(0, 1) for k in numbers}
    return pipe.template, pipe.composer, tiles


def face_of(base: torch.Tensor) -> torch.Tensor:
    """(1, 3, 512, 512): what of a base texture (512, 512, 3) uint8 lies where the tile goes."""
    picture = resized(base.permute(2, 0, 1)[None].float() / 255, ATLAS)
    return resized(picture[:, :, slice(*ROWS), slice(*COLUMNS)], TILE)


def stained(tile: torch.Tensor, template: Template) -> torch.Tensor:
    """Dark stains laid over both eyes."""
    y, x = torch.meshgrid(torch.arange(TILE) + 0.5, torch.arange(TILE) + 0.5, indexing="ij")
    for outline in eye_openings(template):
        centre = (to_pixels(outline, ATLAS).mean(0) - torch.tensor([COLUMNS[0], ROWS[0]])) * TILE / (ROWS[1] - ROWS[0])
        amount = 0.75 * torch.exp(-((((x - centre[0]) / 34) ** 2 + ((y - centre[1]) / 20) ** 2) ** 2))
        tile = torch.lerp(tile, torch.tensor([0.12, 0.05, 0.04])[:, None, None].expand_as(tile), amount)
    return tile


def pixelated(tile: torch.Tensor, block: int) -> torch.Tensor:
    """A band over both eyes in blocks."""
    tile = tile.clone()
    band = tile[:, :, 165:255, 130:385]
    coarse = F.avg_pool2d(band, block, ceil_mode=True, count_include_pad=False)
    tile[:, :, 165:255, 130:385] = coarse.repeat_interleave(block, 2).repeat_interleave(block, 3)[..., :90, :255]
    return tile


def mended(template: Template, composer: PublishedComposer, tiles: Tiles) -> str:
    """The measures of each tile in either mode."""
    found = regions(template, template.parts, PARTS.index("neck"), ATLAS)
    lines = [
        "| tile | seam, ΔE | stained share of the eye ring | face against neck, ΔE |",
        "| --- | ---: | ---: | ---: |",
    ]
    rows = []
    for name, tile in tiles.items():
        values = []
        with torch.inference_mode():
            for mode in reversed(composer.MODES):
                atlas = composer(tile, mode)
                seam = seam_step(atlas, ROWS, COLUMNS, found.covered)
                values.append(torch.stack((seam, stain_share(atlas, found), neck_mismatch(atlas, found)))[:, 0])
        rows.append(torch.stack(values, dim=1))
        lines.append(line(name, rows[-1]))
    return "\n".join([*lines, line("mean", torch.stack(rows).mean(0))])


def line(name: str, values: torch.Tensor) -> str:
    """One row: upstream → blend for each measure."""
    seam, stain, neck = values.tolist()
    pairs = (f"{seam[0]:.1f} → {seam[1]:.1f}", f"{stain[0]:.0%} → {stain[1]:.0%}", f"{neck[0]:.1f} → {neck[1]:.1f}")
    return f"| {name} | {' | '.join(pairs)} |"


def fit(template: Template, tiles: Tiles) -> str:
    """Return distances between landmarks of the tiles' mean and of the mesh.

    The mesh's own picture (its occlusion in UV, openings black) goes through the same finder: what it sees there, where
    the truth is known, is the finder's own error.
    """
    ids, weights = rasterize_uv(template.uvs, template.faces_uvs, ATLAS)
    picture = bake(template.ao[None, :, None], template.faces, ids, weights).expand(-1, 3, -1, -1)
    own = find_landmarks(resized(picture[:, :, slice(*ROWS), slice(*COLUMNS)], TILE)[0])
    seen = find_landmarks(torch.cat(list(tiles.values())).mean(0))
    corner = torch.tensor([COLUMNS[0], ROWS[0]])
    mesh = (to_pixels(landmark_uvs(template)[list(FOUND)], ATLAS) - corner) * TILE / (ROWS[1] - ROWS[0])
    lines = [
        "| landmark (iBUG) | in the tile, px | on the mesh | finder on the mesh's picture |",
        "| --- | --- | --- | --- |",
    ]
    for number, points in zip(FOUND, zip(seen, mesh, own, strict=True), strict=True):
        lines.append(f"| {number} | {' | '.join(f'{x:.1f}, {y:.1f}' for x, y in (p.tolist() for p in points))} |")
    offset, error = (landmark_offset(template, points, ROWS, COLUMNS) for points in (seen, own))
    for name, (dx, dy) in (("against the mesh's landmarks", offset), ("less the finder's own error", offset - error)):
        lines.append(f"\nmean offset {name}: {dx:+.2f}, {dy:+.2f} pixels of the atlas (right, down)")
    return "\n".join(lines)


def cost(composer: PublishedComposer, tiles: Tiles, repeat: int = 3) -> str:
    """Processor time of one atlas, in batches of four."""
    batch = torch.cat(list(tiles.values()) * 4)[:4]
    rows = ["| mode | ms of processor time an atlas |", "| --- | ---: |"]
    for mode in composer.MODES:
        with torch.inference_mode():
            composer.with_mode(mode)(batch)
            start = time.process_time()
            for _ in range(repeat):
                composer.with_mode(mode)(batch)
        rows.append(f"| {mode} | {(time.process_time() - start) / repeat / len(batch) * 1000:.0f} |")
    return "\n".join(rows)


def save_pictures(template: Template, composer: PublishedComposer, tiles: Tiles, folder: Path) -> None:
    """Renderings of each tile, upstream's paste above the blend."""
    from facekit.files.images import save_image, to_uint8
    from facekit.render import Camera, render

    folder.mkdir(parents=True, exist_ok=True)
    cameras = Camera.orbit([0.0, 40.0, 110.0], target=(0.0, 0.0, 0.0))
    for name, tile in tiles.items():
        with torch.inference_mode():
            meshes = [
                template.mesh(template.verts[None], composer.with_mode(mode)(tile)) for mode in reversed(composer.MODES)
            ]
            rows = [torch.cat(list(render(mesh, cameras, 512).rgb[:, :3]), dim=2) for mesh in meshes]
        save_image(to_uint8(torch.cat(rows, dim=1)[None]), folder / f"{'_'.join(name.replace(',', '').split())}.png")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("where", help="an installed model's name, or a folder with upstream's data files")
    parser.add_argument("--identities", type=int, default=24, help="training identities to measure (default: 24)")
    parser.add_argument("--pictures", type=Path, help="folder for renderings of every tile in both modes")
    options = parser.parse_args()
    folder = Path(options.where)
    template, composer, tiles = (
        from_folder(folder) if folder.is_dir() else from_model(options.where, options.identities)
    )
    composer = composer.eval()
    print("### Composition: upstream → blend\n", mended(template, composer, tiles), sep="\n")
    clean = tiles if not folder.is_dir() else {"base": tiles["base"]}
    print("\n### Texture and mesh\n", fit(template, clean), sep="\n")
    print("\n### Cost\n", cost(composer, tiles), sep="\n")
    if options.pictures:
        save_pictures(template, composer, tiles, options.pictures)


if __name__ == "__main__":
    main()
