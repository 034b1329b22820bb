"""Forked workers: they come back, with the same faces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import facekit

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="fork is Linux' own")]

POOL = """
import multiprocessing, facekit
pipe = facekit.FacePipeline.from_pretrained(device="cpu")
def number(seed):
    face = pipe(seed=seed, detail=False)
    return float(face.verts.sum()), float(face.render(image_size=32).rgb.mean())
if __name__ == "__main__":
    here = [number(seed) for seed in range(2)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map_async(number, range(2)).get(timeout=100)
    assert all(abs(a - b) <= 1e-3 * abs(a) for x, y in zip(here, there) for a, b in zip(x, y)), (here, there)
"""
LOADER = """
import torch, facekit
pipe = facekit.FacePipeline.from_pretrained(device="cpu")
class Faces(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, seed):
        return pipe(seed=seed, detail=False).verts[0]
if __name__ == "__main__":
    pipe(seed=0)
    options = {"num_workers": 2, "multiprocessing_context": "fork", "timeout": 100}
    loader = torch.utils.data.DataLoader(Faces(), batch_size=2, **options)
    assert [tuple(batch.shape)[0] for batch in loader] == [2, 2]
"""


@pytest.mark.parametrize("code", [POOL, LOADER], ids=["pool", "DataLoader"])
def test_workers_come_back(tmp_path, code):
    script = tmp_path / "work.py"
    script.write_text(code)
    # Several threads, which sleep while they wait: beside other tests they would take turns with themselves.
    env = {"PYTHONPATH": str(Path(facekit.__file__).parents[1]), "PATH": "", "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
