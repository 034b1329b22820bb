"""Sets of registered faces."""

from __future__ import annotations

import pytest
import torch

from facekit.data import facescape
from facekit.data.faceset import FaceSet
from facekit.errors import FileError, InputError

QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])


def made(people: int = 6) -> FaceSet:
    verts = torch.arange(people * 2 * 12, dtype=torch.float32).view(people, 2, 4, 3)
    return FaceSet("made up", tuple(map(str, range(people))), ("neutral", "smile"), verts, QUAD)


def test_people_are_divided_not_scans():
    train, test = made().split(2, seed=3)
    assert len(train) == 4 and len(test) == 2 and not set(train.subjects) & set(test.subjects)
    torch.testing.assert_close(test.verts[0], made().verts[int(test.subjects[0])])
    assert made().split(2, seed=3)[1].subjects == test.subjects
    with pytest.raises(InputError, match="two of them must remain"):
        made().split(5)


def test_bad_sets_are_refused():
    with pytest.raises(InputError, match="'neutral' as the first"):
        FaceSet("x", ("a",), ("smile",), torch.zeros(1, 1, 4, 3), QUAD)
    with pytest.raises(InputError, match="expressions of facekit"):
        FaceSet("x", ("a",), ("neutral", "wink"), torch.zeros(1, 2, 4, 3), QUAD)
    with pytest.raises(InputError, match="verts"):
        FaceSet("x", ("a", "b"), ("neutral",), torch.zeros(1, 1, 4, 3), QUAD)


def test_facescapes_layout_is_read(tmp_path):
    for person in (3, 1):
        folder = tmp_path / str(person) / "models_reg"
        folder.mkdir(parents=True)
        for k, name in enumerate(("neutral", "smile", "grin"), start=1):
            if person == 3 and name == "grin":
                continue
            lines = [f"v {person} {k} {v}" for v in range(4)] + ["f 1 2 3", "f 1 3 4"]
            (folder / f"{k}_{name}.obj").write_text("\n".join(lines) + "\n")
    found = facescape.load(tmp_path, ("neutral", "smile"))
    assert found.subjects == ("1", "3") and found.verts.shape == (2, 2, 4, 3)
    assert found.verts[1, 1, 2].tolist() == [3, 2, 2]
    assert facescape.load(tmp_path, ("neutral", "grin")).subjects == ("1",)
    with pytest.raises(FileError, match="models_reg"):
        facescape.load(tmp_path / "3")
    with pytest.raises(FileError, match="people with all"):
        facescape.load(tmp_path, ("neutral", "anger"))
