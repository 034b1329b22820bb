"""Predefined experiments, and their command."""

from __future__ import annotations

import argparse

import pytest

from facekit import EXPRESSIONS, compare, weights
from facekit.cli import compare as cli_compare


@pytest.mark.slow
def test_the_expression_experiment_is_all_twenty(default_pipeline):
    found = compare.expression_experiment(default_pipeline, image_size=32)
    assert found.columns == tuple(name.replace("_", " ") for name in EXPRESSIONS)
    assert [cell.settings["expression"] for cell in found] == list(EXPRESSIONS)
    by_name = {line["column"]: line for line in found.table.lines}
    assert by_name["mouth stretch"]["first mean"] > by_name["eye closed"]["first mean"] > 0.1


def test_the_intensity_experiment(default_pipeline):
    found = compare.intensity_experiment(default_pipeline, ["anger"], seed=3, image_size=32)
    assert found.columns == ("0", "0.3", "0.6", "0.9", "1.2", "1.5")
    assert {cell.settings["seed"] for cell in found} == {3}


def test_the_command_writes_a_report(default_pipeline, tmp_path, monkeypatch, capsys):
    assert tuple(compare.PRESETS) == cli_compare.PRESETS
    from facekit.pipeline import FacePipeline

    monkeypatch.setattr(FacePipeline, "from_pretrained", lambda name, device: default_pipeline)
    monkeypatch.setattr(weights, "ready", lambda name: False)
    parser = argparse.ArgumentParser()
    cli_compare.add_options(parser)
    args = parser.parse_args(["--preset", "models", "--out", str(tmp_path / "out"), "--size", "32"])
    args.model, args.device = "default", "auto"
    cli_compare.run(args)
    assert "report.html" in capsys.readouterr().out
    assert (tmp_path / "out" / "figures.csv").is_file()
