"""Time of a face, and of the demonstration, as Markdown::

    python benchmarks/generate.py [--repeat 5] [--quick]

The reference runs in the same process: networks of the published size (PUBLISHED_SHAPE, PUBLISHED_TEXTURE) with random
weights, which take the time that trained ones take, in their plain memory layout. Targets are for two CPU cores.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from facekit import FaceLatents, FacePipeline, sweep_expressions, sweep_intensity
from facekit.models.config import PUBLISHED_SHAPE, PUBLISHED_TEXTURE
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.viz.sheets import expression_sheet, intensity_strip, render_faces

Row = tuple[str, float, str, float | None]


def median_seconds(job: Callable[[], object], repeat: int) -> float:
    """The middle of ``repeat`` runs, after one to warm up."""
    job()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        job()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def networks(pipe: FacePipeline, repeat: int) -> list[Row]:
    """Stages of one face, against networks of the published size."""
    one = FaceLatents.sample(7, expression="smile").to(pipe.device)
    codes = (one.shape_noise, one.identity, one.style, one.expression)
    look = (one.texture_noise, one.identity, one.expression)
    shape = ShapeModel(PUBLISHED_SHAPE).to(pipe.device).eval()
    texture = TextureModel(PUBLISHED_TEXTURE).to(pipe.device).eval()
    tile = pipe.decode_texture(one)
    plain = TextureModel(pipe.texture.config).to(pipe.device).eval()
    shape_time = median_seconds(lambda: shape(*codes), repeat)
    texture_time = median_seconds(lambda: texture(*look), max(2, repeat // 2))
    return [
        ("one shape", median_seconds(lambda: pipe.decode_shape(one), repeat), "", shape_time),
        ("one texture", median_seconds(lambda: pipe.decode_texture(one), repeat), "1/5 of the reference", texture_time),
        ("… in the plain memory layout", median_seconds(lambda: plain(*look), repeat), "", None),
        ("one composition of the atlas", median_seconds(lambda: pipe.compose(tile, one), repeat), "", None),
        ("one face", median_seconds(lambda: pipe(latents=one), repeat), "", shape_time + texture_time),
    ]


def pictures(pipe: FacePipeline, repeat: int) -> list[Row]:
    """The two sheets, rendered at 512²."""
    person = FaceLatents.sample(7)

    def sweep() -> None:
        faces = sweep_intensity(pipe, person, "smile")
        render_faces(faces, image_size=512)

    def strip() -> None:
        faces = sweep_intensity(pipe, person, "smile")
        intensity_strip(faces, image_size=512)

    def sheet() -> None:
        expression_sheet(sweep_expressions(pipe, person), image_size=512)

    return [
        ("15-step sweep, rendered at 512²", median_seconds(sweep, repeat), "6 s", None),
        ("… laid out as a strip", median_seconds(strip, repeat), "", None),
        ("sheet of 20 expressions at 512²", median_seconds(sheet, repeat), "", None),
    ]


def commands(repeat: int, demo: bool) -> tuple[list[Row], float]:
    """Time commands, each in a fresh process; also the demonstration's peak memory in bytes."""
    python = [sys.executable]
    rows: list[Row] = []
    for name, command, target in (
        ("`import facekit`", [*python, "-c", "import facekit"], "0.2 s"),
        ("`facekit --help`", [*python, "-m", "facekit.cli.main", "--help"], "0.5 s"),
    ):
        rows.append((name, median_seconds(lambda command=command: measured(command), repeat), target, None))
    peak = 0.0
    if demo:
        with tempfile.TemporaryDirectory() as folder:
            seconds, peak = measured([*python, "-m", "facekit.cli.main", "demo", "--out", str(Path(folder) / "out")])
        rows.append(("`facekit demo`", seconds, "30 s", None))
    return rows, peak


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident bytes of a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | time | target | published size | times faster |", "| --- | ---: | ---: | ---: | ---: |"]
    for name, seconds, target, reference in rows:
        against = ("", "") if reference is None else (pretty(reference), f"{reference / seconds:.1f}")
        lines.append(f"| {name} | {pretty(seconds)} | {target} | {against[0]} | {against[1]} |")
    return "\n".join(lines)


def pretty(seconds: float) -> str:
    """Seconds or milliseconds with three digits."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="runs of each, of which the middle counts (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="without sheets and demonstration")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with torch.inference_mode():
        pipe = FacePipeline.from_pretrained(device=arguments.device)
        rows = networks(pipe, arguments.repeat)
        if not arguments.quick:
            rows += pictures(pipe, max(1, arguments.repeat // 2))
    more, peak = commands(arguments.repeat, demo=not arguments.quick)
    print("## Generating\n")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {platform.machine()}, {arguments.device}\n")
    print(table(rows + more))
    if peak:
        print(f"\nPeak memory of `facekit demo`: {peak / 1e9:.2f} GB (target 2 GB)")


if __name__ == "__main__":
    main()
