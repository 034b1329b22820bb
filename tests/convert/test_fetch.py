"""Fetching: one download, resumed or with a clear error, cached, and never partial."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from facekit import convert, weights
from facekit.convert import https
from facekit.errors import FileError, InputError, WeightsError
from facekit.weights.cache import downloads_folder
from tests import ROOT
from tests.convert import stand_in
from tests.convert.server import Plan

ZIP, MESH = "/checkpoints.zip", "/mesh.obj"
QUOTA = b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>Too many users have viewed this file</html>"
PAGE = Plan(body=b"<html><title>Sign in</title></html>", content_type="text/html; charset=utf-8")


def is_whole(server) -> bool:
    weights.verify("small")
    content = b"".join(weights.verified("small", role).read_bytes() for role in ("mesh", "a", "b"))
    wanted = server.files[MESH] + random_parts(server)
    return content == wanted


def random_parts(server) -> bytes:
    noise = random.Random(7)
    return noise.randbytes(60_000) + noise.randbytes(30_000)


def asked(server, path: str) -> list[str | None]:
    return [given for asked, given in server.log if asked == path]


def told(expected: type[Exception] = WeightsError) -> str:
    with pytest.raises(expected) as caught:
        convert.fetch("small")
    assert not weights.ready("small")
    return str(caught.value)


def test_fetch_once(small, server, cache, capsys):
    folder = convert.fetch("small")
    assert folder == cache / "small" == weights.path("small")
    assert is_whole(server)
    assert convert.fetch("small") == folder
    assert len(server.log) == 2, "each file was asked for once"
    assert not downloads_folder("small").exists(), "what was converted is not kept twice"
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("facekit: fetching small from loopback to ") and "for tests only" in lines[0]
    (note,) = [line for line in lines if "not verified against a published hash" in line]
    digest = hashlib.sha256(server.files[ZIP]).hexdigest()
    assert digest[:12] in note
    assert json.loads((cache / "remembered.json").read_text()) == {"small": {"checkpoints": digest}}


def test_ensure_fetches_what_is_absent(small, server):
    convert.ensure("small")
    assert is_whole(server)
    server.log.clear()
    convert.ensure("small")
    convert.ensure("small")
    assert not server.log


def test_embedded_models_need_nothing(cache):
    convert.ensure("default")
    assert convert.fetch("default") == weights.assets_folder()
    with pytest.raises(InputError, match="the embedded one belongs to the package"):
        convert.remove("default")
    assert not cache.exists()


# -- servers that misbehave: resumed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [Plan(cut=50_000), Plan(stall=50_000)])
def test_a_broken_connection_is_resumed(small, server, trouble):
    server.plans[ZIP] = [trouble, Plan()]
    convert.fetch("small")
    assert is_whole(server)
    assert asked(server, ZIP)[0] is None
    start = int(asked(server, ZIP)[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 50_000


def test_many_cuts_are_no_failure_while_something_arrives(small, server):
    server.plans[ZIP] = [*(Plan(cut=10_000 * k) for k in range(1, 9)), Plan()]
    convert.fetch("small")
    assert is_whole(server)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(small, server, status):
    server.plans[ZIP] = [Plan(status=status, headers=(("Retry-After", "0"),)), Plan(status=status), Plan()]
    convert.fetch("small")
    assert is_whole(server)
    assert len(asked(server, ZIP)) == 3


def test_a_server_without_ranges_starts_again(small, server):
    server.plans[ZIP] = [Plan(cut=50_000, ranges=False), Plan(ranges=False)]
    convert.fetch("small")
    assert is_whole(server)


def test_a_file_that_changed_meanwhile_starts_again(small, server):
    server.plans[ZIP] = [Plan(cut=50_000, body=bytes(90_000), etag='"old"'), Plan()]
    convert.fetch("small")
    assert is_whole(server)


@pytest.mark.parametrize("ranges", [True, False])
def test_too_long_a_length_is_seen_through(small, server, ranges):
    size = len(server.files[ZIP])
    server.plans[ZIP] = [Plan(announced=size + 999, ranges=ranges)]
    convert.fetch("small")
    assert is_whole(server)


def test_too_short_a_length_is_continued_where_the_size_is_known(small, server):
    server.plans[MESH] = [Plan(announced=30_000), Plan()]
    convert.fetch("small")
    assert is_whole(server)
    assert asked(server, MESH) == [None, "bytes=30000-"]


def test_an_interrupted_fetch_goes_on(small, server, monkeypatch):
    server.plans[ZIP] = [Plan(cut=50_000)]
    monkeypatch.setattr(https, "ATTEMPTS", 1)
    assert "the answer ended at 50000" in told()
    parts = {p.name for p in downloads_folder("small").iterdir()}
    assert parts == {"mesh.obj", "checkpoints.zip.part", "checkpoints.zip.part.json"}
    server.plans[ZIP] = [Plan()]
    server.log.clear()
    convert.fetch("small")
    assert is_whole(server)
    assert server.log == [(ZIP, "bytes=50000-")], "the mesh is there, the zip goes on"


def test_damaged_bytes_from_earlier_are_fetched_again(small, server, monkeypatch):
    server.plans[ZIP] = [Plan(cut=50_000)]
    monkeypatch.setattr(https, "ATTEMPTS", 1)
    told()
    part = downloads_folder("small") / "checkpoints.zip.part"
    part.write_bytes(bytes(part.stat().st_size))
    server.plans[ZIP] = [Plan()]
    convert.fetch("small")
    assert is_whole(server)


# -- servers that misbehave: explained ---------------------------------------------------------------------------------


def by_hand_is_told(message: str, cache, link: str) -> bool:
    folder = cache / "downloads" / "small"
    command = f"facekit weights import small --checkpoints {folder / 'checkpoints.zip'} --data {folder}"
    return f"open {link} in a browser and save it as {folder}" in message and message.endswith(command)


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (PAGE, "an HTML page in its place (Sign in)"),
        (Plan(body=QUOTA, content_type="text/html"), "download quota is used up"),
        (Plan(body=QUOTA), "download quota is used up"),
        (Plan(body=b"no zip"), "none (File is not a zip file)"),
        (Plan(status=404), "HTTP 404"),
        (Plan(status=403), "HTTP 403"),
        (Plan(status=429), "the server is busy (HTTP 429), 5 times in a row"),
        (Plan(stall=0), "the server stalled, 5 times in a row"),
        (Plan(cut=0), "5 times in a row"),
        (Plan(cut=50_000, ranges=False), "5 times in a row"),
        (Plan(announced=30_000), "none (File is not a zip file)"),
    ],
)
def test_what_cannot_be_had_is_explained(small, server, cache, plan, reason):
    server.plans[ZIP] = [plan]
    message = told()
    assert reason in message
    assert by_hand_is_told(message, cache, server.url(ZIP))
    assert not (cache / "downloads" / "small" / "checkpoints.zip").exists()
    assert not (cache / "remembered.json").exists()


def test_a_wrong_hash_is_explained(small, server, cache):
    server.plans[MESH] = [Plan(body=bytes(40_000))]
    message = told()
    assert "mesh.obj" in message and "the wrong hash" in message
    assert by_hand_is_told(message, cache, server.url(MESH))


@pytest.mark.parametrize("size", [39_999, 40_001])
def test_a_wrong_size_is_explained(small, server, size):
    server.plans[MESH] = [Plan(body=bytes(size))]
    assert "bytes" in told()


def test_no_network_is_explained(small, server, cache):
    small({"url": "http://127.0.0.1:9/checkpoints.zip"})
    message = told()
    assert "no network: the server cannot be reached" in message
    assert by_hand_is_told(message, cache, "http://127.0.0.1:9/checkpoints.zip")


def test_the_second_mirror_is_tried(small, server):
    small({"url": server.url("/gone.zip")}, {"url": server.url("/page.zip")}, {"url": server.url(ZIP)})
    server.plans["/page.zip"] = [PAGE]
    convert.fetch("small")
    assert is_whole(server)


def test_all_mirrors_are_told(small, server):
    small({"url": server.url("/gone.zip")}, {"url": server.url("/page.zip")})
    server.plans["/page.zip"] = [PAGE]
    message = told()
    assert "HTTP 404" in message and "HTML page" in message


def test_a_full_disk_is_explained(small, server, cache, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    message = told(FileError)
    assert "a full disk" in message and "FACEKIT_CACHE" in message
    assert by_hand_is_told(message, cache, server.url(MESH))


def test_a_disk_that_fills_up_is_explained(small, server, cache, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return full if name == "write" else getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

    opened = type(cache).open

    def open_(path, mode="r", *args, **options):
        file = opened(path, mode, *args, **options)
        return Full(file) if mode == "ab" else file

    monkeypatch.setattr(type(cache), "open", open_)
    message = told(FileError)
    assert "a full disk" in message and by_hand_is_told(message, cache, server.url(MESH))


def test_a_cache_that_cannot_be_made_is_explained(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACEKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert "FACEKIT_CACHE" in told(FileError)


# -- files put there by hand, remembered hashes ------------------------------------------------------------------------


def test_a_file_put_there_by_hand_is_used(small, server, cache):
    folder = cache / "downloads" / "small"
    folder.mkdir(parents=True)
    (folder / "checkpoints.zip").write_bytes(server.files[ZIP])
    convert.fetch("small")
    assert is_whole(server)
    assert not asked(server, ZIP)


def test_a_wrong_file_put_there_by_hand_is_told_and_kept(small, cache):
    folder = cache / "downloads" / "small"
    folder.mkdir(parents=True)
    (folder / "checkpoints.zip").write_bytes(QUOTA)
    message = told()
    assert f"in {folder / 'checkpoints.zip'}" in message and "delete it" in message and "quota" in message
    assert (folder / "checkpoints.zip").read_bytes() == QUOTA


def test_another_file_than_the_first_is_refused_until_removed(small, server, cache, capsys):
    convert.fetch("small")
    shutil.rmtree(cache / "small")
    other = dict(server.files)
    server.files[ZIP] += b""
    server.plans[ZIP] = [Plan(body=other[ZIP][:-2] + (2).to_bytes(2, "little") + b"hi", etag='"2"')]  # a zip comment
    message = told()
    assert "the wrong hash" in message
    assert convert.remove("small")
    assert not (json.loads((cache / "remembered.json").read_text())["small"])
    convert.fetch("small")
    assert is_whole(server)
    assert "not verified against a published hash" in capsys.readouterr().err


def test_remove(small, server, cache):
    convert.fetch("small")
    assert convert.remove("small")
    assert not weights.ready("small")
    assert not convert.remove("small")
    assert {p.name for p in cache.iterdir()} <= {"locks", "downloads", "importing", "remembered.json"}
    with pytest.raises(WeightsError, match="facekit weights fetch small"):
        weights.verified("small", "a")


# -- several processes, and processes that die -------------------------------------------------------------------------


def fetching(tmp_path, cache) -> subprocess.Popen:
    command = [sys.executable, stand_in.__file__, str(tmp_path / "manifest.json")]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_eight_processes_share_one_download(small, server, cache, tmp_path):
    server.delay = 0.02
    running = [fetching(tmp_path, cache) for _ in range(8)]
    results = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0] * 8, results
    assert len({out for out, _ in results}) == 1
    assert sorted(path for path, _ in server.log) == [ZIP, MESH]
    assert is_whole(server)
    assert sum("fetching small" in err for _, err in results) == 1
    assert sum(err.count("waiting for another process") for _, err in results) <= 7


def test_killed_processes_leave_nothing_that_looks_whole(small, server, cache, tmp_path):
    kills(server, cache, tmp_path, count=10)


def kills(server, cache, tmp_path, count: int) -> list[str]:
    """Kill ``count`` fetching processes at random moments of their work; returns what each left."""
    server.delay = 0.01
    chance, left = random.Random(3), []
    for _ in range(count):
        if weights.ready("small"):
            convert.remove("small")
        server.log.clear()
        process = fetching(tmp_path, cache)
        while process.poll() is None and not server.log:  # Python has started
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if weights.ready("small"):
            assert is_whole(server)
        found = (
            sorted(p.name for p in downloads_folder("small").iterdir()) if downloads_folder("small").exists() else []
        )
        left.append("whole" if weights.ready("small") else ", ".join(found))
        for name, path in (("mesh.obj", MESH), ("checkpoints.zip", ZIP)):
            file = downloads_folder("small") / name
            assert not file.exists() or file.read_bytes() == server.files[path]
    server.delay = 0.0
    convert.fetch("small")
    assert is_whole(server)
    return left
