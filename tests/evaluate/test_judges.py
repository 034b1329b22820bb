"""Judges: distances between landmarks, adapters on stand-ins for their packages, and exclusion of interested judges."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch

from facekit.errors import FileError, InputError, MissingDependencyError
from facekit.evaluate import judges
from facekit.evaluate.agreement import FITTED_WITH, agreement
from facekit.evaluate.units import UNITS, _Bench, _by_expressions
from facekit.files.images import save_image
from facekit.metrics.proxies import unit_intensities, unit_proxies

ASKED = (1, 12, 26)
PICTURES = [np.full((8, 8, 3), value, np.uint8) for value in (10, 20)]


@pytest.fixture(scope="module")
def bench(default_pipeline):
    return _Bench(default_pipeline, 3, 0, ASKED)


def test_lengths_know_neither_size_nor_place(bench):
    points = bench._points(bench.people)
    torch.testing.assert_close(unit_proxies(points), unit_proxies(3 * points + 7), atol=1e-4, rtol=0)
    assert unit_intensities(points, points, bench.full).abs().max() == 0
    with pytest.raises(InputError, match="iBUG"):
        unit_proxies(points[:, :5])


def test_every_unit_lengthens_its_own_length(bench):
    assert bool((bench.full > 0.01).all()), dict(zip(UNITS, bench.full.tolist(), strict=True))


def test_people_follow_what_they_are_asked_for(bench):
    found, shuffled = (
        {(f.metric, f.region): np.mean(f.values) for f in bench.by_geometry(_by_expressions, mixed)}
        for mixed in (False, True)
    )
    assert all(found["unit_correlation", f"AU{unit}"] > 0.95 for unit in ASKED)
    assert all(found["unit_error", f"AU{unit}"] < 1.5 for unit in ASKED)
    whole = f"mean of {len(ASKED)}"
    assert shuffled["unit_correlation", whole] < 0.6 < found["unit_correlation", whole]
    assert found["monotone_share", whole] == 1 and found["crosstalk_share", "AU12"] < 2


def test_a_judge_of_pictures_is_asked(default_pipeline, monkeypatch):
    monkeypatch.setattr("facekit.evaluate.units._PICTURE", 32)
    monkeypatch.setattr("facekit.evaluate.units.INTENSITIES", (0.0, 5.0))
    bench = _Bench(default_pipeline, 2, 0, (12,))

    class Constant:
        name = tool = "constant"

        def __call__(self, pictures):
            return {12: np.array([2.0, np.nan, 1.0][: len(pictures)])}

    figures = {(f.metric, f.region): f.values for f in bench.by_judge(_by_expressions, Constant())}
    assert figures["unit_correlation", "AU12"][0] == 0 and np.isnan(figures["unit_correlation", "AU12"][1])
    assert figures["crosstalk_share", "AU12"][0] != figures["crosstalk_share", "AU12"][0], "others were not read"


def test_packages_are_asked_in_their_own_words(monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")

    class Detector:
        def detect_image(self, paths):
            return types.SimpleNamespace(aus=pandas.DataFrame({"AU01": [0.5], "AU12": [1.0]}))

    stand_in = types.ModuleType("feat")
    stand_in.Detector = Detector
    monkeypatch.setitem(sys.modules, "feat", stand_in)
    said = judges.unit_judge("py-feat")(PICTURES)
    assert said[1].tolist() == [2.5, 2.5] and said[12].tolist() == [5.0, 5.0]


def test_libreface_people_and_tables(monkeypatch, tmp_path):
    def attributes(path, temp_dir, device):
        if path.endswith("1.png"):
            raise ValueError("no face")
        return {"au_intensities": {"au_6_intensity": 1.5, "au_26_intensity": 0.0}}

    monkeypatch.setitem(sys.modules, "libreface", types.SimpleNamespace(get_facial_attributes_image=attributes))
    said = judges.unit_judge("libreface")(PICTURES)
    assert said[6][0] == 1.5 and np.isnan(said[6][1])
    encodings = types.SimpleNamespace(face_encodings=lambda p: [np.eye(128)[0] * 3] if p.mean() < 15 else [])
    monkeypatch.setitem(sys.modules, "face_recognition", encodings)
    features = judges.person_judge("dlib")(PICTURES)
    assert judges.likeness(features, features)[0] == 1 and np.isnan(features[1]).all()
    table = tmp_path / "openface.csv"
    table.write_text("frame, success, AU01_r, AU12_r, AU12_c\n1, 1, 0.5, 2.0, 1\n2, 0, 0.0, 0.0, 0\n")
    units = judges.openface_units(table)
    assert set(units) == {1, 12} and units[12][0] == 2.0 and np.isnan(units[1][1])
    with pytest.raises(FileError, match="OpenFace"):
        judges.openface_units(tmp_path / "none.csv")


def test_what_is_not_installed_is_told():
    with pytest.raises(MissingDependencyError, match="pip install insightface"):
        judges.person_judge("insightface")(PICTURES)
    with pytest.raises(InputError, match="a judge of action units"):
        judges.unit_judge("nobody")


class Brightness:
    """A detector that derives AU12 from a picture's mean."""

    name = tool = "brightness"

    def __call__(self, pictures):
        return {12: np.array([picture.mean() / 10 for picture in pictures])}


def test_a_judge_agrees_with_itself_unless_it_took_part(tmp_path):
    photos, renders = tmp_path / "photos", tmp_path / "renders"
    for k, value in enumerate((10, 20, 30, 40)):
        save_image(np.full((4, 4, 3), value, np.uint8), photos / f"{k}.png")
        if k < 3:
            save_image(np.full((4, 4, 3), value + 10, np.uint8), renders / f"{k}.png")
    chosen = {"units": {"brightness": Brightness()}, "people": {}}
    assert any(FITTED_WITH in note for note in agreement(photos, renders, **chosen).run().notes)
    (renders / FITTED_WITH).write_text("mediapipe\n")
    results = agreement(photos, renders, **chosen).run()
    row = results.select(metric="unit_difference", region="AU12")[0]
    assert (row.n, row.failed, row.mean) == (3, 1, 1.0)
    assert results.value(metric="icc_3_1", region="AU12") == pytest.approx(1)
    (renders / FITTED_WITH).write_text("mediapipe\nbrightness\n")
    row = agreement(photos, renders, **chosen).run()[0]
    assert (row.n, row.failed, row.region) == (0, 4, judges.NO_JUDGE)


def test_of_films_every_tenth_frame_counts(tmp_path, monkeypatch):
    class Film:
        def __init__(self, path):
            self.start = 100 if "renders" in str(path) else 90

        @classmethod
        def open(cls, path):
            return cls(path)

        def __iter__(self):
            pixels = (np.full((4, 4, 3), self.start + k, np.uint8) for k in range(25))
            return (types.SimpleNamespace(number=k, pixels=picture) for k, picture in enumerate(pixels))

    monkeypatch.setattr("facekit.evaluate.agreement.Film", Film)
    for name in ("photos", "renders"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "SN001.mp4").touch()
    (tmp_path / "renders" / FITTED_WITH).touch()
    results = agreement(tmp_path / "photos", tmp_path / "renders", {"brightness": Brightness()}, {}).run()
    row = results.select(metric="unit_difference")[0]
    assert (row.n, row.failed) == (3, 0) and row.mean == pytest.approx(1.0)
