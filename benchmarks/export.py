"""Time of exports and imports; prints a Markdown table. Run: python benchmarks/export.py [--repeat 5]"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import facekit
from facekit.conventions import MORPH_TARGETS
from facekit.face import FaceOutput
from facekit.files.images import encode_png, to_uint8
from facekit.geometry import texels
from facekit.io import obj
from facekit.io.maps import save_maps
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.source import FaceRig, RigSource

SIDE = 162  # 162² vertices: 26,244, about those of the published template


def head(side: int = SIDE, texture_size: int = 1024) -> FaceMesh:
    """An ellipsoid of side² vertices with a UV seam, a texture about as hard to compress as skin, and displacement."""
    height = torch.linspace(-0.45 * math.pi, 0.45 * math.pi, side)
    angle = torch.arange(side) * (2 * math.pi / side)
    lat, lon = torch.meshgrid(height, angle, indexing="ij")
    unit = torch.stack([lat.cos() * lon.sin(), lat.sin(), lat.cos() * lon.cos()], dim=-1)
    u, v = torch.linspace(0, 1, side + 1), torch.linspace(0, 1, side)
    uvs = torch.stack(torch.meshgrid(v, u, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
    row, column = (t.reshape(-1) for t in torch.meshgrid(torch.arange(side - 1), torch.arange(side), indexing="ij"))

    def triangles(width: int) -> torch.Tensor:
        a, b = row * width + column, row * width + (column + 1) % width
        return torch.cat([torch.stack([a, b, b + width], 1), torch.stack([a, b + width, a + width], 1)])

    noise = torch.randn(1, 3, texture_size, texture_size, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise[..., :32, :32], size=texture_size, mode="bicubic")
    texture = (torch.tensor([0.75, 0.55, 0.45]).view(1, 3, 1, 1) + 0.05 * smooth + 0.01 * noise).clamp(0, 1)
    verts = (unit * torch.tensor([75.0, 110.0, 90.0])).reshape(1, -1, 3)
    displacement = 0.5 * smooth[:, :1] + 0.02 * noise[:, :1]
    return FaceMesh(verts, triangles(side), uvs, triangles(side + 1), texture, displacement=displacement)


def face(mesh: FaceMesh) -> FaceOutput:
    """The mesh with 19 morph targets that move all of it: the largest GLB there can be."""
    deltas = torch.stack([0.02 * mesh.verts[0].roll(k + 1, 0) for k in range(len(MORPH_TARGETS))])
    rig = FaceRig(mesh, MORPH_TARGETS, deltas, torch.zeros(len(MORPH_TARGETS)))
    return FaceOutput(mesh, FaceLatents.sample(7), model="benchmark", source=RigSource(rig))


def median_ms(job: Callable[[], object], repeat: int) -> float:
    """Median of ``repeat`` runs after one to warm up."""
    job()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        job()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def import_ms(arguments: list[str], repeat: int) -> float:
    """Return the time of a fresh interpreter minus that of an idle one, ms."""
    started = median_ms(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), repeat)
    whole = median_ms(
        lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL), repeat
    )
    return whole - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median is taken (default: 5)")
    repeat = parser.parse_args().repeat
    mesh = head()
    one = face(mesh)
    rows: list[tuple[str, float, str]] = []

    def cold() -> None:
        obj._CACHE.clear()
        obj.encode_obj(mesh, "face.mtl")

    rows.append(("OBJ text, first of a topology", median_ms(cold, repeat), ""))
    rows.append(("OBJ text, each next", median_ms(lambda: obj.encode_obj(mesh, "face.mtl"), repeat), "at most 80"))
    rows.append(("OBJ text by trimesh", median_ms(_by_trimesh(mesh), repeat), ""))
    pixels = to_uint8(mesh.texture)
    size = f"{mesh.displacement.shape[-1]}²"

    def first() -> None:
        texels._CACHE.clear()
        mesh.normal_map()

    rows += [
        (f"normal map of {size}, first of a topology", median_ms(first, repeat), "at most 1000"),
        (f"normal map of {size}, each next", median_ms(mesh.normal_map, repeat), "at most 150"),
        ("mesh subdivided to level 2 and displaced", median_ms(lambda: mesh.detailed(2), repeat), "at most 400"),
    ]
    rows.append((f"PNG of the {pixels.shape[0]}² texture", median_ms(lambda: encode_png(pixels), repeat), ""))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        obj_file, glb_file, plain = folder / "face.obj", folder / "face.glb", folder / "plain.glb"

        def displacement() -> None:
            save_maps(mesh, folder, normal_map=False)

        rows += [
            ("save .obj with MTL and PNG", median_ms(lambda: facekit.save(mesh, obj_file), repeat), ""),
            ("load .obj with texture", median_ms(lambda: facekit.load(obj_file), repeat), ""),
            ("save .ply with colours", median_ms(lambda: facekit.save(mesh, folder / "face.ply"), repeat), ""),
            (
                "save .glb, 19 dense morph targets, normal map",
                median_ms(lambda: facekit.save(one, glb_file), repeat),
                "",
            ),
            ("… without the normal map", median_ms(lambda: facekit.save(one, plain, normal_map=False), repeat), ""),
            ("load .glb", median_ms(lambda: facekit.load(glb_file), repeat), ""),
            (f"save displacement of {size}, 16-bit PNG and JSON", median_ms(displacement, repeat), "at most 150"),
            ("save .ply displaced, level 2", median_ms(lambda: mesh.save(folder / "fine.ply", level=2), repeat), ""),
        ]
    rows.append(("import facekit", import_ms(["-c", "import facekit"], repeat), "at most 200"))
    rows.append(("facekit --help", import_ms(["-m", "facekit.cli.main", "--help"], repeat), "at most 500"))

    count = f"{mesh.verts.shape[1]:,} vertices, {len(mesh.faces):,} triangles, {os.cpu_count()} CPU cores"
    print(f"{count}; median of {repeat}\n")
    print("| what | ms | goal |\n| --- | ---: | --- |")
    for what, ms, goal in rows:
        print(f"| {what} | {ms:.0f} | {goal} |")


def _by_trimesh(mesh: FaceMesh) -> Callable[[], object]:
    """The same mesh through trimesh, which needs its vertices split at the seams."""
    import trimesh

    from facekit.io.arrays import split_at_seams

    split = split_at_seams(mesh)
    verts, uvs = mesh.verts[0].numpy()[split.vertex], mesh.uvs.numpy()[split.uv]
    shape = trimesh.Trimesh(verts, split.faces, process=False, visual=trimesh.visual.TextureVisuals(uv=np.array(uvs)))
    return lambda: shape.export(file_type="obj", digits=4, include_texture=False)


if __name__ == "__main__":
    main()
