"""Contact sheets: many pictures on one page, with labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from facekit.conventions import MAX_INTENSITY
from facekit.errors import InputError
from facekit.files.images import to_uint8
from facekit.viz.fonts import font

if TYPE_CHECKING:
    from facekit.face import FaceOutput
    from facekit.render import Camera

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """Colours of a sheet as 8-bit sRGB."""

    page: Colour
    text: Colour
    muted: Colour
    track: Colour
    accent: Colour
    beyond: Colour


THEMES = {
    "dark": Theme((22, 23, 26), (236, 236, 238), (150, 152, 158), (52, 54, 60), (120, 170, 220), (226, 164, 92)),
    "light": Theme((248, 248, 246), (32, 33, 36), (112, 114, 120), (222, 222, 220), (52, 110, 170), (196, 120, 40)),
}

# Number of faces rendered at once: more is not faster on a CPU and costs memory.
_RENDER_CHUNK = 4


def close_up(hair: bool = False) -> Camera:
    """Return a frontal camera from crown to collar: on a small picture the expression matters. Wider for hair."""
    from facekit.render import Camera

    if hair:
        return Camera.front(distance=800.0, target=(0.0, 32.0, 10.0))
    return Camera.front(distance=740.0, target=(0.0, 26.0, 10.0))


def render_faces(face: FaceOutput, camera: Camera | None = None, image_size: int = 512, **options: Any) -> torch.Tensor:
    """Render all faces of a batch in chunks, (B, 3, H, W) float32 sRGB on the CPU.

    Parameters
    ----------
    camera:
        Camera; None for :func:`close_up`.
    image_size, options:
        Options of :func:`facekit.render.render`.
    """
    camera = close_up(any(face.hair)) if camera is None else camera
    parts = [
        face[i : i + _RENDER_CHUNK].render(camera=camera, image_size=image_size, **options).rgb.cpu()
        for i in range(0, len(face), _RENDER_CHUNK)
    ]
    return torch.cat(parts)


def as_pictures(images: torch.Tensor | Sequence[np.ndarray | Image.Image]) -> list[Image.Image]:
    """Convert (N, 3, H, W) floats, (H, W, 3) uint8 arrays or PIL pictures to RGB pictures of one size."""
    if isinstance(images, torch.Tensor):
        images = [to_uint8(image) for image in images]
    pictures = [p if isinstance(p, Image.Image) else Image.fromarray(np.ascontiguousarray(p)) for p in images]
    sizes = sorted({picture.size for picture in pictures})
    if len(sizes) != 1:
        raise InputError("one or more pictures of one size", f"{sizes or 'none'}", "render them at one image_size")
    return [picture.convert("RGB") for picture in pictures]


def contact_sheet(
    images: torch.Tensor | Sequence[np.ndarray | Image.Image],
    labels: Sequence[str] | None = None,
    columns: int = 5,
    title: str | None = None,
    subtitle: str | None = None,
    cell_size: int = 320,
    theme: str = "dark",
    levels: Sequence[float] | None = None,
) -> Image.Image:
    """Arrange pictures in rows, each with a label below.

    Parameters
    ----------
    images:
        (N, 3, H, W) floats in [0, 1], or N arrays (H, W, 3) uint8 or PIL pictures, all of one size.
    labels:
        N texts; those too long for their cell are shortened with an ellipsis.
    columns:
        Pictures per row; fewer pictures make a narrower page.
    title, subtitle:
        Lines at the top left.
    cell_size:
        Width of one picture on the page in pixels; text and gaps scale with it.
    theme:
        ``"dark"`` or ``"light"``.
    levels:
        N intensities from 0 to 1.5, drawn as a thin bar below each picture, in another colour beyond 1.
    """
    pictures = as_pictures(images)
    if theme not in THEMES:
        raise InputError(f"a theme out of {', '.join(THEMES)}", repr(theme), "choose one of these")
    for name, values in (("labels", labels), ("levels", levels)):
        if values is not None and len(values) != len(pictures):
            raise InputError(f"{len(pictures)} {name}, one per picture", f"{len(values)}", "give each picture one")
    if columns < 1 or cell_size < 16:
        raise InputError("1 or more columns of 16 or more pixels", f"{columns} of {cell_size}", "use larger values")
    colours = THEMES[theme]
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)

    width = cell_size
    height = round(pictures[0].height * width / pictures[0].width)
    gap, margin = max(2, cell_size // 26), max(6, cell_size // 9)
    label_font = font(max(9, cell_size // 19), False, *map(str, labels or ()))
    title_font, subtitle_font = (
        font(max(12, cell_size // 10), True, title),
        font(max(9, cell_size // 18), False, subtitle),
    )
    bar = max(2, cell_size // 90) if levels is not None else 0
    caption = (2 * bar + (round(label_font.size * 1.75) if labels is not None else 0)) or 0
    title_height = round(title_font.size * 1.5) if title else 0
    head = title_height + (round(subtitle_font.size * 1.5) if subtitle else 0)
    head += gap + margin // 4 if head else 0
    page = Image.new(
        "RGB",
        (2 * margin + columns * width + (columns - 1) * gap, 2 * margin + head + rows * (height + caption + gap) - gap),
        colours.page,
    )
    draw = ImageDraw.Draw(page)
    room = page.width - 2 * margin
    if title:
        draw.text((margin, margin), _fit(title, title_font, room), colours.text, title_font, anchor="lt")
    if subtitle:
        place = (margin, margin + title_height)
        draw.text(place, _fit(subtitle, subtitle_font, room), colours.muted, subtitle_font, anchor="lt")
    corner = _rounded(width, height, max(2, cell_size // 40))
    for k, picture in enumerate(pictures):
        x = margin + (k % columns) * (width + gap)
        y = margin + head + (k // columns) * (height + caption + gap)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        page.paste(picture, (x, y), corner)
        if levels is not None:
            _level(draw, (x, y + height + bar, width, bar), float(levels[k]), colours)
        if labels is not None:
            text = _fit(str(labels[k]), label_font, width)
            place = (x + width / 2, y + height + 2 * bar + (caption - 2 * bar) / 2)
            draw.text(place, text, colours.text, label_font, anchor="mm")
    return page


def intensity_strip(
    face: FaceOutput,
    pictures: torch.Tensor | None = None,
    columns: int = 5,
    title: str | None = None,
    theme: str = "dark",
    cell_size: int = 320,
    camera: Camera | None = None,
    **options: Any,
) -> Image.Image:
    """Draw a sweep of an expression's intensity from :func:`facekit.sweep_intensity`.

    Parameters
    ----------
    face:
        FaceOutput with ``metadata["intensity"]``, one number per face.
    pictures:
        (B, 3, H, W) in [0, 1]: rendered pictures, if available.
    options:
        Options of :func:`facekit.render.render`.
    """
    values = [float(v) for v in _per_face(face, "intensity", "sweep_intensity")]
    if pictures is None:
        pictures = render_faces(face, camera, **options)
    if title is None:
        name = face.metadata.get("expression")
        name = _readable(name) if isinstance(name, str) else "expression"
        title = f"{name}: intensity {values[0]:g} to {values[-1]:g}"
    return contact_sheet(
        pictures,
        [f"{value:.2f}" for value in values],
        columns,
        title,
        "1 is the posed expression; beyond it is extrapolated" if max(values) > 1 else None,
        cell_size,
        theme,
        levels=values,
    )


def expression_sheet(
    face: FaceOutput,
    pictures: torch.Tensor | None = None,
    columns: int = 5,
    title: str = "20 expressions",
    theme: str = "dark",
    cell_size: int = 320,
    camera: Camera | None = None,
    **options: Any,
) -> Image.Image:
    """Draw one person with many expressions from :func:`facekit.sweep_expressions`; arguments as above."""
    names = [_readable(str(name)) for name in _per_face(face, "expression", "sweep_expressions")]
    if pictures is None:
        pictures = render_faces(face, camera, **options)
    if title == "20 expressions" and len(names) != 20:
        title = f"{len(names)} expressions"
    return contact_sheet(pictures, names, columns, title, None, cell_size, theme)


def _per_face(face: FaceOutput, key: str, maker: str) -> list[Any]:
    values = face.metadata.get(key)
    if not isinstance(values, list) or len(values) != len(face):
        got = "none" if values is None else f"{values!r}"
        raise InputError(f"metadata[{key!r}] with one value per face", got, f"make the batch with {maker}")
    return values


def _rounded(width: int, height: int, radius: int) -> Image.Image:
    """Return a mask with rounded corners, drawn at four times the size for smooth edges."""
    mask = Image.new("L", (width * 4, height * 4), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width * 4 - 1, height * 4 - 1), radius * 4, fill=255)
    return mask.resize((width, height), Image.Resampling.BOX)


def _level(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], value: float, colours: Theme) -> None:
    """Draw a bar over ``box`` (x, y, width, height) filled up to value / 1.5, in another colour beyond 1."""
    x, y, width, height = box
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colours.track)
    for start, stop, colour in ((0.0, min(value, 1.0), colours.accent), (1.0, value, colours.beyond)):
        if stop > start:
            left = x + round(start / MAX_INTENSITY * width)
            right = x + round(min(stop / MAX_INTENSITY, 1) * width) - 1
            draw.rectangle((left, y, max(left, right), y + height - 1), fill=colour)


def _fit(text: str, face: ImageFont.FreeTypeFont, room: int) -> str:
    if face.getlength(text) <= room:
        return text
    while text and face.getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"


def _readable(name: str) -> str:
    return name.replace("_", " ")
