"""The command for experiments: input that it refuses before loading anything, and its files."""

from __future__ import annotations

import pytest

from facekit.cli import evaluate
from facekit.cli.main import main
from facekit.evaluate.registry import EXPERIMENTS


def test_the_commands_names_are_the_registrys():
    assert tuple(EXPERIMENTS) == evaluate.EXPERIMENTS


def test_it_lists_what_there_is(capsys):
    assert main(["evaluate", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(name in told and entry.protocol in told for name, entry in EXPERIMENTS.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one of generation"),
        (["now", "--data", "x"], "--predictions with now"),
        (["now", "--data", "x", "--predictions", "y", "--quick"], "--quick"),
        (["generation", "--predictions", "y"], "--predictions"),
        (["generation", "--pictures", "y"], "--pictures"),
        (["realy", "--data", "x", "--predictions", "y", "--model", "default"], "--model"),
    ],
)
def test_what_is_missing_or_idle_is_told(arguments, message, capsys):
    assert main(["evaluate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_names_with_commas_are_found():
    known = ["mean face", "facekit, 1 photograph", "facekit, 5 photographs"]
    assert evaluate.chosen("facekit, 5 photographs,mean face", known) == ["facekit, 5 photographs", "mean face"]
    assert evaluate.chosen("nobody, mean face", known) == ["nobody", "mean face"]


def test_data_that_is_not_there_is_an_error(tmp_path, capsys):
    arguments = ["--data", str(tmp_path), "--predictions", str(tmp_path / "p"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", "disfa", *arguments]) == 2
    assert "SN001_au1.txt" in capsys.readouterr().err
    assert not (tmp_path / "out").exists(), "no report of nothing"
