"""The bar is text, so that a reopened notebook shows it without its kernel."""

from __future__ import annotations

import sys

from facekit import progress as bars


def test_in_a_notebook_it_is_text(monkeypatch, capsys):
    monkeypatch.setattr(bars, "_in_notebook", lambda: True)
    assert list(bars.progress(iter("abc"), total=3, desc="faces")) == ["a", "b", "c"]
    told = capsys.readouterr()
    assert "faces: 100%" in told.out and "3/3" in told.out and not told.err
    assert "tqdm.notebook" not in sys.modules


def test_in_a_log_there_is_none(capsys):
    assert list(bars.progress(range(2), desc="faces")) == [0, 1]
    assert capsys.readouterr() == ("", "")
