"""Training loops: interrupted anywhere and resumed, they end like an uninterrupted one."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn

from facekit.train import loop
from facekit.train.loop import Average, Checkpoint, cosine, set_rate, step_generator


def descend(folder, total: int, at_step=lambda step: None) -> nn.Linear:
    """Fit a line to noise that belongs to each step; Adam keeps state."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    checkpoint = Checkpoint(folder / "state.pt", {"layer": layer, "adam": optimiser})
    for step in checkpoint.steps(total, "test"):
        at_step(step)
        x = torch.randn(8, 4, generator=step_generator(1, step))
        loss = (layer(x) - x.sum(dim=1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return layer


def raise_at(number: int):
    def act(step: int) -> None:
        if step == number:
            raise KeyboardInterrupt

    return act


def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path):
    seen = []

    def press(step):
        seen.append(step)
        if step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        descend(tmp_path, 20, press)
    assert seen == list(range(8))
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 8
    resumed = descend(tmp_path, 20, seen.append)
    assert seen == list(range(20))
    (tmp_path / "straight").mkdir()
    assert torch.equal(resumed.weight, descend(tmp_path / "straight", 20).weight)
    assert signal.getsignal(signal.SIGINT) == handler


@pytest.mark.parametrize("period", [0.0, 1e9], ids=["saved each step", "never saved"])
def test_a_kill_in_the_middle_of_a_step_changes_nothing(tmp_path, monkeypatch, period):
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", period)
    straight = descend(tmp_path, 20)
    (tmp_path / "killed").mkdir()
    with pytest.raises(KeyboardInterrupt):
        descend(tmp_path / "killed", 20, raise_at(11))
    assert (tmp_path / "killed" / "state.pt").is_file() == (period == 0)
    assert torch.equal(descend(tmp_path / "killed", 20).weight, straight.weight)


def test_a_finished_loop_does_nothing(tmp_path):
    straight, seen = descend(tmp_path, 5), []
    again = descend(tmp_path, 5, seen.append)
    assert seen == []
    assert torch.equal(again.weight, straight.weight)


def test_the_average_follows_slowly():
    layer = nn.Linear(2, 2)
    average = Average(layer, 0.9)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight += 1
    average.update(layer)
    torch.testing.assert_close(average.module.weight, start + 0.1)
    assert not any(p.requires_grad for p in average.module.parameters())


def test_rates_rise_then_fall_to_the_floor():
    rates = [cosine(step, 1000, 2.0, warmup=100, floor=0.1) for step in range(1001)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == pytest.approx(2.0)
    assert rates[-1] == pytest.approx(0.2)
    assert all(a >= b for a, b in zip(rates[100:], rates[101:], strict=False))
    optimiser = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))]}], lr=1.0)
    set_rate(optimiser, 0.5)
    assert optimiser.param_groups[0]["lr"] == 0.5


def test_each_step_has_its_own_noise():
    first, again, other = (torch.rand(3, generator=step_generator(4, step)) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
