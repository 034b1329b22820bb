"""Builds the documentation in site/: ``python docs/build.py``, or ``--pages`` to lay out the pages alone.

The pages of docs/ are copied into build/docs and joined there by what is made: the gallery, whose scripts run now and
whose pictures are theirs; the API reference, a page a part; the notebooks; and the texts that stand elsewhere.
``--run`` executes the notebooks first, so that their outputs are shown; it needs the extra ``notebook`` and minutes.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS, PAGES = ROOT / "docs", ROOT / "build" / "docs"
THUMBNAIL = (480, 360)

#: Parts of the reference that are reached by their own names, beside those of ``facekit`` itself.
MODULES = {
    "Files": ("facekit.io.maps", "facekit.io.glb", "facekit.io.obj", "facekit.io.ply", "facekit.io.bundle"),
    "Rendering": ("facekit.render.render", "facekit.render.output", "facekit.render.camera", "facekit.render.lights"),
    "Metrics": ("facekit.metrics.geometry", "facekit.metrics.texture", "facekit.metrics.identity"),
    "Pictures and pages": (
        "facekit.viz.viewer.widget",
        "facekit.viz.viewer.page",
        "facekit.viz.sheets",
        "facekit.viz.animation",
        "facekit.viz.charts",
        "facekit.viz.heat",
        "facekit.viz.notebook",
    ),
    "Sets and comparisons": ("facekit.generate.local", "facekit.compare.grid", "facekit.compare.presets"),
    "Weights and installation": (
        "facekit.weights.store",
        "facekit.weights.manifest",
        "facekit.hub",
        "facekit.install",
        "facekit.doctor",
    ),
    "Values": ("facekit.source", "facekit.detail", "facekit.template", "facekit.conventions", "facekit.errors"),
}


def main(arguments: list[str]) -> int:
    """See the module's docstring; returns the exit code."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(DOCS, PAGES, ignore=shutil.ignore_patterns("*.py", "__pycache__", "gallery"))
    gallery(run="--pages" not in arguments)
    reference()
    elsewhere()
    notebooks("--run" in arguments)
    if "--pages" in arguments:
        return 0
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
    # The theme advertises its successor among the warnings.
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}).returncode


def gallery(run: bool) -> None:
    """A page of the gallery's scripts, each with the picture that it writes."""
    (PAGES / "gallery").mkdir(parents=True)
    lines = ["# Gallery", "", "Each picture is what the few lines under it write.", ""]
    for script in sorted((DOCS / "gallery").glob("*.py")):
        source = script.read_text(encoding="utf-8")
        title = (ast.get_docstring(ast.parse(source)) or script.stem).splitlines()[0]
        code = source.split('"""', 2)[2].strip()
        picture = f"gallery/{script.stem}.webp"
        if run:
            print(f"gallery: {script.stem}", flush=True)
            shot(script, PAGES / picture)
        else:
            (PAGES / picture).touch()
        lines += [f"## {title.rstrip('.')}", "", f"![{title}]({picture})", "", "```python", code, "```", ""]
    (PAGES / "gallery.md").write_text("\n".join(lines), encoding="utf-8")


def shot(script: Path, path: Path) -> None:
    """Run a script, whose ``picture`` is a PIL image, and write the picture in the page's width."""
    import facekit

    if not hasattr(facekit.FacePipeline.from_pretrained, "cache_info"):  # all scripts share what is loaded
        facekit.FacePipeline.from_pretrained = functools.cache(facekit.FacePipeline.from_pretrained)
    picture = runpy.run_path(str(script))["picture"]
    picture.thumbnail((THUMBNAIL[0] * 2, THUMBNAIL[1] * 2))
    picture.convert("RGB").save(path, quality=85)


def reference() -> None:
    """Pages of the API: the public names of ``facekit``, and the modules of :data:`MODULES`."""
    from facekit import _PUBLIC

    folder = PAGES / "reference"
    folder.mkdir()
    index = ["# Reference", "", "## facekit", ""]
    parts = ["# facekit", "", "The names that `import facekit` gives.", ""]
    for name, module in _PUBLIC.items():
        parts += [f"::: {_home(name, module)}", ""]
        index.append(f"- [`facekit.{name}`](facekit.md)")
    (folder / "facekit.md").write_text("\n".join(parts), encoding="utf-8")
    for title, modules in MODULES.items():
        name = f"{re.sub(r'[^a-z]+', '-', title.lower())}.md"
        text = [f"# {title}", "", *(line for module in modules for line in (f"::: {module}", ""))]
        (folder / name).write_text("\n".join(text), encoding="utf-8")
        index += ["", f"## {title}", "", *(f"- [`{module}`]({name})" for module in modules)]
    (folder / "index.md").write_text("\n".join(index) + "\n", encoding="utf-8")


def _home(name: str, module: str) -> str:
    """Return the full path of a public name at its definition; packages re-export names from their files."""
    import importlib

    value = getattr(importlib.import_module(module), name)
    return f"{getattr(value, '__module__', module) if callable(value) else module}.{name}"


def elsewhere() -> None:
    """Texts that stand beside the code: the model card, the conventions, the command's help."""
    card = (ROOT / "facekit" / "assets" / "MODEL_CARD.md").read_text(encoding="utf-8")
    (PAGES / "model-card.md").write_text(card, encoding="utf-8")
    words = ast.get_docstring(ast.parse((ROOT / "facekit" / "conventions.py").read_text(encoding="utf-8"))) or ""
    page = (PAGES / "conventions.md").read_text(encoding="utf-8")
    (PAGES / "conventions.md").write_text(page.replace("<!-- conventions.py -->", words), encoding="utf-8")


def notebooks(run: bool) -> None:
    """The notebooks of both languages, with outputs if they are to run."""
    for source, folder in (
        (ROOT / "notebooks", PAGES / "notebooks"),
        (ROOT / "notebooks" / "ko", PAGES / "ko" / "notebooks"),
    ):
        folder.mkdir(parents=True)
        for path in sorted(source.glob("[0-9]*.ipynb")):
            print(f"notebook: {path.stem}", flush=True)
            shutil.copy(path, folder)
            if run and folder.parent == PAGES:
                command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", path.name]
                subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
