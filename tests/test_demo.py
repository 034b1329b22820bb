"""The demonstration's meshes, maps and pictures of detail; its sweeps are those of the sheets' own tests."""

from __future__ import annotations

import pytest

import facekit
from facekit import demo
from facekit.io.maps import load_displacement
from facekit.viz.animation import turntable


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    for stage in ("_sweep", "_expressions"):
        monkeypatch.setattr(demo, stage, lambda *_: None)
    monkeypatch.setattr(demo, "turntable", lambda face: turntable(face, 2, image_size=64))


@pytest.mark.slow
def test_all_it_tells_of_is_there(tiny_pipe, tmp_path):
    result = demo.run_demo(tmp_path, pipe=tiny_pipe, detail_strength=0.5)
    told = {path for path, _ in result.files}
    assert told | {tmp_path / "smile.mtl"} == set(tmp_path.iterdir())
    assert all(path.stat().st_size > 100 for path in told)
    assert len(facekit.load(tmp_path / "smile_displaced.ply").faces) == 4 * 432
    assert float(load_displacement(tmp_path / "smile_displacement.png").max()) == pytest.approx(0.6, abs=0.1)
    assert "detail.png" in str(result) and f"{len(result.files)} files" in str(result)


@pytest.mark.slow
def test_detail_can_be_left_out(tiny_pipe, tmp_path):
    names = {path.name for path, _ in demo.run_demo(tmp_path, pipe=tiny_pipe, detail=False).files}
    assert {"smile.glb", "portrait.png"} < names
    assert not any("detail" in name or "displace" in name or "normal" in name for name in names)
