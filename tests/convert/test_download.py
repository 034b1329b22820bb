"""Google Drive through gdown 5 and 6: stand-ins with their signatures, and the installed version."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import requests

from facekit import convert, weights
from facekit.convert import https
from facekit.errors import FileError, WeightsError
from facekit.install import install_line
from facekit.weights.cache import downloads_folder
from tests import ROOT
from tests.convert import stand_in
from tests.convert.server import Plan

DRIVE_ID = "1a2b3c4d5e6f7g8h9i0j1k2l3m4n5o6p7"
LINK = f"https://drive.google.com/file/d/{DRIVE_ID}/view"
QUOTA = "Cannot retrieve the public link of the file. You may need to change the permission, or have had many accesses."


class DownloadError(Exception):
    """Stand-in for gdown 6's exception."""


class FileURLRetrievalError(DownloadError):
    """As gdown 6 has it; in version 5 an Exception of its own."""


class FakeGdown(types.ModuleType):
    """gdown 5 or 6: ``answers`` are, one a call, bytes to write, None, or an exception to raise."""

    def __init__(self, version: int, answers: list) -> None:
        super().__init__("gdown")
        self.answers, self.calls = answers, []
        self.exceptions = types.SimpleNamespace(FileURLRetrievalError=FileURLRetrievalError)
        if version == 6:
            self.DownloadError = self.exceptions.DownloadError = DownloadError
        self.download = self._five if version == 5 else self._six

    def _five(
        self, url=None, output=None, quiet=False, proxy=None, speed=None, use_cookies=True, verify=True, id=None,
        fuzzy=False, resume=False, format=None, user_agent=None, log_messages=None,
    ):  # fmt: skip
        return self._answer(id, output, resume, None)

    def _six(
        self, url=None, output=None, quiet=False, proxy=None, speed=None, use_cookies=True, verify=True, id=None,
        resume=False, format=None, user_agent=None, log_messages=None, progress=None, timeout=None, retries=0,
    ):  # fmt: skip
        return self._answer(id, output, resume, timeout)

    def _answer(self, file_id: str, output: str, resume: bool, timeout: object) -> str | None:
        self.calls.append((file_id, resume, timeout))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            if isinstance(answer, requests.RequestException):  # broken off on the way
                with open(f"{output}abcdefgh.part", "ab") as part:
                    part.write(b"piece")
            raise answer
        if answer is not None:
            Path(output).write_bytes(answer)
            return output
        return None


@pytest.fixture
def drive(small, monkeypatch):
    """Puts a stand-in for gdown in place; the zip has Drive as its first mirror."""
    small({"drive": DRIVE_ID})

    def play(version: int, *answers: object) -> FakeGdown:
        fake = FakeGdown(version, list(answers))
        monkeypatch.setitem(sys.modules, "gdown", fake)
        return fake

    return play


def told(expected: type[Exception] = WeightsError) -> str:
    with pytest.raises(expected) as caught:
        convert.fetch("small")
    assert not weights.ready("small")
    return str(caught.value)


@pytest.mark.parametrize("version", [5, 6])
def test_drive(drive, server, version):
    gdown = drive(version, server.files["/checkpoints.zip"])
    convert.fetch("small")
    weights.verify("small")
    assert gdown.calls == [(DRIVE_ID, True, https.TIMEOUT if version == 6 else None)]


@pytest.mark.parametrize(
    ("version", "answer", "reason"),
    [
        (5, None, "quota is used up"),
        (5, FileURLRetrievalError(QUOTA), "quota is used up"),
        (6, FileURLRetrievalError(QUOTA), "quota is used up"),
        (6, DownloadError("no such file"), "gdown: no such file"),
        (5, b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>", "quota is used up"),
        (6, b"<html><title>Sign in</title>", "an HTML page in its place (Sign in)"),
        (6, b"no zip", "File is not a zip file"),
        (5, requests.ConnectionError("Read timed out."), "the server stalled, again and again"),
        (5, KeyError("Content-Type"), "gdown: KeyError"),
        (6, TypeError("unexpected keyword argument"), "gdown: TypeError"),
        (6, PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_what_drive_does_not_give_is_explained(drive, cache, version, answer, reason):
    drive(version, answer)
    message = told()
    assert f"Google Drive: {reason}" in message or reason in message
    folder = cache / "downloads" / "small"
    assert f"open {LINK} in a browser and save it as {folder / 'checkpoints.zip'}" in message
    assert message.endswith(f"facekit weights import small --checkpoints {folder / 'checkpoints.zip'} --data {folder}")
    assert not (folder / "checkpoints.zip").exists()


def test_a_broken_connection_is_tried_again(drive, server):
    gdown = drive(5, requests.ConnectionError("reset"), requests.Timeout("slow"), server.files["/checkpoints.zip"])
    convert.fetch("small")
    assert len(gdown.calls) == 3


def test_pieces_from_earlier_that_do_not_suit_are_dropped(drive, server):
    folder = downloads_folder("small") / "checkpoints.zip.part.gdown"
    folder.mkdir(parents=True)
    (folder / "checkpoints.zipabcdefgh.part").write_bytes(b"of another file")
    (folder / "checkpoints.zipijklmnop.part").write_bytes(b"smaller")
    refused = DownloadError("Server did not honor the requested byte range")
    gdown = drive(6, refused, server.files["/checkpoints.zip"])
    convert.fetch("small")
    assert len(gdown.calls) == 2


def test_a_full_disk_is_told(drive, cache):
    drive(5, OSError(errno.ENOSPC, "No space left on device"))
    assert "a full disk" in told(FileError)


def test_without_gdown_the_next_mirror_serves(small, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    small({"drive": DRIVE_ID})
    assert install_line("weights") in told()
    small({"drive": DRIVE_ID}, {"url": server.url("/checkpoints.zip")})
    convert.fetch("small")
    weights.verify("small")


# -- the gdown that is installed ---------------------------------------------------------------------------------------

# Its addresses are fixed, so the process that runs it sends what it asks of Drive to the loopback server.
REDIRECT = """
import runpy, sys, requests
server, sys.argv = sys.argv[1], sys.argv[2:]
get = requests.Session.get
requests.Session.get = lambda self, url, **o: get(self, server if "google" in url else url, **o)
from facekit.convert import https
https.PAUSE, https.TIMEOUT = 0.01, (2.0, 0.3)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def with_installed_gdown(server, tmp_path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", REDIRECT, server.url("/drive"), stand_in.__file__, str(tmp_path / "manifest.json")]
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(ROOT))))
    env = {**os.environ, "PYTHONPATH": path, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}  # gdown keeps cookies
    (tmp_path / ".cache" / "gdown").mkdir(parents=True, exist_ok=True)
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)


@pytest.mark.skipif(importlib.util.find_spec("gdown") is None, reason="gdown is not installed")
@pytest.mark.parametrize("trouble", [None, Plan(stall=30_000), Plan(cut=30_000)])
def test_installed_gdown(small, server, tmp_path, trouble):
    small({"drive": DRIVE_ID})
    as_file = (("Content-Disposition", 'attachment; filename="checkpoints.zip"'),)
    server.files["/drive"] = server.files["/checkpoints.zip"]
    good = Plan(headers=as_file)
    bad = [] if trouble is None else [Plan(cut=trouble.cut, stall=trouble.stall, headers=as_file)]
    server.plans["/drive"] = [*bad, good]
    done = with_installed_gdown(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == {"mesh", "a", "b"}
    weights.verify("small")


@pytest.mark.skipif(importlib.util.find_spec("gdown") is None, reason="gdown is not installed")
def test_installed_gdown_meets_the_quota(small, server, tmp_path):
    small({"drive": DRIVE_ID})
    page = b'<html><title>Quota exceeded</title><p class="uc-error-subcaption">Too many users have viewed it</p></html>'
    server.plans["/drive"] = [Plan(body=page, content_type="text/html")]
    done = with_installed_gdown(server, tmp_path)
    assert done.returncode == 1
    assert "quota is used up" in done.stderr and "HTTP" not in done.stderr
    assert not weights.ready("small")
