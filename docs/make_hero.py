"""Draws the moving picture at the top of README.md, ``docs/hero.webp``: the viewer, while its slider and the head move.

Needs playwright and a Chromium, of the extra ``dev`` and of the system.
"""

from __future__ import annotations

import io
import math
import shutil
import tempfile
from pathlib import Path

from PIL import Image

import facekit
from facekit.viz.animation import save_animation

SEED, EXPRESSION, FRAMES, SIZE = 48, "smile", 24, (860, 520)
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# The slider as a hand would move it: the browser then blends and draws.
MOVE = """(slider, value) => {
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}"""


def record(page_file: Path) -> list[Image.Image]:
    """Screenshots of the page while the intensity goes up and down and the head is dragged to and fro."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    frames = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="dark")
        page.goto(page_file.as_uri())
        page.wait_for_selector(".facekit-viewer[data-state=ready]", timeout=60_000)
        box = page.locator("canvas.face").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        for k in range(FRAMES):
            phase = 2.0 * math.pi * k / FRAMES
            page.locator('[data-control="intensity"]').evaluate(MOVE, 0.65 - 0.65 * math.cos(phase))
            page.mouse.move(x + 45.0 * math.sin(phase), y)
            page.wait_for_timeout(150)
            frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        page.mouse.up()
        browser.close()
    return frames


def main() -> None:
    """Write the viewer's page, film it, and save the film."""
    face = facekit.FacePipeline.from_pretrained()(seed=SEED, expression=EXPRESSION, intensity=0.0)
    with tempfile.TemporaryDirectory() as folder:
        page = face.to_html(Path(folder) / "face.html", expressions=[EXPRESSION], height=SIZE[1] - 60)
        frames = record(page)
    path = save_animation(frames, Path(__file__).with_name("hero.webp"), fps=12, quality=55)
    print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
