"""Pictures to files and back, without any change of values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.errors import FileError, InputError
from facekit.files.images import decode, encode, encode_png, load_image, save_image, to_float, to_uint8


@pytest.mark.parametrize(
    ("shape", "dtype"), [((9, 7), np.uint8), ((9, 7, 3), np.uint8), ((9, 7, 4), np.uint8), ((9, 7), np.uint16)]
)
def test_png_is_lossless(tmp_path, shape, dtype):
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
    back = load_image(save_image(array, tmp_path / "a.png"))
    assert back.dtype == dtype
    assert (back == array).all()


def test_png_carries_no_gamma():
    data = encode_png(np.zeros((4, 4, 3), np.uint8))
    assert not any(chunk in data for chunk in (b"gAMA", b"sRGB", b"iCCP", b"cHRM"))


def test_floats_round_to_the_nearest():
    values = torch.arange(256) / 255
    image = values.view(1, 16, 16).expand(3, -1, -1)
    assert (to_uint8(image)[..., 0].ravel() == np.arange(256)).all()
    assert torch.allclose(to_float(to_uint8(image))[0], image)
    assert to_uint8(torch.full((1, 2, 2), 7.0)).max() == 255


def test_sixteen_bits_to_float():
    assert to_float(np.array([[0, 65535]], np.uint16)).tolist() == [[[[0.0, 1.0]]]]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_come_close(suffix):
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None], 64, axis=0)
    picture = np.stack([ramp] * 3, axis=-1)
    assert np.abs(decode(encode(picture, suffix)).astype(int) - picture).mean() < 3


def test_wrong_arrays_are_refused():
    with pytest.raises(InputError):
        encode_png(np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(InputError):
        encode_png(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(InputError):
        encode(np.zeros((4, 4, 3), np.uint8), ".tiff")
    with pytest.raises(InputError):
        to_uint8(torch.zeros(2, 3, 4, 4))


def test_damaged_files_are_refused(tmp_path):
    path = save_image(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8), tmp_path / "a.png")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(FileError, match="whole"):
        load_image(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FileError, match="unknown"):
        load_image(path)
    with pytest.raises(FileError):
        load_image(tmp_path / "missing.png")
