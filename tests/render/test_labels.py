"""Exported channels and labels of a picture: they equal the render, and landmarks lie on the face."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.errors import InputError
from facekit.render import Camera


@pytest.fixture(scope="module")
def face(default_pipeline):
    return default_pipeline(seed=12)


def test_files_are_what_was_rendered(face, tmp_path):
    shown = face.render(image_size=(160, 128))
    files = {path.name: path for path in shown.save_all(tmp_path / "labels")}
    assert {path.name for path in (tmp_path / "labels").iterdir()} == set(files)
    assert (np.load(files["depth.npy"]) == shown.depth[0, 0].numpy()).all()
    assert (np.load(files["face_ids.npy"]) == shown.face_ids[0].numpy()).all()
    assert np.load(files["normals.npy"]).shape == (160, 128, 3)
    seen = shown.face_ids[0].numpy() >= 0
    tenths = np.asarray(Image.open(files["depth.png"])).astype(float)
    there = np.isfinite(shown.depth[0, 0].numpy())  # hair hides triangles, and has a depth of its own
    assert (there | ~seen).all() and there.sum() > seen.sum()
    assert np.abs(tenths[there] / 10 - shown.depth[0, 0].numpy()[there]).max() <= 0.051 and not tenths[~there].any()
    assert (np.asarray(Image.open(files["hair.png"]))[there & ~seen] > 127).all()
    parts = np.asarray(Image.open(files["parts.png"]))
    assert ((parts == 255) == ~seen).all()
    assert {"skin", "lips", "eyes", "neck"} <= {PARTS[k] for k in np.unique(parts[seen])}
    told = json.loads(files["labels.json"].read_text())
    assert told["parts"]["eyes"] == PARTS.index("eyes")
    assert set(told["files"]) <= set(files)


def test_landmarks_lie_where_their_parts_are(face, tmp_path):
    (path,) = [p for p in face.render(image_size=512).save_all(tmp_path) if p.name == "landmarks.json"]
    told = json.loads(path.read_text())
    parts = np.asarray(Image.open(tmp_path / "parts.png"))
    points = np.array(told["points"])
    hidden = {k for k in range(17, 68) if not told["visible"][k]}
    assert points.shape == (68, 2) and hidden <= set(range(31, 36)), "the nose may hide its base"
    for k in range(*told["groups"]["outer_lips"]):
        x, y = points[k].astype(int)
        assert PARTS.index("lips") in parts[y - 6 : y + 7, x - 6 : x + 7]
    assert points[LANDMARK_GROUPS["right_eye"], 0].mean() < points[LANDMARK_GROUPS["left_eye"], 0].mean()
    turned = face.render(Camera.orbit(90.0), image_size=256)
    turned.save_all(tmp_path / "side")
    seen = json.loads((tmp_path / "side" / "landmarks.json").read_text())["visible"]
    assert not all(seen) and any(seen), "the far eye is hidden"


def test_mediapipes_points_lie_among_the_68(face, tmp_path):
    shown = face.render(Camera.orbit(torch.tensor([-20.0, 30.0])), image_size=256)
    pickle.loads(pickle.dumps(shown))[1:].save_all(tmp_path)  # noqa: S301 - our own
    few, dense = (json.loads((tmp_path / f"landmarks{end}.json").read_text()) for end in ("", "478"))
    assert dense["scheme"] == "MediaPipe 478" and dense["size"] == [256, 256]
    points, own = np.array(dense["points"]), np.array(few["points"])
    assert points.shape == (478, 2) and len(dense["depth"]) == len(dense["visible"]) == 478
    pairs = {1: 30, 33: 36, 263: 45, 61: 48, 291: 54, 13: 62, 14: 66}  # nose, corners of eyes and mouth, lips
    away = np.linalg.norm(points[list(pairs)] - own[list(pairs.values())], axis=1)
    eyes = np.linalg.norm(points[468] - points[473])
    assert eyes > 20 and (away < 0.15 * eyes).all()


def test_several_pictures_get_folders(tiny_sweep, tiny_mesh, tmp_path):
    shown = tiny_sweep.render(image_size=32)
    assert len(shown[1].labels.landmarks) == 1
    shown.save_all(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{k:03d}" for k in range(len(tiny_sweep))]


def test_a_mesh_without_names(tiny_mesh, tmp_path):
    import dataclasses

    from facekit.render import render

    plain = dataclasses.replace(tiny_mesh, parts=None, landmarks=None)
    shown = render(plain, image_size=32)
    assert not {"parts.png", "landmarks.json", "landmarks478.json"} & {path.name for path in shown.save_all(tmp_path)}
    with pytest.raises(InputError, match="parts"):
        shown.labels.part_ids(torch.zeros(1, 2, 2, dtype=torch.int64))
