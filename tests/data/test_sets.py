"""Every loader on a small data set in its layout, and its error for an empty folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from facekit.data.clip import Clip
from facekit.data.sets import SETS, load_clips
from facekit.errors import FileError, InputError
from facekit.files.images import save_image

GREY = np.full((4, 6, 3), 128, np.uint8)
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"
TWO = "FaceTalk_170725_00137_TA", "FaceTalk_170731_00024_TA"


def touch(path, text="") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def facescape(root):
    for k, name in enumerate(("neutral", "smile"), start=1):
        touch(root / f"7/models_reg/{k}_{name}.obj", OBJ)
    return {"subject": "7", "frames": 2, "numbers": {"expression": ["neutral", "smile"]}}


def now(root):
    touch(root / "imagepathsvalidation.txt", "FaMoS_1/selfie/a.jpg\nFaMoS_1/selfie/b.jpg\n")
    touch(root / "scans/FaMoS_1/scan.obj", OBJ)
    touch(root / "scans_lmks_onlypp/FaMoS_1/scan.pp")
    for name in "ab":
        save_image(GREY, root / f"NoW_Dataset/final/iphone_pictures/FaMoS_1/selfie/{name}.jpg")
    return {"subject": "FaMoS_1", "frames": 2, "split": "validation", "picture": True}


def nersemble(root):
    save_image(GREY, root / "svfr/017/FREE_6_222200038/rgb.png")
    return {"subject": "017", "frames": 1, "numbers": {"place": ["017/FREE_006_222200038"]}, "picture": True}


def disfa(root):
    for unit in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
        touch(root / f"ActionUnit_Labels/SN001/SN001_au{unit}.txt", f"1,0\n2,{unit % 6}\n")
    touch(root / "Videos_LeftCamera/LeftVideoSN001_comp.avi")
    return {"subject": "SN001", "frames": 2, "units": {4: [0, 4], 12: [0, 0]}, "film": "LeftVideoSN001_comp.avi"}


def disfaplus(root):
    for frame in range(3):
        save_image(GREY, root / f"Images/SN001/A1_AU1_TrailNo_1/{frame:03d}.jpg")
    touch(root / "Labels/SN001/A1_AU1_TrailNo_1/AU1.txt", "Frame Intensity\n000.jpg 0\n001.jpg\t3\n")
    return {"subject": "SN001", "frames": 3, "units": {1: [0, 3, np.nan]}, "picture": True}


def bp4d(root):
    for frame in (2440, 2441, 2442):
        save_image(GREY, root / f"BP4D-training/F001/T1/{frame}.jpg")
    touch(root / "AUCoding/AU_OCC/F001_T1.csv", "0,1,2,12,99\n2440,0,1,1,0\n2441,9,0,1,0\n")
    return {"subject": "F001", "frames": 3, "units": {1: [0, np.nan, np.nan], 12: [1, 1, np.nan]}, "present": True}


def affectnet(root):
    for name, emotion in (("10", "1"), ("9", "6")):
        save_image(GREY, root / f"val_set/images/{name}.jpg")
        marks = np.arange(136).astype(str)
        for key, value in (("exp", emotion), ("val", "0.5"), ("aro", "-0.25"), ("lnd", marks)):
            path = root / f"val_set/annotations/{name}_{key}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.array(value))
    numbers = {"emotion": [6, 1], "valence": [0.5, 0.5]}
    return {"subject": "", "frames": 2, "numbers": numbers, "landmarks": (2, 68, 2), "split": "validation"}


def multiface(root):
    for frame in (5, 6):
        touch(root / f"m--1--GHS/tracked_mesh/E001_Neutral/{frame:06d}.obj", OBJ)
    return {"subject": "m--1--GHS", "frames": 2, "fps": 30}


def vocaset(root):
    for subject in TWO:
        for frame in (1, 2, 3):
            touch(root / f"{subject}/sentence01/sentence01.{frame:06d}.ply")
    return {"subject": TWO[0], "frames": 3, "fps": 60, "split": "train", "last_split": "test"}


def coma(root):
    touch(root / f"{TWO[0]}/bareteeth/bareteeth.000001.ply")
    return {"subject": TWO[0], "frames": 1, "fps": 60, "split": ""}


def facesynthetics(root):
    for name in ("000001", "000002"):
        save_image(GREY, root / f"{name}.png")
        save_image(GREY[..., 0], root / f"{name}_seg.png")
        touch(root / f"{name}_ldmks.txt", "\n".join(f"{k} {k + 0.5}" for k in range(70)))
    return {"subject": "", "frames": 2, "landmarks": (2, 70, 2), "picture": True}


def synthface(root):
    camera = {"world_to_camera": np.eye(4).tolist(), "camera_to_image": np.eye(3).tolist(), "resolution": [512, 512]}
    for frame in ("000", "001"):
        save_image(GREY, root / f"img_0000123_{frame}.jpg")
        save_image(GREY[..., 0], root / f"segm_parts_0000123_{frame}.png")
        told = {"camera": camera, "landmarks": {"2D": [[k, k] for k in range(70)]}}
        touch(root / f"metadata_0000123_{frame}.json", json.dumps(told))
    return {"subject": "0000123", "frames": 2, "landmarks": (2, 70, 2), "picture": True}


def folder(root):
    save_image(GREY[..., 0], root / "mine/a.png")
    touch(root / "mine/b.mp4")
    return {"subject": "mine", "frames": 1, "picture": True, "last_film": "b.mp4"}


@pytest.mark.parametrize("name", [name for name in SETS if name != "generated"])
def test_a_small_set_in_the_layout_is_read(name, tmp_path):
    wanted = globals()[name](tmp_path / "set")
    clips = load_clips(name, tmp_path / "set")
    first, last = clips[0], clips[-1]
    assert (first.subject, len(first), first.split) == (
        wanted["subject"],
        wanted["frames"],
        wanted.get("split", first.split),
    )
    for unit, values in wanted.get("units", {}).items():
        np.testing.assert_array_equal(first.units[unit], values)
    for key, values in wanted.get("numbers", {}).items():
        assert list(first.numbers[key]) == values
    if "landmarks" in wanted:
        assert first.landmarks.shape == wanted["landmarks"]
    if wanted.get("picture"):
        assert first.picture(len(first) - 1).shape == GREY.shape
    if "film" in wanted:
        assert first.film.name == wanted["film"]
    assert first.present_only == wanted.get("present", False)
    assert first.fps == wanted.get("fps", first.fps)
    assert last.split == wanted.get("last_split", last.split)
    assert last.film is None or last.film.name == wanted.get("last_film", last.film.name)
    assert len({clip.name for clip in clips}) == len(clips)


@pytest.mark.parametrize("name", SETS)
def test_what_is_missing_is_told_with_the_tree(name, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nowhere"):
        with pytest.raises(FileError):
            load_clips(name, tmp_path / place)
    if name == "disfaplus":
        save_image(GREY, tmp_path / "empty/Images/SN001/A1_AU1_TrailNo_1/000.jpg")
        with pytest.raises(FileError, match="AU1.txt"):
            load_clips(name, tmp_path / "empty")


def test_clips_are_whole(tmp_path):
    with pytest.raises(InputError, match="one length"):
        Clip("x", "a", "a", units={1: np.zeros(3), 2: np.zeros(4)})
    with pytest.raises(InputError, match="which has none"):
        Clip("x", "a", "a", units={1: np.zeros(3)}).picture(0)
    with pytest.raises(InputError, match="a data set"):
        load_clips("imagenet", tmp_path)


def test_pictures_of_one_camera_are_added(tmp_path):
    from facekit.data.multiface import clips

    multiface(tmp_path)
    save_image(GREY, tmp_path / "m--1--GHS/images/E001_Neutral/400002/000006.png")
    (found,) = clips(tmp_path, camera="400002")
    assert len(found) == 1 and found.meshes[0].name == "000006.obj" and found.picture(0).shape == GREY.shape
    with pytest.raises(FileError, match="<camera>"):
        clips(tmp_path, camera="1")
