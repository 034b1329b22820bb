"""Size and speed of the viewer: python benchmarks/viewer.py. Prints a Markdown table.

Needs playwright and a Chromium; the browser draws WebGL in software, which has no part in the times of a frame's
JavaScript. The least of several rounds counts.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from facekit import EXPRESSIONS, FacePipeline
from facekit.viz import Viewer
from facekit.viz.viewer.block import pack
from facekit.viz.viewer.page import MODULE, write_page
from facekit.viz.viewer.tracks import Subject, head_entries, track_entries

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
MEASURE = (Path(__file__).parent / "viewer_page.js").read_text(encoding="utf-8")


def in_page(path: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds a frame, the least of the rounds' medians: one expression, and a blend of three."""
    browser_path = next(p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1000, "height": 640})
        page.goto(path.as_uri())
        page.wait_for_selector(".facekit-viewer[data-state=ready]")
        found = page.evaluate(MEASURE, rounds)
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    rounds = parser.parse_args().rounds
    pipe = FacePipeline.from_pretrained(device="cpu")
    face = pipe(seed=7, expression="smile", intensity=0.8)
    source = Subject(pipe, face.latents)
    vertices = face.verts.shape[1]

    times = []
    for _ in range(3):
        start = time.perf_counter()
        viewer = Viewer(pipe, seed=7)
        times.append(time.perf_counter() - start)
    head = len(pack(*head_entries(source)))
    print(f"| the viewer, {vertices:,} vertices | |\n| --- | --- |")
    print(f"| module (three.js in it) | {MODULE.stat().st_size / 1e3:.0f} kB |")
    print(f"| head: mesh, texture, detail maps | {head / 1e6:.2f} MB |")
    for steps in (15, 60):
        sizes, errors = [], []
        for name in EXPRESSIONS[1:]:
            entry, arrays = track_entries(source, name, steps)
            sizes.append(len(pack({"tracks": [entry]}, arrays)) / 1e6)
            errors.append(entry["position"]["error"])
        mean = sum(sizes) / len(sizes)
        print(f"| an expression, {steps} keyframes, mean and most | {mean:.2f}, {max(sizes):.2f} MB |")
        print(f"| largest error at a keyframe, {steps} keyframes | {1e3 * max(errors):.1f} µm |")
    print(f"| first view in all | {(MODULE.stat().st_size + len(viewer._head)) / 1e6:.2f} MB |")
    print(f"| Viewer(pipe), still picture and data | {min(times):.2f} s |")
    with tempfile.TemporaryDirectory() as folder:
        page = write_page(face, Path(folder) / "face.html")
        print(f"| page of all {len(EXPRESSIONS)} expressions | {page.stat().st_size / 1e6:.1f} MB |")
        print(f"| the same packed by a web server | {len(gzip.compress(page.read_bytes(), 5)) / 1e6:.1f} MB |")
        for name, cost in in_page(page, rounds).items():
            parts = f"blend {cost['blend']:.1f}, normals {cost['normals']:.1f}, weights {cost['weights']:.1f}"
            print(f"| a frame's JavaScript, {name} | {cost['total']:.1f} ms ({parts}) |")


if __name__ == "__main__":
    main()
