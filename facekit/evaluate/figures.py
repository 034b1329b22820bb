"""Plots of results: bars for few rows, dots for many, and picture grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facekit.evaluate.results import Results, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image
    from torch import Tensor

#: Above this number of rows, over several regions, dots are drawn: a line per region, a colour per method.
_MOST_BARS = 16


def figure(results: Results, metric: str) -> Image.Image:
    """Plot mean and interval of one metric for each method and region; controls are hatched or hollow."""
    from matplotlib.figure import Figure

    rows = [row for row in results.select(metric=metric) if not math.isnan(row.mean)]
    regions = list(dict.fromkeys(row.region for row in rows))
    if len(rows) <= _MOST_BARS or len(regions) == 1:
        drawn = Figure(figsize=(7.2, 0.9 + 0.3 * len(rows)), dpi=120, layout="constrained")
        _bars(drawn.add_subplot(), rows)
        drawn.axes[0].set_xlabel(metric.replace("_", " "))
        return _drawn(drawn)
    sets = list(dict.fromkeys((row.dataset, row.split) for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    high = 1.2 + len(regions) * max(0.3, 0.075 * len(methods))
    drawn = Figure(figsize=(3.4 + 3.2 * len(sets), high), dpi=120, layout="constrained")
    panels = drawn.subplots(1, len(sets), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (dataset, split) in zip(panels, sets, strict=True):
        _dots(axes, [row for row in rows if (row.dataset, row.split) == (dataset, split)], regions, methods)
        axes.set_title(f"{dataset}, {split}", fontsize=9)
        axes.set_xlabel(metric.replace("_", " "))
    panels[0].set_yticks(range(len(regions)), regions, fontsize=8)
    panels[0].invert_yaxis()
    drawn.legend(*panels[0].get_legend_handles_labels(), fontsize=7, loc="outside right center")
    return _drawn(drawn)


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    methods = list(dict.fromkeys(row.method for row in rows))
    for place, row in enumerate(rows):
        axes.barh(
            place,
            row.mean,
            xerr=_reach(row),
            color=_colour(methods, row),
            alpha=0.55 if row.control else 0.95,
            hatch="//" if row.control else None,
            edgecolor="white",
            ecolor="0.3",
            capsize=2,
        )
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _dots(axes: Axes, rows: Sequence[Row], regions: Sequence[str], methods: Sequence[str]) -> None:
    named = set()
    for row in rows:
        shift = 0.7 * ((methods.index(row.method) + 0.5) / len(methods) - 0.5)
        colour, label = _colour(methods, row), _method(row)
        axes.errorbar(
            row.mean,
            regions.index(row.region) + shift,
            xerr=_reach(row),
            fmt="o",
            color=colour,
            markersize=4,
            markerfacecolor="white" if row.control else colour,
            elinewidth=1,
            label=None if label in named else label,
        )
        named.add(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="0.9", linewidth=0.6)


def _reach(row: Row) -> list[list[float]] | None:
    """Return the lengths of the interval on both sides of the mean, for matplotlib."""
    return None if math.isnan(row.low) else [[row.mean - row.low], [row.high - row.mean]]


def _colour(methods: Sequence[str], row: Row) -> tuple[float, ...]:
    import matplotlib

    return matplotlib.colormaps["tab10"](methods.index(row.method) % 10)


def _method(row: Row) -> str:
    return f"{row.method} (control)" if row.control else row.method


def _name(row: Row) -> str:
    return _method(row) if row.region == "all" else f"{_method(row)}, {row.region}"


def _drawn(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def grid(pictures: Sequence[Sequence[Tensor]], rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Arrange pictures (3, H, W) sRGB in [0, 1] in labelled rows and columns."""
    from matplotlib.figure import Figure

    height, width = pictures[0][0].shape[1:]
    drawn = Figure(figsize=(1 + width * len(columns) / 100, 0.4 + height * len(rows) / 100), dpi=100)
    places = drawn.subplots(len(rows), len(columns), squeeze=False, gridspec_kw={"wspace": 0.02, "hspace": 0.02})
    for r, row in enumerate(pictures):
        for c, picture in enumerate(row):
            axes = places[r, c]
            axes.imshow(picture.permute(1, 2, 0).clamp(0, 1).numpy())
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if r == 0:
                axes.set_title(columns[c], fontsize=9)
            if c == 0:
                axes.set_ylabel(rows[r], fontsize=9)
    drawn.subplots_adjust(
        left=1 / drawn.get_figwidth() * 0.7, right=0.995, bottom=0.005, top=1 - 0.3 / drawn.get_figheight()
    )
    return _drawn(drawn)
