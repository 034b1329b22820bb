"""Camera, lights and background from a scene's parameters."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from facekit.conventions import CHIN, LANDMARK_GROUPS
from facekit.errors import FileError
from facekit.files.images import load_image, to_float
from facekit.generate.lens import gaussian
from facekit.generate.scene import Scene
from facekit.geometry.angles import direction
from facekit.render import Camera, Lights
from facekit.render.lights import Light

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
#: Numbers of cells across the picture in the octaves of procedural backgrounds.
_OCTAVES = (2, 4, 9, 20)


def camera_of(scene: Scene, landmarks: torch.Tensor) -> Camera:
    """Return the camera of a scene.

    Parameters
    ----------
    landmarks:
        (68, 3) mm: landmarks of the face, which set the camera's distance so that brows to chin have their height.
    """
    brows, chin = landmarks[LANDMARK_GROUPS["brows"]].mean(dim=0), landmarks[CHIN]
    middle, height = (brows + chin) / 2, float((brows - chin).norm())
    azimuth, elevation, roll = scene.view
    fov, share = scene.camera["fov"], scene.camera["face"]
    distance = height / share / (2 * math.tan(math.radians(fov / 2)))
    toward = direction(torch.tensor([azimuth]), torch.tensor([elevation]))[0]
    tilt = math.radians(roll + scene.camera["roll"])
    # Up and image-right directions of the camera.
    right = torch.linalg.cross(torch.tensor([0.0, 1.0, 0.0]), toward)
    right = right / right.norm()
    up = math.cos(tilt) * torch.linalg.cross(toward, right) - math.sin(tilt) * right
    shift = scene.camera["shift"]
    return Camera(middle + distance * toward, middle, fov, up, principal=(0.5 + shift[0], 0.5 + shift[1]))


def lights_of(light: Mapping[str, Any]) -> Lights:
    """Return the lights of a scene; their strength is part of the exposure, see
    :func:`facekit.generate.lens.exposed`.
    """
    if light["kind"] == "preset":
        return Lights.preset(light["preset"])
    boxes = tuple(Light(**{**box, "colour": tuple(box["colour"])}) for box in light["boxes"])
    sh = torch.tensor(light["sh"]) if "sh" in light else None
    if sh is not None:  # the harmonics include the hemisphere's light
        return Lights(boxes, sh=sh)
    return Lights(boxes, tuple(light["sky"]), tuple(light["ground"]))


def background_of(background: Mapping[str, Any], size: int, folder: str | None) -> torch.Tensor:
    """Return the background, (3, size, size) float32 sRGB in [0, 1]."""
    first, second, third = torch.tensor(background["colours"])[..., None, None]
    if background["kind"] == "plain":
        return first.expand(3, size, size)
    if background["kind"] == "pictures":
        return _picture(background, size, str(folder))
    place = (torch.arange(size) + 0.5) / size - 0.5
    across, down = (f(math.radians(background["angle"])) for f in (math.cos, math.sin))
    ramp = (place * across + place[:, None] * down) / (abs(across) + abs(down)) + 0.5
    gradient = first + (second - first) * ramp
    if background["kind"] == "gradient":
        return gradient
    random = np.random.Generator(np.random.Philox(key=background["seed"]))
    for colour, cells in zip((third, second, first, third), _OCTAVES, strict=True):
        noise = torch.from_numpy(random.random((1, 1, cells + 1, cells + 1), dtype=np.float32))
        cover = F.interpolate(noise, size=(size, size), mode="bicubic", align_corners=True)[0, 0]
        sharp, level, tone, most = random.random(4)
        cover = torch.sigmoid((2 + 10 * sharp) * (cover - (0.45 + 0.3 * level))) * (0.3 + 0.6 * most)
        gradient = gradient + (colour * (0.6 + 0.7 * tone) - gradient) * cover
    return gaussian(gradient, max(0.3, random.random() ** 2 * size / 24)).clamp(0, 1)


def _picture(background: Mapping[str, Any], size: int, folder: str) -> torch.Tensor:
    """Crop a square from one of the user's pictures."""
    paths = _pictures(folder)
    image = to_float(load_image(paths[int(background["pick"] * len(paths))]))[:, :3]
    image = image.expand(-1, 3, -1, -1)
    random = np.random.Generator(np.random.Philox(key=background["seed"]))
    height, width = image.shape[2:]
    side = max(1, int(min(height, width) * random.uniform(0.6, 1.0)))
    top, left = (int(random.random() * (whole - side + 1)) for whole in (height, width))
    part = image[:, :, top : top + side, left : left + side]
    return F.interpolate(part, size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]


@functools.lru_cache(maxsize=8)
def _pictures(folder: str) -> tuple[Path, ...]:
    found = sorted(p for p in Path(folder).expanduser().rglob("*") if p.suffix.lower() in _SUFFIXES)
    if not found:
        raise FileError(
            "a folder of pictures for backgrounds", f"none in {folder}", f"they end in {' '.join(_SUFFIXES)}"
        )
    return tuple(found)
