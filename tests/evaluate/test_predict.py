"""Predictions in the layouts of NoW and REALY, and REALY's keypoints on the default's topology."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import PARTS
from facekit.data import now, realy
from facekit.errors import FileError, InputError, MissingDependencyError
from facekit.evaluate import predict
from facekit.evaluate.keypoints import place_keypoints
from facekit.evaluate.predict import predict_now, predict_realy
from facekit.files.images import save_image
from facekit.metrics.regions import KEYPOINTS
from facekit.reconstruct.model import PhotoModel

pytest.importorskip("rtree")
TURN = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])


@pytest.fixture(scope="module")
def people(default_pipeline) -> tuple[np.ndarray, list[np.ndarray]]:
    """Vertices under 17 more keypoints, around the nose and on the cheeks; and keypoints of two scans of people."""
    template = default_pipeline.template
    verts = template.verts
    skin = (template.parts == PARTS.index("skin")) & (verts[:, 2] > 40) & (verts[:, 1].abs() < 40)
    more = torch.nonzero(skin)[:, 0][torch.linspace(0, int(skin.sum()) - 1, KEYPOINTS - 68).long()]
    photo, chosen = PhotoModel.of(default_pipeline), torch.cat([template.landmarks, more])
    scans = []
    for seed in range(2):
        code = torch.randn(len(photo.modes), generator=torch.Generator().manual_seed(seed))
        points = photo.neutral(verts, code)[chosen].double().numpy()
        scans.append(0.01 * points @ TURN.T + np.array([4.0, 5.0, 6.0]))
    return more.numpy(), scans


@pytest.fixture(scope="module")
def rows(default_pipeline, people) -> np.ndarray:
    return place_keypoints(default_pipeline, people[1])


def test_keypoints_of_scans_are_found_on_the_template(default_pipeline, people, rows):
    more, template = people[0], default_pipeline.template
    verts = template.verts.double().numpy()
    found = realy.Keypoints.of(rows, template.faces.numpy())(verts)
    landmarks = verts[template.landmarks.numpy()]
    np.testing.assert_allclose(found[17:68], landmarks[17:], atol=1e-4)
    away = np.linalg.norm(found - np.concatenate([landmarks, verts[more]]), axis=1)
    assert away[68:].mean() < 1.5 and away.max() < 5, "people's other keypoints lie where they were taken"
    assert (rows[:, 1:] >= -1e-6).all() and (rows[:, 1:].sum(axis=1) <= 1 + 1e-6).all()


def test_realys_pictures_become_meshes_of_one_topology(default_pipeline, people, rows, tmp_path, monkeypatch):
    template = default_pipeline.template
    mesh = template.mesh(template.verts[None])
    root, pictures, said = tmp_path / "data", tmp_path / "pictures", tmp_path / "mine"
    (root / "REALY_HIFI3D_keypoints").mkdir(parents=True)
    points = "\n".join("v {} {} {}".format(*point) for point in people[1][0])
    (root / "REALY_HIFI3D_keypoints/1.obj").write_text(points)
    (root / "metrical_scale.txt").write_text("100\n")
    for region in ("nose", "mouth", "forehead", "cheek"):
        (root / "REALY_scan_region/1").mkdir(parents=True, exist_ok=True)
        (root / f"REALY_scan_region/1/{region}.obj").write_text("")
    for name in ("1", "1_2", "depth"):
        save_image(np.zeros((4, 4, 3), np.uint8), pictures / f"{name}.png")
    given, calls = [], []
    monkeypatch.setattr(predict, "place_keypoints", lambda pipe, scans: given.extend(scans) or rows)

    def by(picture):
        calls.append(picture.stem)
        if picture.stem == "1_2":
            raise InputError("a face", "none", "crop it")
        return mesh, mesh

    assert predict_realy(default_pipeline, root, pictures, said, by) == [said / "1.obj"]
    np.testing.assert_allclose(given[0], people[1][0])
    assert predict_realy(default_pipeline, root, pictures, said, by) == [] and calls == ["1", "1_2", "1_2"]
    found = {item.name: item.mesh for item in realy.items(root, said)}
    assert found == {"1": said / "1.obj"}
    placed = realy.template(said)(template.verts.double().numpy())
    assert placed.shape == (KEYPOINTS, 3) and np.isfinite(placed).all()
    with pytest.raises(FileError, match="<id>_<view>.png"):
        predict_realy(default_pipeline, root, tmp_path / "data", said, by)


def test_nows_pictures_become_neutral_meshes_with_landmarks(default_pipeline, tmp_path):
    template = default_pipeline.template
    rest = template.mesh(template.verts[None])
    root = tmp_path / "now"
    for path in ("scans/A/scan.obj", "scans_lmks_onlypp/A/scan.pp"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text("")
    (root / "imagepathsvalidation.txt").write_text("A/selfie/b.jpg")
    save_image(np.zeros((4, 4, 3), np.uint8), root / "NoW_Dataset/pictures/A/selfie/b.png")
    posed = template.mesh(template.verts[None] + 1)
    written = predict_now(default_pipeline, root, root, tmp_path / "mine", lambda picture: (posed, rest))
    (item,) = now.items(root, tmp_path / "mine")
    assert written == [item.mesh] and item.mesh_marks is not None
    marks = template.verts[template.landmarks[list(now.LANDMARKS)]].numpy()
    np.testing.assert_allclose(now.read_landmarks(item.mesh_marks), marks)
    with pytest.raises(FileError, match="<subject>/<challenge>/<image>.jpg"):
        predict_now(default_pipeline, root, root / "scans", tmp_path / "mine")

    def by(picture):
        raise MissingDependencyError("the package 'mediapipe'", "an environment without it", "install it")

    with pytest.raises(MissingDependencyError):
        predict_now(default_pipeline, root, root, tmp_path / "others", by)
