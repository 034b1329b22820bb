"""The README's code runs as it is."""

from __future__ import annotations

import re
import shlex

import pytest

from facekit.cli.main import COMMANDS, build_parser
from tests import ROOT

PAGES = ["README.md", "README.ko.md", "CONTRIBUTING.md", "CHANGELOG.md"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.slow
def test_python_runs(tmp_path, monkeypatch, loaded_once):
    monkeypatch.chdir(tmp_path)
    first, *rest = blocks("python")
    assert len([line for line in first.splitlines() if line.strip()]) == 3, "the three-line start has three lines"
    names: dict[str, object] = {}
    for block in (first, *rest):
        exec(compile(block, "README.md", "exec"), names)
    assert {"smile.glb", "smile.png"} <= {path.name for path in tmp_path.iterdir()}
    assert len(names["sweep"]) == 15
    assert len(names["sheet"]) == 20


LINES = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("facekit ")]


@pytest.mark.parametrize("line", LINES)
def test_commands_are_understood(line):
    assert callable(build_parser().parse_args(shlex.split(line, comments=True)[1:]).run)


def test_every_command_is_shown():
    assert {line.split()[1] for line in LINES} == set(COMMANDS)


def test_both_languages_show_the_same_code():
    korean = re.findall(
        r"```(?:python|sh)\n(.*?)```", (ROOT / "README.ko.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    lines = {line.split("#")[0].strip() for block in korean for line in block.splitlines()}
    english = {line.split("#")[0].strip() for line in README.splitlines()}
    assert len(lines) > 12 and lines <= english


def test_it_is_no_book():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("http")]
    assert not [target for target in targets if not (ROOT / target.split("#")[0]).exists()]


def test_the_picture_at_the_top_is_small():
    assert README.splitlines()[2].startswith("![")
    assert (ROOT / "docs" / "hero.webp").stat().st_size <= 400_000
