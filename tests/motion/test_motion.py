"""Motion: content, operations over time, and refused input."""

from __future__ import annotations

import math

import pytest
import torch

from facekit import BLENDSHAPES, FaceLatents, Motion
from facekit.errors import InputError


def ramp(frames: int = 31, fps: float = 30.0) -> Motion:
    """A jaw that opens evenly, and a head that turns."""
    share = torch.linspace(0, 1, frames)
    return Motion.of({"jawOpen": share}, fps, torch.stack((20 * share, 0 * share, 0 * share), dim=1))


def test_tracks_by_name():
    motion = Motion.of({"jawOpen": [0, 0.5, 1.0], "eyeBlinkLeft": [1.0, 0, 0]}, fps=24)
    assert len(motion) == 3 and motion.blendshapes.shape == (3, 52) and motion.fps == 24
    assert motion.track("jawOpen").tolist() == [0, 0.5, 1.0]
    assert float(motion.blendshapes.sum()) == 2.5
    assert motion.duration == pytest.approx(3 / 24)
    assert not motion.head.any() and motion.gaze is None


def test_slices_by_frame_and_by_second():
    motion = ramp()
    assert torch.equal(motion[10:20].blendshapes, motion.blendshapes[10:20])
    part = motion.slice(0.2, 0.5)
    assert len(part) == 9 and float(part.times[0]) == pytest.approx(0.2)
    assert torch.equal(part.head, motion.head[6:15])
    with pytest.raises(InputError, match=r"a part of the 1\.03 s"):
        motion.slice(5, 6)


@pytest.mark.parametrize("fps", [60.0, 24.0, 7.0])
def test_resampling_keeps_what_it_is(fps):
    motion = ramp()
    other = motion.resample(fps)
    assert other.fps == fps and len(other) == round(motion.duration * fps)
    inner = other.times <= 1
    torch.testing.assert_close(other.track("jawOpen")[inner], other.times[inner].float(), atol=1e-6, rtol=0)
    torch.testing.assert_close(other.head[inner, 0], 20 * other.times[inner].float(), atol=1e-5, rtol=0)


def test_resampling_follows_uneven_times():
    motion = Motion.of({"jawOpen": [0.0, 0.1, 1.0]})
    uneven = Motion(motion.blendshapes, 10.0, times=torch.tensor([0.0, 0.1, 1.0]))
    even = uneven.resample(10.0)
    torch.testing.assert_close(even.track("jawOpen"), torch.arange(11) / 10)


def test_smoothing_takes_tremble_and_leaves_a_ramp():
    motion = ramp(121)
    noise = 0.05 * torch.randn(121, 52, generator=torch.Generator().manual_seed(0))
    rough = Motion(motion.blendshapes + noise, 30.0, motion.head)
    smooth = rough.smooth(0.1)
    error = (smooth.blendshapes - motion.blendshapes)[10:-10]
    assert float(error.std()) < 0.4 * float(noise.std())
    torch.testing.assert_close(motion.smooth(0.1).blendshapes[12:-12], motion.blendshapes[12:-12], atol=1e-5, rtol=0)
    assert motion.smooth(0.0) is motion


def test_blending_and_laying_on_top():
    motion, still = ramp(), Motion(torch.zeros(20, 52))
    half = still.blend(motion)
    assert len(half) == 20
    torch.testing.assert_close(half.blendshapes, motion.blendshapes[:20] / 2)
    torch.testing.assert_close(half.head, motion.head[:20] / 2)
    torch.testing.assert_close(motion.added(motion).track("jawOpen"), (2 * torch.linspace(0, 1, 31)).clamp_max(1))


def test_one_after_the_other():
    motion = ramp() + ramp(16, fps=15.0)
    assert len(motion) == 31 + 32 and motion.fps == 30
    assert bool((motion.times.diff() > 0).all())


def test_gaze_by_degrees():
    motion = Motion(torch.zeros(2, 52)).with_gaze([17.5, -35.0], -12.5)
    expected = {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5, "eyeLookDownLeft": 0.5, "eyeLookDownRight": 0.5}
    for name in BLENDSHAPES:
        assert float(motion.track(name)[0]) == pytest.approx(expected.get(name, 0.0))
    assert float(motion.track("eyeLookInLeft")[1]) == float(motion.track("eyeLookOutRight")[1]) == 1.0


def test_codes_of_a_person():
    person = FaceLatents.sample(7, expression="smile")
    codes = Motion.of({"jawOpen": [0, 1.2]}).latents(person)
    assert len(codes) == 2 and torch.equal(codes.identity[1], person.identity[0])
    assert float(codes.expression[1, 1]) == 1.0
    assert float(codes.blendshapes.max()) == 1.0, "a tracker's overshoot is clamped"
    with pytest.raises(InputError, match="codes of one person, got 2"):
        ramp().latents(FaceLatents.sample(7, 2))


# -- made ones --------------------------------------------------------------------------------------------------------


def test_the_sample_blinks_looks_smiles_and_speaks():
    motion = Motion.sample()
    assert motion.duration == pytest.approx(10.0) and motion.fps == 30
    assert float(motion.blendshapes.min()) >= 0 and float(motion.blendshapes.max()) <= 1
    for name in ("eyeBlinkLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpRight", "mouthSmileLeft", "jawOpen"):
        assert float(motion.track(name).max()) > 0.45, name
    assert float(motion.track("mouthPucker").max()) > 0.7 and float(motion.track("mouthFunnel").max()) > 0.5
    assert float(motion.blendshapes.diff(dim=0).abs().max()) < 0.6, "nothing jumps"
    assert 4 < float(motion.head.abs().max()) < 20


def test_idle_is_of_its_seed():
    one, again, other = Motion.idle(20, seed=3), Motion.idle(20, seed=3), Motion.idle(20, seed=4)
    assert torch.equal(one.blendshapes, again.blendshapes) and not torch.equal(one.blendshapes, other.blendshapes)
    blink = one.track("eyeBlinkLeft")
    count = int(((blink[1:] > 0.9) & (blink[:-1] <= 0.9)).sum())
    assert 2 <= count <= 12, "some 15 a minute"
    assert float(one.head.abs().max()) < 2.5 and float(one.track("jawOpen").max()) == 0


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blendshapes": torch.zeros(3, 51)}, r"blendshapes of shape \(T, 52\), got \(3, 51\)"),
        ({"blendshapes": torch.zeros(0, 52)}, "at least one frame"),
        ({"blendshapes": torch.zeros(3, 52), "head": torch.zeros(2, 3)}, r"head of shape \(T, 3\), got \(2, 3\)"),
        ({"blendshapes": torch.zeros(3, 52), "gaze": torch.zeros(3, 4)}, r"gaze of shape \(T, 2, 3\)"),
        ({"blendshapes": torch.full((3, 52), math.nan)}, "finite numbers"),
        ({"blendshapes": torch.zeros(3, 52), "fps": 0}, "fps above 0"),
        ({"blendshapes": torch.zeros(3, 52), "times": [0, 2, 1]}, "3 ascending times"),
        ({"blendshapes": torch.zeros(3, 52), "times": [0, 1]}, "3 ascending times"),
    ],
)
def test_bad_motions_are_told(arguments, message):
    with pytest.raises(InputError, match=message):
        Motion(**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Motion.of({"smile": [1.0]}), "ARKit's 52, got smile"),
        (lambda: Motion.of({}), "at least one track"),
        (lambda: Motion.of({"jawOpen": [0, 1], "mouthClose": [0]}), "tracks of one length"),
        (lambda: Motion.sample()[3], r"motion\[3:4\]"),
        (lambda: Motion.sample().track("jaw"), "'jaw'"),
        (lambda: Motion.sample().resample(-1), "fps above 0"),
        (lambda: Motion.idle(0), "seconds above 0"),
        (lambda: Motion.cat([]), "at least one motion"),
    ],
)
def test_bad_calls_are_told(call, message):
    with pytest.raises(InputError, match=message):
        call()
