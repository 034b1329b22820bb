"""Results of an experiment: a row per figure, with its interval, and export to common formats."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.errors import FileError, InputError, optional_import
from facekit.files.atomic import atomic_write, expanded

if TYPE_CHECKING:
    from PIL import Image

#: Number of bootstrap samples, and confidence level between ``low`` and ``high`` (Efron and Tibshirani, 1993).
RESAMPLES, CONFIDENCE = 2000, 0.95
_BOOTSTRAP_SEED = 20_260_101


@dataclass(frozen=True)
class Row:
    """One figure of one method on one set.

    Parameters
    ----------
    dataset, split:
        Data set and its split.
    method, control:
        Method, and whether it is a control.
    metric:
        Name that ends with the unit: ``generalisation_mm``.
    region:
        Part of the face, action unit or expression; "all" for everything.
    n, failed:
        Number of people (or pictures) with and without a figure. Failures are not part of the mean.
    mean, median, std:
        Over the n values; std with ddof 1, NaN for one.
    low, high:
        95 % interval of the mean, by bootstrap over people.
    protocol:
        Name and version of the rules: ``generation-2``.
    """

    dataset: str
    split: str
    method: str
    control: bool
    metric: str
    region: str
    n: int
    failed: int
    mean: float
    median: float
    std: float
    low: float
    high: float
    protocol: str


COLUMNS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Row))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of values (N,) by percentile bootstrap with a fixed seed."""
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return (float(values[0]), float(values[0])) if len(values) else (math.nan, math.nan)
    draws = np.random.default_rng(_BOOTSTRAP_SEED).integers(0, len(values), (RESAMPLES, len(values)))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values[draws].mean(axis=1), (tail, 100 - tail))
    return float(low), float(high)


def summarised(values: Iterable[float]) -> dict[str, Any]:
    """Return the statistics of a :class:`Row` from one value per person; values that are not finite count as failed."""
    numbers = np.asarray(list(values), np.float64)
    kept = numbers[np.isfinite(numbers)]
    low, high = interval(kept)
    return {
        "n": len(kept),
        "failed": len(numbers) - len(kept),
        "mean": float(kept.mean()) if len(kept) else math.nan,
        "median": float(np.median(kept)) if len(kept) else math.nan,
        "std": float(kept.std(ddof=1)) if len(kept) > 1 else math.nan,
        "low": low,
        "high": high,
    }


class Results(Sequence[Row]):
    """Rows that can be displayed, saved and loaded.

    Parameters
    ----------
    rows:
        Rows in the order of measurement.
    title:
        Title of tables and the report.
    notes:
        Notes for the reader: omissions, failures and their reasons, judges.
    pictures:
        Pictures by name; they are part of the report, not of :meth:`to_json`.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        title: str = "",
        notes: Sequence[str] = (),
        pictures: Mapping[str, Image.Image] | None = None,
    ) -> None:
        self.rows, self.title, self.notes = tuple(rows), title, tuple(notes)
        self.pictures = dict(pictures or {})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def select(self, **wanted: Any) -> Results:
        """Return the rows with these values: ``results.select(metric="generalisation_mm")``."""
        unknown = set(wanted) - set(COLUMNS)
        if unknown:
            raise InputError(f"columns out of {', '.join(COLUMNS)}", ", ".join(sorted(unknown)), "choose one of these")
        kept = [row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items())]
        return Results(kept, self.title, self.notes, self.pictures)

    def value(self, **wanted: Any) -> float:
        """Return the mean of the one row that :meth:`select` finds.

        Raises
        ------
        InputError
            If there is not exactly one row.
        """
        rows = self.select(**wanted)
        if len(rows) != 1:
            raise InputError("one row", f"{len(rows)} for {wanted}", "name dataset, method, metric and region")
        return rows[0].mean

    def _repr_html_(self) -> str:
        from facekit.evaluate.tables import table

        return table(self)._repr_html_()

    def __str__(self) -> str:
        from facekit.evaluate.tables import table

        return str(table(self))

    # -- files --------------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``results.csv``, ``.md``, ``.tex``, a figure per metric, ``report.html``; ``.parquet`` with pyarrow."""
        from facekit.evaluate.tables import save_all

        return save_all(self, expanded(folder))

    def to_json(self) -> str:
        """Return rows, title and notes as JSON; :meth:`from_json` reads it."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return json.dumps({"title": self.title, "notes": self.notes, "rows": _without_nan(rows)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Read the output of :meth:`to_json`.

        Raises
        ------
        FileError
            If the text is in another format.
        """
        try:
            data = json.loads(text)
            kept = []
            for row in data["rows"]:
                values: dict[str, Any] = {k: math.nan if v is None else v for k, v in row.items()}
                kept.append(Row(**values))
            return cls(kept, data["title"], data["notes"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise FileError("results that facekit wrote", repr(error), "run the experiment again") from error

    def save_parquet(self, path: str | Path) -> Path:
        """Write a Parquet table; needs pyarrow from the extra ``data``."""
        arrow = optional_import("pyarrow", "data", "Parquet tables")
        parquet = optional_import("pyarrow.parquet", "data", "Parquet tables")
        path = expanded(path)
        columns = {name: [getattr(row, name) for row in self.rows] for name in COLUMNS}
        with atomic_write(path) as temporary:
            parquet.write_table(arrow.table(columns), temporary)
        return path


def _without_nan(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replace NaN by None, as JSON has no NaN."""
    return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]
