"""Faces are found: in the whole, in tiles, on their side; and the landmarker's model is checked."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.errors import FacekitError, InputError, WeightsError
from facekit.reconstruct import landmarker as module
from facekit.reconstruct.find import all_faces, average_close_ups, find
from facekit.reconstruct.landmarker import Landmarker, import_model
from facekit.reconstruct.observe import Picture
from facekit.render import Camera

pytest.importorskip("mediapipe")


@pytest.fixture(scope="module")
def landmarker():
    try:
        opened = Landmarker()
    except FacekitError as error:
        pytest.skip(str(error))
    with opened:
        yield opened


@pytest.fixture(scope="module")
def portrait(default_pipeline) -> np.ndarray:
    """(400, 400, 3) uint8: a render of seed 15."""
    face = default_pipeline(seed=15, expression="neutral", intensity=0.0, detail=False)
    rgb = face.render(Camera.orbit(8, 3), 400).rgb[0]
    return (rgb.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)


def test_a_face_has_points_scores_and_a_rotation(portrait, landmarker):
    (face,) = all_faces(portrait, landmarker)
    assert face.points.shape == (478, 2) and len(face.scores) == 51 and "jawOpen" in face.scores
    left, top, right, bottom = face.box
    assert 80 < left < 200 < right < 320 and 80 < top < bottom < 360
    assert 30 < face.eye_distance < 110
    scale = np.cbrt(np.linalg.det(face.matrix[:3, :3]))
    np.testing.assert_allclose(face.matrix[:3, :3] @ face.matrix[:3, :3].T, scale**2 * np.eye(3), atol=1e-3)


def test_small_faces_are_found_in_tiles(portrait, landmarker):
    large = np.full((2400, 3200, 3), 120, np.uint8)
    small = portrait[::2, ::2]
    large[1500:1700, 2700:2900] = small
    found = all_faces(large, landmarker)
    assert len(found) == 1
    left, top, right, bottom = found[0].box
    assert 2700 < left < right < 2900 and 1500 < top < bottom < 1700


def test_the_largest_central_face_comes_first_and_others_can_be_asked_for(portrait, landmarker, photo_model):
    row = np.concatenate((portrait, portrait), axis=1)
    wide = np.full((700, 1500, 3), 120, np.uint8)
    wide[150:550, 350:1150] = row
    wide[20:220, 20:220] = portrait[::2, ::2]
    picture = Picture(wide, "three")
    _, first, count = find(picture, landmarker, photo_model.mirror)
    assert count >= 2 and first.box[2] - first.box[0] > 120
    boxes = {round(find(picture, landmarker, photo_model.mirror, face=k)[1].box[0] / 50) for k in range(3)}
    assert len(boxes) == 3
    with pytest.raises(InputError, match="the faces are 0 at"):
        find(picture, landmarker, photo_model.mirror, face=3)


def test_a_picture_on_its_side_is_turned(portrait, landmarker, photo_model):
    upright, face, _ = find(Picture(np.ascontiguousarray(np.rot90(portrait)), "side"), landmarker, photo_model.mirror)
    assert any("turned by" in note for note in upright.notes)
    assert face.points[10, 1] < face.points[152, 1]  # forehead above chin


def test_looks_agree_to_a_pixel_and_mirror_is_its_own_inverse(portrait, landmarker, photo_model):
    face = all_faces(portrait, landmarker)[0]
    again = average_close_ups(portrait, face, landmarker, photo_model.mirror)
    assert np.abs(again.points - face.points).mean() < 1.5
    assert (photo_model.mirror[photo_model.mirror] == np.arange(478)).all()
    large = np.kron(portrait, np.ones((5, 5, 1), np.uint8))
    five = average_close_ups(large, all_faces(large, landmarker)[0], landmarker, photo_model.mirror)
    assert np.abs(five.points / 5 - again.points).mean() < 0.6


@pytest.mark.parametrize(("shade", "word"), [(0, "almost black"), (128, "none"), (255, "none")])
def test_no_face_is_told_with_what_to_try(landmarker, shade, word):
    blank = Picture(np.full((200, 300, 3), shade, np.uint8), "blank.jpg")
    with pytest.raises(InputError, match=f"{word}.*blank.jpg.*crop the photograph around it"):
        find(blank, landmarker)


def test_another_file_is_no_model(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    other = tmp_path / "face_landmarker.task"
    other.write_bytes(b"something else")
    with pytest.raises(WeightsError, match="sha256"):
        import_model(other)
    with pytest.raises(WeightsError, match="none at"):
        import_model(tmp_path / "missing.task")


def test_without_a_model_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(module, "_carried", lambda entry: [])
    with pytest.raises(WeightsError, match="weights import landmarker"):
        module.model_file()


def test_an_imported_model_is_taken_first(tmp_path, monkeypatch):
    carried = module.model_file()
    monkeypatch.setattr(module, "cache_folder", lambda: tmp_path)
    target = import_model(carried)
    assert target.is_relative_to(tmp_path) and module.model_file() == target
