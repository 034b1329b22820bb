"""The command: exit codes, one-line errors, and fast help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types

import pytest

import facekit
from facekit.cli import main as cli
from facekit.conventions import EXPRESSIONS
from facekit.pipeline import FacePipeline
from tests import ROOT


@pytest.fixture
def tiny(monkeypatch, tiny_pipe):
    """The commands with a pipeline that needs no weights."""
    monkeypatch.setattr(FacePipeline, "from_pretrained", lambda *_: tiny_pipe)
    return tiny_pipe


def has_default() -> bool:
    from facekit import weights

    try:
        weights.verify("default")
    except facekit.FacekitError:
        return False
    return True


def fails(capsys, *argv: str) -> str:
    """Run a command that must fail on bad input; returns its one-line error."""
    assert cli.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("facekit: error: ")
    assert error.count("\n") == 1
    return error


def test_help_does_not_load_torch():
    code = (
        "import sys\nfrom facekit.cli import main as cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ('torch', 'numpy', 'matplotlib', 'PIL', 'trimesh', 'requests', 'gdown')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("demo", "generate", "sweep", "expressions", "render", "export", "weights", "doctor"):
        assert name in done.stdout


@pytest.mark.parametrize("argv", [[], ["fly"], ["export"], ["generate", "--count", "many", "--out", "x"]])
def test_usage_errors_exit_with_2(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("facekit: error: ") and error.count("\n") == 1
    assert "--help" in error


def test_unknown_options_are_told_with_the_nearest(capsys):
    assert "did you mean --expression?" in fails(capsys, "export", "--expresion", "smile", "--out", "a.glb")
    assert "did you mean --expression?" in fails(capsys, "export", "--expresion=smile", "--out", "a.glb")
    assert "facekit sweep --help" in fails(capsys, "sweep", "--expression", "smile=0.5", "brow_raiser=0.4")


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"facekit {facekit.__version__}\n"


def test_global_options_before_and_after_the_command():
    parse = cli.build_parser().parse_args
    assert parse(["--model", "m", "--device", "cpu", "demo"]).model == "m"
    assert parse(["demo", "--model", "m"]).model == "m"
    assert parse(["demo"]).device == "auto"


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_export(tiny, tmp_path, capsys, suffix):
    path = tmp_path / "new" / f"face.{suffix}"
    assert cli.main(["export", "--seed", "3", "--expression", "smile", "--out", str(path)]) == 0
    assert facekit.load(path).verts.shape[1] == 234
    assert str(path) in capsys.readouterr().out


def test_export_with_maps(tiny, tmp_path):
    names = {"face_displacement.png", "face_displacement.json", "face_normal.png"}
    for suffix, others in (("glb", set()), ("obj", {"face.mtl", "face_albedo.png"})):
        out = tmp_path / suffix / f"face.{suffix}"
        assert cli.main(["export", "--maps", "--out", str(out)]) == 0
        assert {p.name for p in out.parent.iterdir()} == names | others | {out.name}


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_export_of_displaced_meshes(tiny, tmp_path, suffix):
    out = tmp_path / f"face.{suffix}"
    assert cli.main(["export", "--level", "1", "--out", str(out)]) == 0
    assert len(facekit.load(out).faces) == 4 * 432


@pytest.mark.parametrize(("word", "detail"), [("full", True), ("static", "static"), ("off", False)])
def test_detail_reaches_the_pipeline(tmp_path, monkeypatch, tiny_pipe, word, detail):
    asked = []

    def pipe(**options):
        asked.append((options["detail"], options["detail_strength"]))
        return tiny_pipe(**options)

    monkeypatch.setattr(FacePipeline, "from_pretrained", lambda *_: pipe)
    options = ["--detail", word, *(["--detail-strength", "0.5"] if detail else [])]
    small = ["--size", "32"]
    assert cli.main(["export", "--out", str(tmp_path / "a.ply"), *options]) == 0
    assert cli.main(["sweep", "--steps", "2", "--out", str(tmp_path), *small, *options]) == 0
    assert cli.main(["expressions", "--out", str(tmp_path / "a.png"), *small, *options]) == 0
    assert cli.main(["render", "--out", str(tmp_path / "b.png"), "--quality", "standard", *small, *options]) == 0
    folder = str(tmp_path / "set")
    assert cli.main(["generate", "--count", "1", "--format", "ply", "--out", folder, *options]) == 0
    assert asked == [(detail, 0.5 if detail else 1.0)] * 5


@pytest.mark.slow
def test_animate_writes_what_the_suffix_says(default_pipeline, monkeypatch, tmp_path):
    monkeypatch.setattr(FacePipeline, "from_pretrained", lambda *_: default_pipeline)
    take, film, mesh = (tmp_path / name for name in ("take.csv", "talk.webp", "talk.glb"))
    assert cli.main(["animate", "--idle", "0.2", "--out", str(take)]) == 0
    assert len(facekit.Motion.load(take)) == 6
    assert cli.main(["animate", str(take), "--size", "32", "--out", str(film)]) == 0
    assert cli.main(["animate", str(take), "--out", str(mesh)]) == 0
    assert film.stat().st_size > 100 and mesh.stat().st_size > 1000


@pytest.mark.parametrize(
    "options",
    [["--out", "a.obj"], ["--out", "a.glb", "--size", "64"], ["none.csv", "--out", "a.glb"],
     ["a.csv", "--idle", "2", "--out", "a.glb"], ["--idle", "-1", "--out", "a.csv"]],
)  # fmt: skip
def test_animate_refuses(tiny, tmp_path, monkeypatch, options, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["animate", *options]) == 2
    assert "expected" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_blends(tiny, tmp_path):
    path = tmp_path / "face.glb"
    assert cli.main(["export", "--expression", "smile=0.6,brow_raiser=0.4", "--out", str(path)]) == 0
    from facekit.io.glb_read import read_rig

    assert sorted(read_rig(path).weights.tolist())[-2:] == pytest.approx([0.4, 0.6])


def test_sweep(tiny, tmp_path):
    argv = ["sweep", "--steps", "3", "--size", "32", "--format", "ply", "--out", str(tmp_path)]
    assert cli.main(argv) == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"smile_sweep.png", "smile_sweep.webp", "smile_00.ply", "smile_01.ply", "smile_02.ply"}


def test_sweep_with_maps(tiny, tmp_path):
    argv = ["sweep", "--steps", "2", "--size", "32", "--maps", str(tmp_path / "maps"), "--out", str(tmp_path)]
    assert cli.main(argv) == 0
    names = {p.name for p in (tmp_path / "maps").iterdir()}
    assert len(names) == 6 and {"smile_00_displacement.png", "smile_01_normal.png"} < names


def test_expressions(tiny, tmp_path):
    assert cli.main(["expressions", "--size", "32", "--out", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@pytest.mark.parametrize(("camera", "name"), [("front", "a.png"), ("three-quarter", "a.jpg"), ("turntable", "a.gif")])
def test_render_a_file(tiny_mesh, tmp_path, camera, name):
    mesh = facekit.save(tiny_mesh, tmp_path / "face.obj")
    out = tmp_path / name
    options = ["--camera", camera, "--size", "32", "--quality", "standard"]
    options += ["--frames", "3"] if camera == "turntable" else []
    assert cli.main(["render", str(mesh), "--out", str(out), *options]) == 0
    assert out.stat().st_size > 100


def test_generate_goes_on(tiny, tmp_path, capsys):
    argv = ["generate", "--count", "3", "--format", "ply", "--out", str(tmp_path)]
    assert cli.main(argv) == 0
    assert "3 faces made, 0 kept" in capsys.readouterr().out
    assert cli.main(argv) == 0
    assert "0 faces made, 3 kept" in capsys.readouterr().out
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 4
    assert "smile" in fails(capsys, *argv, "--expression", "smile")


def test_bad_input_is_one_line(tiny, tmp_path, capsys):
    out = str(tmp_path / "a.glb")
    known = fails(capsys, "export", "--expression", "joy", "--out", out)
    assert all(name in known for name in EXPRESSIONS)
    assert "finite" in fails(capsys, "export", "--expression", "smile", "--intensity", "nan", "--out", out)
    assert ".obj" in fails(capsys, "export", "--out", str(tmp_path / "a.fbx"))
    assert "seed" in fails(capsys, "export", "--seed", "-1", "--out", out)
    assert "smile=0.6" in fails(capsys, "export", "--expression", "smile=much", "--out", out)
    assert "GLB" in fails(capsys, "render", str(_text(tmp_path / "b.glb")), "--out", str(tmp_path / "a.png"))
    assert "none at" in fails(capsys, "render", str(tmp_path / "c.obj"), "--out", str(tmp_path / "a.png"))
    assert ".webp" in fails(capsys, "render", "--camera", "turntable", "--out", str(tmp_path / "a.jpg"))
    assert "export" in fails(capsys, "render", "--out", str(tmp_path / "a.obj"))
    assert "--detail off" in fails(capsys, "export", "--maps", "--detail", "off", "--out", out)
    assert "did you mean smile?" in fails(capsys, "export", "--expression", "smlie", "--out", out)
    assert "0 to 4" in fails(capsys, "export", "--level", "9", "--out", out)
    assert ".ply" in fails(capsys, "export", "--level", "1", "--out", str(tmp_path / "a.zip"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.glb"]


def _text(path):
    path.write_text("no mesh")
    return path


def test_unwritable_folder_is_one_line(tiny, tmp_path, capsys):
    _text(tmp_path / "file")
    assert "writable" in fails(capsys, "export", "--out", str(tmp_path / "file" / "a.obj"))


def test_warnings_are_one_line(tiny, tmp_path, capsys):
    out = str(tmp_path / "a.ply")
    assert cli.main(["export", "--expression", "smile", "--intensity", "1.8", "--out", out]) == 0
    assert capsys.readouterr().err.startswith("facekit: warning: smile at intensity 1.8")


def test_interruption(tiny, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt("2 of 9 faces are complete")

    monkeypatch.setattr("facekit.generate.local.generate_set", interrupted)
    assert cli.main(["generate", "--count", "9", "--out", str(tmp_path)]) == 130
    assert "interrupted; 2 of 9" in capsys.readouterr().err


def test_doctor(capsys):
    code = cli.main(["doctor"])
    report = capsys.readouterr().out
    assert code == (0 if has_default() else 1)
    for word in ("python", "torch", "CPU", "sha256" if code == 0 else "BROKEN", "pytorch3d"):
        assert word in report


def test_doctor_tells_what_is_broken(monkeypatch, capsys):
    from facekit import weights
    from facekit.errors import WeightsError

    def damaged(name):
        raise WeightsError("a whole file", "half of it", "reinstall facekit")

    monkeypatch.setattr(weights, "verify", damaged)
    assert cli.main(["doctor"]) == 1
    assert "BROKEN" in capsys.readouterr().out


@pytest.mark.skipif(not has_default(), reason="facekit/assets does not hold the embedded default")
def test_the_embedded_default_exports(tmp_path):
    path = tmp_path / "face.zip"
    assert cli.main(["export", "--seed", "7", "--expression", "smile", "--out", str(path)]) == 0
    import zipfile

    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("metadata.json"))["licence"]


# -- refused before anything heavy is imported ------------------------------------------------------------------------

BAD = [
    ["export", "--expression", "smlie", "--out", "a.glb"],
    ["export", "--seed", "-1", "--out", "a.glb"],
    ["export", "--out", "a.fbx"],
    ["export", "--model", "defualt", "--out", "a.glb"],
    ["render", "--size", "0", "--out", "a.png"],
    ["render", "missing.glb", "--out", "a.png"],
    ["render", "--fps", "9", "--out", "a.png"],
    ["generate", "--count", "0", "--out", "set"],
    ["generate", "--count", "1", "--format", "fbx", "--out", "set"],
    ["generate", "--count", "1", "--workers", "0", "--out", "set"],
    ["generate", "--status", "nowhere"],
    ["generate", "wild", "--maps", "--count", "1", "--out", "set"],
    ["generate", "wild", "--address", "there", "--count", "1", "--out", "set"],
    ["generate", "--status", ".", "--maps"],
    ["export", "--intensity", "0.5", "--out", "a.glb"],
    ["animate", "--truncation", "0.5", "--out", "a.csv"],
    ["animate", "--audio", "a.wav", "--out", "a.webp"],
    ["reconstruct", "me.jpg", "--posed", "--out", "me.facekit"],
    ["reconstruct", "me.jpg", "--calm", "2", "--out", "me.glb"],
    ["evaluate", "--list", "--quick"],
    ["weights", "import", "default", "--file", "a.task"],
    ["doctor", "--model", "3dfacecam"],
    ["reconstruct", "missing.jpg", "--out", "a.glb"],
    ["animate", "missing.csv", "--out", "a.mp4"],
    ["sweep", "--steps", "1"],
    ["sweep", "--truncation", "2"],
    ["expressions", "--out", "a.glb"],
    ["expressions", "--intensity", "nan"],
]


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_bad_arguments_are_refused_before_torch_is_imported(argv, tmp_path):
    code = (
        "import sys\nfrom facekit.cli import main as cli\n"
        "print(cli.main(sys.argv[1:]), [m for m in ('torch', 'numpy', 'matplotlib', 'trimesh') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.stdout == "2 []\n", done.stderr
    assert done.stderr.startswith("facekit: error: expected ") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_options_that_do_nothing_are_refused(tiny_mesh, tmp_path, capsys):
    mesh, out = str(facekit.save(tiny_mesh, tmp_path / "face.obj")), str(tmp_path / "a.png")
    told = fails(capsys, "render", mesh, "--expression", "smile", "--seed", "7", "--out", out)
    assert "got --seed --expression;" in told and "with a file" in told
    assert "--frames" in fails(capsys, "render", mesh, "--frames", "9", "--out", out)
    assert "got --model;" in fails(capsys, "--model", "3dfacecam", "render", mesh, "--out", out), (
        "before the command, too"
    )
    strength = ("--detail", "off", "--detail-strength", "2")
    assert "--detail-strength" in fails(capsys, "export", *strength, "--out", str(tmp_path / "a.glb"))


def test_choices_are_those_of_the_library():
    from facekit.cli import render
    from facekit.render.lights import PRESETS
    from facekit.viz.animation import SUFFIXES

    assert tuple(PRESETS) == render.LIGHTS
    assert set(SUFFIXES) == set(render.ANIMATIONS)


def test_help_lists_choices_in_order(capsys):
    with pytest.raises(SystemExit):
        cli.main(["render", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "{studio,daylight,rim,flat}" in told
    assert "{full,static,dynamic,off}" in told
    assert "all of it, pores and lines at rest, wrinkles of the expression, none" in told


def test_steps_stand_in_lines(monkeypatch, capsys, tmp_path):
    def refused(*_):
        raise facekit.errors.WeightsError("a file", "none", "by hand:\n1. open this   page\n2. run: that")

    monkeypatch.setattr(FacePipeline, "from_pretrained", refused)
    assert cli.main(["export", "--out", str(tmp_path / "a.glb")]) == 2
    assert capsys.readouterr().err.splitlines()[1:] == ["  1. open this page", "  2. run: that"]


def test_a_set_tells_the_room_it_needs(tiny, tmp_path, capsys, monkeypatch):
    assert cli.main(["generate", "--count", "3", "--format", "ply", "--out", str(tmp_path / "a")]) == 0
    assert "for 2 more faces of" in capsys.readouterr().err
    monkeypatch.setattr("shutil.disk_usage", lambda folder: types.SimpleNamespace(free=10))
    argv = ["generate", "--count", "3", "--format", "ply", "--out", str(tmp_path / "b")]
    assert "lower the count" in fails(capsys, *argv)
    monkeypatch.undo()
    monkeypatch.setattr(FacePipeline, "from_pretrained", lambda *_: tiny)
    assert cli.main(argv) == 0
    assert "2 faces made, 1 kept" in capsys.readouterr().out
