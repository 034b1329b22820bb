"""Data sets in remote storage: an S3-compatible object store, and fsspec's memory file system."""

from __future__ import annotations

import json
import socket

import pytest

from facekit.cli import main as cli
from facekit.errors import InputError
from facekit.generate.job import generate_pictures, status
from facekit.generate.recipe import Recipe
from facekit.generate.storage import storage_of, write

RECIPE = Recipe(size=32, detail=False, labels=("mask",))
COUNT, SHARD = 4, 2


def make(place, count=COUNT):
    return generate_pictures(RECIPE, place, count, seed=2, shard=SHARD)


def digest_of(place) -> str:
    return json.loads(storage_of(place).read("manifest.json"))["digest"]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The digest of the same set in a folder."""
    folder = tmp_path_factory.mktemp("set")
    make(folder)
    return digest_of(folder)


@pytest.fixture(scope="module")
def bucket():
    """The address of a bucket in a store of this machine's, which the usual variables lead to."""
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
    store.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("faces")
        yield "s3://faces"
        s3fs.S3FileSystem.clear_instance_cache()
    store.stop()


@pytest.fixture(params=["memory", "s3"])
def place(request):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    return "memory://faces/set" if request.param == "memory" else f"{request.getfixturevalue('bucket')}/set"


def test_a_set_is_made_gone_on_with_and_mended(place, local, capsys):
    assert make(place, 2).complete
    assert make(place).complete
    assert digest_of(place) == local
    storage = storage_of(place)
    torn = bytearray(storage.read("faces-00001.tar"))
    torn[3000] ^= 255
    write(storage, "faces-00001.tar", bytes(torn))
    assert status(place).complete, "sizes agree"
    assert cli.main(["generate", "--verify", place]) == 2
    assert "broken shards: 1" in capsys.readouterr().out
    storage.remove("faces-00000.tar")
    assert status(place).broken == [0]
    assert make(place).complete
    assert status(place, verify=True).complete and digest_of(place) == local
    assert [name for name in storage.names() if name.endswith(".tar")] == ["faces-00000.tar", "faces-00001.tar"]


def test_what_is_not_there(place):
    storage = storage_of(f"{place}-nowhere")
    assert (storage.names(), storage.read("a"), storage.size("a")) == ([], None, -1)
    storage.remove("a")


def test_addresses_that_nobody_reaches():
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    with pytest.raises(InputError, match="fsspec"):
        storage_of("nowhere://bucket/set")
