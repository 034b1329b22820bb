"""Training on FaceScape's layout: a made-up set, a few steps, alone and in two processes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from facekit.errors import FileError, InputError
from facekit.files.images import save_image
from facekit.files.readers import load_arrays, load_tensors
from facekit.models.config import PUBLISHED_SHAPE, PUBLISHED_TEXTURE
from facekit.train import __main__ as command
from facekit.train.distributed import ALONE, World
from facekit.train.scans import stage
from facekit.train.scans.data import ScanTextures, pack, read_tile
from facekit.train.scans.shape import ShapeDraws
from facekit.train.texture.stage import Phase

NAMES = ("neutral", "smile", "anger")
PHASES = (Phase(8, 3, 4, 1e-2, 0.005), Phase(16, 3, 4, 1e-2, 0.005))
SMALL = {"steps_scale": 5e-5, "width_scale": 0.02, "batch": 4, "schedule": PHASES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three people of 36 vertices; who they are widens them, a smile lifts one corner, anger lowers the other."""
    root = tmp_path_factory.mktemp("facescape")
    x, y = np.meshgrid(np.linspace(-50, 50, 6), np.linspace(-60, 60, 6))
    base = np.stack([x.ravel(), y.ravel(), 60 - 0.01 * (x**2 + y**2).ravel()], axis=1)
    corner = np.arange(36).reshape(6, 6)
    quads = np.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], axis=-1).reshape(-1, 4) + 1
    faces = "\n".join(f"f {a} {b} {c}\nf {a} {c} {d}" for a, b, c, d in quads)
    for person in (1, 2, 5):
        for k, name in enumerate(NAMES, start=1):
            verts = base * [1 + 0.05 * person, 1, 1]
            verts[0 if name == "smile" else 5, 1] += {"neutral": 0.0, "smile": 8.0, "anger": -6.0}[name]
            path = root / str(person) / "models_reg" / f"{k}_{name}.obj"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(f"v {a:.4f} {b:.4f} {c:.4f}" for a, b, c in verts) + f"\n{faces}\n")
            save_image(np.full((64, 64, 3), 40 * person + 5 * k, np.uint8), path.with_suffix(".png"))
    return root


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """Networks of a few steps in one process."""
    work = tmp_path_factory.mktemp("alone")
    stage.run(folder, work / "work", work / "out", **SMALL)
    return work


def test_scans_are_packed_once_and_tiles_are_cut(folder, tmp_path, monkeypatch):
    scans = pack(folder, tmp_path, 16, ALONE)
    assert scans.verts.shape == (9, 36, 3) and scans.subjects == (1, 2, 5)
    assert (scans.place() >= 0).sum() == 9 and scans.tiles.shape == (9, 16, 16, 3)
    np.testing.assert_allclose(scans.mean, scans.verts[scans.worn == 0].mean(0), atol=1e-4)
    torch.testing.assert_close(scans.identities()[2], pack(folder, tmp_path, 16, ALONE).identities()[2])
    monkeypatch.setattr("facekit.train.scans.data._write", lambda *_: pytest.fail("packed again"))
    pack(folder, tmp_path, 16, ALONE)
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[4:41, 13:51] = 200  # within the tile: 3.2 to 41.7, 12.75 to 51.25
    save_image(picture, tmp_path / "a.png")
    assert (read_tile(tmp_path / "a.png", 8)[2:-2, 2:-2] == 200).all()


def test_each_process_draws_its_own_part_of_the_same_batch(folder, tmp_path):
    scans = pack(folder, tmp_path, 16, ALONE)
    whole, *parts = (
        ShapeDraws(scans, 4, world)(torch.Generator().manual_seed(3)) for world in (ALONE, World(0, 2), World(1, 2))
    )
    for name in ("posed", "rest", "other", "identity", "code"):
        torch.testing.assert_close(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    moved = (whole.posed - whole.rest).abs().amax(dim=(1, 2))
    assert bool(((moved > 0) == (whole.code.amax(dim=1) > 0)).all()), "neutral is the zero code"
    with pytest.raises(InputError, match="2 processes can divide"):
        World(0, 2).part(5)


def test_pairs_are_one_person_with_two_expressions(folder, tmp_path):
    data = ScanTextures(pack(folder, tmp_path, 16, ALONE), torch.device("cpu"))
    codes, tiles = data.pairs(5, 8, torch.Generator().manual_seed(0))
    assert tiles.shape == (10, 3, 8, 8)
    torch.testing.assert_close(codes.identity[:5], codes.identity[5:])
    person = ((255 * tiles[:, 0, 0, 0]).round() // 40).int()
    assert torch.equal(person[:5], person[5:])


@pytest.mark.slow
def test_networks_have_the_published_form(alone):
    shape, texture = (load_tensors(alone / f"out/{name}.safetensors") for name in stage.STAGES)
    assert shape["decoder.fc2.0.bias"].shape == (3 * 36,)
    assert shape["generator_identity.fc3.0.bias"].shape == (PUBLISHED_SHAPE.identity_latent,)
    assert "progression_16.conv.2.conv.weight_orig" in texture and "progression_32.conv.0.conv.bias" not in texture
    assert all(bool(t.isfinite().all()) for t in (*shape.values(), *texture.values()))
    assert load_arrays(alone / "out/identities.npz")["identities"].shape == (3, 20)
    assert stage._narrow_texture(1.0, stage.SCHEDULE) == PUBLISHED_TEXTURE


@pytest.mark.slow
def test_two_processes_end_like_one_and_a_finished_run_does_nothing(folder, alone, tmp_path):
    """Each has half of every batch; gradients are averaged, so the weights are the same but for rounding."""
    code = (
        "import sys; from pathlib import Path; from facekit.train.scans import stage\n"
        "from tests.train.scans.test_scans import SMALL\n"
        "stage.run(*map(Path, sys.argv[1:]), **SMALL)"
    )
    script = tmp_path / "two.py"
    script.write_text(code)
    arguments = [str(script), str(folder), str(tmp_path / "work"), str(tmp_path / "out")]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    root = str(command.Path(__file__).resolve().parents[3])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(launch, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    for name in stage.STAGES:
        one, two = (load_tensors(place / f"out/{name}.safetensors") for place in (alone, tmp_path))
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, atol=2e-3, rtol=2e-2, msg=lambda m, key=key: f"{key}: {m}")
    before = (tmp_path / "out/shape.safetensors").read_bytes()
    stage.run(folder, tmp_path / "work", tmp_path / "out", **{**SMALL, "stages": ("shape",)})
    assert (tmp_path / "out/shape.safetensors").read_bytes() == before


@pytest.mark.slow
def test_half_precision_trains_too(folder, tmp_path):
    small = {**SMALL, "precision": "mixed", "stages": ("shape",)}
    stage.run(folder, tmp_path / "work", tmp_path / "out", **small)
    found = load_tensors(tmp_path / "out/shape.safetensors")
    assert all(bool(t.isfinite().all()) for t in found.values())


def test_the_command_tells_what_it_takes(folder, tmp_path, capsys):
    assert command.main(["--data", "imagenet", str(folder)]) == 2
    assert "a data set to train on out of facescape" in capsys.readouterr().err
    assert command.main(["--data", "facescape", str(folder), "--stages", "hair"]) == 2
    assert "with --data" in capsys.readouterr().err
    work = ["--work", str(tmp_path), "--out", str(tmp_path / "out")]
    assert command.main(["--data", "facescape", str(tmp_path / "nowhere"), *work]) == 2
    assert "models_reg" in capsys.readouterr().err


def test_sets_without_textures_are_told(folder, tmp_path):
    scans = pack(folder, tmp_path, 16, ALONE)
    with pytest.raises(FileError, match="textures beside the meshes"):
        ScanTextures(type(scans)(**{**vars(scans), "tiles": None}), torch.device("cpu"))
