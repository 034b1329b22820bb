"""The command's input and output: broken pipes, full disks, closed streams, old encodings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import facekit
from facekit.cli import main as cli

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of Unix")
COMMAND = f"{sys.executable} -m facekit.cli"


def shell(line: str, folder: Path | None = None, **env: str) -> subprocess.CompletedProcess:
    """A line of bash; its exit code is that of the first command of a pipe."""
    paths = os.pathsep.join([str(Path(cli.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **env},
        capture_output=True,
        text=True,
        errors="replace",
    )


@pytest.fixture
def render(tiny_mesh, tmp_path_factory) -> str:
    """A command that writes a picture of a file's mesh, for which no model is loaded."""
    path = facekit.save(tiny_mesh, tmp_path_factory.mktemp("mesh") / "tiny.obj")
    return f"{COMMAND} render {path} --size 32 --quality standard"


@pytest.mark.parametrize("command", [pytest.param("doctor", marks=pytest.mark.slow), "--help", "weights list"])
def test_a_reader_who_leaves_is_no_failure(command):
    done = shell(f"{COMMAND} {command} | head -1")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_work_is_done_when_nobody_reads(tmp_path, render):
    done = shell(f"{render} --out a.png | true", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_as_output():
    done = shell(f"{COMMAND} weights list > /dev/full")
    assert done.returncode == 2 and "No space left" in done.stderr and "Traceback" not in done.stderr
    assert shell(f"{COMMAND} weights list > /dev/full 2> /dev/full").returncode == 2
    assert shell(f"{COMMAND} render none.obj --out a.png 2> /dev/full").returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["2>&-", ">&- 2>&-", ">&-"])
def test_closed_streams(tmp_path, render, ends):
    done = shell(f"{render} --out a.png {ends}", tmp_path)
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert shell(f"{COMMAND} nonsense {ends}").returncode == 2


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii:strict"}, {"LC_ALL": "C"}]
)
def test_help_in_any_encoding(env):
    line = "; ".join(f"{COMMAND} {name} --help > /dev/null || exit 1" for name in ("", *cli.COMMANDS))
    done = shell(f"{line}; true", **{"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **env})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_home_folder(tmp_path, render):
    done = shell(f"{render} --out=~/a/face.png", tmp_path, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a" / "face.png").is_file() and not (tmp_path / "~").exists()
