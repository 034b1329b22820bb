"""The manifest: valid by its schema, and read correctly."""

from __future__ import annotations

import copy
import json
from importlib import resources

import pytest

from facekit import weights
from facekit.errors import FileError, InputError
from facekit.weights import Mirror, Source, WeightFile, manifest

jsonschema = pytest.importorskip("jsonschema")

DATA = json.loads(manifest._manifest_path().read_text(encoding="utf-8"))
SCHEMA = json.loads((resources.files("facekit.weights") / "manifest.schema.json").read_text(encoding="utf-8"))
HASH = "0" * 64


def faults(data: dict) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(data)]


def test_the_manifest_follows_its_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert faults(DATA) == []


@pytest.mark.parametrize(
    ("model", "where", "value"),
    [
        ("default", ("licence",), ""),
        ("default", ("origin",), None),
        ("default", ("files", "shape", "sha256"), None),
        ("default", ("files", "shape", "size"), None),
        ("default", ("files", "shape", "sha256"), "0" * 63),
        ("default", ("files", "shape", "name"), "../shape.safetensors"),
        ("default", ("sources",), {}),
        ("default", ("surprise",), 1),
        ("3dfacecam", ("notice",), None),
        ("3dfacecam", ("by_hand",), "one line"),
        ("3dfacecam", ("sources", "checkpoints", "mirrors"), []),
        ("3dfacecam", ("sources", "checkpoints", "mirrors"), [{"drive": "1" * 30, "url": "https://a.b/c"}]),
        ("3dfacecam", ("sources", "checkpoints", "mirrors"), [{"url": "http://a.b/c"}]),
        ("3dfacecam", ("sources", "checkpoints", "name"), "a/b.zip"),
        ("3dfacecam", ("sources", "faces", "size"), -1),
        ("3dfacecam", ("config", "decoder"), {}),
    ],
)
def test_the_schema_refuses(model, where, value):
    data = copy.deepcopy(DATA)
    inner = data["models"][model]
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    assert faults(data)


@pytest.mark.parametrize("key", ["sources", "notice", "files"])
def test_the_schema_misses(key):
    data = copy.deepcopy(DATA)
    del data["models"]["3dfacecam"][key]
    assert faults(data)


def test_published_model():
    record = weights.record("3dfacecam")
    assert not record.embedded
    assert "non-commercial research" in record.licence and "non-commercial research" in record.notice
    assert list(record.sources)[-1] == "checkpoints", "the small files first: if Drive fails, they are there"
    for role, source in record.sources.items():
        assert (source.sha256 is None) == (role == "checkpoints"), "only the zip has no published hash"
        assert all(mirror.link.startswith("https://") for mirror in source.mirrors)
    drive = record.sources["checkpoints"].mirrors[0]
    assert drive.link == f"https://drive.google.com/file/d/{drive.drive}/view"
    assert any("facekit weights import 3dfacecam" in step for step in record.by_hand)


def test_unknown_model_lists_the_known():
    with pytest.raises(InputError, match="default.*3dfacecam.*'defualt'"):
        weights.record("defualt")


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"models": []}', '{"models": {"default": {}}}'])
def test_bad_manifest_is_told(tmp_path, monkeypatch, content):
    path = tmp_path / "weights_manifest.json"
    path.write_text(content)
    monkeypatch.setattr(manifest, "_manifest_path", lambda: path)
    with pytest.raises(FileError, match="weights manifest"):
        manifest.models.__wrapped__()


def test_manifest_fields_arrive(tmp_path, monkeypatch):
    path = tmp_path / "weights_manifest.json"
    plain = {"summary": "s", "licence": "l", "origin": "o", "embedded": False, "config": {"shape": {}}, "notice": "n"}
    file = {"name": "x", "size": None, "sha256": None}
    mirrors = [{"drive": "d"}, {"url": "https://example.org/x"}]
    source = {"name": "y", "size": 3, "sha256": HASH, "mirrors": mirrors}
    entry = {**plain, "by_hand": ["h"], "files": {"shape": file}, "sources": {"checkpoints": source}}
    path.write_text(json.dumps({"version": 1, "models": {"other": entry}}))
    monkeypatch.setattr(manifest, "_manifest_path", lambda: path)
    (record,) = manifest.models.__wrapped__().values()
    assert all(getattr(record, key) == value for key, value in plain.items())
    assert (record.name, record.by_hand, record.files) == ("other", ("h",), {"shape": WeightFile("x")})
    both = (Mirror(drive="d"), Mirror(url="https://example.org/x"))
    assert record.sources == {"checkpoints": Source("y", 3, HASH, both)}
    assert [mirror.label for mirror in both] == ["Google Drive", "example.org"]
