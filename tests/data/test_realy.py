"""REALY's layout and experiment on a synthetic data set."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from facekit.data import realy as data
from facekit.errors import FileError
from facekit.evaluate.realy import realy
from facekit.metrics.regions import KEYPOINTS
from facekit.metrics.scans import Surface
from tests.evaluate.test_benchmarks import write_obj
from tests.metrics.test_regions import ball


@pytest.fixture
def folder(tmp_path):
    """Two people, balls of radius 3; the first prediction is the scan at double size; one side view is not a mesh."""
    root, said = tmp_path / "realy", tmp_path / "mine"
    scan = ball(3.0)
    for subject in (1, 2):
        for name in ("nose", "mouth", "forehead", "cheek"):
            write_obj(root / f"REALY_scan_region/{subject}/{name}.obj", scan)
        points = "\n".join("v {} {} {}".format(*point) for point in scan.verts[:KEYPOINTS])
        (root / "REALY_HIFI3D_keypoints").mkdir(exist_ok=True)
        (root / f"REALY_HIFI3D_keypoints/{subject}.obj").write_text(points)
    (root / "metrical_scale.txt").write_text("8.5\n8.7\n")
    write_obj(said / "1.obj", Surface(2 * scan.verts, scan.faces))
    (said / "1_3.obj").write_text("this is no mesh")
    write_obj(said / "template/ball.obj", scan)
    rows = [[-1, 0, 0]] * KEYPOINTS
    for k in range(KEYPOINTS):
        triangle, corner = np.argwhere(scan.faces == k)[0].tolist()
        rows[k] = [triangle, float(corner == 0), float(corner == 1)]
    (said / "template/ball.txt").write_text(json.dumps(rows))
    return root, said


def test_the_layout_is_read_and_failures_are_counted(folder):
    root, said = folder
    items = data.items(root, said)
    assert [item.name for item in items] == ["1", "1_3", "2"] and items[2].scale == 8.7
    results = realy(root, said).run(methods=["mine"])
    row = results.select(metric="region_error_mm", region="all", split="frontal")[0]
    assert (row.n, row.failed) == (1, 1) and row.mean < 0.01
    assert results.select(region="nose", split="side")[0].failed == 1


def test_keypoints_that_a_topology_lacks_are_left_out(folder):
    _, said = folder
    path = said / "template/ball.txt"
    rows = json.loads(path.read_text())
    rows[70] = [-1, 0, 0]
    path.write_text(json.dumps(rows))
    found = data.template(said)(ball(3.0).verts)
    assert np.isnan(found[70]).all() and np.isfinite(np.delete(found, 70, axis=0)).all()
    np.testing.assert_allclose(found[5], ball(3.0).verts[5])


def test_what_is_missing_is_told(folder, tmp_path):
    root, said = folder
    with pytest.raises(FileError, match="REALY_scan_region"):
        data.items(tmp_path)
    shutil.rmtree(said / "template")
    with pytest.raises(FileError, match="template/"):
        data.template(said)
    (root / "REALY_scan_region/2/nose.obj").unlink()
    with pytest.raises(FileError, match="nose.obj"):
        data.items(root, said)
