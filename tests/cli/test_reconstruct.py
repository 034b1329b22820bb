"""``facekit reconstruct``: a file, a report, and one-line errors."""

from __future__ import annotations

import pytest
from PIL import Image

from facekit.cli.main import main
from facekit.files.images import save_image, to_uint8
from facekit.render import Camera


@pytest.fixture(scope="module")
def photograph(default_pipeline, tmp_path_factory):
    pytest.importorskip("mediapipe")
    face = default_pipeline(seed=23, expression="smile", intensity=0.5, detail=False)
    path = tmp_path_factory.mktemp("photo") / "me.png"
    return save_image(to_uint8(face.render(Camera.orbit(5), 360).rgb), path)


@pytest.mark.slow
def test_a_photograph_becomes_a_file_and_a_report(photograph, tmp_path, capsys, loaded_once):
    out, report = tmp_path / "me.glb", tmp_path / "me.html"
    code = main(["reconstruct", str(photograph), "--out", str(out), "--texture", "gan", "--report", str(report)])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert out.stat().st_size > 100_000 and "Reconstruction(1 photograph" in told.out
    page = report.read_text(encoding="utf-8")
    assert "Photograph 1" in page and "no means to identify" in page


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["missing.jpg", "--out", "me.glb"], "none at"),
        (["PHOTO", "--out", "me.xyz"], "suffix"),
        (["PHOTO", "--out", "me.glb", "--report", "me.pdf"], ".html"),
        (["PHOTO", "--out", "me.glb", "--texture-size", "77"], "texture_size"),
        (["BLANK", "--out", "me.glb"], "a face in the photograph"),
    ],
)
def test_what_cannot_be_is_one_line(photograph, tmp_path, monkeypatch, capsys, arguments, word):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (200, 200), (90, 120, 80)).save("blank.png")
    names = {"PHOTO": str(photograph), "BLANK": "blank.png"}
    assert main(["reconstruct", *(names.get(str(a), str(a)) for a in arguments)]) == 2
    told = capsys.readouterr().err
    assert word in told and "Traceback" not in told
    assert not (tmp_path / "me.glb").exists()


def test_the_landmarker_is_listed_and_imported_by_hand(tmp_path, monkeypatch, capsys):
    assert main(["weights", "list"]) == 0
    assert "weights import landmarker --file" in capsys.readouterr().out
    assert main(["weights", "import", "landmarker"]) == 2
    assert "--file" in capsys.readouterr().err
    wrong = tmp_path / "wrong.task"
    wrong.write_bytes(b"no model")
    assert main(["weights", "import", "landmarker", "--file", str(wrong)]) == 2
    assert "sha256" in capsys.readouterr().err
