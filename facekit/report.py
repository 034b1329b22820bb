"""Tables, and reports as one self-contained HTML file."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facekit.errors import InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.files.images import encode
from facekit.version import __version__

Section = tuple[str, "Image.Image | Table | Mapping[str, str]"]

_QUALITY = 90
# Colours for light and dark pages; `tnum` selects digits of equal width, so that columns line up.
_STYLE = """
:root { color-scheme: light dark; --page: #f8f8f6; --text: #202124; --muted: #70727a; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16171a; --text: #ececee; --muted: #96989e; } }
body { background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 1280px; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
img { border-radius: 6px; display: block; height: auto; max-width: 100%; }
dl { display: grid; gap: .3rem 1.2rem; grid-template-columns: max-content 1fr; }
dt { font-weight: 600; } dd { margin: 0; }
footer { color: var(--muted); font-size: .85rem; margin: 3rem 0 1rem; }
"""
_TABLE_STYLE = """
.facekit-table { overflow-x: auto; }
.facekit-table table { border-collapse: collapse; font-feature-settings: "tnum"; font-size: .88em; }
.facekit-table th, .facekit-table td { border-bottom: 1px solid rgba(128, 128, 128, .3); padding: .25em .7em;
  text-align: right; white-space: nowrap; }
.facekit-table th { font-weight: 600; vertical-align: bottom; }
.facekit-table small { display: block; font-weight: 400; min-height: 1.4em; opacity: .7; }
.facekit-table .name { text-align: left; }
.facekit-table tr.whole td { border-bottom-width: 2px; font-weight: 600; }
"""


@dataclass(frozen=True)
class Table:
    """Lines with named columns, shown as a table in a notebook and as text by ``print``.

    Parameters
    ----------
    columns:
        Names with unit and number of decimals.
    lines:
        Values by column; missing values and None are blank. Strings are names.
    """

    columns: Mapping[str, tuple[str, int]]
    lines: Sequence[Mapping[str, Any]]

    def texts(self) -> list[list[str]]:
        """Return the cells as strings."""
        return [[_text(line.get(name), digits) for name, (_, digits) in self.columns.items()] for line in self.lines]

    def save(self, path: str | Path) -> Path:
        """Write a CSV (UTF-8) with units in the header, numbers at full precision, and blanks for missing values."""
        path = expanded(path)
        if path.suffix.lower() != ".csv":
            raise InputError("a table's name that ends in .csv", repr(path.name), "rename it")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([f"{name} ({unit})" if unit else name for name, (unit, _) in self.columns.items()])
        writer.writerows(
            [["" if line.get(name) is None else line[name] for name in self.columns] for line in self.lines]
        )
        with atomic_write(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
        return path

    def __str__(self) -> str:
        rows = [list(self.columns), [unit for unit, _ in self.columns.values()], *self.texts()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(self.columns))]
        return "\n".join("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows)

    def _repr_html_(self) -> str:
        return f"<style>{_TABLE_STYLE}</style>{self.to_html()}"

    def to_html(self) -> str:
        """Return a table element; its style is part of the page."""
        kinds = [any(isinstance(line.get(name), str) for line in self.lines) for name in self.columns]
        head = "".join(
            f"<th{_left(is_name)}>{html.escape(name)}<small>{html.escape(unit)}</small></th>"
            for (name, (unit, _)), is_name in zip(self.columns.items(), kinds, strict=True)
        )
        body = []
        for line, texts in zip(self.lines, self.texts(), strict=True):
            cells = "".join(
                f"<td{_left(is_name)}>{html.escape(text)}</td>" for text, is_name in zip(texts, kinds, strict=True)
            )
            whole = ' class="whole"' if line.get("whole") else ""
            body.append(f"<tr{whole}>{cells}</tr>")
        rows = "\n".join(body)
        return (
            f'<div class="facekit-table"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
        )


def write_report(path: str | Path, title: str, sections: Sequence[Section], note: str = "") -> Path:
    """Write a self-contained HTML file, which needs neither network nor other files.

    Parameters
    ----------
    sections:
        Headings, each with a picture, a table, or terms with their explanations as plain text.
    note:
        A line at the end.
    """
    path = expanded(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError("a report's name that ends in .html", repr(path.name), "rename it")
    parts = [f"<h2>{html.escape(heading)}</h2>\n{_element(heading, content)}" for heading, content in sections]
    foot = " · ".join(text for text in (note, f"facekit {__version__}") if text)
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}{_TABLE_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n{chr(10).join(parts)}\n<footer>{html.escape(foot)}</footer>\n</body>\n</html>\n"
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _element(heading: str, content: Image.Image | Table | Mapping[str, str]) -> str:
    if isinstance(content, Table):
        return content.to_html()
    if isinstance(content, Mapping):
        terms = (f"<dt>{html.escape(term)}</dt><dd>{html.escape(text)}</dd>" for term, text in content.items())
        return f"<dl>{''.join(terms)}</dl>"
    data = base64.b64encode(encode(np.asarray(content.convert("RGB")), ".jpg", _QUALITY)).decode()
    size = f'width="{content.width}" height="{content.height}"'
    return f'<img alt="{html.escape(heading)}" {size} src="data:image/jpeg;base64,{data}">'


def _left(is_name: bool) -> str:
    return ' class="name"' if is_name else ""


def _text(value: Any, digits: int) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.{digits}f}"
