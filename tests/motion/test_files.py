"""Motion files: writing, reading and writing again gives the same bytes; other files are refused."""

from __future__ import annotations

import math

import pytest
import torch

from facekit import BLENDSHAPES, Motion
from facekit.errors import FileError, InputError


@pytest.fixture(scope="module")
def take() -> Motion:
    """A tracked motion: 2 s at 60 fps, with gaze, arbitrary float32 weights, starting at a quarter past two."""
    generator = torch.Generator().manual_seed(5)
    weights = torch.rand(120, 52, generator=generator)
    weights[:, 7], weights[3] = 0, 0
    head = 30 * torch.randn(120, 3, generator=generator)
    gaze = 12 * torch.randn(120, 2, 3, generator=generator)
    times = torch.arange(120, dtype=torch.float64) / 60 + 51300 + torch.rand(120, generator=generator) / 1000
    return Motion(weights, 60.0, head, gaze, times)


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.json", {}), ("a.npz", {}), ("a.csv", {}), ("a.csv", {"style": "livelink"}), ("a.csv", {"style": "plain"})],
)
def test_written_read_and_written_again_are_the_same_bytes(take, tmp_path, name, options):
    for motion in (take, Motion.sample(), Motion.idle(3, 1).resample(25)):
        first = motion.save(tmp_path / name, **options)
        again = Motion.load(first).save(tmp_path / f"again{first.suffix}", **options)
        assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("name", ["a.json", "a.npz"])
def test_our_own_files_are_exact(take, tmp_path, name):
    back = Motion.load(take.save(tmp_path / name))
    for column in ("blendshapes", "head", "gaze", "times"):
        assert torch.equal(getattr(back, column), getattr(take, column)), column
    assert back.fps == take.fps and Motion.load(Motion.sample().save(tmp_path / name)).gaze is None


def test_live_link_face(take, tmp_path):
    text = take.save(tmp_path / "take.csv").read_text()
    titles = text.splitlines()[0].split(",")
    assert len(titles) == 2 + 61 and titles[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert titles[titles.index("JawForward") + 1] == "JawRight", "the app's own order"
    assert titles[-9:-6] == ["HeadYaw", "HeadPitch", "HeadRoll"]
    row = dict(zip(titles, text.splitlines()[1].split(","), strict=True))
    assert row["Timecode"].startswith("14:15:00:00.") and row["BlendShapeCount"] == "61"
    assert float(row["HeadYaw"]) == pytest.approx(math.radians(float(take.head[0, 0])))
    assert float(row["HeadPitch"]) == pytest.approx(-math.radians(float(take.head[0, 1]))), "down, in ARKit"
    assert float(row["RightEyeYaw"]) == pytest.approx(math.radians(float(take.gaze[0, 0, 0])))
    assert float(row["JawLeft"]) == pytest.approx(float(take.track("jawLeft")[0]))
    back = Motion.load(tmp_path / "take.csv")
    assert back.fps == 60
    torch.testing.assert_close(back.blendshapes, take.blendshapes, atol=1e-9, rtol=0)
    torch.testing.assert_close(back.head, take.head, atol=1e-4, rtol=0)
    torch.testing.assert_close(back.gaze, take.gaze, atol=1e-4, rtol=0)
    torch.testing.assert_close(back.times, take.times, atol=1e-5, rtol=0)


def test_the_app_itself(tmp_path):
    """Other spellings of names, a byte order mark, and unknown columns."""
    path = tmp_path / "take.csv"
    lines = ["Timecode,BlendshapeCount,EyeBlinkLeft,JawOpen,TongueOut,HeadYaw,HeadPitch,HeadRoll,Nobody"]
    lines += [f"09:00:0{k // 60}:{k % 60:02d}.500,61,0.0518541895,{k / 100},0,0.1,-0.2,0,7" for k in range(90)]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    motion = Motion.load(path)
    assert len(motion) == 90 and motion.fps == 60 and motion.gaze is None
    assert float(motion.track("eyeBlinkLeft")[0]) == pytest.approx(0.0518541895)
    assert motion.head[0].tolist() == pytest.approx([math.degrees(0.1), math.degrees(0.2), 0], abs=1e-4)
    assert float(motion.times[60] - motion.times[0]) == pytest.approx(1.0)


def test_a_plain_table(tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("time,jawOpen,mouthSmileLeft\n0.0,0,0.5\n0.04,1,0.25\n")
    motion = Motion.load(path)
    assert motion.fps == 25 and motion.track("jawOpen").tolist() == [0, 1]
    path.write_text("jawOpen\n0\n1\n")
    assert Motion.load(path, fps=50).fps == 50
    with pytest.raises(FileError, match="without times"):
        Motion.load(path)


def test_only_what_moves_is_in_the_json(tmp_path):
    text = Motion.of({"jawOpen": [0, 1]}).save(tmp_path / "a.json").read_text()
    assert "jawOpen" in text and not any(name in text for name in BLENDSHAPES if name != "jawOpen")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b""),
        ("a.csv", b"Timecode,JawOpen\n"),
        ("a.csv", b"time,smile\n0,1\n"),
        ("a.csv", b"time,jawOpen\n0,1\n1\n"),
        ("a.csv", b"time,jawOpen\n0,much\n1,1\n"),
        ("a.csv", b"time,jawOpen\n0,nan\n1,1\n"),
        ("a.csv", b"time,jawOpen\n1,0\n0,1\n"),
        ("a.csv", b"Timecode,JawOpen\nsoon,1\n"),
        ("a.csv", b"\xff\xfe\x00"),
        ("a.json", b"{}"),
        ("a.json", b"[1"),
        ("a.json", b'{"fps": 30, "times": [0], "blendshapes": {"smile": [1]}, "head": [[0, 0, 0]]}'),
        ("a.npz", b"PK\x03\x04"),
        ("a.npz", b""),
    ],
)
def test_what_is_no_motion_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileError, match="expected a file of a motion, got .*; use one that"):
        Motion.load(path)


def test_names_and_options(take, tmp_path, tiny_face):
    for call, message in (
        (lambda: Motion.load(tmp_path / "a.bvh"), "ends in .json .npz .csv"),
        (lambda: take.save(tmp_path / "a.fbx"), "ends in .json .npz .csv .glb .mp4 .webp"),
        (lambda: take.save(tmp_path / "a.glb"), "a face for .glb"),
        (lambda: take.save(tmp_path / "a.json", tiny_face), "a motion alone for .json, got a face"),
        (lambda: take.save(tmp_path / "a.json", style="plain"), "got style"),
        (lambda: take.save(tmp_path / "a.csv", style="maya"), "livelink, plain, got 'maya'"),
        (lambda: take.save(tmp_path / "a.glb", tiny_face, sound="a.wav"), "options for .glb out of: rig"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    with pytest.raises(FileError, match="No such file"):
        Motion.load(tmp_path / "none.csv")
