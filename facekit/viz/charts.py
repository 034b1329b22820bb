"""Charts of sweeps and 3D heat maps: plotly for interactive use, matplotlib for papers.

The plotly charts work without a kernel; they need the extra ``notebook``. Each chart over intensity has a matplotlib
version, which can be saved as vector graphics: ``figure.savefig("displacement.pdf")``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facekit.errors import InputError, optional_import
from facekit.metrics.geometry import face_texels, face_vertices, landmark_regions, vertex_displacement
from facekit.metrics.texture import lab
from facekit.viz.heat import MAGNITUDE, SIGNED, heat_scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

    from facekit.face import FaceOutput
    from facekit.mesh import FaceMesh

#: Okabe and Ito's palette, suitable for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# Largest side in texels of compared textures: a higher resolution hardly changes the mean.
_TEXELS = 512
# Decimals of coordinates: with 0.01 mm a mesh of 25,000 vertices takes some 2 MB of text, well under Colab's limit.
_DECIMALS = 2


@dataclass(frozen=True)
class Curves:
    """Curves over intensity.

    Parameters
    ----------
    intensity:
        N numbers.
    lines:
        N values per name, for the whole face; None for missing values.
    regions:
        N values per region.
    unit:
        Unit of all values.
    """

    intensity: list[float]
    lines: dict[str, list[float | None]]
    regions: dict[str, list[float | None]]
    unit: str


def displacement_curves(sweep: FaceOutput) -> Curves:
    """Return the displacement of the face's points from the sweep's first step: mean, 95th percentile and maximum, mm.

    For the regions of :func:`facekit.metrics.geometry.landmark_regions` it is the 95th percentile.
    """
    intensity = _intensity(sweep)
    moved = vertex_displacement(sweep.mesh[0], sweep.mesh).cpu()
    face = moved[:, face_vertices(sweep.mesh).cpu()]
    lines = {"mean": face.mean(1), "95th percentile": _percentile(face), "maximum": face.amax(1)}
    regions = {name: _percentile(moved[:, mask.cpu()]) for name, mask in landmark_regions(sweep.mesh).items()}
    return Curves(intensity, _lists(lines), _lists(regions), "mm")


def texture_curves(sweep: FaceOutput) -> Curves:
    """Return the mean colour difference (CIE76) of the albedo from the sweep's first step and from the previous
    step.
    """
    intensity = _intensity(sweep)
    if sweep.texture is None:
        raise InputError("faces with a texture", "none", "use a face of FacePipeline")
    every = max(1, sweep.texture.shape[-1] // _TEXELS)
    texture = sweep.texture[:, :, ::every, ::every].cpu()
    shown = face_texels(sweep.mesh.to("cpu"), texture.shape[-1])
    colours = [lab(face[None, :, shown][..., None])[0, :, :, 0] for face in texture]
    first = [(colour - colours[0]).norm(dim=0).mean() for colour in colours]
    step = [None, *((b - a).norm(dim=0).mean() for a, b in zip(colours[:-1], colours[1:], strict=True))]
    lines = {"from the first step": first, "from the step before": step}
    return Curves(intensity, _lists(lines), {}, "ΔE")


def displacement_chart(sweep: FaceOutput) -> PlotlyFigure:
    """Chart vertex displacement over intensity, for the face and its regions; see :func:`displacement_curves`."""
    return _chart(displacement_curves(sweep), "Displacement from the first step")


def texture_chart(sweep: FaceOutput) -> PlotlyFigure:
    """Chart the colour difference of the texture over intensity; see :func:`texture_curves`."""
    return _chart(texture_curves(sweep), "Colour difference of the texture")


def displacement_plot(sweep: FaceOutput) -> Figure:
    """Draw :func:`displacement_chart` with matplotlib."""
    return _plot(displacement_curves(sweep))


def texture_plot(sweep: FaceOutput) -> Figure:
    """Draw :func:`texture_chart` with matplotlib."""
    return _plot(texture_curves(sweep))


def mesh_heat(
    mesh: FaceMesh,
    values: torch.Tensor,
    label: str = "mm",
    title: str = "",
    signed: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> PlotlyFigure:
    """Show per-vertex values as colours on an interactive 3D mesh.

    Parameters
    ----------
    mesh:
        One face.
    values:
        (V,) or (1, V): displacement, tension, …
    label:
        Name of the values, with unit.
    signed:
        Whether to centre the scale at 0, with red above and blue below.
    low, high:
        Ends of the scale, by default those of :func:`facekit.viz.heat.heat_scale`.
    """
    go = _plotly()
    if len(mesh) != 1 or values.numel() != mesh.verts.shape[1]:
        got = f"{len(mesh)} faces and values {tuple(values.shape)}"
        raise InputError(f"one face and {mesh.verts.shape[1]} values", got, "pick one with mesh[i] and values[i]")
    found = heat_scale(values, signed)
    low, high = found[0] if low is None else low, found[1] if high is None else high
    x, y, z = np.round(mesh.verts[0].detach().cpu().double().numpy(), _DECIMALS).T
    i, j, k = mesh.faces.cpu().numpy().T
    intensity = np.round(values.detach().reshape(-1).cpu().double().numpy(), 4)
    colours = SIGNED.removesuffix("_r") if signed else MAGNITUDE
    body = go.Mesh3d(
        x=x,
        y=y,
        z=z,
        i=i,
        j=j,
        k=k,
        intensity=intensity,
        colorscale=colours,
        reversescale=signed,
        cmin=low,
        cmax=high,
        colorbar={"title": label, "thickness": 14, "len": 0.7},
        hovertemplate="%{intensity:.3g}<extra></extra>",
        flatshading=False,
        lighting={"ambient": 0.6, "diffuse": 0.6, "specular": 0.05, "roughness": 0.9},
        lightposition={"x": -300, "y": 600, "z": 1000},
    )
    hidden = {"visible": False}
    # plotly's camera turns around +Z by default; a face has +Y up and looks along +Z.
    up, centre, eye = ({"x": 0, "y": 1, "z": 0}, {"x": 0, "y": 0.12, "z": 0}, {"x": 0.1, "y": 0.17, "z": 1.3})
    camera = {"up": up, "center": centre, "eye": eye}
    scene = {"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data", "camera": camera}
    return go.Figure(body, _layout(title, height=560, scene=scene, margin={"l": 0, "r": 0, "t": 48, "b": 0}))


def _chart(curves: Curves, title: str) -> PlotlyFigure:
    go = _plotly()
    figure = go.Figure(layout=_layout(title, height=420, hovermode="x unified"))
    for k, (name, values) in enumerate(curves.lines.items()):
        style = {"color": COLOURS[k], "width": 3}
        figure.add_scatter(x=curves.intensity, y=values, name=name, mode="lines+markers", line=style)
    for k, (name, values) in enumerate(curves.regions.items()):
        # Regions are hidden until clicked in the legend: ten curves at once are hard to read.
        style = {"color": COLOURS[k], "width": 1.5, "dash": "dot"}
        extra = {"legendgroup": "regions", "legendgrouptitle": {"text": "95th percentile of"}, "visible": "legendonly"}
        if name in ("mouth", "cheeks", "forehead"):
            extra["visible"] = True
        figure.add_scatter(x=curves.intensity, y=values, name=name, mode="lines", line=style, **extra)
    if curves.regions:
        figure.update_layout(legend={"groupclick": "toggleitem"})
    figure.update_xaxes(title="intensity", rangemode="tozero")
    figure.update_yaxes(title=curves.unit, rangemode="tozero")
    return figure


def _plot(curves: Curves) -> Figure:
    from matplotlib.figure import Figure

    panels = 2 if curves.regions else 1
    figure = Figure(figsize=(4.6 * panels, 3.0), layout="constrained")
    for axes, lines, title in zip(
        figure.subplots(1, panels, sharey=False, squeeze=False)[0],
        (curves.lines, curves.regions),
        ("the whole face", "95th percentile of each region"),
        strict=False,
    ):
        for colour, (name, values) in zip(COLOURS, lines.items(), strict=False):
            axes.plot(curves.intensity, values, label=name, color=colour, linewidth=1.6)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="intensity", ylabel=curves.unit, xlim=(0, max(curves.intensity)), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _intensity(sweep: FaceOutput) -> list[float]:
    values = sweep.metadata.get("intensity")
    if not isinstance(values, list) or len(values) != len(sweep):
        got = f"metadata {sorted(sweep.metadata)}"
        raise InputError("faces with one intensity each", got, "make them with sweep_intensity")
    return [round(float(value), 4) for value in values]


def _percentile(values: torch.Tensor) -> torch.Tensor:
    return values.float().quantile(0.95, dim=1)


def _lists(lines: Mapping[str, Iterable[torch.Tensor | None]]) -> dict[str, list[float | None]]:
    return {
        name: [None if value is None else round(float(value), 4) for value in values] for name, values in lines.items()
    }


def _plotly() -> Any:
    return optional_import("plotly.graph_objects", "notebook", "interactive charts")


def _layout(title: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "template": "plotly_white", "margin": {"l": 60, "r": 20, "t": 56, "b": 48}, **more}
