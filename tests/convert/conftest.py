"""A separate cache for every test, a loopback server, and a manifest that points to it."""

from __future__ import annotations

import sys

import pytest

from facekit.convert import https
from facekit.weights import manifest
from tests.convert import stand_in
from tests.convert.server import Server, serve, write_manifest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server():
    with serve() as running:
        yield running


@pytest.fixture
def small(server: Server, tmp_path, monkeypatch):
    """The small model in the manifest, no conversion, short waits; returns the function that sets the zip's mirrors."""
    monkeypatch.setattr(https, "PAUSE", 0.01)
    monkeypatch.setattr(https, "TIMEOUT", (2.0, 0.3))
    monkeypatch.setitem(sys.modules, "facekit.convert.published", stand_in.module())
    path = tmp_path / "manifest.json"
    monkeypatch.setattr(manifest, "_manifest_path", lambda: path)

    def mirrors(*found: dict[str, str]) -> None:
        write_manifest(path, server, list(found))
        manifest.models.cache_clear()

    mirrors()
    yield mirrors
    manifest.models.cache_clear()
