"""Heat maps on faces: values per vertex or texel as colours on the mesh, with a colour bar."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from facekit.errors import InputError
from facekit.geometry.uv import bake, box_blurred, rasterize_uv
from facekit.viz.fonts import font
from facekit.viz.sheets import THEMES, close_up

if TYPE_CHECKING:
    from facekit.mesh import FaceMesh
    from facekit.render import Camera, Lights

#: matplotlib's sequential and diverging colour maps.
MAGNITUDE, SIGNED = "YlOrRd", "RdBu_r"

_MAP_SIZE = 512
# Box widths of the filters that extend values beyond the charts' borders, so that sampling does not mix them with
# unpainted texels.
_SPREAD = (3, 5, 9)


def heat_scale(values: torch.Tensor, signed: bool = False) -> tuple[float, float]:
    """Return the ends of a colour scale: 0 (or symmetric about it) and the 99.5th percentile of non-zero values, else
    1.
    """
    flat = values.detach().abs().reshape(-1).float()
    flat = flat[flat > 1e-6]
    rank = max(1, round(0.995 * flat.numel()))
    high = float(flat.kthvalue(rank).values) if flat.numel() else 1.0
    return (-high if signed else 0.0), high


def heat_colours(values: torch.Tensor, low: float, high: float, signed: bool = False) -> torch.Tensor:
    """Map values of any shape to sRGB in [0, 1], with a last dimension of 3; clamped to ``low`` and ``high``."""
    import matplotlib

    if not high > low:
        raise InputError("a scale with high above low", f"{low:g} to {high:g}", "see heat_scale")
    table = torch.from_numpy(matplotlib.colormaps[SIGNED if signed else MAGNITUDE](np.linspace(0, 1, 256))[:, :3])
    place = ((values.detach().cpu().float() - low) / (high - low)).clamp(0, 1) * 255
    return table.float()[place.round().long()]


def heat_mesh(mesh: FaceMesh, values: torch.Tensor, low: float, high: float, signed: bool = False) -> FaceMesh:
    """Return the mesh coloured by values instead of its texture, without displacement.

    Parameters
    ----------
    values:
        (B, V) per vertex, or (B, 1, H, W) per texel.
    """
    if values.ndim == 2 and values.shape == mesh.verts.shape[:2]:
        ids, weights = rasterize_uv(mesh.uvs, mesh.faces_uvs, _MAP_SIZE)
        maps = bake(values[..., None].float(), mesh.faces, ids, weights)
    elif values.ndim == 4 and values.shape[:2] == (len(mesh), 1):
        ids, _ = rasterize_uv(mesh.uvs, mesh.faces_uvs, (values.shape[2], values.shape[3]))
        maps = values.float()
    else:
        expected = f"values of shape {tuple(mesh.verts.shape[:2])} or ({len(mesh)}, 1, H, W)"
        raise InputError(expected, f"{tuple(values.shape)}", "give one number per vertex or per texel")
    maps = _spread(maps, (ids >= 0)[None, None])
    texture = heat_colours(maps[:, 0], low, high, signed).permute(0, 3, 1, 2).contiguous()
    return dataclasses.replace(mesh, texture=texture.to(mesh.verts.device), parts=None, displacement=None)


def render_heat(
    mesh: FaceMesh,
    values: torch.Tensor,
    low: float | None = None,
    high: float | None = None,
    signed: bool = False,
    camera: Camera | None = None,
    image_size: int | tuple[int, int] = 512,
    background: Any = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """Render a heat map on the mesh, (B, 3, H, W) float32 on the CPU.

    Parameters
    ----------
    values:
        (B, V) per vertex, or (B, 1, H, W) per texel.
    low, high:
        Ends of the scale, by default those of :func:`heat_scale`.
    signed:
        Whether to use a diverging scale: white is 0, red above, blue below; otherwise from pale to dark red.
    camera:
        Camera; None for :func:`facekit.viz.sheets.close_up`.
    """
    from facekit.render import render

    found = heat_scale(values, signed)
    low, high = found[0] if low is None else low, found[1] if high is None else high
    painted = heat_mesh(mesh, values, low, high, signed)
    camera = close_up() if camera is None else camera
    parts = [
        render(painted[k : k + 4], camera=camera, image_size=image_size, lights=_lights(), background=background).rgb
        for k in range(0, len(painted), 4)
    ]
    return torch.cat(parts).cpu()


def colour_bar(
    width: int, low: float, high: float, label: str, signed: bool = False, theme: str = "dark"
) -> Image.Image:
    """Draw a colour bar with values.

    Parameters
    ----------
    width:
        Width of the picture in pixels; the text is scaled with it.
    label:
        Name of the values, with unit.
    """
    colours = THEMES[theme]
    size = max(10, min(16, width // 75))
    letters = font(size, False, label)
    bar = min(width - 2 * size, 26 * size)
    page = Image.new("RGB", (width, round(size * 4.2)), colours.page)
    ramp = heat_colours(torch.linspace(low, high, bar), low, high, signed)
    strip = np.repeat((ramp.numpy() * 255).round().astype(np.uint8)[None], max(6, size // 2), axis=0)
    page.paste(Image.fromarray(strip), (size, round(size * 1.7)))
    draw = ImageDraw.Draw(page)
    draw.text((size, round(size * 0.2)), label, colours.text, letters, anchor="lt")
    below = round(size * 1.9) + strip.shape[0]
    for share, anchor in ((0.0, "lt"), (0.5, "mt"), (1.0, "rt")):
        text = f"{low + share * (high - low):.2g}"
        draw.text((size + share * bar, below), text, colours.muted, letters, anchor=anchor)
    return page


def _spread(maps: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Extend maps (B, 1, H, W) a few texels beyond ``inside`` (1, 1, H, W) bool."""
    known = inside.float()
    maps = maps * known
    for width in _SPREAD:
        share = box_blurred(known, width)
        carried = box_blurred(maps * known, width) / share.clamp_min(1e-6)
        maps = torch.where(known > 0, maps, carried * (share > 0))
        known = ((known > 0) | (share > 0)).float()
    return maps


def _lights() -> Lights:
    """Return soft lights without highlights: they show the form and keep the bar's colours."""
    from facekit.render.lights import Light, Lights

    key = Light(-30.0, 38.0, 0.42, size=25.0, gloss=0.0)
    return Lights(lights=(key,), sky=(0.66, 0.66, 0.66), ground=(0.5, 0.5, 0.5), name="heat")
