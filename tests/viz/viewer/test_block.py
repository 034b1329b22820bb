"""Data sent to the viewer: blocks survive a round trip, displacements stay within their error and size."""

from __future__ import annotations

import numpy as np
import pytest

from facekit.conventions import EXPRESSIONS
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.source import RigSource
from facekit.viz.viewer.block import POSITION_TOLERANCE, WEIGHT_TOLERANCE, Picture, Series, pack, read_series, unpack
from facekit.viz.viewer.tracks import Subject, head_entries, mix_key, track_entries

MEGABYTES = 1e6


@pytest.fixture(scope="module")
def source(default_pipeline):
    return Subject(default_pipeline, FaceLatents.sample(7))


def test_a_block_comes_back():
    arrays = {
        "odd": np.arange(5, dtype=np.uint8),
        "flat/0": np.array([[1.5, -2.5]], dtype=np.float32),
        "wide": np.array([70000], dtype=np.uint32),
        "picture": Picture(b"\xff\xd8abc", "image/jpeg"),
    }
    header, found = unpack(pack({"name": "ü", "list": [1, None]}, arrays))
    assert header == {"format": 1, "name": "ü", "list": [1, None]}
    assert found["picture"] == arrays["picture"]
    for name in ("odd", "flat/0", "wide"):
        assert found[name].dtype == arrays[name].dtype
        np.testing.assert_array_equal(found[name], arrays[name])


def test_arrays_are_aligned_for_typed_arrays():
    data = pack({"a": "b"}, {"odd": np.zeros(3, np.uint8), "even": np.ones(2, np.float32)})
    length = int.from_bytes(data[:4], "little")
    assert length % 4 == 0
    assert data[4 + length + 4 :] == np.ones(2, np.float32).tobytes()


def test_a_header_must_be_finite():
    with pytest.raises(ValueError, match="[Oo]ut of range|nan"):
        pack({"bad": float("nan")}, {})


def test_a_straight_movement_is_one_component():
    values = np.linspace(0, 1.5, 15)[:, None] * np.random.default_rng(0).normal(size=(1, 300))
    series = Series.encode(values, 1e-3, 10**6)
    assert len(series.components) == 1
    assert np.abs(series.decode() - values).max() == pytest.approx(series.error, abs=1e-6)
    assert series.error <= 1e-3


def test_no_movement_is_nothing():
    series = Series.encode(np.zeros((15, 30)), 1e-3, 10**6)
    assert series.components == ()
    np.testing.assert_array_equal(series.decode(), np.zeros((15, 30)))


def test_noise_stays_within_its_budget_and_says_its_error():
    values = np.random.default_rng(0).normal(size=(60, 2000)).astype(np.float32)
    series = Series.encode(values, 1e-4, 20_000)
    assert sum(component.nbytes for component in series.components) <= 20_000
    assert series.error > 1e-4
    assert np.abs(series.decode() - values).max() == pytest.approx(series.error, rel=1e-4)


@pytest.mark.parametrize("steps", [15, 60])
def test_the_defaults_expressions_are_exact_and_small(source, steps):
    for expression in ("mouth_stretch", {"smile": 1.0, "brow_raiser": 0.5}):
        entry, arrays = track_entries(source, expression, steps)
        block = pack({"tracks": [entry]}, arrays)
        assert len(block) < 3 * MEGABYTES
        header, found = unpack(block)
        track = header["tracks"][0]
        exact = (source.keyframes(expression, steps).verts - source.mesh.verts).numpy().reshape(steps, -1)
        shown = read_series(f"{track['key']}/position", track["position"], found).decode()
        assert np.abs(shown - exact).max() <= POSITION_TOLERANCE * 1.1
        assert np.abs(shown[0]).max() < 1e-3  # intensity 0 is the neutral face


def test_detail_weights_are_those_of_the_face(source):
    entry, arrays = track_entries(source, "brow_raiser", 16)
    face = source.face("brow_raiser", 1.0, 1.0)
    at_one = 10  # of 16 keyframes from 0 to 1.5
    for name in ("tension", "compress", "stretch"):
        shown = read_series(f"brow_raiser/{name}", entry[name], arrays).decode()[at_one]
        assert np.abs(shown - getattr(face.detail, name)[0].numpy()).max() <= WEIGHT_TOLERANCE * 1.05


def test_the_head_has_the_mesh(source):
    header, arrays = head_entries(source)
    vertices, entries, triangles = header["counts"]
    mesh = source.mesh
    assert (vertices, triangles) == (mesh.verts.shape[1], len(mesh.faces))
    spread = np.concatenate([np.arange(vertices), arrays["copies"]])
    assert len(spread) == entries
    np.testing.assert_array_equal(spread[arrays["faces"]], mesh.faces.numpy())
    uv = arrays["uv"][arrays["faces"]] / 65535
    exact = mesh.uvs.numpy()[mesh.faces_uvs.numpy()] * [1, -1] + [0, 1]
    assert np.abs(uv - exact).max() < 1e-5
    assert header["detail"]["strength"] == 1.0
    assert sum(v.nbytes if isinstance(v, np.ndarray) else len(v.data) for v in arrays.values()) < 2 * MEGABYTES


def test_a_rig_moves_in_straight_lines(tiny_face):
    rig = tiny_face.rig()
    subject = Subject(RigSource(rig), tiny_face.latents)
    frames = subject.keyframes("smile", 4).verts - subject.mesh.verts
    np.testing.assert_allclose(frames[3].numpy(), 1.5 * rig.deltas[0].numpy(), atol=1e-4)
    header, arrays = head_entries(subject)
    assert header["expressions"] == list(EXPRESSIONS)
    assert header["detail"] is None
    assert "detail/static" not in arrays


def test_blends_have_one_name():
    assert mix_key("smile") == "smile"
    assert mix_key({"smile": 1.0, "anger": 0.0}) == "smile"
    assert mix_key({"smile": 0.25, "anger": 1.0}) == mix_key({"anger": 1, "smile": 0.25004}) == "anger:1+smile:0.25"
    assert mix_key({"smile": 0.0}) == "neutral"
    with pytest.raises(InputError, match="an expression out of"):
        mix_key({"simle": 1.0})


def test_several_faces_are_refused(tiny_sweep):
    with pytest.raises(InputError, match="one face"):
        Subject.of(tiny_sweep)
