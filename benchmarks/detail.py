"""Time of detail, as Markdown::

    python benchmarks/detail.py [--repeat 9]

The reference is the same work written down plainly: edge tension as NumPy's sums over the edges of one vertex after the
other, and the sweep without detail. Goals are for two CPU cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from facekit import FaceLatents, FacePipeline, sweep_intensity
from facekit.geometry.strain import StrainGraph


def milliseconds(job: Callable[[], object], repeat: int) -> float:
    """The middle of ``repeat`` runs, after one to warm up."""
    job()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        job()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def plain_tension(rest: np.ndarray, posed: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Edge tension (V,), a vertex at a time."""
    around: list[set[int]] = [set() for _ in rest]
    for a, b, c in faces.tolist():
        around[a] |= {b, c}
        around[b] |= {a, c}
        around[c] |= {a, b}
    tension = np.zeros(len(rest))
    for vertex, others in enumerate(around):
        if others:
            ends = list(others)
            before = np.linalg.norm(rest[ends] - rest[vertex], axis=1)
            tension[vertex] = 1 - np.mean(np.linalg.norm(posed[ends] - posed[vertex], axis=1) / before)
    return tension


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=9, help="runs of each (default 9)")
    repeat = parser.parse_args().repeat
    pipe = FacePipeline.from_pretrained("default", device="cpu")
    person = FaceLatents.sample(7)
    rest, posed = (pipe.decode_shape(person.with_expression("smile", value)) for value in (0.0, 1.0))
    layer, faces, count = pipe.detail_layer, pipe.template.faces, len(pipe.template.verts)
    graph = layer.graph

    start = time.perf_counter()
    plain = plain_tension(rest[0].numpy(), posed[0].numpy(), faces.numpy())
    plain_ms = 1000 * (time.perf_counter() - start)
    found = graph.tension(rest, posed)[0].numpy()
    off = float(np.abs(found - plain).max())

    def sweep(detail: bool) -> None:
        sweep_intensity(pipe, person, "smile", detail=detail).render(image_size=512)

    codes = (person.identity, person.texture_noise)
    rows = [
        ("set-up of a topology", milliseconds(lambda: StrainGraph.of(faces, count), repeat), ""),
        ("edge tension", milliseconds(lambda: graph.tension(rest, posed), repeat), "at most 5"),
        ("… a vertex at a time", plain_ms, ""),
        ("strain across furrows", milliseconds(lambda: graph.along(rest, posed, layer.lines), repeat), "at most 5"),
        ("strain as it is used, smoothed", milliseconds(lambda: layer.strain(rest, posed), repeat), ""),
        ("displacement of one face, 1024²", milliseconds(lambda: layer(*codes, rest, posed), repeat), ""),
    ]
    few = max(2, repeat // 3)
    without, within = (milliseconds(lambda detail=detail: sweep(detail), few) for detail in (False, True))
    rows.append(("15-step sweep made and rendered at 512², without detail", without, ""))
    rows.append(("… with detail", within, f"at most {1.5 * without:.0f}"))
    print(f"{count:,} vertices, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| what | median ms | goal |\n| --- | ---: | --- |")
    for name, value, goal in rows:
        print(f"| {name} | {value:.1f} | {goal} |")
    longer = within / without
    print(f"\nTension is within {off:.1e} of the plain sums; the sweep with detail takes {longer:.2f} times as long.")


if __name__ == "__main__":
    main()
