"""The reconstruction experiment on two people."""

from __future__ import annotations

import pytest

from facekit.errors import FacekitError
from facekit.evaluate.reconstruction import UNITS, _Bench
from facekit.reconstruct.landmarker import Landmarker


@pytest.mark.slow
def test_a_fit_beats_the_mean_face_and_nobody_is_dropped(default_pipeline):
    pytest.importorskip("mediapipe")
    try:
        Landmarker().close()
    except FacekitError as error:
        pytest.skip(str(error))
    bench = _Bench(default_pipeline, people=2, most=1, seed=0)
    mean, ours = ({(f.metric, f.region): f.values for f in bench.figures(1, how)} for how in (None, True))
    assert all(len(values) == 2 for values in ours.values())
    for metric in ("shape_scaled_mm", "motion_mm"):
        assert sum(ours[metric, "all"]) < sum(mean[metric, "all"])
    assert {region for metric, region in ours if metric == "action_unit_error"} == {f"AU{unit}" for unit in UNITS}
    assert max(ours["pose_degrees", "all"]) < 12 and max(ours["field_of_view_percent", "all"]) < 100
    assert ("pose_degrees", "all") not in mean
    assert {"nose", "mouth", "forehead", "cheeks"} <= {region for metric, region in ours if metric == "shape_mm"}
    bench.shots[1].marks[0] = None
    lost = {(f.metric, f.region): f.values for f in bench.figures(1, None)}
    assert lost["shape_mm", "all"][1] != lost["shape_mm", "all"][1], "NaN: counted as failed"
