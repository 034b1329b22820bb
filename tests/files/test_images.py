"""Pictures to files and back, without any change of values."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.errors import FileError, InputError
from facekit.files.images import decode, decode_texture, encode, encode_png, load_image, save_image, to_float, to_uint8


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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_textures_of_all_modes_are_colours(mode):
    level = {"I;16": 52428, "I": 52428, "F": 0.8}.get(mode)
    if level is None:
        picture = Image.new("RGB", (6, 4), (204, 204, 204)).convert(mode)
    else:
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(np.full((4, 6), level, kind))
    buffer = io.BytesIO()
    picture.save(buffer, "TIFF" if mode in ("CMYK", "I", "F") else "PNG")
    array, factor = decode_texture(buffer.getvalue())
    assert array.shape in ((4, 6, 3), (4, 6, 4)) and array.dtype == np.uint8 and factor == 1
    assert mode == "1" or (np.abs(array[..., :3].astype(int) - 204) <= 1).all()


def test_large_textures_are_scaled_down():
    buffer = io.BytesIO()
    Image.new("L", (9000, 30), 90).save(buffer, "PNG")
    array, factor = decode_texture(buffer.getvalue())
    assert factor == 3 and array.shape == (10, 3000, 3) and (array == 90).all()
    assert Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize("size", [(60000, 60000), (30000, 20000)])
def test_sizes_that_no_file_can_hold_are_refused(size):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "BMP")
    data = bytearray(buffer.getvalue())
    data[18:26] = size[0].to_bytes(4, "little") + size[1].to_bytes(4, "little")
    with pytest.raises(FileError, match="pixels in"):
        decode_texture(bytes(data))
