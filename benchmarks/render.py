"""Time of a picture: python benchmarks/render.py [--size 512] [--repeat 9] [--threads 2] [--out table.md]

Renders the embedded default's head (a ball of as many vertices where its files are not there) in standard and high
quality, a sweep of 15 with and without detail, and sets visibility against the plainest rasterizer there is: every face
against every pixel, in the same run. That one is timed on a part of the faces and scaled, for it takes minutes.

Where PyTorch3D is installed its own renderer makes the same picture, small because its CPU code is slow, and time,
memory, agreement and gradients are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import math
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from facekit.errors import FacekitError
from facekit.mesh import FaceMesh
from facekit.render import Camera, rasterize, render
from facekit.render.samples import edges


def head() -> tuple[FaceMesh, str]:
    """The embedded default's face, or a ball of 24,000 vertices."""
    try:
        import facekit

        return facekit.FacePipeline.from_pretrained()(seed=7).mesh, "the embedded default"
    except (ImportError, FacekitError) as error:
        print(f"no embedded default ({error}); a ball instead")
    rings, segments = 110, 220
    theta = torch.linspace(0, math.pi, rings + 1)[:, None]
    phi = torch.linspace(-math.pi, math.pi, segments + 1)[None]
    x, z = torch.sin(theta) * torch.sin(phi), torch.sin(theta) * torch.cos(phi)
    place = torch.stack((x, torch.cos(theta) + 0 * phi, z), -1)
    uvs = torch.stack(((phi / math.pi + 1) / 2 + 0 * theta, 1 - theta / math.pi + 0 * phi), -1).reshape(-1, 2)
    i, j = torch.meshgrid(torch.arange(rings), torch.arange(segments), indexing="ij")
    a = (i * (segments + 1) + j).reshape(-1)
    b, c, d = a + segments + 1, a + segments + 2, a + 1
    faces = torch.cat((torch.stack((a, b, c), 1), torch.stack((a, c, d), 1)))
    return FaceMesh(120 * place.reshape(1, -1, 3), faces, uvs, faces, torch.rand(1, 3, 1024, 1024)), "a ball"


def brute_force(verts: torch.Tensor, faces: torch.Tensor, camera: Camera, size: int) -> torch.Tensor:
    """Each face against all pixels, vectorised over the pixels: face ids (size, size)."""
    x, y, depth = camera.project(verts, size)[0].unbind(-1)
    centre = torch.arange(size) + 0.5
    column, row = centre[None], centre[:, None]
    best, ids = torch.full((size, size), float("inf")), torch.full((size, size), -1)
    for index, (a, b, c) in enumerate(faces.tolist()):
        e0 = (x[c] - x[b]) * (row - y[b]) - (y[c] - y[b]) * (column - x[b])
        e1 = (x[a] - x[c]) * (row - y[c]) - (y[a] - y[c]) * (column - x[c])
        e2 = (x[b] - x[a]) * (row - y[a]) - (y[b] - y[a]) * (column - x[a])
        area = e0 + e1 + e2
        inside = ((e0 >= 0) & (e1 >= 0) & (e2 >= 0)) | ((e0 <= 0) & (e1 <= 0) & (e2 <= 0))
        z = area / (e0 / depth[a] + e1 / depth[b] + e2 / depth[c])
        nearer = inside & (z < best) & (z > camera.near)
        best, ids = torch.where(nearer, z, best), torch.where(nearer, index, ids)
    return ids


def timed(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Median and least milliseconds, after two runs to warm up."""
    for _ in range(min(2, repeat) - 1):
        work()
    return timed_in_turn([work], repeat)[0]


def timed_in_turn(works: list[Callable[[], object]], repeat: int) -> list[tuple[float, float]]:
    """Likewise for several, one after the other again and again, so that a busy machine slows all of them."""
    return [(statistics.median(clock), min(clock)) for clock, _ in clocked(works, repeat)]


def clocked(works: list[Callable[[], object]], repeat: int) -> list[tuple[list[float], list[float]]]:
    """Milliseconds of the clock and of the processors for each run of several works in turn, but for the first run."""
    spent: list[tuple[list[float], list[float]]] = [([], []) for _ in works]
    for turn in range(repeat + 1):
        for work, (clock, processor) in zip(works, spent, strict=True):
            start, busy = time.perf_counter(), time.process_time()
            work()
            if turn:
                clock.append((time.perf_counter() - start) * 1e3)
                processor.append((time.process_time() - busy) * 1e3)
    return spent


def detail_of(mesh: FaceMesh) -> torch.Tensor:
    """The face's own displacement, or a made-up one at the texture's size, (1, 1, H, W) mm."""
    if mesh.displacement is not None:
        return mesh.displacement
    random, size = torch.Generator().manual_seed(0), mesh.texture.shape[2:]
    rough = [torch.randn(1, 1, s, s, generator=random) * depth for s, depth in ((512, 0.03), (64, 0.1))]
    return sum(torch.nn.functional.interpolate(t, size, mode="bicubic") for t in rough)


def phong(mesh: FaceMesh, camera: Camera, size: int) -> tuple[torch.Tensor, ...]:
    """PyTorch3D's own picture of the albedo: colours (1, S, S, 3), faces and depth (1, S, S)."""
    from pytorch3d import renderer

    cameras = camera.to_pytorch3d(size)
    meshes = mesh.to_pytorch3d()
    settings = renderer.RasterizationSettings(image_size=size, perspective_correct=True)
    fragments = renderer.MeshRasterizer(cameras, settings)(meshes)
    lights = renderer.AmbientLights(ambient_color=((1.0, 1.0, 1.0),))
    black = renderer.BlendParams(background_color=(0.0, 0.0, 0.0))
    picture = renderer.HardPhongShader(cameras=cameras, lights=lights, blend_params=black)(fragments, meshes)
    return picture[..., :3], fragments.pix_to_face[..., 0], fragments.zbuf[..., 0]


def picture_of(way: str, mesh: FaceMesh, camera: Camera, size: int) -> None:
    if way == "pytorch3d":
        phong(mesh, camera, size)
    else:
        render(mesh, camera, size, lights="flat")


def added_memory(way: str, mesh: FaceMesh, camera: Camera, size: int) -> float:
    """MiB that one picture takes at its peak, in a fresh process that has made a tiny one before; NaN without /proc."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_added_memory, (way, mesh, camera, size))


def _added_memory(way: str, mesh: FaceMesh, camera: Camera, size: int) -> float:
    status, peak = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not peak.exists():
        return math.nan

    def resident(name: str) -> float:
        line = next(row for row in status.read_text().splitlines() if row.startswith(name))
        return int(line.split()[1]) / 1024

    with torch.inference_mode():
        picture_of(way, dataclasses.replace(mesh, faces=mesh.faces[:10], faces_uvs=mesh.faces_uvs[:10]), camera, 8)
        peak.write_text("5")  # forgets the highest so far
        before = resident("VmRSS")
        picture_of(way, mesh, camera, size)
    return resident("VmHWM") - before


def compare(mesh: FaceMesh, camera: Camera, size: int) -> list[str]:
    """PyTorch3D's renderer and ours, the same albedo: two tables of lines."""
    # Both sample a texture in the same way where it has no halved copies, which is under 8 texels.
    small = torch.nn.functional.interpolate(mesh.texture, (7, 7), mode="area")
    mesh = dataclasses.replace(mesh, texture=small, displacement=None)
    with torch.inference_mode():
        rows = [
            (
                name,
                timed(lambda way=way: picture_of(way, mesh, camera, size), 3)[1],
                timed(lambda way=way: rasterize(mesh.verts, mesh.faces, camera, size, backend=way), 3)[1],
                added_memory(way, mesh, camera, size),
            )
            for name, way in (("ours", "torch"), ("PyTorch3D", "pytorch3d"))
        ]
    ours, theirs = (mesh.verts.clone().requires_grad_() for _ in range(2))
    mine = render(dataclasses.replace(mesh, verts=ours), camera, size, lights="flat", background=(0.0, 0.0, 0.0))
    other, faces, depth = phong(dataclasses.replace(mesh, verts=theirs), camera, size)
    a, b = mine.face_ids >= 0, faces >= 0
    both = a & b
    # Ours smooths edges with four samples: colours are comparable where there is one.
    once = both & ~edges(mine.depth[:, 0].detach(), 1.0 / camera.focal(size))
    colours = mine.rgb.permute(0, 2, 3, 1)
    weights = torch.randn(colours.shape, generator=torch.Generator().manual_seed(0))
    for picture in (colours, other):
        (picture * weights)[once].sum().backward()
    cosine = torch.cosine_similarity(ours.grad.flatten(), theirs.grad.flatten(), dim=0)
    far = ((mine.depth[:, 0] - depth).abs() / depth).detach()[both].quantile(0.99)
    apart = (colours - other).detach().abs()[once].mean() * 255
    return [
        f"| albedo at {size}² | ms | visibility alone ms | memory MiB |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {whole:.0f} | {seen:.0f} | {memory:.0f} |" for name, whole, seen, memory in rows),
        "",
        "| agreement with PyTorch3D | measured | asked for |",
        "| --- | ---: | ---: |",
        f"| silhouette, IoU | {float((a & b).sum() / (a | b).sum()):.6f} | 0.9999 |",
        f"| the same face | {float((mine.face_ids == faces)[both].float().mean()) * 100:.3f} % |  |",
        f"| depth, 99th percentile of the relative difference | {float(far):.1e} | 1e-5 |",
        f"| colour, mean difference in 1/255 | {float(apart):.5f} | 0.01 |",
        f"| gradient to the vertices, cosine | {float(cosine):.6f} | 0.999 |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--brute-faces", type=int, default=200, help="how many faces brute force is timed on")
    parser.add_argument("--compared-size", type=int, default=96, help="size of the pictures PyTorch3D makes")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mesh, what = head()
    camera, size = Camera.front(), options.size
    heights, mesh = detail_of(mesh), dataclasses.replace(mesh, displacement=None)
    batch = dataclasses.replace(mesh, verts=mesh.verts.repeat(15, 1, 1), texture=mesh.texture.repeat(15, 1, 1, 1))
    own = dataclasses.replace(batch, displacement=heights.repeat(15, 1, 1, 1))
    shared = dataclasses.replace(batch, displacement=heights.expand(15, -1, -1, -1))
    with torch.inference_mode():
        # Faces over the whole head, so that the part is as large on screen as the rest.
        some = mesh.faces[:: max(1, len(mesh.faces) // options.brute_faces)]
        brute = timed(lambda: brute_force(mesh.verts, some, camera, size), 2)[1] * len(mesh.faces) / len(some)
        plain = brute_force(mesh.verts, some, camera, size)
        same = rasterize(mesh.verts, some, camera, size)[0][0] == plain
        rows = [("visibility alone", timed(lambda: rasterize(mesh.verts, mesh.faces, camera, size), options.repeat))]
        rows.append(("standard", timed(lambda: render(mesh, camera, size), options.repeat)))
        rows.append(("high", timed(lambda: render(mesh, camera, size, quality="high"), max(3, options.repeat // 2))))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        render(batch, camera, size)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sweeps = [lambda mesh=mesh: render(mesh, camera, size) for mesh in (batch, own, shared)]
        names = ("15 faces, standard", "… with detail, a map each", "… with detail, one map for all")
        rows += zip(names, timed_in_turn(sweeps, max(3, options.repeat // 3)), strict=True)
    lines = [
        f"{what}: {mesh.verts.shape[1]:,} vertices, {len(mesh.faces):,} faces, {size}² pixels, "
        f"{options.threads} threads, torch {torch.__version__}",
        "",
        "| what | median ms | least ms |",
        "| --- | --- | --- |",
        *(f"| {name} | {median:.0f} | {least:.0f} |" for name, (median, least) in rows),
        f"| brute-force visibility (scaled from {len(some)} faces) | {brute:.0f} | |",
        "",
        f"Detail makes the sweep {rows[4][1][1] / rows[3][1][1]:.2f} times as long, one map for all "
        f"{rows[5][1][1] / rows[3][1][1]:.2f} times.",
        f"Visibility is {brute / rows[0][1][0]:.0f} times faster than brute force, a whole standard frame "
        f"{brute / rows[1][1][0]:.0f} times; the same face on {float(same.float().mean()) * 100:.3f} % of pixels.",
        f"Peak memory of the process {peak / 1024:.0f} MiB; the batch of 15 added {(peak - before) / 1024:.0f}.",
    ]
    if importlib.util.find_spec("pytorch3d") is not None:
        lines += ["", *compare(mesh, camera, options.compared_size)]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
