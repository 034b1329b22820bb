"""Writes the tables between vocabularies into docs/rig-and-motion.md, from the rig that comes with facekit.

Run: python docs/make_tables.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.motion import mapping
from facekit.motion.units import ACTION_UNITS

PAGE = Path(__file__).parent / "rig-and-motion.md"
MARKS = ("<!-- tables: written by docs/make_tables.py -->", "<!-- /tables -->")
#: Weights below this are left out of a row.
LEAST = 0.05


def tables() -> str:
    """The section between the marks."""
    lines = [
        "Weights of the mix that comes nearest; then what it misses of what the word moves, mm, root mean square over",
        "the vertices of the mean face that the word moves. `L+R` stands for both sides.",
        "",
        "| expression | in blendshapes | missed | in action units | missed | moves |",
        "| --- | --- | ---: | --- | ---: | ---: |",
    ]
    for name in EXPRESSIONS[1:]:
        row = [_shapes(mapping.expressions_to_blendshapes({name: 1.0})), _missed("expressions", "blendshapes", name)]
        row += [_units("expressions", name), _missed("expressions", "units", name)]
        lines.append(_line(name, *row, _moves("expressions", name)))
    lines += [
        "",
        "| action unit at E | in blendshapes | missed | in expressions | missed | moves |",
        "| --- | --- | ---: | --- | ---: | ---: |",
    ]
    for number, unit in ACTION_UNITS.items():
        row = [_shapes(mapping.units_to_blendshapes({number: 5})), _missed("units", "blendshapes", number)]
        row += [_mix(mapping.units_to_expressions({number: 5})), _missed("units", "expressions", number)]
        lines.append(_line(f"AU{number} {unit.name}", *row, _moves("units", number)))
    lines += [
        "",
        "Gaze, and what one side does alone, no expression says: a blendshape of one side is half of what both do.",
        "",
        "| blendshape | in expressions | missed | in action units | missed | moves |",
        "| --- | --- | ---: | --- | ---: | ---: |",
    ]
    for name in BLENDSHAPES:
        row = [_mix(mapping.blendshapes_to_expressions({name: 1.0})), _missed("blendshapes", "expressions", name)]
        row += [_units("blendshapes", name), _missed("blendshapes", "units", name)]
        lines.append(_line(name, *row, _moves("blendshapes", name)))
    return "\n".join(lines)


def _line(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"


def _mix(said: Mapping[str, float]) -> str:
    words = sorted(said.items(), key=lambda item: -item[1])
    return ", ".join(f"{weight:.2f} {name}" for name, weight in words if weight >= LEAST) or "–"


def _shapes(said: Mapping[str, float]) -> str:
    """A mix in which a shape and its twin of about the same weight are one word."""
    said = dict(said)
    for name in [name for name in said if name.endswith("Left")]:
        stem = name.removesuffix("Left")
        twin = f"{stem}Right"
        if twin in said and abs(said[name] - said[twin]) < LEAST:
            said[f"{stem} L+R"] = (said.pop(name) + said.pop(twin)) / 2
    return _mix(said)


def _units(source: str, word: str) -> str:
    table = mapping.tables()[source, "units"].weights[mapping.WORDS[source].index(word)].tolist()
    said = {f"AU{number}": share for number, share in zip(ACTION_UNITS, table, strict=True)}
    said = sorted(((unit, 5 * share) for unit, share in said.items()), key=lambda item: -item[1])
    return " + ".join(f"{unit}{mapping.letter(value)}" for unit, value in said if mapping.letter(value)) or "–"


def _missed(source: str, target: str, word: str | int) -> str:
    return f"{mapping.table_errors(source, target)[word][0]:.2f}"


def _moves(source: str, word: str | int) -> str:
    target = "units" if source != "units" else "blendshapes"
    return f"{mapping.table_errors(source, target)[word][1]:.2f}"


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` only say whether it would change."""
    text = PAGE.read_text(encoding="utf-8")
    first, last = (text.index(mark) for mark in MARKS)
    new = f"{text[:first]}{MARKS[0]}\n\n{tables()}\n\n{text[last:]}"
    if "--check" not in arguments:
        PAGE.write_text(new, encoding="utf-8")
    return int(new != text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
