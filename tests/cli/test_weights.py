"""facekit weights: list, fetch, import, verify, path, remove."""

from __future__ import annotations

import pytest

from facekit import weights
from facekit.cli import main as cli
from tests.convert.conftest import cache, server, small  # noqa: F401  # the same cache, server and model


def run(capsys, *argv: str) -> str:
    assert cli.main(["weights", *argv]) == 0
    return capsys.readouterr().out


def fails(capsys, *argv: str) -> str:
    assert cli.main(["weights", *argv]) == 2
    told = capsys.readouterr().err
    assert told.startswith("facekit: error: ") and "Traceback" not in told
    return told


def test_list(capsys):
    lines = run(capsys, "list")
    assert "default  (embedded, " in lines and "3dfacecam  (not here)" in lines
    assert "non-commercial research" in lines and "facekit weights import 3dfacecam --checkpoints" in lines


def test_a_life(small, capsys):  # noqa: F811
    assert "fetch small" in fails(capsys, "path", "small")
    assert run(capsys, "fetch", "small").strip() == f"small is in {weights.path('small')}"
    assert run(capsys, "path", "small").strip() == str(weights.path("small"))
    assert "3 files" in run(capsys, "verify", "small")
    assert "small  (here, 0.1 MB, " in run(capsys, "list")
    weights.path("small", "a").write_bytes(b"")
    assert "damaged" in fails(capsys, "verify", "small")
    assert run(capsys, "remove", "small") == "small removed\n"
    assert run(capsys, "remove", "small") == "small was not here\n"


def test_import(small, server, tmp_path, capsys):  # noqa: F811
    for name in ("mesh.obj", "checkpoints.zip"):
        (tmp_path / name).write_bytes(server.files[f"/{name}"])
    run(capsys, "import", "small", "--checkpoints", str(tmp_path / "checkpoints.zip"), "--data", str(tmp_path))
    weights.verify("small")
    assert not server.log


def test_unknown_and_embedded(capsys):
    assert "choose a listed name" in fails(capsys, "fetch", "smal")
    assert "package" in fails(capsys, "remove", "default")
    count = len(weights.record("default").files)
    assert f"{count} files" in run(capsys, "verify", "default")


@pytest.mark.parametrize("argv", [[], ["fly"], ["fetch"], ["import"]])
def test_usage(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["weights", *argv])
    assert stop.value.code == 2


@pytest.mark.parametrize(("name", "told"), [("3dfacecam", "--checkpoints"), ("landmarker", "--file")])
def test_what_an_import_needs_is_told(name, told, capsys):
    assert cli.main(["weights", "import", name]) == 2
    assert told in capsys.readouterr().err
