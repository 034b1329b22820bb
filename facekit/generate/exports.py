"""Export a complete set: as Parquet table, COCO keypoints, image folder or FaceSynthetics files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.data.shards import manifest_of, raw_samples
from facekit.errors import FileError, InputError, optional_import
from facekit.files.atomic import atomic_write, write_files
from facekit.files.images import decode, encode_png
from facekit.generate import LAYOUTS
from facekit.progress import progress

_SKELETON_NAMES = [f"ibug_{k}" for k in range(68)] + ["right_pupil", "left_pupil"]


def export(folder: str | Path, form: str) -> Path:
    """Export a complete set to another layout, beside its shards.

    Parameters
    ----------
    folder:
        Folder of the set.
    form:
        "parquet": ``samples.parquet``, one row of numbers per sample. "coco": ``coco.json``, boxes and 70 keypoints,
        for the pictures of "imagefolder": ``images/KEY.png`` and ``images/metadata.jsonl``, as Hugging Face's
        ``datasets`` reads it. "facesynthetics": ``facesynthetics/000000.png``, ``…_seg.png`` and ``…_ldmks.txt``.

    Returns
    -------
    Path
        The new file or folder.
    """
    if form not in LAYOUTS:
        raise InputError(f"a layout out of {', '.join(LAYOUTS)}", repr(form), "choose one of these")
    folder = Path(folder).expanduser()
    writer = {"parquet": _parquet, "coco": _coco, "imagefolder": _imagefolder, "facesynthetics": _facesynthetics}[form]
    return writer(folder)


def _all(folder: Path, what: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    manifest = manifest_of(folder)

    def each() -> Iterator[tuple[str, dict[str, bytes]]]:
        for entry in manifest["shards"]:
            path = folder / entry["tar"]
            if not path.is_file():
                raise FileError("all shards", f"no {path}", "run the same command again")
            with path.open("rb") as opened:
                yield from raw_samples(opened, str(path))

    return progress(each(), total=manifest["samples"], desc=what)


def _row(key: str, numbers: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a sample as columns."""
    scene, pose = numbers["scene"], numbers["pose"]
    row: dict[str, Any] = {"key": key, "index": numbers["index"], "person": scene["person"], "frame": scene["frame"]}
    row |= {name: pose[name] for name in ("yaw", "pitch", "roll")}
    row |= {f"gaze_{side}": vector for side, vector in zip(("right", "left"), numbers["gaze"], strict=True)}
    row |= {"fov": numbers["camera"]["fov"], "box": numbers["box"], "identity": numbers["identity"]}
    row |= {f"expression_{name}": v for name, v in zip(EXPRESSIONS, numbers["expression"], strict=True)}
    row |= dict(zip(BLENDSHAPES, numbers["blendshapes"], strict=True))
    row |= {"light": scene["light"]["kind"], "background": scene["background"]["kind"]}
    return row | {"glasses": scene["glasses"] is not None, "blob": scene["blob"] is not None}


def _parquet(folder: Path) -> Path:
    arrow = optional_import("pyarrow", "data", "Parquet tables")
    parquet = optional_import("pyarrow.parquet", "data", "Parquet tables")
    rows = [_row(key, json.loads(files["json"])) for key, files in _all(folder, "parquet")]
    with atomic_write(folder / "samples.parquet") as temporary:
        parquet.write_table(arrow.Table.from_pylist(rows), temporary)
    return folder / "samples.parquet"


def _coco(folder: Path) -> Path:
    images, annotations = [], []
    for number, (key, files) in enumerate(_all(folder, "coco"), 1):
        numbers = json.loads(files["json"])
        marks = _marks(numbers, "coco")
        suffix = next(name for name in files if name.startswith("rgb.")).rpartition(".")[2]
        size = numbers["size"]
        left, top, right, bottom = numbers["box"]
        images.append({"id": number, "file_name": f"{key}.{suffix}", "width": size, "height": size})
        points = []
        for (x, y), seen in zip(marks["points"], marks["visible"], strict=True):
            inside = 0 <= x < size and 0 <= y < size
            points += [x - 0.5, y - 0.5, (2 if seen else 1) if inside else 0]  # COCO's pixel centres are integers
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [left, top, round(right - left, 3), round(bottom - top, 3)],
                "area": round((right - left) * (bottom - top), 3),
                "iscrowd": 0,
                "keypoints": points,
                "num_keypoints": sum(1 for v in points[2::3] if v),
            }
        )
    categories = [{"id": 1, "name": "face", "supercategory": "person", "keypoints": _SKELETON_NAMES, "skeleton": []}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_files({folder / "coco.json": json.dumps(content).encode()})
    return folder / "coco.json"


def _imagefolder(folder: Path) -> Path:
    lines = []
    for key, files in _all(folder, "imagefolder"):
        name = next((name for name in files if name.startswith("rgb.")), None)
        if name is None:
            raise InputError("pictures for an image folder", "a set without rgb", "make it with the label rgb")
        file = f"{key}.{name.rpartition('.')[2]}"
        write_files({folder / "images" / file: files[name]})
        lines.append(json.dumps({"file_name": file, **_row(key, json.loads(files["json"]))}))
    write_files({folder / "images" / "metadata.jsonl": ("\n".join(lines) + "\n").encode()})
    return folder / "images"


def _facesynthetics(folder: Path) -> Path:
    target = folder / "facesynthetics"
    for key, files in _all(folder, "facesynthetics"):
        marks = _marks(json.loads(files["json"]), "facesynthetics")
        if "mask.png" not in files or not any(name.startswith("rgb.") for name in files):
            raise InputError("rgb and mask for FaceSynthetics' layout", "a set without", "make it with these labels")
        name = f"{int(key.replace('_', '')):06d}"
        rgb = next(data for suffix, data in files.items() if suffix.startswith("rgb."))
        # FaceSynthetics' pixel centres are integers.
        lines = "".join(f"{x - 0.5:.4f} {y - 0.5:.4f}\n" for x, y in marks["points"])
        write_files(
            {
                target / f"{name}.png": encode_png(decode(rgb)),
                target / f"{name}_seg.png": files["mask.png"],
                target / f"{name}_ldmks.txt": lines.encode(),
            }
        )
    return target


def _marks(numbers: dict[str, Any], form: str) -> dict[str, Any]:
    if "landmarks" not in numbers:
        raise InputError(f"landmarks for {form}", "a set without", "make it with the label landmarks")
    return numbers["landmarks"]
