"""Postponed imports."""

from __future__ import annotations

import importlib
import sys

import pytest

from facekit.reconstruct.postponed import Postponed, postponed


def test_a_package_is_loaded_when_it_is_used(tmp_path, monkeypatch):
    (tmp_path / "slowpack").mkdir()
    (tmp_path / "slowpack" / "__init__.py").write_text("LOADED = True\n")
    (tmp_path / "slowpack" / "deep.py").write_text("DEPTH = 3\n")
    (tmp_path / "user.py").write_text("import slowpack.deep as deep\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with postponed("slowpack.deep", "missing_pack"):
        user = importlib.import_module("user")
        missing = importlib.import_module("missing_pack")
    assert "slowpack" not in sys.modules and "missing_pack" not in sys.modules
    assert isinstance(user.deep, Postponed)
    assert user.deep.DEPTH == 3 and sys.modules["slowpack"].LOADED
    with pytest.raises(ImportError):
        _ = missing.anything


def test_what_is_loaded_stays():
    before = sys.modules["torch"]
    with postponed("torch"):
        assert importlib.import_module("torch") is before
    assert sys.modules["torch"] is before
