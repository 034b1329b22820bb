"""Models as folders: what is saved makes the same faces, what was touched is refused, the Hub's own code agrees."""

from __future__ import annotations

import json
import pickle

import pytest
import torch

from facekit import FacePipeline, weights
from facekit.errors import FileError, InputError, MissingDependencyError, WeightsError
from facekit.hub import hub_class, push


@pytest.fixture(scope="module")
def folder(default_pipeline, tmp_path_factory):
    return default_pipeline.save_pretrained(tmp_path_factory.mktemp("models") / "mine")


def test_the_copy_makes_the_same_faces(default_pipeline, folder):
    copy = FacePipeline.from_pretrained(folder)
    asked = {"seed": 12, "expression": "smile"}
    one, other = default_pipeline(**asked), copy(**asked)
    assert torch.equal(one.verts, other.verts) and torch.equal(one.texture, other.texture)
    assert weights.record(str(folder)).licence == weights.record("default").licence
    back = pickle.loads(pickle.dumps(other))  # noqa: S301
    assert torch.equal(back.reattach().resolve_source()(**asked).verts, one.verts)
    assert {"facekit.json", "shape.safetensors"} <= {path.name for path in folder.iterdir()}


def test_what_was_touched_is_refused(default_pipeline, tmp_path):
    folder = default_pipeline.save_pretrained(tmp_path)
    (folder / "shape.safetensors").write_bytes(b"0" * (folder / "shape.safetensors").stat().st_size)
    with pytest.raises(WeightsError, match="save or download the model again"):
        FacePipeline.from_pretrained(folder)
    told = json.loads((folder / "facekit.json").read_text())
    told["files"]["shape"]["name"] = "../shape.safetensors"
    (folder / "facekit.json").write_text(json.dumps(told))
    with pytest.raises(FileError, match="files that match their sha256"):
        FacePipeline.from_pretrained(folder)
    (folder / "facekit.json").unlink()
    with pytest.raises(InputError, match="a model out of"):
        FacePipeline.from_pretrained(folder)


def test_the_hubs_own_code_agrees(default_pipeline, tmp_path):
    pytest.importorskip("huggingface_hub")
    hub_class()(default_pipeline).save_pretrained(tmp_path / "hub")
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "license: mit" in card and "library_name: facekit" in card
    pipe = hub_class().from_pretrained(tmp_path / "hub").pipe
    assert torch.equal(pipe(seed=3).verts, default_pipeline(seed=3).verts)


def test_pushing_uploads_the_folder(default_pipeline, monkeypatch):
    hub = pytest.importorskip("huggingface_hub.hub_mixin")
    uploaded = {}

    class Api:
        def __init__(self, **_):
            pass

        def create_repo(self, repo_id, **_):
            return type("Repository", (), {"repo_id": repo_id})()

        def upload_folder(self, repo_id, folder_path, **_):
            uploaded[repo_id] = sorted(path.name for path in __import__("pathlib").Path(folder_path).iterdir())
            return "https://example.org/commit"

    monkeypatch.setattr(hub, "HfApi", Api)
    assert default_pipeline.push_to_hub("someone/faces") == "https://example.org/commit"
    assert {"facekit.json", "README.md", "texture.safetensors"} <= set(uploaded["someone/faces"])


def test_research_weights_are_not_passed_on(default_pipeline, monkeypatch):
    monkeypatch.setattr(default_pipeline, "name", "3dfacecam")
    with pytest.raises(InputError, match="may be redistributed"):
        push(default_pipeline, "someone/faces")


def test_without_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"\[hub\]"):
        hub_class()
