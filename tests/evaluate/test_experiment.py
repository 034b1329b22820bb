"""Rows of results, their intervals and files; cached cells are reused."""

from __future__ import annotations

import csv
import math

import numpy as np
import PIL.Image
import pytest

from facekit.errors import FileError, InputError
from facekit.evaluate.experiment import Cell, Experiment, Figure
from facekit.evaluate.figures import figure
from facekit.evaluate.results import COLUMNS, Results, interval, summarised
from facekit.evaluate.tables import csv_text, latex, markdown


def experiment(calls: list[str], **changes) -> Experiment:
    def measured(name: str, values: list[float]):
        def measure():
            calls.append(name)
            return [Figure("error_mm", values), Figure("error_mm", [v / 2 for v in values], "nose")]

        return measure

    def missing():
        calls.append("missing")
        raise FileError("weights", "none", "import them")

    cells = [
        Cell("made up", "test", "ours", False, measured("ours", [1.0, 2.0, 3.0, math.nan])),
        Cell("made up", "test", "mean face", True, measured("mean face", [4.0, 4.0, 4.0, 4.0])),
        Cell("made up", "test", "published", False, missing),
    ]
    return Experiment(**{"name": "trial", "title": "A trial", "protocol": "trial-1", "cells": cells, **changes})


def test_rows_count_what_failed():
    results = experiment([]).run()
    row = results.select(method="ours", region="all")[0]
    assert (row.n, row.failed, row.mean, row.median, row.std) == (3, 1, 2.0, 2.0, 1.0)
    assert row.low < 2 < row.high and row.protocol == "trial-1" and not row.control
    assert results.value(method="mean face", region="nose", metric="error_mm") == 2.0
    assert any(
        "published on made up, test, was not measured" in note and "import them" in note for note in results.notes
    )
    with pytest.raises(InputError, match="one row"):
        results.value(method="ours")
    with pytest.raises(InputError, match="columns"):
        results.select(colour="red")


def test_intervals_are_the_bootstraps():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.05)
    assert high == pytest.approx(values.mean() + half, abs=0.05)
    assert interval(values) == (low, high), "seeded"
    assert interval(np.array([3.0])) == (3.0, 3.0)
    empty = summarised([math.nan, math.inf])
    assert empty["n"] == 0 and empty["failed"] == 2 and math.isnan(empty["mean"])


def test_finished_cells_are_kept_and_what_was_missing_is_tried_again(tmp_path):
    calls: list[str] = []
    first = experiment(calls).run(tmp_path)
    again = experiment(calls).run(tmp_path)
    assert calls == ["ours", "mean face", "missing", "missing"]
    assert [str(row) for row in again] == [str(row) for row in first]
    experiment(calls, settings={"seed": 1}).run(tmp_path)
    assert calls[4:] == ["ours", "mean face", "missing"], "other settings are another run"
    damaged = next((tmp_path / "cells").glob("*ours*"))
    damaged.write_text(damaged.read_text()[:40])
    for path in (tmp_path / "cells").glob("*ours*"):
        path.write_text("{")
    experiment(calls).run(tmp_path, methods=["ours"])
    assert calls[7:] == ["ours"]
    with pytest.raises(InputError, match="a method"):
        experiment(calls).run(methods=["theirs"])


def test_every_form_says_the_same(tmp_path):
    results = experiment([]).run()
    rows = list(csv.DictReader(csv_text(results).splitlines()))
    assert tuple(rows[0]) == COLUMNS and rows[0]["mean"] == "2.0" and rows[0]["failed"] == "1"
    text = markdown(results)
    assert "| error_mm | all | nose |" in text and "mean face (control)" in text and "1 failed" in text
    assert r"error\_mm & all & nose \\" in latex(results) and r"\toprule" in latex(results)
    back = Results.from_json(results.to_json())
    assert csv_text(back) == csv_text(results) and back.notes == results.notes
    written = {path.name for path in results.save(tmp_path / "out")}
    assert {"results.csv", "results.md", "results.tex", "results.json", "report.html", "error_mm.png"} <= written
    page = (tmp_path / "out/report.html").read_text()
    assert "import them" in page and "trial-1" in page
    assert figure(results, "error_mm").width > 500


def test_many_rows_are_dots_and_pictures_are_saved(tmp_path):
    values = [Figure("error_mm", [k, k + 1.0], f"region {k % 6}") for k in range(6)]
    cells = [Cell("made up", "test", f"method {k}", k > 0, lambda: values) for k in range(4)]
    square = PIL.Image.new("RGB", (8, 8), "red")
    drawn = experiment([], cells=cells, pictures={"square": lambda: square})
    results = drawn.run()
    dots, bars = (figure(part, "error_mm") for part in (results, results.select(method="method 0")))
    assert dots.width > dots.height and bars.height > 0
    assert {"square.png", "error_mm.png"} <= {path.name for path in results.save(tmp_path)}
    assert drawn.run(methods=["method 1"]).pictures == {}, "pictures are of the whole"


def test_parquet_is_read_back(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = experiment([]).run().save_parquet(tmp_path / "rows.parquet")
    table = parquet.read_table(path)
    assert tuple(table.column_names) == COLUMNS and table["method"].to_pylist()[0] == "ours"


def test_other_text_is_no_result():
    with pytest.raises(FileError, match="run the experiment again"):
        Results.from_json("[1, 2]")
