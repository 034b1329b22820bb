"""Time of the published model: loading, and an official sweep of 15 steps written as OBJ and PNG, as Markdown::

    python benchmarks/published.py [--threads 2] [--steps 15] [--reference-steps 3]

The weights are stand-ins of the published sizes and layout, imported into a temporary cache: random numbers take the
time that trained ones take. The reference does the same work the way the published code does, in the same process: the
network as plain functions in torch's own memory layout, the whole template parsed and written again for each step,
PNG at Pillow's usual compression. It is timed on ``--reference-steps`` steps and scaled.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pytest import MonkeyPatch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the plain reference belongs to the tests
from facekit import FaceLatents, FacePipeline, convert, sweep_intensity
from facekit.face import FaceOutput
from facekit.files.images import to_uint8
from tests.convert.published import DECODER, EXPRESSION, IDENTITY, NAME, TEXTURE, Published, build, pretend
from tests.models.plain import plain_mlp, plain_texture

# Rows and columns of the 1024² picture where the tile goes.
PASTE = (..., slice(51, 667), slice(204, 820))


@dataclass(frozen=True)
class Time:
    """Seconds on the clock and of the processor; the second is less disturbed by other programs."""

    wall: float
    cpu: float

    def times(self, factor: float) -> Time:
        return Time(self.wall * factor, self.cpu * factor)


def timed(job: Callable[[], object], repeat: int = 1) -> Time:
    """The middle of ``repeat`` runs, by the clock."""
    runs = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        job()
        runs.append(Time(time.perf_counter() - wall, time.process_time() - cpu))
    return sorted(runs, key=lambda run: run.wall)[len(runs) // 2]


def write_sweep(pipe: FacePipeline, latents: FaceLatents, steps: int, folder: Path) -> None:
    """Our way, from codes to files."""
    write(sweep_intensity(pipe, latents, "smile", steps), folder)


def write(faces: FaceOutput, folder: Path) -> None:
    for k, face in enumerate(faces):
        face.save(folder / f"smile_{k:02d}.obj")


class Upstream:
    """The same work as the published code does it; written anew, nothing of it copied."""

    def __init__(self, published: Published) -> None:
        self.states, self.template = published.states, published.data / "template_mesh.obj"
        self.state = {name.removeprefix("module."): value for name, value in self.states[TEXTURE].items()}
        self.atlas = torch.rand(1, 3, 1024, 1024)

    def sweep(self, latents: FaceLatents, steps: int, folder: Path) -> None:
        """``steps`` meshes and textures."""
        for k in range(steps):
            code = latents.with_expression("smile", 1.5 * k / 14).expression
            self.obj(self.displacement(latents, code)[0], folder / f"plain_{k:02d}.obj")
            self.png(self.tile(latents, code), folder / f"plain_{k:02d}.png")

    def displacement(self, latents: FaceLatents, code: torch.Tensor) -> torch.Tensor:
        who = plain_mlp(self.states[IDENTITY], "", torch.cat([latents.shape_noise, latents.identity], 1))
        what = plain_mlp(self.states[EXPRESSION], "", torch.cat([latents.shape_noise, latents.style, code], 1))
        return plain_mlp(self.states[DECODER], "", torch.cat([who, what], 1)).reshape(1, -1, 3)

    def tile(self, latents: FaceLatents, code: torch.Tensor) -> torch.Tensor:
        return plain_texture(self.state, torch.cat([latents.texture_noise, latents.identity, code], 1), 512)

    def obj(self, displacement: torch.Tensor, path: Path) -> None:
        lines, verts = [], []
        for line in self.template.read_text().splitlines():
            if line.startswith("v "):
                verts.append([float(x) for x in line.split()[1:]])
            else:
                lines.append(line)
        moved = torch.tensor(verts) + displacement
        path.write_text("\n".join([*(f"v {x:f} {y:f} {z:f}" for x, y, z in moved.tolist()), *lines]) + "\n")

    def png(self, tile: torch.Tensor, path: Path) -> None:
        from PIL import Image

        self.atlas[PASTE] = F.interpolate(tile.clamp(0, 1), size=(616, 616), mode="bilinear", align_corners=False)
        Image.fromarray(to_uint8(self.atlas)).save(path)


def load() -> FacePipeline:
    return FacePipeline.from_pretrained(NAME, device="cpu")


def measure(published: Published, steps: int, reference_steps: int, folder: Path) -> list[tuple[str, Time, str]]:
    """Rows: what, time, goal."""
    latents = FaceLatents.sample(7)
    rows = [("loading, the first time after the import", timed(load), "1 s")]
    rows.append(("loading, each next time", timed(load, 3), "1 s"))
    pipe, upstream = load(), Upstream(published)
    pipe(latents=latents)  # warms up
    code = latents.with_expression("smile")
    rows.append((f"{steps} shapes", timed(lambda: pipe.decode_shape(code.repeat(steps)), 3), ""))
    rows.append(("one texture", timed(lambda: pipe.decode_texture(code), 3), ""))
    rows.append(("… as plain functions", timed(lambda: upstream.tile(latents, code.expression), 2), ""))
    tile, face = pipe.decode_texture(code), pipe(latents=code)
    rows.append(("one composition of the atlas", timed(lambda: pipe.compose(tile, code), 3), ""))
    rows.append(("one face as OBJ and PNG", timed(lambda: face.save(folder / "face.obj"), 3), ""))
    sweep = timed(lambda: write_sweep(pipe, latents, steps, folder))
    rows.append((f"**sweep of {steps} steps, written as OBJ and PNG**", sweep, "22 s"))
    plain = timed(lambda: upstream.sweep(latents, reference_steps, folder)).times(steps / reference_steps)
    rows.append((f"… upstream's way (from {reference_steps} steps)", plain, ""))
    rows.append(("times faster", Time(plain.wall / sweep.wall, plain.cpu / sweep.cpu), ""))
    return rows


def table(rows: list[tuple[str, Time, str]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | clock | processor | at most |", "| --- | ---: | ---: | ---: |"]
    for what, spent, goal in rows:
        unit = "" if what == "times faster" else " s"
        lines.append(f"| {what} | {spent.wall:.2f}{unit} | {spent.cpu:.2f}{unit} | {goal} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=15, help="of the sweep (default: 15)")
    parser.add_argument("--reference-steps", type=int, default=3, help="that upstream's way is timed on (default: 3)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name, MonkeyPatch.context() as patch, torch.inference_mode():
        published = build(Path(name), "full", zipped=False)
        pretend(published, patch, Path(name) / "cache")
        imported = timed(lambda: convert.import_files(NAME, published.checkpoints, published.data))
        rows = [("import of upstream's files", imported, "")]
        rows += measure(published, options.steps, options.reference_steps, Path(name) / "out")
    print("## The published model\n")
    print(f"{options.threads} threads, torch {torch.__version__}, {platform.machine()}\n")
    print(table(rows))


if __name__ == "__main__":
    main()
