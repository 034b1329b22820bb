"""NoW and DISFA on synthetic data sets in the layout of the real ones."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.data import now as now_data
from facekit.errors import FileError, MissingDependencyError
from facekit.evaluate.disfa import disfa
from facekit.evaluate.now import crop, now, scan_to_mesh
from facekit.metrics.agreement import icc
from facekit.metrics.scans import Surface

TURN = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])


@pytest.fixture(scope="module")
def head(default_pipeline) -> tuple[Surface, np.ndarray]:
    """The mean head without its back, as a scan would be, and its seven landmarks."""
    template = default_pipeline.template
    verts = template.verts.double().numpy()
    front = (template.parts <= 2).numpy()
    faces = template.faces.numpy()
    faces = faces[front[faces].all(1)]
    used, index = np.unique(faces, return_inverse=True)
    return Surface(verts[used], index.reshape(-1, 3)), verts[template.landmarks[list(now_data.LANDMARKS)].numpy()]


# -- NoW --------------------------------------------------------------------------------------------------------------


def test_the_crop_is_the_ball_of_the_protocol(head):
    surface, marks = head
    kept = crop(surface.verts, marks)
    bridge = (marks[1] + marks[2]) / 2
    radius = 0.7 * (np.linalg.norm(marks[0] - marks[3]) + np.linalg.norm(bridge - marks[4]))
    centre = 0.7 * marks[4] + 0.3 * bridge
    assert len(kept) == (np.linalg.norm(surface.verts - centre, axis=1) <= radius).sum()
    assert 0.2 < len(kept) / len(surface.verts) < 1


def test_the_scan_itself_has_no_error_in_any_pose_and_size(head):
    pytest.importorskip("rtree")
    surface, marks = head
    moved = surface.moved(0.01, TURN, np.array([5.0, 6.0, 7.0]))
    moved_marks = 0.01 * marks @ TURN.T + np.array([5.0, 6.0, 7.0])
    scan = surface.verts[::7]
    assert scan_to_mesh(scan, marks, moved, moved_marks).max() < 0.01
    shrunk = surface.moved(0.95, np.eye(3), np.zeros(3))
    errors = [scan_to_mesh(scan, marks, shrunk, 0.95 * marks, metrical) for metrical in (False, True)]
    assert errors[0].max() < 0.01 and errors[1].mean() > 0.3, "only the metrical variant minds the size"


def test_landmarks_that_are_off_are_made_good(head):
    """The error is measured on the surface: alignment by landmarks is only the initialisation."""
    pytest.importorskip("rtree")
    surface, marks = head
    wrong = marks + np.random.default_rng(0).normal(0, 3, marks.shape)
    assert scan_to_mesh(surface.verts[::7], marks, surface, wrong).mean() < 0.1


def test_every_point_of_the_scan_counts_in_the_alignment():
    """Half of the points lie on a plate, half 1 mm above: with all of them the best place is in the middle."""
    pytest.importorskip("rtree")
    plate = Surface(
        np.array([[-99.0, -99, 0], [99, -99, 0], [99, 99, 0], [-99, 99, 0]]), np.array([[0, 1, 2], [0, 2, 3]])
    )
    marks = np.array([[-45.0, 30, 0], [-15, 30, 0], [15, 30, 0], [45, 30, 0], [0, 0, 9], [-20, -30, 0], [20, -30, 0]])
    points = np.random.default_rng(0).uniform(-40, 40, (4000, 3)) * (1, 1, 0)
    points = np.stack([points, points + (0, 0, 1)], axis=1).reshape(-1, 3)
    distances = scan_to_mesh(points, marks, plate, marks)
    assert len(distances) == len(points)
    np.testing.assert_allclose(distances, 0.5, atol=1e-6)


@pytest.fixture
def now_folder(tmp_path, head):
    """Two people, three pictures; one prediction equals the scan, one is missing, one is not a mesh."""
    surface, marks = head
    root, said = tmp_path / "now", tmp_path / "mine"
    pictures = [("FaMoS_01", "multiview_neutral", "a"), ("FaMoS_01", "selfie", "b"), ("FaMoS_02", "selfie", "c")]
    root.mkdir()
    (root / "imagepathsvalidation.txt").write_text("\n".join("/".join(p) + ".jpg" for p in pictures))
    for subject in ("FaMoS_01", "FaMoS_02"):
        write_obj(root / "scans" / subject / "scan.obj", Surface(surface.verts[::7], np.array([[0, 1, 2]])))
        points = "".join(f'<point x="{x}" y="{y}" z="{z}" name="{k}"/>' for k, (x, y, z) in enumerate(marks))
        path = root / "scans_lmks_onlypp" / subject / "scan.pp"
        path.parent.mkdir(parents=True)
        path.write_text(f"<!DOCTYPE PickedPoints><PickedPoints>{points}</PickedPoints>")
    write_obj(said / "FaMoS_01/multiview_neutral/a.obj", surface)
    np.save(said / "FaMoS_01/multiview_neutral/a.npy", marks)
    (said / "FaMoS_02/selfie").mkdir(parents=True)
    (said / "FaMoS_02/selfie/c.obj").write_text("this is no mesh")
    np.savetxt(said / "FaMoS_02/selfie/c.txt", marks)
    return root, said


def write_obj(path, surface: Surface) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in surface.verts]
    lines += [f"f {a} {b} {c}" for a, b, c in surface.faces + 1]
    path.write_text("\n".join(lines) + "\n")


def test_nows_layout_is_read_and_failures_are_counted(now_folder):
    pytest.importorskip("rtree")
    root, said = now_folder
    results = now(root, said).run(methods=["mine"])
    row = results.select(metric="scan_to_mesh_mm", region="all")[0]
    assert (row.n, row.failed) == (1, 2) and row.mean < 0.01
    assert results.value(metric="pooled_median_mm", region="multiview_neutral") < 0.01
    assert results.select(metric="scan_to_mesh_mm", region="selfie")[0].n == 0


def test_nows_predictions_may_be_ply_and_a_batch_of_one(now_folder, head):
    """The official tool reads both."""
    import trimesh

    pytest.importorskip("rtree")
    (surface, marks), (root, said) = head, now_folder
    (said / "FaMoS_01/multiview_neutral/a.obj").unlink()
    for encoding in ("ascii", "binary"):
        path = said / "FaMoS_01/multiview_neutral/a.ply"
        trimesh.Trimesh(surface.verts, surface.faces, process=False).export(path, encoding=encoding)
        np.save(path.with_suffix(".npy"), marks[None])
        row = now(root, said).run(methods=["mine"]).select(metric="scan_to_mesh_mm", region="multiview_neutral")[0]
        assert (row.n, row.failed) == (1, 0) and row.mean < 0.01


def test_new_predictions_are_measured_although_cells_are_kept(now_folder, head, tmp_path):
    pytest.importorskip("rtree")
    root, said = now_folder
    before = now(root, said).run(tmp_path / "out", methods=["mine"])
    assert now(root, said).run(tmp_path / "out", methods=["mine"]).rows == before.rows
    assert len(list((tmp_path / "out/cells").iterdir())) == 1
    write_obj(said / "FaMoS_02/selfie/c.obj", head[0])
    after = now(root, said).run(tmp_path / "out", methods=["mine"])
    assert after.select(metric="scan_to_mesh_mm", region="selfie")[0].n == 1


def test_a_missing_package_is_told_and_no_failure_of_the_predictions(now_folder, monkeypatch):
    def missing(*_):
        raise MissingDependencyError("the package 'rtree'", "an environment without it", "install it")

    monkeypatch.setattr("facekit.metrics.scans.optional_import", missing)
    results = now(*now_folder).run(methods=["mine"])
    assert not len(results) and "rtree" in results.notes[0]


def test_nows_missing_files_are_told(tmp_path, now_folder):
    root, said = now_folder
    with pytest.raises(FileError, match="imagepathsvalidation"):
        now_data.items(tmp_path / "nowhere")
    notes = now(root, tmp_path / "empty").run(methods=["empty"]).notes
    assert any("<subject>/<challenge>/<image>.obj" in note for note in notes)
    (root / "scans/FaMoS_02/scan.obj").unlink()
    with pytest.raises(FileError, match="FaMoS_02"):
        now_data.items(root, said)
    bad = tmp_path / "bad.pp"
    bad.write_text("<PickedPoints></PickedPoints>")
    with pytest.raises(FileError, match="7 points"):
        now_data.read_picked_points(bad)


# -- DISFA ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disfa_folder(tmp_path):
    """Six videos of 60 frames; AU12 is predicted exactly, AU1 never, AU4 with an error of one; one video is missing."""
    rng = np.random.default_rng(1)
    root, said = tmp_path / "disfa", tmp_path / "detector"
    said.mkdir()
    true = {}
    for number in range(1, 7):
        name = f"SN{number:03d}"
        folder = root / "ActionUnit_Labels" / name
        folder.mkdir(parents=True)
        true[name] = rng.integers(0, 6, (60, 12)).clip(0, 5)
        for column, unit in enumerate((1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)):
            lines = [f"{frame + 1},{value}" for frame, value in enumerate(true[name][:, column])]
            (folder / f"{name}_au{unit}.txt").write_text("\n".join(lines))
        if number < 6:
            rows = [f"{k + 1},{values[6]},{values[2] + 1}" for k, values in enumerate(true[name])]
            (said / f"{name}.csv").write_text("\n".join(["frame,AU12,AU4", *rows]))
    return root, said, true


def test_disfas_figures_by_hand(disfa_folder):
    root, said, true = disfa_folder
    results = disfa(root, said).run()
    ours = results.select(method="detector")
    assert ours.value(metric="f1", region="AU12") == 1 and ours.value(metric="icc_3_1", region="AU12") == 1
    assert ours.value(metric="mae", region="AU12") == 0 and ours.value(metric="mae", region="AU4") == 1
    assert ours.select(metric="mae", region="AU4")[0].failed == 1
    assert ours.select(metric="f1", region="AU1")[0].n == 0
    known = np.concatenate([true[f"SN{k:03d}"][:, 2] for k in range(1, 6)])
    assert ours.value(metric="icc_3_1", region="AU4") == pytest.approx(icc(known + 1, known))
    folds = []
    for fold in range(3):
        values = np.concatenate([true[f"SN{k + 1:03d}"][:, 2] for k in range(fold, 6, 3) if k < 5])
        said_there, there = values + 1 >= 2, values >= 2
        hits, wrong = (said_there & there).sum(), (said_there ^ there).sum()
        folds.append(2 * hits / (2 * hits + wrong))
    assert ours.value(metric="f1", region="AU4") == pytest.approx(np.mean(folds))
    absent = results.select(method="always absent")
    assert absent.value(metric="f1", region="AU12") == 0


def test_disfas_files_are_checked(tmp_path, disfa_folder):
    root, said, _ = disfa_folder
    with pytest.raises(FileError, match="SN001_au1.txt"):
        from facekit.data.disfa import load

        load(tmp_path / "nowhere")
    (said / "SN001.csv").write_text("time,AU12\n1,2")
    notes = disfa(root, said).run(methods=["detector"]).notes
    assert any("a head frame,AU1" in note for note in notes)
