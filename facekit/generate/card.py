"""Documentation of a set: a README that explains all labels, and a sheet that draws them."""

from __future__ import annotations

import io
import itertools
from typing import Any

import torch
from PIL import Image, ImageDraw

from facekit.data.shards import raw_samples, sample_of
from facekit.files.images import encode, to_uint8
from facekit.generate.classes import CLASSES, IGNORE
from facekit.generate.encode import FILES
from facekit.generate.job import Plan
from facekit.generate.shards import Shard
from facekit.generate.storage import Storage, write

SHEET, README = "preview.jpg", "README.md"
_COLUMNS, _MOST, _CELL = 4, 12, 256
#: Colours of the classes on the sheet, and opacity over the picture.
_PALETTE = torch.tensor([[(37 * k) % 256, (91 * k + 60) % 256, (151 * k + 120) % 256] for k in range(256)]) / 255
_PALETTE[CLASSES.index("skin")] = torch.tensor([0.95, 0.80, 0.70])
_COVER = 0.45

_NUMBERS = {
    "camera": "`K`, `R`, `t` as OpenCV has them, x = K (R X + t), from the model's space: +X the subject's left, "
    "+Y up, +Z out of the face; `fov` is vertical",
    "pose": "the head against the camera: `yaw` to the subject's left, `pitch` up, `roll` to the left shoulder, rolled "
    "first, then pitched, then yawed; `rotation` in camera space, +X right, +Y up, +Z to the viewer",
    "gaze": "unit vectors in camera space along which the right and the left eye look",
    "landmarks": "`points`: iBUG 68, then the right and the left pupil; `camera`: the same in space, OpenCV's axes; "
    "`visible`: in the picture, and no part of the head in front; occluders do not count",
    "landmarks478": "the same of MediaPipe's points, irises last; the ring around the face lies on the head, "
    "where MediaPipe's own slide along its outline",
    "box": "left, top, right, bottom around the 68",
    "identity": "(20) who it is; `expression`: (20) weights of the expressions; `blendshapes`: (52) in ARKit's order",
    "scene": "all that was drawn: person, light, background, lens, occluders",
}
_TEXT = """# {samples:,} labelled faces

Made by facekit {version} from the recipe in `dataset.json` with seed {seed}; these people do not exist. The same recipe
and seed give the same bytes. `preview.jpg` draws the labels of the first samples.

## Files

`faces-00000.tar` and so on are WebDataset shards of {shard} samples: `KEY.suffix`, files of one key side by side.
`faces-00000.json` is a shard's sidecar, `manifest.json` lists all with their SHA-256.

| file | what |
| --- | --- |
{files}

```python
from facekit.data import FaceShards

data = FaceShards("this folder")
data[0]["rgb"], data[0]["numbers"]["pose"]
```

## Numbers

Lengths are millimetres, angles degrees; left and right are the subject's. Pixels count from the upper left corner,
pixel centres lie at +0.5.

| name | what |
| --- | --- |
{numbers}

Names and orders: `facekit.EXPRESSIONS`, `facekit.BLENDSHAPES`, `facekit.conventions.LANDMARK_GROUPS`.

## Classes of the mask

{classes}; {ignore} is to be ignored (something in front of the face). They are FaceSynthetics' ids; heads here have
no clothing, headwear or facewear. Depth, normals, UVs and albedo are those of the head, whatever stands in
front.
{skipped}"""


def describe(storage: Storage, plan: Plan, shards: list[Shard]) -> None:
    """Write README and sheet of a complete set."""
    recipe, skipped = plan.recipe, {k: why for shard in shards for k, why in shard.skipped.items()}
    names = {"json", *recipe.labels}
    rows = [f"| `{name}` | {what} |" for name, what in FILES.items() if name.partition(".")[0] in names]
    left_out = "".join(f"- {index}: {why}\n" for index, why in sorted(skipped.items()))
    text = _TEXT.format(
        samples=sum(s.count for s in shards) - len(skipped),
        version=plan.settings["facekit"],
        seed=plan.settings["seed"],
        shard=plan.settings["shard"],
        files="\n".join(rows),
        numbers="\n".join(f"| `{name}` | {what} |" for name, what in _NUMBERS.items()),
        classes=", ".join(f"{k} {name}" for k, name in enumerate(CLASSES)),
        ignore=IGNORE,
        skipped=f"\n## Left out\n\nSamples that could not be made:\n\n{left_out}" if skipped else "",
    )
    write(storage, README, text.encode())
    if shards and "rgb" in recipe.labels:
        first = raw_samples(io.BytesIO(storage.read(shards[0].tar) or b""), shards[0].tar)
        drawn = [_drawn(sample_of(*named)) for named in itertools.islice(first, _MOST)]
        write(storage, SHEET, encode(to_uint8(_grid(drawn)), ".jpg", 90))


def _drawn(sample: dict[str, Any]) -> torch.Tensor:
    """Return a picture (3, C, C) with mask, landmarks and box drawn over it."""
    rgb = sample["rgb"]
    if "mask" in sample:
        mask = sample["mask"]
        colours = _PALETTE[mask].permute(2, 0, 1)
        rgb = torch.lerp(rgb, colours, _COVER * (mask > 0).float())
    image = Image.fromarray(to_uint8(rgb)).resize((_CELL, _CELL), Image.Resampling.LANCZOS)
    draw, scale = ImageDraw.Draw(image), _CELL / rgb.shape[-1]
    marks = sample["numbers"].get("landmarks")
    if marks is not None:
        draw.rectangle([value * scale for value in sample["numbers"]["box"]], outline=(255, 255, 255))
        for (x, y), seen in zip(marks["points"], marks["visible"], strict=True):
            place = [x * scale - 1.5, y * scale - 1.5, x * scale + 1.5, y * scale + 1.5]
            draw.ellipse(place, fill=(90, 255, 90) if seen else (255, 80, 80))
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(_CELL, _CELL, 3).permute(2, 0, 1).float() / 255


def _grid(cells: list[torch.Tensor]) -> torch.Tensor:
    cells = cells + [torch.ones(3, _CELL, _CELL)] * (-len(cells) % _COLUMNS)
    rows = [torch.cat(cells[k : k + _COLUMNS], dim=2) for k in range(0, len(cells), _COLUMNS)]
    return torch.cat(rows, dim=1)
