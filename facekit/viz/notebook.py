"""Functions for the notebooks: setup report, display of pictures and tables, optional packages, downloads.

All output stays in the notebook without a kernel. Works in Colab, Jupyter and VS Code.

Importing this module imports nothing heavy: if numpy was replaced under a running kernel, its import may fail in any
way, and :func:`setup_report` must be able to report that first.
"""

from __future__ import annotations

import base64
import html
import io
import platform
import shlex
import shutil
import subprocess
import sys
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from facekit.errors import FacekitError, FileError, InputError, optional_import
from facekit.files.atomic import expanded
from facekit.install import install_line
from facekit.version import __version__

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure
    from PIL import Image

    from facekit.face import FaceOutput
    from facekit.render import RenderOutput
    from facekit.report import Table

_MOVING = {".gif": "image/gif", ".webp": "image/webp", ".mp4": "video/mp4"}
_DPI = 110
# Packages of the notebook extra, and their purpose.
_PARTS = (("anywidget", "the viewer"), ("plotly", "the interactive charts"))


def setup_report() -> None:
    """Print the versions and the device of the running notebook.

    Raises
    ------
    FacekitError
        If a package was replaced after it was imported: restart the kernel first.
    """
    for name in ("numpy", "torch"):
        imported, installed = sys.modules[name].__version__ if name in sys.modules else None, metadata.version(name)
        if imported is not None and imported.split("+")[0] != installed.split("+")[0]:
            raise FacekitError(
                f"{name} {installed}, which is installed",
                f"{imported}, imported before that",
                "restart the kernel and run again",
            )
    import torch

    from facekit.assembly import pick_device

    device = pick_device(None)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"facekit {__version__} · Python {platform.python_version()} · torch {torch.__version__} · {name}")
    for package, purpose in _PARTS:
        if util.find_spec(package) is None:
            print(f"{package} is missing: without it {purpose} cannot be shown. {install_line('notebook')}")


def install(package: str) -> None:
    """Install an optional package from :func:`facekit.doctor.diagnose`'s list into this kernel's environment.

    Raises
    ------
    InputError
        If facekit does not use this package.
    FacekitError
        If pip fails, with its last line of output.
    """
    from facekit.doctor import OPTIONAL, package_line

    known = {name: module for name, module, _ in OPTIONAL}
    if package not in known:
        raise InputError(f"a package out of {', '.join(known)}", repr(package), "see facekit doctor")
    if util.find_spec(known[package]) is not None:
        print(f"{package} {metadata.version(package)} is installed")
        return
    # The command line is for a shell and begins with this Python's name; run it with this very Python.
    command = [sys.executable, *shlex.split(package_line(package))[1:]]
    print(" ".join(["python", *command[1:]]))
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise FacekitError(f"{package} from pip", said, "go on without it, or install it by hand")
    print(f"{package} is installed")


def show(
    image: Image.Image | torch.Tensor | RenderOutput | FaceOutput | Figure | Table | str | Path,
    width: int | None = None,
) -> None:
    """Show a picture or a table below the cell; it stays in the notebook without a kernel.

    Parameters
    ----------
    image:
        A PIL picture, a tensor (3, H, W) or (B, 3, H, W) in [0, 1], rendered pictures or faces (all of the batch side
        by side), a matplotlib figure, a table, or a picture's file; animations play.
    width:
        Width on the page in pixels; by default its own, at most the page's width.
    """
    import torch
    from matplotlib.figure import Figure
    from PIL import Image

    from facekit.face import FaceOutput
    from facekit.render import RenderOutput
    from facekit.report import Table
    from facekit.viz.sheets import as_pictures, render_faces

    if isinstance(image, (str, Path)):
        path = Path(image)
        if not path.is_file():
            raise FileError("a picture's file", f"none at {path}", "check its name")
        if path.suffix.lower() in _MOVING:
            _show_html(path.read_bytes(), _MOVING[path.suffix.lower()], width)
            return
        image = Image.open(path)
    elif isinstance(image, FaceOutput):
        image = render_faces(image)
    elif isinstance(image, RenderOutput):
        image = image.rgb
    elif isinstance(image, Table):
        _display().display(image)
        return
    elif isinstance(image, Figure):
        buffer = io.BytesIO()
        image.savefig(buffer, format="png", dpi=_DPI)
        image = Image.open(buffer)
    if isinstance(image, torch.Tensor):
        image = _side_by_side(as_pictures(image if image.ndim == 4 else image[None]))
    if not isinstance(image, Image.Image):
        raise InputError("a picture, a render, a face, a figure, a table or a file", type(image).__name__, "see show()")
    display, buffer = _display(), io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", compress_level=3)
    display.display(display.Image(data=buffer.getvalue(), format="png", width=width))


def offer_download(path: str | Path) -> None:
    """Offer a file for download: through the browser in Colab, as a link elsewhere. A folder is zipped first.

    Jupyter only follows links below the notebook's folder; for a file outside of it the path is printed.
    """
    path = expanded(path)
    if path.is_dir():
        path = Path(shutil.make_archive(str(path), "zip", path))
    if not path.is_file():
        raise FileError("a file or folder to download", f"none at {path}", "make it first")
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if "google.colab" in sys.modules:
        from google.colab import files

        files.download(str(path))
        return
    place, here = path.resolve(), Path.cwd()
    if place.is_relative_to(here):
        inside = place.relative_to(here).as_posix()
        # Without "download" JupyterLab opens the file in an editor, which cannot read a zip.
        link = f'<a href="{quote(inside)}" download="{html.escape(place.name)}">{html.escape(inside)}</a>'
        display = _display()
        display.display(display.HTML(link))


def _display() -> Any:
    return optional_import("IPython.display", "notebook", "pictures in a notebook")


def _show_html(data: bytes, kind: str, width: int | None) -> None:
    # IPython's own Image does not support WebP in Colab's versions.
    size = "max-width:100%" if width is None else f"width:{width}px"
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    display = _display()
    tag = "video autoplay loop muted controls" if kind.startswith("video") else 'img alt="animation"'
    display.display(display.HTML(f'<{tag} src="{source}" style="{size}">'))


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    from PIL import Image

    page = Image.new("RGB", (sum(p.width for p in pictures), pictures[0].height))
    for k, picture in enumerate(pictures):
        page.paste(picture, (k * picture.width, 0))
    return page
