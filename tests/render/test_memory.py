"""Number of frames rendered at once."""

import dataclasses
import sys

import pytest
import torch

from facekit.render import Camera, memory, render
from facekit.render.memory import frame_bytes, frames_at_once, free_memory
from tests.render.scenes import ball

CPU = torch.device("cpu")


def test_300_faces_at_512_fit_16_gigabytes():
    # The default's size; its own tensors and the textures of 300 faces are there already.
    head = dataclasses.replace(ball(rings=114), texture=torch.zeros(1, 3, 1024, 1024).expand(1, -1, -1, -1))
    head = dataclasses.replace(head, displacement=torch.zeros(1, 1, 1024, 1024))
    there = 300 * sum(t.numel() * 4 for t in (head.verts, head.texture, head.displacement))
    result = 300 * 512 * 512 * 40
    for samples in (1, 4):
        each = frame_bytes(head, 512, 512, samples)
        step = frames_at_once(300, each, result, int(0.6 * (16e9 - there)))
        assert 1 <= step < 300 and there + result + step * each < 16e9
        assert frames_at_once(300, each, result, int(0.6 * (140e9 - there))) > 3 * step


def test_at_least_one_frame_and_at_most_all():
    assert frames_at_once(5, 100, 0, 10) == 1 and frames_at_once(5, 100, 1000, 10) == 1
    assert frames_at_once(5, 100, 0, 350) == 3 and frames_at_once(5, 100, 100, 350) == 2
    assert frames_at_once(5, 100, 0, 10**9) == 5


@pytest.mark.parametrize("learn", [False, True])
def test_chunks_do_not_change_the_pictures(monkeypatch, learn):
    mesh = ball(rings=8, texture=torch.rand(1, 3, 16, 16))
    verts = mesh.verts * torch.linspace(0.6, 1.0, 5)[:, None, None]
    mesh = dataclasses.replace(mesh, verts=verts.requires_grad_(learn), texture=mesh.texture.repeat(5, 1, 1, 1))
    camera, seen = Camera.front(target=(0.0, 0.0, 0.0), distance=300.0, fov=40.0), []

    def frames(count, each, result, free):
        seen.append(frames_at_once(count, each, result, free))
        return seen[-1]

    module = sys.modules["facekit.render.render"]  # the package's attribute of that name is the function
    monkeypatch.setattr(module, "frames_at_once", frames)
    pictures = []
    for step in (5, 2, 1):
        free = step * frame_bytes(mesh, 32, 32, 1) + 10
        monkeypatch.setattr(module, "free_memory", lambda device, free=free: free)
        pictures.append(render(mesh, camera, 32))
    assert seen == [5, 2, 1]
    for other in pictures[1:]:
        assert torch.equal(pictures[0].face_ids, other.face_ids)
        assert torch.allclose(pictures[0].rgb, other.rgb, atol=1e-4)
        assert other.rgb.requires_grad is learn


def test_a_cpu_has_a_constant_and_cuda_is_measured(monkeypatch):
    assert free_memory(CPU) == memory._FREE_CPU
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 16 * 10**9))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 5 * 10**8)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 3 * 10**8)
    assert free_memory(torch.device("cuda")) == int(1.2e9 * memory._SHARE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_same_picture_on_cuda_within_its_memory():
    mesh = ball(texture=torch.rand(1, 3, 64, 64))
    mesh = dataclasses.replace(mesh, displacement=0.05 * torch.randn(1, 1, 64, 64))
    camera = Camera.orbit([0.0, 40.0], target=(0.0, 0.0, 0.0), distance=300.0, fov=40.0)
    for quality in ("standard", "high"):
        here, there = (render(mesh.to(d), camera, 128, quality=quality) for d in ("cpu", "cuda"))
        assert float((here.face_ids != there.face_ids.cpu()).float().mean()) < 1e-4
        assert float((here.rgb - there.rgb.cpu()).abs().quantile(0.999)) < 1e-3
    torch.cuda.reset_peak_memory_stats()
    many = dataclasses.replace(
        mesh,
        verts=mesh.verts.repeat(300, 1, 1),
        texture=mesh.texture.repeat(300, 1, 1, 1),
        displacement=mesh.displacement.expand(300, -1, -1, -1),
    )
    with torch.inference_mode():
        render(many.to("cuda"), camera[0], 512)
    assert torch.cuda.max_memory_allocated() < min(16e9, torch.cuda.mem_get_info()[1])
