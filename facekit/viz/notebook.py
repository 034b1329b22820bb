"""What the notebooks call: a report of the setup, pictures, sliders and downloads, in Colab, Jupyter and VS Code.

Sliders show pictures that were rendered beforehand, so that moving them is instant and needs no other machinery than
ipywidgets; without it the functions say so in one line and show everything at once instead.
"""

from __future__ import annotations

import base64
import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from facekit.conventions import EXPRESSIONS, MAX_INTENSITY
from facekit.errors import FacekitError, FileError, InputError, MissingDependencyError, optional_import
from facekit.io.images import encode
from facekit.viz.sheets import as_pictures, contact_sheet, render_faces

if TYPE_CHECKING:
    from facekit.latents import FaceLatents
    from facekit.mesh import FaceOutput
    from facekit.pipeline import FacePipeline
    from facekit.render import RenderOutput

_MOVING = {".gif": "image/gif", ".webp": "image/webp"}
_JPEG_QUALITY = 90


def setup_report() -> None:
    """Print the versions and the device that the notebook runs on.

    Raises
    ------
    FacekitError
        When a package was replaced after it was imported: the kernel has to be restarted before anything else.
    """
    from facekit import __version__
    from facekit.pipeline import pick_device

    for name in ("numpy", "torch"):
        imported, installed = sys.modules[name].__version__ if name in sys.modules else None, metadata.version(name)
        if imported is not None and imported.split("+")[0] != installed.split("+")[0]:
            raise FacekitError(
                f"{name} {installed}, which is installed",
                f"{imported}, imported before that",
                "restart the kernel and run again",
            )
    device = pick_device(None)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"facekit {__version__} · Python {platform.python_version()} · torch {torch.__version__} · {name}")
    _widgets()


def show(image: Image.Image | torch.Tensor | RenderOutput | FaceOutput | str | Path, width: int | None = None) -> None:
    """Show a picture under the cell; it stays in the notebook without a kernel.

    Parameters
    ----------
    image:
        A PIL picture, a tensor (3, H, W) or (1, 3, H, W) in [0, 1], rendered pictures or faces (all of the batch side
        by side), or a picture's file; animations play.
    width:
        On the page, in pixels; by default its own, within the page's width.
    """
    if isinstance(image, (str, Path)):
        path = Path(image)
        if not path.is_file():
            raise FileError("a picture's file", f"none at {path}", "check its name")
        if path.suffix.lower() in _MOVING:
            _show_html(path.read_bytes(), _MOVING[path.suffix.lower()], width)
            return
        image = Image.open(path)
    elif hasattr(image, "mesh"):  # faces
        image = render_faces(image)
    elif hasattr(image, "rgb"):  # rendered pictures
        image = image.rgb
    if isinstance(image, torch.Tensor):
        image = _side_by_side(as_pictures(image if image.ndim == 4 else image[None]))
    if not isinstance(image, Image.Image):
        raise InputError("a picture, a render, a face or a file", type(image).__name__, "see show()")
    display = _display()
    display.display(display.Image(data=_encoded(image, ".png"), format="png", width=width))


def intensity_slider(
    pipe: FacePipeline,
    latents: FaceLatents,
    expression: str | Mapping[str, float] = "smile",
    steps: int = 15,
    image_size: int = 384,
    pictures: torch.Tensor | None = None,
) -> None:
    """A slider over ``steps`` intensities from 0 to 1.5 of one person's expression, rendered beforehand.

    Parameters
    ----------
    latents:
        Codes of one face; their expression is replaced.
    expression:
        A name, or a blend of weights.
    pictures:
        (steps, 3, H, W) float32 in [0, 1], where this sweep was rendered already; its length replaces ``steps``.
    """
    from facekit.sweeps import sweep_intensity

    if pictures is None:
        pictures = render_faces(sweep_intensity(pipe, latents, expression, steps), image_size=image_size)
    steps, image_size = len(pictures), pictures.shape[-1]
    values = torch.linspace(0, MAX_INTENSITY, steps).tolist()
    widgets = _widgets()
    if widgets is None:
        show(contact_sheet(pictures, [f"{value:.2f}" for value in values], cell_size=192, levels=values))
        return
    frames = [_encoded(picture, ".jpg") for picture in as_pictures(pictures)]
    options = [(f"{value:.2f}", k) for k, value in enumerate(values)]
    start = min(range(steps), key=lambda k: abs(values[k] - 1))
    slider = widgets.SelectionSlider(options=options, value=start, description="intensity", continuous_update=True)
    _gallery(widgets, [slider], lambda: frames[slider.value], image_size)


def expression_picker(
    pipe: FacePipeline,
    latents: FaceLatents,
    expressions: Sequence[str] = EXPRESSIONS,
    image_size: int = 384,
    pictures: torch.Tensor | None = None,
) -> None:
    """Two sliders: one over the expressions, rendered beforehand at intensity 1, one over the intensity.

    Another intensity is rendered when its slider is let go, which takes a moment, and then remembered.

    Parameters
    ----------
    latents:
        Codes of one face; their expression is replaced.
    pictures:
        (len(expressions), 3, H, W) float32 in [0, 1], where they were rendered already.
    """
    from facekit.sweeps import sweep_expressions

    names = list(expressions)
    if pictures is None:
        pictures = render_faces(sweep_expressions(pipe, latents, names), image_size=image_size)
    image_size = pictures.shape[-1]
    pictures = as_pictures(pictures)
    widgets = _widgets()
    if widgets is None:
        show(contact_sheet(pictures, [name.replace("_", " ") for name in names], cell_size=192))
        return
    frames = {(name, 1.0): _encoded(picture, ".jpg") for name, picture in zip(names, pictures, strict=True)}

    def frame() -> bytes:
        key = (who.value, round(how.value, 2))
        if key not in frames:
            face = pipe(latents=latents, expression=key[0], intensity=key[1])
            frames[key] = _encoded(as_pictures(render_faces(face, image_size=image_size))[0], ".jpg")
        return frames[key]

    who = widgets.SelectionSlider(
        options=[(name.replace("_", " "), name) for name in names],
        value=names[min(1, len(names) - 1)],
        description="expression",
        continuous_update=True,
    )
    how = widgets.FloatSlider(
        value=1.0, min=0.0, max=MAX_INTENSITY, step=0.1, description="intensity", continuous_update=False
    )
    _gallery(widgets, [who, how], frame, image_size)


def offer_download(path: str | Path) -> None:
    """Offer a file: through the browser in Colab, as a link elsewhere. A folder is zipped first."""
    path = Path(path)
    if path.is_dir():
        path = Path(shutil.make_archive(str(path), "zip", path))
    if not path.is_file():
        raise FileError("a file or folder to download", f"none at {path}", "make it first")
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    if "google.colab" in sys.modules:
        from google.colab import files

        files.download(str(path))
        return
    display = _display()
    display.display(display.FileLink(str(path)))


def _widgets() -> Any:
    """ipywidgets, or None after saying in one line that it is missing."""
    try:
        return optional_import("ipywidgets", "notebook", "sliders")
    except MissingDependencyError as error:
        print(error)
        return None


def _display() -> Any:
    return optional_import("IPython.display", "notebook", "pictures in a notebook")


def _gallery(widgets: Any, sliders: list[Any], frame: Callable[[], bytes], size: int) -> None:
    """Sliders above a picture that ``frame()`` gives for their values."""
    picture = widgets.Image(value=frame(), format="jpeg", width=size, height=size)

    def refresh(_: Any) -> None:
        picture.value = frame()

    for slider in sliders:
        slider.layout.width = f"{size}px"
        slider.observe(refresh, names="value")
    _display().display(widgets.VBox([*sliders, picture]))


def _show_html(data: bytes, kind: str, width: int | None) -> None:
    # IPython's own Image takes no WebP in the versions that Colab has.
    size = "max-width:100%" if width is None else f"width:{width}px"
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    display = _display()
    display.display(display.HTML(f'<img src="{source}" style="{size}" alt="animation">'))


def _encoded(picture: Image.Image, suffix: str) -> bytes:
    import numpy as np

    return encode(np.asarray(picture.convert("RGB")), suffix, _JPEG_QUALITY if suffix == ".jpg" else None)


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    page = Image.new("RGB", (sum(p.width for p in pictures), pictures[0].height))
    for k, picture in enumerate(pictures):
        page.paste(picture, (k * picture.width, 0))
    return page
