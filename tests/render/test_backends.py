"""The choice of a backend, and PyTorch3D's rasterizer behind our interface."""

import dataclasses
import logging
import warnings

import pytest
import torch

from facekit.errors import InputError
from facekit.render import Camera, backends, rasterize, render
from tests.render.scenes import ball, board
from tests.render.test_rasterize import soup


@pytest.fixture
def installed():
    pytest.importorskip("pytorch3d._C", reason="PyTorch3D is not installed")


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setattr(backends, "_told", set())


def test_auto_takes_torch_and_says_so_once(caplog):
    mesh = board()
    with caplog.at_level(logging.INFO, "facekit.render"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            render(mesh, image_size=16)
    assert len(caplog.records) == 1 and "torch" in caplog.text


def test_unknown_backends_are_refused():
    with pytest.raises(InputError, match="torch, pytorch3d"):
        render(board(), image_size=16, backend="software")
    with pytest.raises(InputError):
        rasterize(board().verts, board().faces, Camera.front(), 16, backend="opengl")


def test_a_slow_request_warns_once(installed):
    cpu = torch.device("cpu")
    with pytest.warns(UserWarning, match="minutes") as told:
        backends.choose("pytorch3d", 129, 16, cpu)
        backends.choose("pytorch3d", 512, 512, cpu)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backends.choose("pytorch3d", 128, 128, cpu)
        backends.choose("pytorch3d", 512, 512, torch.device("cuda"))


@pytest.mark.parametrize("quality", ["standard", "high"])
def test_pictures_are_the_same(installed, quality):
    mesh = ball(rings=10, texture=torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    mesh = dataclasses.replace(
        mesh, verts=torch.cat((mesh.verts, 0.8 * mesh.verts)), texture=mesh.texture.repeat(2, 1, 1, 1)
    )
    camera = Camera.orbit([20.0, 140.0], 10.0, target=(3.0, 0.0, 0.0), distance=300.0, fov=40.0)
    ours, theirs = (render(mesh, camera, (28, 32), quality=quality, backend=b) for b in ("torch", "pytorch3d"))
    assert torch.equal(ours.face_ids, theirs.face_ids)
    assert torch.allclose(ours.alpha, theirs.alpha, atol=1e-6)
    for name in ("rgb", "normals"):
        assert float((getattr(ours, name) - getattr(theirs, name)).abs().quantile(0.999)) < 1e-4, name


def test_hard_cases_are_the_same(installed):
    differ, total, errors = 0, 0, []
    for seed in range(20):
        verts, faces, camera = soup(seed)
        ours, theirs = (rasterize(verts, faces, camera, (24, 32), backend=b) for b in ("torch", "pytorch3d"))
        differ, total = differ + int((ours[0] != theirs[0]).sum()), total + ours[0].numel()
        same = (ours[0] == theirs[0]) & (ours[0] >= 0)
        assert bool((theirs[1][theirs[0] < 0] == float("inf")).all()) and not bool(torch.isnan(theirs[1]).any())
        errors.append((theirs[1][same] / ours[1][same] - 1).abs())
    assert float(torch.cat(errors).quantile(0.99)) < 1e-4
    # It computes in float32: near the edges of huge faces a few pixels fall to the other side.
    assert differ < 0.002 * total
    for case in (board().faces[:0], board().faces):
        away = board().verts + torch.tensor([0.0, 0.0, 5000.0])
        ids, depth = rasterize(away, case, Camera.front(target=(0.0, 0.0, 0.0)), 16, backend="pytorch3d")
        assert bool((ids == -1).all()) and bool((depth == float("inf")).all())
