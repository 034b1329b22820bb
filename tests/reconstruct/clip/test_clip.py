"""Reconstruction of a known motion from a video, with action units, gaze and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import facekit
from facekit import Motion, Reconstruction
from facekit.cli.main import main
from facekit.conventions import BLENDSHAPES
from facekit.errors import FacekitError, FileError, InputError
from facekit.files.film import write_mp4
from facekit.motion.head import angles, rotation
from facekit.reconstruct.clip.result import ClipReconstruction
from facekit.reconstruct.landmarker import Landmarker

pytest.importorskip("mediapipe")
pytest.importorskip("imageio_ffmpeg")
COUNT, SIZE, GONE = 12, 288, (6, 7)


@pytest.fixture(scope="module")
def known() -> Motion:
    """Half a second: the jaw opens and the head turns, then the eyes shut."""
    up = torch.linspace(0, 1, COUNT)
    shut = ((torch.arange(COUNT) >= 9) & (torch.arange(COUNT) <= 10)).float()
    blinks = {f"eyeBlink{side}": shut for side in ("Left", "Right")}
    return Motion.of({"jawOpen": 0.6 * up, **blinks}, 24, torch.stack((14 * up, 0 * up, 0 * up), dim=1))


@pytest.fixture(scope="module")
def film(default_pipeline, known, tmp_path_factory) -> Path:
    """The video; nobody is visible in two frames."""
    faces = default_pipeline.animate(default_pipeline(seed=47).latents, known, 6, detail=False)
    frames = [
        (one * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        for some in faces
        for one in some.render(image_size=SIZE).rgb
    ]
    for k in GONE:
        frames[k] = np.full_like(frames[k], 120)
    return write_mp4(frames, tmp_path_factory.mktemp("clip") / "clip.mp4", 24, quality=100)


@pytest.fixture(scope="module")
def found(film, default_pipeline) -> ClipReconstruction:
    try:
        Landmarker().close()
    except FacekitError as error:
        pytest.skip(str(error))
    found = facekit.reconstruct(film, texture="gan", texture_size=512, model=default_pipeline)
    assert isinstance(found, ClipReconstruction)
    return found


def test_every_frame_has_its_time(found, known):
    assert len(found.motion) == COUNT == len(found.frame_cameras) == len(found.off)
    torch.testing.assert_close(found.motion.times, known.times, atol=2e-3, rtol=0)
    assert found.motion.fps == pytest.approx(24) and found.film_size == (SIZE, SIZE)
    assert "10 of 12 frames" in repr(found)


def test_the_motion_comes_back(found, known):
    there = found.found
    jaw, true = found.motion.track("jawOpen")[there], known.track("jawOpen")[there]
    assert float(torch.corrcoef(torch.stack((jaw, true)))[0, 1]) > 0.95 and float(jaw[-1]) > 0.4
    for side in ("Left", "Right"):
        lid = found.motion.track(f"eyeBlink{side}")
        assert float(lid[9:11].amax()) > 0.8 and float(lid[:5].amax()) < 0.4
    turn = found.motion.head[:, 0]
    assert float(turn[-1] - turn[0]) == pytest.approx(14, abs=3)


def test_where_nobody_is_seen_it_is_bridged(found):
    assert [k for k, seen in enumerate(found.found.tolist()) if not seen] == list(GONE)
    assert bool(found.off[list(GONE)].isnan().all()) and any("bridged" in note for note in found.notes)
    jaw = found.motion.track("jawOpen")
    assert float(jaw[5]) - 0.02 <= float(jaw[6]) <= float(jaw[8]) + 0.02


def test_action_units_and_gaze(found):
    lids = found.action_unit_tracks[45]  # AU43 says the same, and takes its half
    assert float(lids[9:11].amax()) > 1.5 > 3 * float(lids[:5].amax())
    assert found.motion.gaze is not None and float(found.motion.gaze.abs().amax()) < 25


@pytest.mark.slow
def test_two_runs_are_equal(found, film, default_pipeline):
    again = facekit.reconstruct(film, texture="gan", texture_size=512, hair=None, model=default_pipeline)
    assert torch.equal(again.motion.blendshapes, found.motion.blendshapes)
    assert torch.equal(again.identity, found.identity)


def test_files(found, tmp_path):
    for name in ("a.csv", "a.npz", "a.json"):
        assert len(Motion.load(found.save(tmp_path / name))) == COUNT
    facekit.load(found.save(tmp_path / "a.glb"))
    back = Reconstruction.load(found.save(tmp_path / "a.facekit"))
    assert isinstance(back, ClipReconstruction)
    assert torch.equal(back.motion.blendshapes, found.motion.blendshapes) and torch.equal(back.found, found.found)
    torch.testing.assert_close(back.frame_cameras.position, found.frame_cameras.position)
    with pytest.raises(FileError):
        back.overlay_film(tmp_path / "over.mp4")
    with pytest.raises(InputError):
        found.save(tmp_path / "b.facekit", fps=10)


def test_the_overlay_has_all_frames(found, film, tmp_path):
    from facekit.reconstruct.clip.film import Film

    frames = list(Film.open(found.overlay_film(tmp_path / "over.mp4", height=96)))
    assert len(frames) == COUNT and frames[0].pixels.shape == (96, 288, 3)
    photo, clay = (frames[2].pixels[:, k : k + 96].astype(int) for k in (0, 96))
    assert np.abs(photo - clay)[30:60, 30:66].mean() > 8, "a mesh lies on it"
    gone = frames[GONE[0]].pixels.astype(int)
    assert np.abs(gone[:, :96] - gone[:, 96:192]).mean() < 4, "no mesh where nobody is seen"
    with pytest.raises(InputError):
        found.overlay_film(tmp_path / "over.mp4", height=95)


def test_another_makes_the_motion(found, default_pipeline):
    person = default_pipeline(seed=15).latents
    faces = list(default_pipeline.animate(person, found.motion.scaled(jaw=1.2)[10:], 4))
    assert sum(len(some) for some in faces) == 2


def test_parts_are_made_stronger(known):
    strong = known.scaled(jaw=1.5, eyes=0.5, head=2.0)
    torch.testing.assert_close(strong.track("jawOpen"), (1.5 * known.track("jawOpen")).clamp_max(1))
    torch.testing.assert_close(strong.track("eyeBlinkLeft"), 0.5 * known.track("eyeBlinkLeft"))
    torch.testing.assert_close(strong.head, 2 * known.head)
    for bad in ({"ears": 1.0}, {"jaw": -1.0}):
        with pytest.raises(InputError):
            known.scaled(**bad)


def test_angles_undo_rotations():
    head = torch.tensor([[20.0, -12.0, 7.0], [-50.0, 30.0, -15.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(angles(rotation(head)), head, atol=1e-3, rtol=0)


def test_in_a_shell(film, tmp_path, capsys):
    for options in (["--csv", "m.csv"], ["--video", "o.mp4"], ["--out", "x.mp4"]):
        assert main(["reconstruct", "me.jpg", "--out", str(tmp_path / "a.glb"), *options]) == 2
        assert "a video" in capsys.readouterr().err
    assert main(["reconstruct", str(film), "me.jpg", "--out", str(tmp_path / "a.glb")]) == 2
    assert main(["reconstruct", str(film), "--out", str(tmp_path / "a.glb"), "--csv", "m.txt"]) == 2


def test_bad_films_are_told(tmp_path, film, default_pipeline):
    empty = write_mp4([np.full((96, 96, 3), 90, np.uint8)] * 3, tmp_path / "empty.mp4", 24)
    with pytest.raises(InputError, match="face in the video"):
        facekit.reconstruct(empty, model=default_pipeline)
    with pytest.raises(InputError, match="shows 1"):
        facekit.reconstruct(film, face=3, model=default_pipeline)
    for calm in (-1.0, float("nan")):
        with pytest.raises(FacekitError):
            facekit.reconstruct(film, calm=calm, model=default_pipeline)


def test_shapes_are_regions():
    each = [Motion.of({name: [0.5]}).scaled(gaze=0, eyes=0, brows=0, nose=0, cheeks=0, jaw=0, mouth=0, tongue=0)
            for name in BLENDSHAPES]  # fmt: skip
    assert not any(bool(motion.blendshapes.any()) for motion in each)
    assert dataclasses.replace(each[0]).fps == 30
