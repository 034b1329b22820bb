"""The embedded default, end to end: the same numbers are always the same person."""

from __future__ import annotations

import hashlib
import shutil

import pytest
import torch

from facekit import EXPRESSIONS, MORPH_TARGETS, FaceLatents, FacePipeline, sweep_expressions, sweep_intensity, weights
from facekit.assembly import pick_device
from facekit.conventions import PARTS
from facekit.errors import InputError, WeightsError

SAME_MM = 1e-3
SAME_COLOUR = 1e-3
# The networks learn that neutral at any intensity is the zero code; this is how closely they must.
NEUTRAL_MM = 0.05
NEUTRAL_COLOUR = 0.02


def close(a, b):
    torch.testing.assert_close(a.verts, b.verts, atol=SAME_MM, rtol=0)
    torch.testing.assert_close(a.texture, b.texture, atol=SAME_COLOUR, rtol=0)


@pytest.fixture(scope="module")
def smile(default_pipeline):
    return default_pipeline(seed=7, expression="smile", intensity=0.8)


@pytest.fixture(scope="module")
def expressions(default_pipeline):
    return sweep_expressions(default_pipeline, FaceLatents.sample(7))


# -- what comes out ---------------------------------------------------------------------------------------------------


def test_a_face_is_whole(smile, default_pipeline):
    assert len(smile) == 1
    assert smile.model == "default"
    assert smile.metadata == {"seed": 7}
    assert smile.expression_weights() == [{"smile": 0.8}]
    assert smile.verts.dtype == smile.texture.dtype == torch.float32
    assert bool(smile.verts.isfinite().all())
    assert 0 <= float(smile.texture.min()) < float(smile.texture.max()) <= 1
    mesh, template = smile.mesh, default_pipeline.template
    assert mesh.verts.shape == (1, *template.verts.shape)
    assert 15_000 <= mesh.verts.shape[1] <= 30_000
    assert len(mesh.landmarks) == 68
    assert len(mesh.parts) == len(mesh.ao) == mesh.verts.shape[1]


def test_a_face_is_a_head_in_millimetres(smile):
    low, high = smile.verts[0].amin(dim=0), smile.verts[0].amax(dim=0)
    width, height, depth = (high - low).tolist()
    assert 130 < width < 290
    assert 200 < height < 400
    assert 150 < depth < 300
    nose, chin, left_eye, right_eye = smile.verts[0, smile.mesh.landmarks[[30, 8, 45, 36]]]
    assert nose[2] > smile.verts[0, :, 2].mean(), "+Z goes out of the face"
    assert left_eye[1] > nose[1] > chin[1], "+Y is up"
    assert left_eye[0] > 0 > right_eye[0], "+X is the subject's left"


def test_left_is_the_subjects_left(expressions):
    chin = expressions.verts[:, expressions.mesh.landmarks[8], 0]
    neutral, left, right = (float(chin[EXPRESSIONS.index(n)]) for n in ("neutral", "jaw_left", "jaw_right"))
    assert left > neutral + 2
    assert right < neutral - 2


# -- the same numbers, the same person --------------------------------------------------------------------------------


def test_same_seed_same_face(default_pipeline, smile):
    again = default_pipeline(seed=7, expression="smile", intensity=0.8)
    assert torch.equal(again.verts, smile.verts)
    assert torch.equal(again.texture, smile.texture)


def test_seed_and_latents_agree(default_pipeline, smile):
    close(default_pipeline(latents=FaceLatents.sample(7), expression="smile", intensity=0.8), smile)
    close(default_pipeline(latents=smile.latents), smile)


def test_batch_equals_single(default_pipeline, smile):
    latents = FaceLatents.sample(3, count=5, expression="smile", intensity=0.8)
    close(default_pipeline(latents=latents)[4], smile)


def test_reloaded_pipeline_makes_the_same_face(smile):
    close(FacePipeline.from_pretrained("default", device="cpu")(seed=7, expression="smile", intensity=0.8), smile)


def test_seeds_differ_in_shape_and_skin(default_pipeline):
    a, b = (default_pipeline(seed=seed) for seed in (1, 2))
    assert float((a.verts - b.verts).norm(dim=-1).mean()) > 0.5
    assert float((a.texture - b.texture).abs().mean()) > 0.01


def test_truncation_zero_is_the_mean_face(default_pipeline):
    a, b = (default_pipeline(seed=seed, truncation=0.0) for seed in (1, 2))
    assert torch.equal(a.verts, b.verts)
    assert torch.equal(a.texture, b.texture)


# -- expressions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intensity", [0.3, 1.0, 1.5])
def test_neutral_is_the_zero_code(default_pipeline, intensity):
    latents = FaceLatents.sample(7, count=3)
    zero, posed = (latents.with_expression("neutral", value) for value in (0.0, intensity))
    with torch.inference_mode():
        moved = (default_pipeline.decode_shape(posed) - default_pipeline.decode_shape(zero)).norm(dim=-1)
        changed = (default_pipeline.decode_texture(posed) - default_pipeline.decode_texture(zero)).abs()
    assert float(moved.max()) < NEUTRAL_MM
    assert float(changed.max()) < NEUTRAL_COLOUR


@pytest.mark.parametrize("name", MORPH_TARGETS)
def test_every_expression_moves_the_face(expressions, name):
    moved = (expressions.verts[EXPRESSIONS.index(name)] - expressions.verts[0]).norm(dim=-1)
    assert float(moved.max()) > 1.5


def test_sweeps_hold_the_person_still(default_pipeline):
    faces = sweep_intensity(default_pipeline, FaceLatents.sample(7), "smile", steps=6)
    back = faces.mesh.parts == PARTS.index("back_of_head")
    assert bool(back.any())
    moved = (faces.verts[:, back] - faces.verts[:1, back]).norm(dim=-1)
    assert float(moved.mean()) < 0.5, "the back of the head does not smile"
    assert float(moved.max()) < 2.0
    steps = (faces.texture[1:] - faces.texture[:-1]).abs()
    assert float(steps.mean()) < 0.01, "the skin does not flicker from step to step"


def test_response_grows_with_intensity(default_pipeline):
    faces = sweep_intensity(default_pipeline, FaceLatents.sample(7), "mouth_stretch", steps=6)
    moved = (faces.verts - faces.verts[:1]).norm(dim=-1).mean(dim=1)
    assert bool((moved[1:] > moved[:-1]).all())


def test_rig_agrees_with_the_faces(default_pipeline, smile, expressions):
    rig = smile.rig()
    assert rig.names == MORPH_TARGETS
    assert rig.deltas.shape == (19, smile.verts.shape[1], 3)
    torch.testing.assert_close(rig.weights, smile.latents.expression[0, 1:])
    zero = default_pipeline(latents=smile.latents, expression="neutral", intensity=0.0)
    torch.testing.assert_close(rig.neutral.verts, zero.verts, atol=SAME_MM, rtol=0)
    torch.testing.assert_close(rig.neutral.texture, zero.texture, atol=SAME_COLOUR, rtol=0)
    torch.testing.assert_close(rig.neutral.verts + rig.deltas, expressions.verts[1:], atol=SAME_MM, rtol=0)


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a seed or latents, got neither"),
        ({"seed": 7, "latents": FaceLatents.sample(7)}, "got both"),
        ({"seed": -7}, "seed"),
        ({"seed": 7, "expression": "wink"}, "smile.*'wink'"),
        ({"seed": 7, "expression": "smile", "intensity": float("nan")}, "finite"),
        ({"seed": 7, "truncation": 2}, "truncation"),
    ],
)
def test_bad_calls_are_told(default_pipeline, arguments, message):
    with pytest.raises(InputError, match=message):
        default_pipeline(**arguments)


def test_unknown_model_is_told():
    with pytest.raises(InputError, match="a model out of default.*'defaul'"):
        FacePipeline.from_pretrained("defaul")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "toaster"])
def test_unknown_device_is_told(device):
    with pytest.raises(InputError, match="device"):
        pick_device(device)


def test_absent_cuda_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="without a CUDA device; choose cpu"):
        FacePipeline.from_pretrained(device="cuda")
    assert pick_device(None) == pick_device("auto") == torch.device("cpu")


def test_altered_file_is_never_used(tmp_path, monkeypatch):
    shutil.copytree(weights.assets_folder(), tmp_path / "assets")
    monkeypatch.setattr("facekit.weights.store.assets_folder", lambda: tmp_path / "assets")
    path = weights.path("default", "shape")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert hashlib.sha256(data).hexdigest() != weights.record("default").files["shape"].sha256
    with pytest.raises(WeightsError, match="shape.safetensors with sha256"):
        FacePipeline.from_pretrained()


def test_textures_in_half_precision_are_the_same_to_the_eye(default_pipeline, monkeypatch):
    """CUDA's default settings differ by less than one 8-bit step."""
    person = FaceLatents.sample(3).with_expression("smile")
    with torch.inference_mode():
        whole = default_pipeline.decode_texture(person)
        monkeypatch.setattr(default_pipeline, "half", True)
        half = default_pipeline.decode_texture(person)
    assert half.dtype == torch.float32
    assert 0 < float((whole - half).abs().max()) < 1 / 255
