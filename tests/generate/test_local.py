"""Data sets in a folder: manifest, resuming, refused input, interruptions."""

from __future__ import annotations

import pytest

import facekit
from facekit.cli import main as cli
from facekit.errors import FileError, InputError
from facekit.generate.engines import Crew
from facekit.generate.local import generate_set
from facekit.generate.records import MANIFEST, mesh_status, read_manifest
from facekit.io.maps import load_displacement
from tests.conftest import relief


def test_makes_one_face_a_seed(tiny_pipe, tmp_path):
    result = generate_set(tiny_pipe, tmp_path, 5, seed=10, expression="smile", intensity=0.5, formats=["obj", "ply"])
    settings, records = read_manifest(result.manifest)
    assert (result.made, result.kept) == (5, 0)
    assert settings["expression"] == "smile" and settings["formats"] == ["obj", "ply"]
    assert list(records) == [10, 11, 12, 13, 14]
    listed = {name for record in records.values() for name in record["files"]}
    assert listed == {p.name for p in tmp_path.iterdir()} - {MANIFEST}
    alone = tiny_pipe(seed=12, expression="smile", intensity=0.5)
    assert (facekit.load(tmp_path / "face_000012.obj").verts - alone.verts).abs().max() < 1e-4


@pytest.mark.parametrize(("formats", "beside"), [(["ply"], {"ply"}), (["obj", "glb"], {"obj", "mtl", "glb"})])
def test_maps(tiny_pipe, tmp_path, formats, beside):
    result = generate_set(tiny_pipe, tmp_path, 2, formats=formats, maps=True, detail_strength=0.5)
    settings, records = read_manifest(result.manifest)
    assert (settings["maps"], settings["detail"], settings["detail_strength"]) == (True, True, 0.5)
    maps = {"displacement.png", "displacement.json", "normal.png"}
    maps |= {"albedo.png"} if "mtl" in beside else set()
    expected = {f"face_000001.{name}" for name in beside} | {f"face_000001_{name}" for name in maps}
    assert set(records[1]["files"]) == expected
    found = load_displacement(tmp_path / "face_000001_displacement.png")
    assert float(found.abs().max()) == pytest.approx(0.5 * float(relief().abs().max()), rel=1e-4)
    named = "norm face_000001_normal.png"
    assert "obj" not in formats or named in (tmp_path / "face_000001.mtl").read_text()


def test_goes_on_where_it_stopped(tiny_pipe, tmp_path):
    generate_set(tiny_pipe, tmp_path, 3, formats=["ply"])
    (tmp_path / "face_000001.ply").unlink()
    (tmp_path / "face_000002.ply").write_bytes(b"cut off")
    tiny_pipe.calls = 0
    result = generate_set(tiny_pipe, tmp_path, 4, formats=["ply"])
    assert (result.made, result.kept, tiny_pipe.calls) == (3, 1, 1)
    assert generate_set(tiny_pipe, tmp_path, 4, formats=["ply"]).made == 0


def test_a_line_cut_off_by_a_crash_is_dropped(tiny_pipe, tmp_path):
    manifest = generate_set(tiny_pipe, tmp_path, 2, formats=["ply"]).manifest
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert generate_set(tiny_pipe, tmp_path, 2, formats=["ply"]).made == 1
    assert list(read_manifest(manifest)[1]) == [0, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"expression": "grin"},
        {"intensity": 0.3},
        {"formats": ["obj"]},
        {"detail": False},
        {"detail_strength": 2},
        {"maps": True},
    ],
)
def test_other_settings_are_refused(tiny_pipe, tmp_path, change):
    generate_set(tiny_pipe, tmp_path, 1, formats=["ply"])
    with pytest.raises(InputError, match="choose another folder"):
        generate_set(tiny_pipe, tmp_path, 1, **{"formats": ["ply"], **change})


@pytest.mark.parametrize(
    "change",
    [
        {"formats": ["fbx"]},
        {"formats": []},
        {"count": 0},
        {"expression": "joy"},
        {"maps": True, "detail": False},
        {"detail_strength": -1.0},
        {"detail": "all"},
    ],
)
def test_bad_arguments_write_nothing(tiny_pipe, tmp_path, change):
    with pytest.raises(InputError):
        generate_set(tiny_pipe, tmp_path / "new", **{"count": 1, "formats": ["ply"], **change})
    assert not (tmp_path / "new").exists()


def test_foreign_folders_are_left_alone(tiny_pipe, tmp_path):
    (tmp_path / "face_1.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="without a manifest"):
        generate_set(tiny_pipe, tmp_path, 1)
    (tmp_path / "face_1.png").unlink()
    (tmp_path / MANIFEST).write_text("something else\n")
    with pytest.raises(FileError, match="manifest"):
        generate_set(tiny_pipe, tmp_path, 1)


def test_an_interruption_leaves_whole_faces_only(tiny_pipe, tmp_path, monkeypatch):
    import facekit.io.obj as obj

    real, written = obj.encode_obj, []

    def interrupted(mesh, name):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(name)
        return real(mesh, name)

    monkeypatch.setattr(obj, "encode_obj", interrupted)
    with pytest.raises(KeyboardInterrupt, match="2 of 6 faces are complete.*run the same command again"):
        generate_set(tiny_pipe, tmp_path, 6, formats=["obj"])
    _, records = read_manifest(tmp_path / MANIFEST)
    assert list(records) == [0, 1]
    assert {p.stem for p in tmp_path.iterdir()} == {"manifest"} | {
        f"face_00000{k}{end}" for k in (0, 1) for end in ("", "_albedo")
    }


def test_what_is_not_of_the_set_is_left_alone(tiny_pipe, tmp_path, monkeypatch):
    """Files are listed and deleted by the names that were written, whatever else has such a name."""
    generate_set(tiny_pipe, tmp_path, 2, formats=["ply"])
    mine = tmp_path / "face_000001_edited.blend"
    mine.write_text("mine")
    (tmp_path / "face_000001.ply").unlink()

    def full(mesh):
        raise FileError("to write", "no room", "make some")

    with monkeypatch.context() as patch:
        patch.setattr("facekit.io.ply.encode_ply", full)
        with pytest.raises(FileError):
            generate_set(tiny_pipe, tmp_path, 2, formats=["ply"])
    assert mine.read_text() == "mine"
    records = read_manifest(generate_set(tiny_pipe, tmp_path, 2, formats=["ply"]).manifest)[1]
    assert set(records[1]["files"]) == {"face_000001.ply"} and mine.read_text() == "mine"


def test_without_standard_error(tiny_pipe, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    assert generate_set(tiny_pipe, tmp_path, 1, formats=["ply"]).made == 1


def test_a_changed_file_is_found_and_made_again(tiny_pipe, tmp_path, capsys):
    generate_set(tiny_pipe, tmp_path, 3, formats=["ply"])
    torn = tmp_path / "face_000001.ply"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert mesh_status(tmp_path).broken == [], "sizes agree"
    assert mesh_status(tmp_path, verify=True).broken == [1]
    assert cli.main(["generate", "--status", str(tmp_path)]) == 0
    assert cli.main(["generate", "--verify", str(tmp_path)]) == 2
    assert "broken: 1" in capsys.readouterr().out
    assert generate_set(tiny_pipe, tmp_path, 3, formats=["ply"]).made == 1
    assert torn.read_bytes() == whole and mesh_status(tmp_path, verify=True).made == 3


def test_sidecars_of_a_run_that_was_killed_count(tiny_pipe, tmp_path):
    """A face that a worker finished is kept, even if the job ended before listing it."""
    manifest = generate_set(tiny_pipe, tmp_path, 3, formats=["ply"]).manifest
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[:-1]))
    (tmp_path / ".face_000002.json").write_text(lines[-1])
    (tmp_path / ".face_000003.99.part.ply").write_bytes(b"half of it")
    assert generate_set(tiny_pipe, tmp_path, 3, formats=["ply"]).made == 0
    assert sorted(read_manifest(manifest)[1]) == [0, 1, 2]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_processes_make_the_same_faces(tiny_pipe, tmp_path):
    alone = generate_set(tiny_pipe, tmp_path / "one", 6, formats=["ply"]).manifest
    many = generate_set(tiny_pipe, tmp_path / "two", 6, formats=["ply"], crew=Crew(2)).manifest
    assert many.read_text() == alone.read_text(), "sizes and hashes, in order"
    assert {p.name for p in many.parent.iterdir()} == {p.name for p in alone.parent.iterdir()}
