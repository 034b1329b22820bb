"""The full reconstruction from a render, and the result in every form that a face has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import facekit
from facekit import FaceLatents, sweep_intensity
from facekit.errors import FacekitError, FileError, InputError
from facekit.files.images import to_uint8
from facekit.motion.mapping import expressions_to_blendshapes
from facekit.reconstruct.landmarker import Landmarker
from facekit.reconstruct.result import Reconstruction
from facekit.render import Camera

pytest.importorskip("mediapipe")
SIZE = 420


@pytest.fixture(scope="module")
def truth(default_pipeline):
    """A smiling render of seed 23."""
    return default_pipeline(seed=23, expression="smile", intensity=0.9, detail=False)


@pytest.fixture(scope="module")
def photographs(truth) -> list[np.ndarray]:
    return [to_uint8(truth.render(Camera.orbit(azimuth, 4), SIZE).rgb) for azimuth in (12, -20)]


@pytest.fixture(scope="module")
def found(photographs, default_pipeline) -> Reconstruction:
    try:
        Landmarker().close()
    except FacekitError as error:
        pytest.skip(str(error))
    return facekit.reconstruct(photographs, texture="gan", model=default_pipeline)


def test_it_is_made_of_both_photographs(found):
    assert len(found) == 2 and len(found.faces) == 2 and len(found.cameras) == 2 and found.face.verts.shape[0] == 1
    assert found.landmarks.shape == (2, 478, 2) and found.sizes == ((SIZE, SIZE), (SIZE, SIZE))
    assert "2 photographs" in repr(found)


def test_the_mesh_lies_on_the_photograph(found, truth):
    """Its 68 landmarks are near the true ones, in % of the distance of the outer eye corners."""
    marks = found.face.mesh.landmarks
    seen = found.camera.project(found.face.verts[:, marks], SIZE)[0, 17:, :2]
    true = Camera.orbit(12, 4).project(truth.verts[:, marks], SIZE)[0, 17:, :2]
    apart = (seen - true).norm(dim=1).mean() / (true[19] - true[28]).norm()
    assert float(apart) < 0.05


def test_the_expression_is_found(found):
    smile = expressions_to_blendshapes({"smile": 0.9})
    assert isinstance(smile, dict)
    assert found.blendshapes["mouthSmileLeft"] > 0.4 * smile["mouthSmileLeft"]
    assert found.action_units[12] > 1.5


def test_at_rest_the_smile_is_gone(found, truth, default_pipeline):
    neutral = default_pipeline(latents=truth.latents.at_rest(), detail=False)
    corners = found.neutral.mesh.landmarks[[48, 54]]

    def width(face):
        first, second = face.verts[0, corners]
        return float((first - second).norm())

    assert width(found.face) > width(found.neutral) + 2
    assert abs(width(found.neutral) - width(neutral)) < abs(width(found.face) - width(neutral))


def test_quality_tells_pose_and_error(found):
    quality = found.quality
    assert quality.yaw[0] == pytest.approx(12, abs=5) and quality.yaw[1] == pytest.approx(-20, abs=6)
    assert max(quality.reprojection) < 4 and 0.6 < quality.seen <= 1 and 0.3 < quality.uncertainty < 4


def test_called_it_makes_their_expressions(found):
    smiling = found(expression="smile", intensity=0.8, detail=False)
    jaw = found(blendshapes={"jawOpen": 0.8}, detail=False)
    rest = found(detail=False)
    torch.testing.assert_close(rest.verts, found.neutral.verts)
    for face in (smiling, jaw):
        assert float((face.verts - rest.verts).norm(dim=-1).max()) > 5
        torch.testing.assert_close(face.texture, rest.texture)


def test_whatever_takes_a_pipeline_takes_it(found, tmp_path):
    faces = sweep_intensity(found, found.latents[0], "smile", steps=3, detail=False)
    assert len(faces) == 3
    face = found(detail=False)
    assert face.rig("arkit").deltas.shape[0] == 52
    assert found.single_person and found.expressions == facekit.EXPRESSIONS
    glb = facekit.load(face.save(tmp_path / "me.glb"))
    assert glb.verts.shape[-1] == 3 and glb.rig is not None
    frames = list(found.pipe.animate(found.latents[:1].at_rest(), facekit.Motion.idle(seconds=0.2), detail=False))
    assert sum(len(f) for f in frames) >= 2


def test_the_viewer_takes_it(found):
    pytest.importorskip("anywidget")
    from facekit.viz.viewer.widget import Viewer

    viewer = Viewer(found, detail=False)
    assert viewer._people is False
    assert float((viewer.face.verts - found(expression="smile", intensity=0.8, detail=False).verts).abs().max()) < 1e-2


def test_overlays_show_four_pictures(found):
    picture = found.overlay(1, height=128)
    assert picture.size == (512, 128)
    difference = np.asarray(picture)[:, 384:].mean()
    assert difference < 60
    with pytest.raises(InputError):
        found.overlay(2)


@pytest.mark.parametrize("photos", [False, True])
def test_it_is_kept_in_one_small_file(found, tmp_path, photos):
    path = found.save(tmp_path / "me", photographs=photos)
    assert path.suffix == ".facekit" and path.stat().st_size < 3_000_000
    again = Reconstruction.load(path, "cpu")
    torch.testing.assert_close(again.face.verts, found.face.verts)
    torch.testing.assert_close(again.face.texture, found.face.texture, atol=1 / 255, rtol=0)
    torch.testing.assert_close(again.camera.position, found.camera.position)
    assert again.quality == found.quality and again.blendshapes == found.blendshapes
    assert len(again.pictures) == (2 if photos else 0)
    if not photos:
        with pytest.raises(InputError, match="photographs"):
            again.overlay()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.facekit"
    path.write_bytes(b"nothing of the kind")
    for name in (path, tmp_path / "missing.facekit"):
        with pytest.raises(FileError):
            Reconstruction.load(name)


@pytest.mark.parametrize(
    "options", [{"texture": "paint"}, {"texture_size": 100}, {"texture_size": "large"}, {"face": -1}, {"face": 9}]
)
def test_bad_options_are_told(photographs, default_pipeline, options):
    with pytest.raises(FacekitError):
        facekit.reconstruct(photographs[0], model=default_pipeline, **options)


def test_the_package_is_the_function(photographs):
    import facekit.reconstruct as room

    assert callable(facekit.reconstruct) and callable(room)
    with pytest.raises(FileError):
        room("no such photograph.jpg")
    with pytest.raises(FileError):
        facekit.reconstruct("no such photograph.jpg")


@pytest.mark.slow
def test_texture_out_of_the_photograph(photographs, default_pipeline):
    found = facekit.reconstruct(photographs[0], model=default_pipeline)
    assert found.face.mesh.need("texture").shape == (1, 3, 1024, 1024) and found.lights and found.seen is not None
    difference = np.asarray(found.overlay(height=256))[100:200, 3 * 256 + 60 : 3 * 256 + 196]  # below the hair
    assert difference.mean() < 25
    assert FaceLatents.from_dict(found.latents.to_dict()).identity.shape == (1, 20)
