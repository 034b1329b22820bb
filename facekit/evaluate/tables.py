"""Results as tables and pictures: Markdown, LaTeX, CSV, plots, an HTML report."""

from __future__ import annotations

import csv
import importlib.util
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.evaluate.figures import figure
from facekit.evaluate.results import COLUMNS, Results, Row
from facekit.files.atomic import atomic_write
from facekit.report import Section, Table, write_report

if TYPE_CHECKING:
    from PIL import Image

_SHOWN = ("dataset", "method", "metric", "region", "n", "failed", "mean", "low", "high", "median", "std")
_DIGITS = 3


def table(results: Results) -> Table:
    """Return the rows as a table for a notebook, a terminal or a report; controls are marked."""
    columns = {name: ("", 0 if name in ("n", "failed") else _DIGITS) for name in _SHOWN}
    return Table(columns, [_line(row) for row in results])


def markdown(results: Results) -> str:
    """Return one Markdown table per metric, with methods as rows and regions as columns: mean [low, high]."""
    blocks = []
    for metric, methods, regions, cells in _grids(results):
        head = f"| {metric} | {' | '.join(regions)} |\n| --- |{' ---: |' * len(regions)}"
        lines = [
            f"| {name} | {' | '.join(_cell(cells.get((name, region))) for region in regions)} |" for name in methods
        ]
        blocks.append("\n".join([head, *lines]))
    notes = "".join(f"\n- {note}" for note in results.notes)
    return "\n\n".join([*([f"# {results.title}"] if results.title else []), *blocks]) + f"\n{notes}\n"


def latex(results: Results) -> str:
    """Return one ``tabular`` of means per metric, for the package booktabs."""
    blocks = []
    for metric, methods, regions, cells in _grids(results):
        lines = [
            rf"{_tex(name)} & {' & '.join(_tex_cell(cells.get((name, region))) for region in regions)} \\"
            for name in methods
        ]
        blocks.append(
            "\n".join(
                [
                    rf"% {metric}",
                    rf"\begin{{tabular}}{{l{'r' * len(regions)}}}",
                    r"\toprule",
                    rf"{_tex(metric)} & {' & '.join(_tex(region) for region in regions)} \\",
                    r"\midrule",
                    *lines,
                    r"\bottomrule",
                    r"\end{tabular}",
                ]
            )
        )
    return "\n\n".join(blocks) + "\n"


def save_all(results: Results, folder: Path) -> list[Path]:
    """Write all formats to ``folder``; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [_text(folder / "results.csv", csv_text(results))]
    if importlib.util.find_spec("pyarrow") is not None:
        written.append(results.save_parquet(folder / "results.parquet"))
    written += [
        _text(folder / "results.json", results.to_json()),
        _text(folder / "results.md", markdown(results)),
        _text(folder / "results.tex", latex(results)),
    ]
    sections: list[Section] = []
    for name, picture in results.pictures.items():
        written.append(_picture(folder / f"{name}.png", picture))
        sections.append((name.replace("_", " "), picture))
    for metric in dict.fromkeys(row.metric for row in results):
        picture = figure(results, metric)
        written.append(_picture(folder / f"{metric}.png", picture))
        sections += [(metric.replace("_", " "), picture), ("", table(results.select(metric=metric)))]
    if results.notes:
        sections.insert(0, ("Read this first", {f"{k + 1}": note for k, note in enumerate(results.notes)}))
    protocols = ", ".join(dict.fromkeys(row.protocol for row in results))
    written.append(write_report(folder / "report.html", results.title or "Results", sections, note=protocols))
    return written


def csv_text(results: Results) -> str:
    """Return all columns of all rows as CSV, at full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([[getattr(row, name) for name in COLUMNS] for row in results])
    return text.getvalue()


def _grids(results: Results) -> Iterator[tuple[str, list[str], list[str], dict[tuple[str, str], Row]]]:
    """Yield metric, methods, regions, and rows by (method, region); methods include the set's name if there are several
    sets.
    """
    several = len({(row.dataset, row.split) for row in results}) > 1
    for metric in dict.fromkeys(row.metric for row in results):
        cells = {}
        for row in results.select(metric=metric):
            name = f"{_method(row)}, {row.dataset} {row.split}" if several else _method(row)
            cells[name, row.region] = row
        yield metric, list(dict.fromkeys(k for k, _ in cells)), list(dict.fromkeys(r for _, r in cells)), cells


def _method(row: Row) -> str:
    return f"{row.method} (control)" if row.control else row.method


def _line(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _SHOWN}
    values = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}
    return {**values, "method": _method(row)}


def _cell(row: Row | None) -> str:
    if row is None or math.isnan(row.mean):
        return "–" if row is None else f"failed ({row.failed})"
    text = f"{row.mean:.{_DIGITS}g}"
    text += "" if math.isnan(row.low) or row.low == row.high else f" [{row.low:.{_DIGITS}g}, {row.high:.{_DIGITS}g}]"
    return text + (f", {row.failed} failed" if row.failed else "")


def _tex_cell(row: Row | None) -> str:
    return "--" if row is None or math.isnan(row.mean) else f"{row.mean:.{_DIGITS}g}"


def _tex(text: str) -> str:
    for plain, escaped in (("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#")):
        text = text.replace(plain, escaped)
    return text


def _picture(path: Path, picture: Image.Image) -> Path:
    with atomic_write(path) as temporary:
        picture.save(temporary, "PNG")
    return path


def _text(path: Path, text: str) -> Path:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
