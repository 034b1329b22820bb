"""NeRSemble's pictures and a submission for them, on a synthetic data set."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from facekit.conventions import NOSE_TIP
from facekit.data import nersemble as data
from facekit.errors import FileError, InputError
from facekit.evaluate.svfr import svfr
from facekit.files.images import save_image


@pytest.fixture
def folder(tmp_path):
    for person, name in ((17, "EMO-1-shout+laugh_6_221501007"), (60, "FREE_786_222200038")):
        save_image(np.zeros((4, 4, 3), np.uint8), tmp_path / "svfr" / f"{person:03d}" / name / "rgb.png")
    return tmp_path


def test_a_submission_has_the_servers_form(folder, default_pipeline, tmp_path):
    mesh = default_pipeline.template.mesh(default_pipeline.template.verts[None])
    calls = []

    def by(picture):
        calls.append(picture)
        if len(calls) == 2:
            raise InputError("a face", "none", "crop it")
        return mesh, mesh

    results = svfr(default_pipeline, folder, tmp_path / "out", by).run()
    assert (results[0].n, results[0].failed) == (1, 1)
    with zipfile.ZipFile(tmp_path / "out/svfr_submission.zip") as archive:
        place = "017/EMO-1-shout+laugh_006_221501007"
        wanted = {f"{place}/{name}" for task in data.TASKS for name in (f"mesh_{task}.ply", f"landmarks_{task}.npy")}
        assert set(archive.namelist()) == wanted
        import trimesh

        read = trimesh.load(io.BytesIO(archive.read(f"{place}/mesh_posed.ply")), "ply", process=False)
        np.testing.assert_allclose(np.asarray(read.vertices), mesh.verts[0].numpy(), atol=1e-3)
        marks = np.load(io.BytesIO(archive.read(f"{place}/landmarks_posed.npy")))
    assert marks.shape == (7, 3) and marks[0, 0] < 0 < marks[3, 0], "the subject's right eye comes first, as NoW has it"
    assert np.linalg.norm(marks[4] - mesh.verts[0, mesh.landmarks[NOSE_TIP]].numpy()) < 25


def test_the_layout_is_read_and_told(folder):
    items = data.items(folder)
    assert [(item.person, item.sequence, item.frame, item.camera) for item in items] == [
        (17, "EMO-1-shout+laugh", 6, "221501007"),
        (60, "FREE", 786, "222200038"),
    ]
    (folder / "svfr/017/EMO-1-shout+laugh_6_221501007/rgb.png").unlink()
    with pytest.raises(FileError, match="rgb.png"):
        data.items(folder)
    with pytest.raises(FileError, match="svfr/<person>"):
        data.items(folder / "nowhere")
