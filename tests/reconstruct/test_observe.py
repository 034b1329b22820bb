"""Pictures of any common kind become upright 8-bit colours; anything else raises a clear error."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.errors import FacekitError, FileError, InputError
from facekit.reconstruct.observe import read, read_all

pytest.importorskip("cv2")

_ORIENTATION, _FOCAL_35 = 0x0112, 0xA405


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """(48, 64, 3): red grows to the right, green down, a blue corner at the upper left."""
    y, x = np.mgrid[0:48, 0:64]
    picture = np.stack((x * 4, y * 5, np.zeros_like(x)), axis=-1).astype(np.uint8)
    picture[:12, :12, 2] = 255
    return picture


def encoded(picture: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    return found.shape == wanted.shape and float(np.abs(found.astype(int) - wanted.astype(int)).mean()) < tolerance


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
    ],
)
def test_formats(scene, kind, options):
    found = read(encoded(Image.fromarray(scene), kind, **options))
    assert found.pixels.dtype == np.uint8 and close(found.pixels, scene, 4.0)


def test_gif_shows_its_first_frame(scene):
    frames = [Image.fromarray(scene), Image.fromarray(255 - scene)]
    found = read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert close(found.pixels, scene, 12.0)


def test_cmyk_is_colours(scene):
    found = read(encoded(Image.fromarray(scene).convert("CMYK"), "JPEG", quality=95))
    assert close(found.pixels, scene, 12.0)


def test_grey_and_sixteen_bits(scene):
    grey = scene[..., 0]
    for data in (encoded(Image.fromarray(grey), "PNG"), encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")):
        assert close(read(data).pixels, np.repeat(grey[..., None], 3, axis=2), 1.0)
    import cv2

    sixteen = cv2.imencode(".png", scene[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert close(read(sixteen).pixels, scene, 1.0)


def test_behind_transparent_pixels_is_grey(scene):
    cover = np.full((48, 64, 1), 255, np.uint8)
    cover[:, 32:] = 0
    found = read(encoded(Image.fromarray(np.concatenate((scene, cover), axis=2)), "PNG")).pixels
    assert close(found[:, :32], scene[:, :32], 1.0) and (found[:, 32:] == 128).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_pictures_upright(scene, orientation):
    stored = Image.fromarray(scene)
    turns = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    for turn in turns.get(orientation, []):
        stored = stored.transpose(turn)
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    for kind in ("JPEG", "PNG", "WEBP"):
        found = read(encoded(stored, kind, exif=exif, **({"quality": 95} if kind != "PNG" else {})))
        assert close(found.pixels, scene, 6.0), kind


def test_exif_tells_the_focal_length(scene):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[_FOCAL_35] = 50
    found = read(encoded(Image.fromarray(scene), "JPEG", exif=exif))
    assert found.focal == pytest.approx(50 / np.hypot(36, 24) * np.hypot(48, 64), rel=1e-6)
    exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003] = 4000, 1000  # it was cropped
    assert read(encoded(Image.fromarray(scene), "JPEG", exif=exif)).focal is None
    assert read(encoded(Image.fromarray(scene), "JPEG")).focal is None


def test_arrays_tensors_and_pictures(scene):
    floats = scene.astype(np.float32) / 255
    sources = (scene, floats, torch.from_numpy(floats).permute(2, 0, 1), Image.fromarray(scene))
    for source in sources:
        assert close(read(source).pixels, scene, 1.0)
    assert [p.name for p in read_all([scene, scene])] == ["photograph 1", "photograph 2"]


def test_folders(scene, tmp_path):
    with pytest.raises(FileError, match="pictures"):
        read_all(tmp_path)
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(encoded(Image.fromarray(scene), "PNG"))
    assert [p.name for p in read_all(tmp_path)] == ["a.jpg", "b.png"]


def bad(scene: np.ndarray) -> dict[str, bytes]:
    """Bytes that are no whole photograph."""
    jpeg, png = (encoded(Image.fromarray(np.kron(scene, np.ones((8, 8, 1), np.uint8))), k) for k in ("JPEG", "PNG"))
    return {
        "empty": b"",
        "text": b"this is no picture at all, whatever it is called\n" * 20,
        "zeros": bytes(5000),
        "noise": np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8).tobytes(),
        "half a jpeg": jpeg[: len(jpeg) // 2],
        "half a png": png[: len(png) // 2],
        "a header": jpeg[:200],
        "html": b"<!doctype html><html><body>404</body></html>",
        "1 x 1": encoded(Image.new("RGB", (1, 1)), "PNG"),
        "a line": encoded(Image.new("RGB", (900, 1)), "PNG"),
        "pdf": b"%PDF-1.4\n" + bytes(300),
    }


def test_what_is_no_photograph_is_told(scene, tmp_path):
    for name, data in bad(scene).items():
        path = tmp_path / "photo.jpg"
        path.write_bytes(data)
        with pytest.raises(FacekitError) as told:
            read(path)
        assert "photo.jpg" in str(told.value), name


def test_a_picture_with_more_after_its_end_is_whole(scene):
    assert close(read(encoded(Image.fromarray(scene), "JPEG", quality=95) + b"MOTION" * 500).pixels, scene, 4.0)


def test_more_than_a_hundred_megapixels_are_refused():
    data = encoded(Image.new("L", (12_000, 9_000)), "PNG")
    with pytest.raises(InputError, match="100 megapixels"):
        read(data)


@pytest.mark.parametrize(
    "source",
    [7, None, [], np.zeros((4, 64, 64)), np.zeros((64, 64, 3), np.int64), np.full((64, 64, 3), 7.0),
     np.full((64, 64, 3), np.nan), torch.zeros(2, 3, 64, 64), "no such file.jpg"],
)  # fmt: skip
def test_other_things_are_refused(source):
    with pytest.raises(FacekitError):
        read_all(source)
