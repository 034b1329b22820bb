"""Damaged files of all formats: a mesh or one error, never anything else. The full count: benchmarks/damage.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import facekit
from facekit.errors import FacekitError
from tests.io.damage import FORMATS, damaged, originals


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_refused_or_read(tiny_face, tmp_path, kind):
    whole = originals(tiny_face, tmp_path)[kind]
    path = tmp_path / f"face.{kind.rpartition('.')[2]}"
    draw = np.random.default_rng(FORMATS.index(kind))
    path.write_bytes(whole)
    facekit.load(path)
    for _ in range(40):
        path.write_bytes(damaged(whole, draw))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UserWarning)  # what was left out
            try:
                assert len(facekit.load(path)) == 1
            except FacekitError as error:
                assert "\n" not in str(error)
