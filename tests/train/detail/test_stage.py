"""The detail module learns a known relation; its losses are as documented."""

from __future__ import annotations

import pytest
import torch

from facekit.models.config import DetailConfig
from facekit.models.detail import DetailModel
from facekit.models.detail_tile import compose
from facekit.train import loop
from facekit.train.detail.data import DetailSamples
from facekit.train.detail.networks import detail_loss, start_maps
from facekit.train.detail.stage import explained, train_detail

CONFIG = DetailConfig(size=32, static=4, compressed=4, stretched=2, hidden=32, field=8)


def samples(count: int, seed: int) -> DetailSamples:
    """People whose bumps depend on their codes, with furrows that follow the strain."""
    patterns = torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    identity = torch.randn(count, 20, generator=generator)
    strain = torch.randn(count, 128, 128, generator=generator).mean(dim=(1, 2), keepdim=True) * 100 + torch.zeros(
        128, 128
    )
    squeeze = strain[:, :1, :1].clamp(0, 1.5)
    rest = 0.1 * patterns[0] + torch.einsum("nk,khw->nhw", 0.05 * torch.tanh(identity[:, :2]), patterns[1:3])
    target = rest + squeeze * (0.2 * patterns[3] + 0.1 * identity[:, 2, None, None] * patterns[4])
    return DetailSamples(identity, strain.half(), target.half(), torch.ones(32, 32))


def test_least_squares_find_the_means():
    torch.manual_seed(0)
    data, model = samples(400, 1), DetailModel(CONFIG)
    start_maps(model, data)
    patterns = torch.randn(5, 32, 32, generator=torch.Generator().manual_seed(0))
    static = torch.corrcoef(torch.stack((model.mean[0].detach(), patterns[0].flatten())))[0, 1]
    folded = torch.corrcoef(torch.stack((model.mean[1].detach(), patterns[3].flatten())))[0, 1]
    assert float(static) > 0.97
    assert float(folded) > 0.97


def test_training_explains_people_it_never_saw(tmp_path):
    torch.manual_seed(0)
    furrows = torch.rand(3, 8, 8)
    model = train_detail(CONFIG, samples(400, 1), furrows, tmp_path / "detail.pt", steps=250)
    found = explained(model, samples(60, 2))
    assert found.energy > 0.9
    assert found.fine_mm < 0.4 * found.coarse_mm
    assert torch.equal(model.furrows, furrows)


def test_a_finished_run_is_not_trained_further(tmp_path):
    data, furrows = samples(60, 1), torch.rand(3, 8, 8)

    whole, again = (train_detail(CONFIG, data, furrows, tmp_path / "whole.pt", steps=20) for _ in range(2))
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_killed_run_ends_like_a_straight_one(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    data, furrows = samples(60, 1), torch.rand(3, 8, 8)

    def run(name):
        torch.manual_seed(0)
        return train_detail(CONFIG, data, furrows, tmp_path / name, steps=12)

    straight, batch, calls = run("straight.pt"), DetailSamples.batch, 0

    def killed(self, index):
        nonlocal calls
        calls += 1
        if calls == 10:
            raise KeyboardInterrupt
        return batch(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(DetailSamples, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            run("killed.pt")
    assert 0 < torch.load(tmp_path / "killed.pt", weights_only=True)["step"] < 12
    for mine, other in zip(straight.parameters(), run("killed.pt").parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


def test_the_loss_is_zero_only_for_the_target_and_sees_slopes():
    flat, weight = torch.zeros(1, 1, 16, 16), torch.ones(16, 16)
    assert float(detail_loss(flat, flat, weight)) == 0
    shifted = flat + 0.05
    rough = 0.05 * torch.ones(16, 16)
    rough[:, ::2] *= -1
    assert float(detail_loss(shifted, flat, weight)) > 0
    assert float(detail_loss(rough[None, None], flat, weight)) > 2 * float(detail_loss(shifted, flat, weight))
    assert float(detail_loss(shifted, flat, torch.zeros(16, 16))) == 0


def test_composition_has_gradients_everywhere_they_are_needed():
    torch.manual_seed(0)
    model = DetailModel(CONFIG)
    start_maps(model, samples(60, 1))
    identity, strain, target = samples(8, 3).batch(torch.arange(8))
    detail_loss(compose(model, identity, strain), target, torch.ones(32, 32)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
