"""Docstrings begin as the field writes: with a verb or with the name of the thing, never with a question."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "facekit"
QUESTION = re.compile(r"(What|Who|Whom|Whose|Which|Where|When|Whether|How|Why)\b")


def openings(source: str) -> list[str]:
    """Return the first line of every docstring, and of every comment that begins with ``#:``."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, documented)]
    found = [text.splitlines()[0] for node in nodes if (text := ast.get_docstring(node))]
    lines = [line.strip() for line in source.splitlines()]
    comments = [line for before, line in zip(["", *lines], lines, strict=False) if not before.startswith("#:")]
    return found + [line[2:].strip() for line in comments if line.startswith("#:")]


@pytest.mark.parametrize("folder", sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")}))
def test_no_docstring_begins_with_a_question(folder):
    place = PACKAGE / folder
    asked = []
    for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        asked += [f"{name}: {line}" for line in openings(path.read_text(encoding="utf-8")) if QUESTION.match(line)]
    assert not asked


def test_the_check_sees_docstrings_and_comments():
    source = (
        '"""Sum of numbers."""\n#: How many there are,\n#: which is few.\nN = 1\n\n\ndef f():\n    """What it is."""\n'
    )
    assert [line for line in openings(source) if QUESTION.match(line)] == ["What it is.", "How many there are,"]
