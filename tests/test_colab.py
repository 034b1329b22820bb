"""Versions of ``make test-colab`` are exact and allowed by setup.py; Colab only installs missing packages."""

from __future__ import annotations

import ast

import pytest
from packaging.requirements import Requirement

from tests import ROOT

# Loaded before the first cell runs: replacing them breaks the kernel.
NEVER = {"torch", "numpy"}


def listed(name: str) -> list[Requirement]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [Requirement(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def stated() -> list[Requirement]:
    """All requirements of setup.py, extras included."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    values = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    extras = ast.literal_eval(values["extras"])
    words = {word.arg: word.value for node in ast.walk(tree) if isinstance(node, ast.Call) for word in node.keywords}
    core = ast.literal_eval(words["install_requires"])
    return [Requirement(text) for text in (*core, *(text for extra in extras.values() for text in extra))]


@pytest.mark.parametrize("pin", listed("constraints-colab.txt"), ids=lambda pin: pin.name)
def test_colabs_versions_are_within_the_ranges(pin):
    (exact,) = pin.specifier
    assert exact.operator == "=="
    asked = [requirement for requirement in stated() if requirement.name == pin.name]
    assert asked, "a package that facekit uses"
    assert all(requirement.specifier.contains(exact.version) for requirement in asked)


def test_colab_installs_only_what_it_lacks():
    needs = {requirement.name for requirement in listed("requirements-colab.txt")}
    assert needs
    assert not needs & NEVER
    assert not needs & {pin.name for pin in listed("constraints-colab.txt")}
    assert needs <= {requirement.name for requirement in stated()}
