"""Benchmark of the rig transferred to the published topology; prints a Markdown table.

Run: python benchmarks/rig_published.py DATA, the folder ``data`` of the public 3DFaceCAM repository. No weights are
needed: the people are its mean head and four of the default's, whose shapes are transferred as the rig is.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from facekit import BLENDSHAPES, FaceLatents, FacePipeline
from facekit.assembly import _laid_over, load_blendshapes
from facekit.conventions import PARTS
from facekit.convert.published import _template
from facekit.evaluate.rig import DEPTH_MM, FLIPS
from facekit.geometry.connected import largest_two
from facekit.geometry.correspond import interpolate_nearest
from facekit.metrics.contact import _depth, _inside, _Surface, face_like, flipped_triangles
from facekit.models.folds import Unfolding
from facekit.template import Template

#: Seed of the first of the default's people; distance from the mouth corners within which lips join, mm; and depth from
#: which a vertex of one lip is beyond the other rather than in it, mm.
FIRST_SEED, CORNER, BEYOND = 11, 4.0, 5.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The rig on the published topology, as a Markdown table.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--combinations", type=int, default=200)
    args = parser.parse_args()
    template = read(args.data)
    shapes, unfolding = load_blendshapes(template), Unfolding(template)
    rests = torch.cat((template.verts[None], people(template, args.people)))
    lips = both_lips(template)
    print(f"| poses | flips, mean | most | with {FLIPS} or fewer | lips deeper by, mm | within {DEPTH_MM} mm |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    sets = {"52 alone": torch.eye(len(BLENDSHAPES)), f"{args.combinations} combinations": face_like(args.combinations)}
    for what, rows in sets.items():
        for without in ("", ", folds left"):
            flips, depths = [], []
            for k, row in enumerate(rows):
                for rest in rests[:, None] if what == "52 alone" else rests[k % len(rests)][None, None]:
                    with torch.no_grad():
                        posed = rest + shapes(row[None], rest)
                        posed = posed if without else unfolding(posed, rest)
                    flips.append(int(flipped_triangles(template.faces, rest, posed).sum()))
                    depths.append(max(0.0, depth(posed[0], lips) - depth(rest[0], lips)))
            smooth, clear = np.mean(np.array(flips) <= FLIPS), np.mean(np.array(depths) <= DEPTH_MM)
            folds = f"{np.mean(flips):.1f} | {max(flips)} | {smooth:.1%}"
            print(f"| {what}{without} | {folds} | {max(depths):.2f} | {clear:.1%} |", flush=True)


def read(data: Path) -> Template:
    """Return the published topology, converted as facekit's import converts it."""
    mesh = data / "template_mesh.obj"
    count = sum(line.startswith("v ") for line in mesh.read_text(encoding="utf-8").splitlines())
    arrays = _template(SimpleNamespace(data={"template_mesh": mesh, "faces": data / "face_v.npy"}), count)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "template.npz", **arrays)
        return Template.load(Path(folder) / "template.npz")


@torch.no_grad()
def people(template: Template, count: int) -> torch.Tensor:
    """Return neutral faces (count, V, 3) in mm of the default's people on another topology."""
    pipe = FacePipeline.from_pretrained(device="cpu")
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    moved = pipe.decode_shape(FaceLatents.cat([FaceLatents.sample(seed) for seed in seeds]).at_rest())
    fields = (moved - pipe.template.verts).permute(1, 0, 2).flatten(1)
    points, turn = _laid_over(template, pipe.template)
    outside = ~torch.isin(pipe.template.parts, torch.tensor([PARTS.index(name) for name in ("eyes", "teeth", "mouth")]))
    found, _ = interpolate_nearest(points, pipe.template.verts[outside], fields[outside])
    return template.verts + found.unflatten(1, (-1, 3)).permute(1, 0, 2) @ turn


def both_lips(template: Template) -> list[tuple[torch.Tensor, _Surface]]:
    """Return each lip's vertices (P,) and the other's surface, without the mouth corners."""
    corners = template.verts[template.landmarks[[48, 54, 60, 64]]]
    lips = (template.parts == PARTS.index("lips")) & (torch.cdist(template.verts, corners).amin(dim=1) > CORNER)
    label = largest_two(template.faces, lips)
    return [((label == a).nonzero()[:, 0], _Surface(_inside(template.faces, label == b))) for a, b in ((0, 1), (1, 0))]


def depth(verts: torch.Tensor, lips: list[tuple[torch.Tensor, _Surface]]) -> float:
    """Return the depth in mm of the deepest vertex of one lip in the other."""
    found = [_depth(verts, *lip)[0] for lip in lips]
    return max(float(torch.where(value < BEYOND, value, 0.0).max()) for value in found)


if __name__ == "__main__":
    main()
