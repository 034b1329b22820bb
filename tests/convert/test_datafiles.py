"""Upstream's data files: the pickled dictionary of identities, and npy arrays."""

from __future__ import annotations

import collections
import io
import pickle

import numpy as np
import pytest
import torch

from facekit.convert.datafiles import IDENTITIES, read_array, read_identities
from facekit.errors import WeightsError
from tests import UPSTREAM
from tests.convert.test_checkpoints import payloads

needs_upstream = pytest.mark.skipif(
    not UPSTREAM.exists(), reason="upstream's data files are not at ../shared/3dfacecam"
)


def dictionary(count=IDENTITIES, value=None):
    return {k: torch.randn(20) if value is None else value for k in range(1, count + 1)}


@pytest.fixture
def write(tmp_path):
    def pickled(content, protocol=4):
        (tmp_path / "zid_dictionary.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        return tmp_path / "zid_dictionary.pkl"

    return pickled


class Raw:
    """Object that is pickled as a call of one of torch's own functions."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_identities_are_read(write, protocol):
    people = dictionary()
    identities = read_identities(write(people, protocol))
    assert identities.shape == (847, 20)
    assert identities.dtype == np.float32
    assert np.array_equal(identities[0], people[1].numpy())
    assert np.array_equal(identities[846], people[847].numpy())


def test_views_are_read_at_their_place(write):
    rows = torch.randn(IDENTITIES, 20)
    assert np.array_equal(read_identities(write({k + 1: rows[k] for k in range(IDENTITIES)})), rows.numpy())


@needs_upstream
def test_upstreams_own_files():
    identities = read_identities(UPSTREAM / "zid_dictionary.pkl")
    assert identities.shape == (847, 20)
    assert len(np.unique(identities, axis=0)) == 847
    assert read_array(UPSTREAM / "face_v.npy", np.int64, (None, 3)).shape == (52261, 3)
    assert read_array(UPSTREAM / "base_tex.npy", np.uint8, (512, 512, 3)).max() == 207


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(20)],
        dictionary(846),
        dictionary(848),
        {k - 1: v for k, v in dictionary().items()},
        {str(k): v for k, v in dictionary().items()},
        dictionary(value=1.0),
        dictionary(value=torch.zeros(21)),
        dictionary(value=torch.zeros(4, 5)),
        dictionary(value=torch.zeros(20, dtype=torch.float64)),
        dictionary(value=torch.zeros(20, dtype=torch.int64)),
        dictionary(value=torch.full((20,), float("nan"))),
        dictionary(value=torch.zeros(1).expand(20)),
        dictionary(value=torch.zeros(40)[::2]),
        dictionary(value=np.zeros(20, np.float32)),
        {**dictionary(846), 847: dictionary},
    ],
    ids=lambda c: None,
)
def test_other_content_is_refused(write, content):
    with pytest.raises(WeightsError, match="pickled dict of 847"):
        read_identities(write(content))


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("where", ["value", "storage", "saved", "hooks"])
def test_payloads_are_not_executed(tmp_path, write, kind, where):
    marker = tmp_path / "marker"
    payload = payloads(marker)[kind]
    saved = io.BytesIO()
    torch.save(payload, saved, _use_new_zipfile_serialization=False)
    rebuild, load = torch._utils._rebuild_tensor_v2, torch.storage._load_from_bytes
    storage = torch.zeros(20).storage()
    evil = {
        "value": payload,
        # torch's own function would unpickle these bytes without a guard.
        "storage": Raw(rebuild, Raw(load, pickle.dumps(payload)), 0, (20,), (1,), False, collections.OrderedDict()),
        "saved": Raw(rebuild, Raw(load, saved.getvalue()), 0, (20,), (1,), False, collections.OrderedDict()),
        "hooks": Raw(rebuild, storage, 0, (20,), (1,), False, payload),
    }[where]
    with pytest.raises(WeightsError, match="pickled dict of 847"):
        read_identities(write({**dictionary(), 1: evil}))
    assert not marker.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x04}r\xff\xff\xff\xff.",  # room for four billion memo entries
        b"\x80\x04\x8b\xff\xff\xff\x7f.",  # a number of two billion digits
        b"\x80\x04B\xff\xff\xff\xff.",  # bytes that are not there
        b"\x80\x04cos\nsystem\n.",
        b"\x80\x04\x82\x01.",  # copyreg's extensions
        b"\x80\x04Pid\n.",  # a persistent id
        b"(" * 10000 + b".",
        b"",
        b".",
    ],
)
def test_hostile_pickles_are_refused(tmp_path, code):
    (tmp_path / "a.pkl").write_bytes(code)
    with pytest.raises(WeightsError, match="pickled dict of 847"):
        read_identities(tmp_path / "a.pkl")


@pytest.mark.parametrize("seed", range(20))
def test_damaged_pickles_are_told_or_read(write, seed):
    random = np.random.default_rng(seed)
    path = write({1: torch.zeros(20)})
    data = bytearray(path.read_bytes())
    if seed % 4 == 0:
        data = data[: random.integers(len(data))]
    else:
        data[random.integers(len(data))] ^= 1 << random.integers(8)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="pickled dict of 847"):  # never whole, as it has one key only
        read_identities(path)


# -- npy --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 3), np.int32),
        np.zeros((5, 4), np.int64),
        np.zeros(15, np.int64),
        np.zeros((5, 3), ">i8"),
        np.array([[{}, 1, 2]], dtype=object),
    ],
)
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(WeightsError, match="npy file of int64"):
        read_array(tmp_path / "a.npy", np.int64, (None, 3))


@pytest.mark.parametrize("name", ["missing.npy", "text.npy", "archive.npy"])
def test_other_files_are_refused(tmp_path, name):
    (tmp_path / "text.npy").write_text("<html>")
    with (tmp_path / "archive.npy").open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    with pytest.raises(WeightsError, match="npy file of int64"):
        read_array(tmp_path / name, np.int64, (None, 3))


@pytest.mark.parametrize("seed", range(60))
def test_damaged_arrays_are_told(tmp_path, seed):
    random, path, array = np.random.default_rng(seed), tmp_path / "a.npy", np.arange(30).reshape(10, 3)
    np.save(path, array)
    data = bytearray(path.read_bytes())
    if seed % 4 == 0:
        data = data[: random.integers(len(data))]
    else:
        data[random.integers(128)] ^= 1 << random.integers(8)  # the header; numbers carry no checksum
    path.write_bytes(data)
    try:
        read = read_array(path, np.int64, (None, 3))
    except WeightsError:
        return
    assert read.shape[1] == 3
    assert read.size <= array.size
