"""How long a picture takes: python benchmarks/render.py [--size 512] [--repeat 9] [--threads 2] [--out table.md]

Renders the embedded default's head (a ball of as many vertices where its files are not there) in standard and high
quality, a sweep of 15, and sets visibility against the plainest rasterizer there is: every face against every pixel,
in the same run. That one is timed on a part of the faces and scaled, for it takes minutes.
"""

from __future__ import annotations

import argparse
import math
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from facekit.errors import FacekitError
from facekit.mesh import FaceMesh
from facekit.render import Camera, rasterize, render


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
    for _ in range(min(2, repeat)):
        work()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--brute-faces", type=int, default=200, help="how many faces brute force is timed on")
    parser.add_argument("--out", type=Path, help="write the table there, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mesh, what = head()
    camera, size = Camera.front(), options.size
    batch = FaceMesh(
        mesh.verts.repeat(15, 1, 1), mesh.faces, mesh.uvs, mesh.faces_uvs, mesh.texture.repeat(15, 1, 1, 1),
        mesh.ao, mesh.parts,
    )  # fmt: skip
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
        rows.append(("15 faces, standard", timed(lambda: render(batch, camera, size), max(2, options.repeat // 4))))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = [
        f"{what}: {mesh.verts.shape[1]:,} vertices, {len(mesh.faces):,} faces, {size}² pixels, "
        f"{options.threads} threads, torch {torch.__version__}",
        "",
        "| what | median ms | least ms |",
        "| --- | --- | --- |",
        *(f"| {name} | {median:.0f} | {least:.0f} |" for name, (median, least) in rows),
        f"| brute-force visibility (scaled from {len(some)} faces) | {brute:.0f} | |",
        "",
        f"Visibility is {brute / rows[0][1][0]:.0f} times faster than brute force, a whole standard frame "
        f"{brute / rows[1][1][0]:.0f} times; the same face on {float(same.float().mean()) * 100:.3f} % of pixels.",
        f"Peak memory of the process {peak / 1024:.0f} MiB; the batch of 15 added {(peak - before) / 1024:.0f}.",
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
