"""Samples: labels agree with the picture and with each other."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from facekit.data.shards import sample_of
from facekit.errors import FacekitError
from facekit.generate.choices import Occluders, Pose
from facekit.generate.classes import CLASSES, IGNORE, PRESENT
from facekit.generate.encode import encoded
from facekit.generate.recipe import LABELS, Recipe
from facekit.generate.sample import SampleMaker
from facekit.geometry.uv import sample_texture
from facekit.metrics.raycast import cast

RECIPE = Recipe(size=128, labels=LABELS, detail=False)


@pytest.fixture(scope="module")
def maker(default_pipeline):
    return SampleMaker(default_pipeline, RECIPE, seed=1)


@pytest.fixture(scope="module")
def sample(maker):
    return maker(3)


def test_the_same_sample_again(maker, sample):
    again = maker(3)
    assert again.numbers == sample.numbers
    assert encoded(again) == encoded(sample)


def test_mask_is_the_silhouette(sample):
    mask, depth = sample.images["mask"], sample.images["depth"]
    assert torch.equal(mask > 0, depth.isfinite())
    assert {CLASSES[k] for k in mask.unique().tolist()} <= set(PRESENT)
    assert int((mask == CLASSES.index("skin")).sum()) > 1000


def test_mask_and_depth_are_those_of_a_ray_cast(maker):
    """Brute-force ray casting with the label ``camera``, independent of the renderer."""
    size = 32
    made = SampleMaker(maker.pipe, dataclasses.replace(RECIPE, size=size, hair=False), 1)
    sample, mesh = made(6), made.mesh(6)
    depth = cast(mesh.verts[0], mesh.faces, sample.numbers["camera"], size)
    mask, hit = sample.images["mask"] > 0, depth.isfinite()
    assert int((mask & hit).sum()) / int((mask | hit).sum()) >= 0.999
    away = (depth - sample.images["depth"])[mask & hit].abs()
    assert int(hit.sum()) > 300 and float(away.quantile(0.99)) < 0.01


def test_mediapipe_sees_the_landmarks_where_they_are(maker):
    """Half of its 478 points lie within 3 % of the distance between the eyes."""
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    from facekit.reconstruct.landmarker import Landmarker

    made = SampleMaker(maker.pipe, Recipe(labels=("rgb", "landmarks478")), 20)
    try:
        landmarker = Landmarker()
    except FacekitError as error:
        pytest.skip(str(error))
    away = []
    with landmarker:
        for index in range(6):
            sample = made(index)
            picture = (sample.images["rgb"].permute(1, 2, 0).numpy() * 255 + 0.5).astype("uint8")
            (found,) = landmarker(picture)
            own = torch.tensor(sample.numbers["landmarks478"]["points"])
            eyes = (own[468] - own[473]).norm()
            away.append((torch.from_numpy(found.points).float() - own).norm(dim=1) / eyes)
    assert float(torch.cat(away).median()) < 0.035


def test_both_sides_are_the_subjects(maker):
    """Seen from the front the subject's left is to the right of the picture."""
    sample = SampleMaker(maker.pipe, dataclasses.replace(RECIPE, pose=Pose(0, 0, 0)), 1)(0)
    mask = sample.images["mask"]
    for name in ("eye", "brow", "ear"):
        right, left = (
            (mask == CLASSES.index(f"{side}_{name}")).nonzero()[:, 1].float().mean() for side in ("right", "left")
        )
        assert right < left
    marks = torch.tensor(sample.numbers["landmarks"]["points"])
    assert marks[36, 0] < marks[45, 0] and marks[68, 0] < marks[69, 0]
    lips = [(mask == CLASSES.index(f"{which}_lip")).nonzero()[:, 0].float().mean() for which in ("top", "bottom")]
    assert lips[0] < lips[1]


def test_landmarks_lie_where_camera_and_depth_say(sample):
    numbers, depth = sample.numbers, sample.images["depth"]
    places = torch.tensor(numbers["landmarks"]["points"])
    space = torch.tensor(numbers["landmarks"]["camera"])
    projected = space @ torch.tensor(numbers["camera"]["K"]).T
    assert (projected[:, :2] / projected[:, 2:] - places).abs().max() < 0.02
    visible = torch.tensor(numbers["landmarks"]["visible"])
    assert 20 < int(visible.sum()) <= 70
    inside = visible & ((places > 1) & (places < 127)).all(dim=1)
    x, y = places[inside].floor().long().T
    seen = depth[y, x]
    flat = seen.isfinite() & (torch.arange(70)[inside] >= 17)  # at the jaw's edge depth is steep
    assert (space[inside, 2] - seen)[flat].abs().median() < 1.0


def test_dense_landmarks_lie_among_the_68(sample):
    few = torch.tensor(sample.numbers["landmarks"]["camera"])
    dense = torch.tensor(sample.numbers["landmarks478"]["camera"])
    assert dense.shape == (478, 3)
    # MediaPipe's tip of the nose, and the middles of its irises, right first.
    assert (dense[1] - few[30]).norm() < 8.0
    assert (dense[468] - few[68]).norm() < 4.0 and (dense[473] - few[69]).norm() < 4.0


def test_mask_and_landmarks_agree(sample):
    mask, marks = sample.images["mask"], torch.tensor(sample.numbers["landmarks"]["points"])
    nose = mask[marks[30, 1].long(), marks[30, 0].long()]
    assert CLASSES[int(nose)] == "nose"


def test_depth_gives_the_normals(sample):
    """Normals against finite differences of depth, where the surface is smooth and faces the camera."""
    depth, normals = sample.images["depth"], sample.images["normals"]
    k = torch.tensor(sample.numbers["camera"]["K"])
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    rays = torch.stack(((columns + 0.5 - k[0, 2]) / k[0, 0], -(rows + 0.5 - k[1, 2]) / k[1, 1], -torch.ones(128, 128)))
    points = rays * depth
    across, down = points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    found = torch.nn.functional.normalize(torch.linalg.cross(down, across, dim=0), dim=0)
    cosine = (found * normals[:, 1:-1, 1:-1]).sum(dim=0)
    skin = (sample.images["mask"][1:-1, 1:-1] == CLASSES.index("skin")) & cosine.isfinite()
    assert float(cosine[skin].median()) > 0.995


def test_uvs_lead_to_the_albedo(maker, sample):
    """The atlas, looked up at the label's UVs, is the label albedo."""
    scene = sample.numbers["scene"]
    face = maker.pipe(
        seed=scene["person"],
        expression=scene["expression"] or "neutral",
        blendshapes=scene["blendshapes"],
        detail=False,
    )
    uv, mask = sample.images["uv"], sample.images["mask"] == CLASSES.index("skin")
    looked_up = sample_texture(face.texture, uv.flatten(1).T)[0].T.view(3, 128, 128)
    assert (looked_up - sample.images["albedo"]).abs()[:, mask].median() < 0.02


def test_pose_is_what_was_drawn(maker):
    recipe = dataclasses.replace(
        RECIPE, pose=Pose(20, 10, 8, neck=0.4), camera=dataclasses.replace(RECIPE.camera, roll=0.0)
    )
    made = SampleMaker(maker.pipe, recipe, 2)(5).numbers
    rotation, scene = torch.tensor(made["pose"]["rotation"]), made["scene"]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-4)
    # Small turns add up.
    asked = scene["head"][0] - scene["view"][0]
    assert abs(made["pose"]["yaw"] - asked) < 3.0


def test_gaze_follows_the_eyes(maker):
    for index in range(3):
        numbers = maker(index).numbers
        right, left = torch.tensor(numbers["gaze"])
        angle = math.degrees(math.acos(min(1.0, float(right @ left))))
        assert angle < 12.0, "both eyes look nearly the same way"
        head = torch.tensor(numbers["pose"]["rotation"]).T @ left
        across = math.degrees(math.atan2(float(head[0]), float(head[2])))
        assert abs(across - numbers["scene"]["gaze"][0]) < 8.0


def test_what_stands_in_front_is_marked(maker):
    recipe = dataclasses.replace(RECIPE, occluders=Occluders(1.0, 1.0))
    bare, hidden = maker(0), SampleMaker(maker.pipe, recipe, 1)(0)
    mask = hidden.images["mask"]
    blob, frame = mask == IGNORE, mask == CLASSES.index("glasses")
    assert int(blob.sum()) > 50 and int(frame.sum()) > 10
    elsewhere = ~blob & ~frame
    assert torch.equal(mask[elsewhere], bare.images["mask"][elsewhere])
    assert torch.equal(hidden.images["depth"], bare.images["depth"])
    assert (hidden.images["rgb"] - bare.images["rgb"]).abs()[:, blob].mean() > 0.02


def test_files_give_back_what_was_made(sample):
    back = sample_of("", encoded(sample))
    assert torch.equal(back["mask"], sample.images["mask"].long())
    assert torch.equal(back["depth"][0], sample.images["depth"])
    assert (back["rgb"] - sample.images["rgb"]).abs().max() < 0.51 / 255
    assert (back["normals"] - sample.images["normals"]).abs().max() < 1e-3
    assert back["numbers"] == sample.numbers


def test_faces_computed_together_have_the_same_labels(maker, sample):
    """Computed in a batch, as on a GPU, a sample is the same up to rounding."""
    together = maker.batch([2, 3])[1]
    assert together.index == 3
    for name, image in sample.images.items():
        away = (together.images[name].float() - image.float()).abs().nan_to_num(0.0)
        assert float((away < 1e-2).float().mean()) > 0.999, name
    for one, other in zip(_numbers(sample.numbers), _numbers(together.numbers), strict=True):
        assert one == pytest.approx(other, abs=5e-3)


def _numbers(values):
    """All numbers of nested lists and dictionaries."""
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list):
        return [number for value in values for number in _numbers(value)]
    return [] if values is None or isinstance(values, str) else [float(values)]
