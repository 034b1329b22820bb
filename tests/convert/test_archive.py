"""Untrusted zips: unsafe or unexpected members are refused by name and never written."""

from __future__ import annotations

import stat
import struct
import zipfile

import numpy as np
import pytest

from facekit.convert import archive
from facekit.convert.archive import Folder, Zip, open_files
from facekit.errors import FileError

WANTED = ("ae/Decoder/2000", "face_v.npy")
NAME = "checkpoints/ae/Decoder/2000"
CONTENT = np.random.default_rng(0).bytes(3000)


def pack(path, *members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, bytes)."""
    with zipfile.ZipFile(path, "w", compression) as opened:
        for name, content in members:
            opened.writestr(name, content)
    return path


def info(name=NAME, mode=0o100644, compression=zipfile.ZIP_DEFLATED):
    member = zipfile.ZipInfo(name)
    member.external_attr, member.create_system, member.compress_type = mode << 16, 3, compression
    return member


def content(files, name, limit=1 << 20):
    return b"".join(files.chunks(name, limit))


@pytest.mark.parametrize(
    "name", [NAME, "ae/Decoder/2000", "./ae/Decoder/2000", "some/where/checkpoints/ae/Decoder/2000"]
)
def test_wanted_members_are_read(tmp_path, name):
    files = open_files(pack(tmp_path / "a.zip", (name, CONTENT)), WANTED)
    assert files.names == [name.removeprefix("./")]
    assert content(files, files.names[0]) == CONTENT
    taken = files.take(files.names[0], tmp_path, 1 << 20)
    assert taken.read_bytes() == CONTENT
    assert taken.parent == tmp_path


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("/ae/Decoder/2000", "absolute"),
        ("//host/ae/Decoder/2000", "absolute"),
        ("C:/ae/Decoder/2000", "drive letter"),
        ("C:ae/Decoder/2000", "drive letter"),
        ("../ae/Decoder/2000", r"'\.\.'"),
        ("checkpoints/../../ae/Decoder/2000", r"'\.\.'"),
        ("..\\..\\ae/Decoder/2000", "backslash"),
        ("\\\\host\\ae/Decoder/2000", "backslash"),
        ("ae/Decoder/20\n00", "control characters"),
        ("ae/Decoder/2000\0.txt", "control characters"),
    ],
)
def test_unsafe_names_are_refused(tmp_path, name, fault):
    placeholder = "n" * len(name.encode())  # zipfile itself would tidy some of these
    path = pack(tmp_path / "a.zip", (placeholder, CONTENT))
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), name.encode()))
    with pytest.raises(FileError, match=fault):
        open_files(path, WANTED)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = pack(tmp_path / "a.zip", (info(mode=kind | 0o777), "/etc/passwd"))
    with pytest.raises(FileError, match="link or device"):
        open_files(path, WANTED)


@pytest.mark.parametrize("second", [NAME, NAME.upper(), "./" + NAME])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_of_a_name_are_refused(tmp_path, second):
    with pytest.raises(FileError, match="every name once"):
        open_files(pack(tmp_path / "a.zip", (NAME, CONTENT), (second, b"other")), WANTED)


def test_encrypted_members_are_refused(tmp_path):
    path = pack(tmp_path / "a.zip", (NAME, CONTENT))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(FileError, match="encrypted"):
        open_files(path, WANTED)


def test_unusual_compression_is_refused(tmp_path):
    path = pack(tmp_path / "a.zip", (NAME, CONTENT), compression=zipfile.ZIP_LZMA)
    with pytest.raises(FileError, match="unusual compression"):
        open_files(path, WANTED)


@pytest.mark.parametrize(
    "name",
    [
        "setup.exe",
        "checkpoints/ae/evil.py",
        "checkpoints/run.sh",
        "checkpoints/ae/Decoder/2000.pkl",
        "checkpoints/extra.txt",
        "ae/Decoder/20000/x",
        "checkpoints/zid.pkl",
        "code/train.py",
    ],
)
def test_unexpected_members_are_refused_by_name(tmp_path, name):
    with pytest.raises(FileError, match="expected files only") as caught:
        open_files(pack(tmp_path / "a.zip", (NAME, CONTENT), (name, b"?")), WANTED)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "__MACOSX/checkpoints/ae/Decoder/._2000",
        "checkpoints/.DS_Store",
        "checkpoints/ae/Decoder/1900",
        "checkpoints/ae/Encoder_id/2000",
        "checkpoints/gan3d/Discriminator_Checkpoint_id/8.0",
        "checkpoints/texture_models/checkpoint/142000_d.model",
        "checkpoints/README.md",
        "LICENSE",
    ],
)
def test_company_is_left_unopened(tmp_path, name):
    files = open_files(pack(tmp_path / "a.zip", (NAME, CONTENT), (name, b"?")), WANTED)
    assert [n for n in files.names if archive.has_tail(n, WANTED)] == [NAME]


def test_repository_may_hold_its_code(tmp_path):
    members = [("3DFaceCAM-main/data/face_v.npy", b"1"), ("3DFaceCAM-main/train.py", b"2")]
    files = open_files(pack(tmp_path / "a.zip", *members), WANTED)
    assert content(files, "3DFaceCAM-main/data/face_v.npy") == b"1"
    with pytest.raises(FileError, match=r"setup\.py"):
        open_files(pack(tmp_path / "b.zip", *members, ("setup.py", b"3")), WANTED)


# -- bombs ------------------------------------------------------------------------------------------------------------


def test_bomb_by_ratio_is_refused(tmp_path):
    path = pack(tmp_path / "a.zip", (NAME, bytes(20 << 20)))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(FileError, match="decompression bomb"):
        open_files(path, WANTED)


def test_bomb_by_total_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_MAX_TOTAL", 5000)
    with pytest.raises(FileError, match="unpacked"):
        open_files(pack(tmp_path / "a.zip", (NAME, CONTENT), ("face_v.npy", CONTENT)), WANTED)


def test_bomb_of_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_MAX_MEMBERS", 10)
    with pytest.raises(FileError, match="11 members"):
        open_files(pack(tmp_path / "a.zip", *[(f"ae/Decoder/{k}", b"") for k in range(11)]), WANTED)


@pytest.mark.parametrize("stated", [100, 1 << 20])
def test_sizes_that_lie_are_found_while_reading(tmp_path, stated):
    path = pack(tmp_path / "a.zip", (NAME, bytes(20 << 20)))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 20 << 20), struct.pack("<I", stated)))
    files = open_files(path, WANTED)
    with pytest.raises(FileError, match="whole zip|bomb"):
        files.take(NAME, tmp_path, 1 << 30)


def test_members_that_overlap_are_refused(tmp_path):
    path = pack(tmp_path / "a.zip", (NAME, CONTENT), ("face_v.npy", CONTENT), compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    second = data.rindex(b"PK\x01\x02")
    data[second + 20 : second + 28] = struct.pack("<II", len(data), len(data))  # it says it takes the whole file
    path.write_bytes(data)
    with pytest.raises(FileError, match="overlap"):
        open_files(path, WANTED)


def test_limit_holds(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "face_v.npy").write_bytes(CONTENT)
    for files in (Zip(pack(tmp_path / "a.zip", ("face_v.npy", CONTENT)), WANTED), Folder(folder)):
        assert len(content(files, "face_v.npy", limit=3000)) == 3000
        with pytest.raises(FileError, match="at most 2999 bytes"):
            content(files, "face_v.npy", limit=2999)
        with pytest.raises(FileError, match="at most 2999 bytes"):
            files.take("face_v.npy", tmp_path, limit=2999)


# -- damage -----------------------------------------------------------------------------------------------------------


def test_missing_path_is_told(tmp_path):
    with pytest.raises(FileError, match="nowhere.zip, which is not there"):
        open_files(tmp_path / "nowhere.zip", WANTED)


def test_web_page_is_told(tmp_path):
    (tmp_path / "a.zip").write_text("\n<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>")
    with pytest.raises(FileError, match="a web page"):
        open_files(tmp_path / "a.zip", WANTED)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_zip_is_told_or_reads_the_same(tmp_path, seed):
    random = np.random.default_rng(seed)
    path = pack(tmp_path / "a.zip", (NAME, CONTENT), ("face_v.npy", CONTENT[::-1]))
    data = bytearray(path.read_bytes())
    if seed % 4 == 0:
        data = data[: random.integers(len(data))]
    else:
        # Half of the flips in the headers, which are a small part of the file.
        first = data.index(b"PK\x01\x02") if seed % 2 else 0
        data[random.integers(first, len(data))] ^= 1 << random.integers(8)
    path.write_bytes(data)
    try:
        files = open_files(path, WANTED)
        read = [content(files, name) for name in files.names if archive.has_tail(name, WANTED)]
    except FileError:
        return
    assert all(part in (CONTENT, CONTENT[::-1]) for part in read)


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folder_is_searched_to_a_bounded_depth(tmp_path):
    for folder in ("a/b/c", ".hidden", "/".join("abcdefghijk")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "face_v.npy").write_bytes(b"x")
    (tmp_path / "code.py").write_text("")  # none of our business
    assert Folder(tmp_path).names == ["code.py", "a/b/c/face_v.npy"]


def test_chosen_names_only(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "face_v.npy").write_bytes(b"x")
    assert Folder(tmp_path, ["face_v.npy", "data/face_v.npy"]).names == ["data/face_v.npy"]
