"""A synthetic training pack, its layers, and one full training run on it."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from facekit.forks import one_thread
from facekit.train import __main__ as command
from facekit.train.context import Context
from facekit.train.head.stage import HeadTemplate, write_assets
from facekit.train.shape.data import ShapeTeacher
from facekit.train.skin.layers import SkinLayers, draw_layers
from tests.train.tiny_pack import make_pack

STEPS, WIDTHS = 0.01, 0.125
INTERRUPTED_AT = 5


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of all stages that was interrupted once: its context, and the exit codes of both commands."""

    context: Context
    codes: tuple[int, int]
    arguments: list[str]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def tiny_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the made-up training pack."""
    return make_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="session")
def tiny_layers(tiny_pack: Path) -> SkinLayers:
    """The skin teacher's layers of that pack."""
    return draw_layers(tiny_pack)


@pytest.fixture(scope="session")
def tiny_head(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Context, HeadTemplate]:
    """The head that is built from that pack, and the context it was built in: a thousandth of the steps is to do."""
    folder = tmp_path_factory.mktemp("head")
    context = Context(tiny_pack, folder / "work", folder / "out", folder / "manifest.json", 0.001, 0.1)
    return context, write_assets(context.pack, context.out, context.shape_basis)


@pytest.fixture(scope="session")
def trained(tiny_pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command ``python -m facekit.train`` at a hundredth of its steps, interrupted in the middle and run again."""
    folder = tmp_path_factory.mktemp("run")
    arguments = ["--pack", str(tiny_pack), "--work", str(folder / "work"), "--out", str(folder / "out")]
    arguments += ["--steps-scale", str(STEPS), "--width-scale", str(WIDTHS)]
    calls = 0
    sample = ShapeTeacher.sample

    def interrupted(self, *given):
        nonlocal calls
        calls += 1
        if calls == INTERRUPTED_AT:
            os.kill(os.getpid(), signal.SIGINT)
        return sample(self, *given)

    with one_thread():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ShapeTeacher, "sample", interrupted)
            first = command.main(arguments)
        left = ["shape", "rig", "texture", "detail", "mask", "card"]  # what is left to do
        second = command.main([*arguments, "--stages", *left])
    out = folder / "out"
    context = Context(tiny_pack, folder / "work", out, out / "weights_manifest.json", STEPS, WIDTHS)
    return Run(context, (first, second), arguments)
