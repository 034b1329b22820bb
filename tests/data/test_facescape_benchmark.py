"""FaceScape's benchmark on a synthetic data set of tubes, in the wild and in the lab."""

from __future__ import annotations

import json

import numpy as np
import pytest

from facekit.data import facescape_benchmark as data
from facekit.errors import FileError
from facekit.evaluate.facescape import facescape
from tests.evaluate.test_benchmarks import write_obj
from tests.metrics.test_cylinder import tube

pytest.importorskip("rtree")
SIZE = 24


@pytest.fixture
def folder(tmp_path):
    """Two pictures in the wild and one in the lab; predictions are too far back, only the lower half, and correct."""
    root, said = tmp_path / "benchmark", tmp_path / "mine"
    (root / "predef").mkdir(parents=True)
    unit = tube(1.0, 2.0, -2.0)
    shifted = unit.moved(1.0, np.eye(3), np.array([0, 0, -2.0]))
    for k in (0, 100):
        write_obj(root / f"wild_gt_mesh/{k:03d}.obj", unit)
    write_obj(said / "wild/000.obj", shifted)
    write_obj(said / "wild/100.obj", tube(1.0, 0.0, -2.0))
    np.save(root / "predef/wild_pupil_scales.npy", np.full(400, 80.0))
    for name, count in (("wild", 400), ("lab", 11)):
        np.save(root / f"predef/{name}_head_centers.npy", np.zeros((count, 3)))
        np.save(root / f"predef/{name}_rotations.npy", np.tile(np.eye(3), (count, 1, 1)))
    # The lab's camera stands ten pupils' distances away, looks along +z and has y down: the axis y still is the tube's.
    k, turn = [[30.0, 0, 12], [0, 30, 12], [0, 0, 1]], np.diag([1.0, -1, -1])
    pose = np.concatenate([turn, [[0], [0], [10]]], axis=1)
    (root / "lab_cam").mkdir()
    (root / "lab_cam/00_1_02.json").write_text(json.dumps([k, pose.tolist()]))
    write_obj(root / "lab_gt_mesh/00.obj", unit)
    write_obj(said / "lab/00_1_02.obj", unit.moved(1.2, turn, np.array([0, 0, 12.0])))
    centre = np.load(root / "predef/lab_head_centers.npy")
    centre[:] = [0, 0, 10 * data.PUPILS_MM]
    np.save(root / "predef/lab_head_centers.npy", centre)
    return root, said


def test_only_the_depth_is_aligned(folder):
    root, said = folder
    results = facescape(root, said, SIZE).run()
    wild = {"split": "wild", "method": "mine"}
    assert results.value(metric="chamfer_mm", region="±5°", **wild) < 0.01
    assert results.value(metric="completeness_percent", region="±5°", **wild) == 100
    assert results.value(metric="completeness_percent", region="±30°", **wild) == pytest.approx(50)
    lab = {"split": "lab", "region": "f 600"}
    assert results.value(metric="chamfer_mm", method="mine", **lab) < 0.5, "larger and farther looks the same"
    assert results.value(metric="chamfer_mm", method="the scan itself", **lab) < 0.01
    assert results.value(metric="normal_rad", method="the scan itself", **lab) < 1e-3


def test_missing_predictions_fail_and_missing_data_are_told(folder, tmp_path):
    root, said = folder
    (said / "wild/100.obj").unlink()
    row = facescape(root, said, SIZE).run(methods=["mine"]).select(metric="chamfer_mm", split="wild", region="all")[0]
    assert (row.n, row.failed) == (1, 1)
    (root / "predef/wild_rotations.npy").unlink()
    with pytest.raises(FileError, match="predef"):
        data.items(root, "wild")
