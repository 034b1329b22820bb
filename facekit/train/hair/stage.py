"""The hair stage: build ``hair.npz`` with all hair on the mean head, meshes in 16 bits and strand textures in 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from facekit.conventions import PARTS
from facekit.errors import optional_import
from facekit.files.atomic import atomic_write
from facekit.files.images import load_image
from facekit.geometry.parts import among
from facekit.models.hair_choice import CROPPED, RECEDING
from facekit.progress import progress
from facekit.template import Template
from facekit.train.context import Context
from facekit.train.hair.bun import bunned
from facekit.train.hair.clearance import Skin, head_normals
from facekit.train.hair.cropped import cropped_cards, cropped_cover, receded
from facekit.train.hair.curls import curl_cards
from facekit.train.hair.cuts import CUTS
from facekit.train.hair.facial import facial_arrays
from facekit.train.hair.fringe import with_fringe
from facekit.train.hair.lashes import SETS, lash_cards
from facekit.train.hair.light import card_points, closed, covered, openness, relaxed, smoothed
from facekit.train.hair.pictures import (
    along_cards,
    frayed,
    grey_strands,
    hairline,
    locks,
    outward,
    strand_direction,
    strips,
)
from facekit.train.hair.sheets import long_cards
from facekit.train.hair.shells import Net

#: Names of the styles derived from the pack's, and the side in texels of their strand textures.
STYLES = {
    "short01": 512, "short02": 512, "short03": 512, "short04": 512, "bob02": 512,
    "long01": 512, "mid01": 512, "side01": 512, "wavy01": 512, "bob03": 512, "ponytail01": 768, "bun01": 768,
}  # fmt: skip
#: The procedural styles: that of curls replaces a style of the pack, low ones grow where another does.
CURLS, _LOW, _LOW_AS = "afro01", (CROPPED, RECEDING), "short04"
#: Side in texels of their strand textures.
_SHELL_SIZE = 512
#: Styles that are made of a style of the pack, and with its strand texture.
_MADE_OF = {"mid01": "long01", "side01": "long01", "wavy01": "long01", "bob03": "long01", "bun01": "ponytail01"}
#: Quantisation of positions: steps per millimetre; 16 bits reach 650 mm.
STEPS_A_MM = 50
_FILE, _CROWN = "hair.npz", (0.0, 140.0, -25.0)
#: Triangles whose texels all have at most this coverage are removed.
_EMPTY = 0.06
#: Parts of the head that hair may grow on, ears among them.
_GROWN = ("skin", "back_of_head", "neck")
#: Bounding box of the left ear, mm; least ambient light on the head under hair.
_EARS, _LEAST = ((61.0, -25.0, -18.0), (100.0, 36.0, 16.5)), 0.35
_CONCHA = ((58.0, -24.0, -13.0), (110.0, 26.0, 16.0))
#: Rounds of smoothing of the shade on the head: some millimetres, or its border is a brown line at the temple.
_SOFT = 40
#: Least ambient light inside of hair, which is translucent.
_INSIDE = 0.3
#: Styles with loose strips over their hair.
_STRIPS = ("short01", "short04")
#: Styles whose picture is blurred.
_REDRAWN = ("ponytail01", "bun01")
#: Styles that end on the scalp and so define its extent; styles that hang over the face; styles with a fringe of loose
#: strands.
_TIGHT, _LOOSE, _FRINGED = ("short01", "short04", "ponytail01"), ("short03", "bob02", *CUTS), ("short02",)
#: Styles whose temples end blunt, where the pack's end in a point: the height of the end above the ear, mm, its rise
#: toward the front, and the width of the fade, mm; they begin this far to the side and to the front, mm.
_BLUNT = {"short04": (28.0, 0.22, 10.0), "short01": (18.0, 0.22, 10.0)}
_BLUNT |= dict.fromkeys(_LOW, (16.0, 0.22, 14.0))
_TEMPLES = (45.0, 14.0)
#: Rounds of smoothing by style, for vertices below this height, mm.
_SMOOTHED, _ABOVE_EARS = {"bob02": 4}, 100.0


def run(context: Context) -> None:
    """Write ``hair.npz``, if the pack contains hair."""
    folder = context.pack / "hair"
    if not (folder / "hair.npz").is_file():
        return
    optional_import("scipy", "train", "training")
    arrays = build(folder, context.template)
    with atomic_write(context.out / _FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def build(folder: Path, template: Template) -> dict[str, np.ndarray]:
    """Build all arrays of ``hair.npz``, in the format of :class:`facekit.models.hair.Wardrobe`.

    Parameters
    ----------
    folder:
        Hair folder of the pack.
    """
    pack = np.load(folder / "hair.npz", allow_pickle=False)
    out: dict[str, np.ndarray] = {}
    scalp, skin = _ears(template).astype(float), _skin(template)
    for name in progress([*STYLES, CURLS, *_LOW], desc="hair"):
        source = _LOW_AS if name in _LOW else _MADE_OF.get(name, name)
        raw = {part: pack[f"{source}/{part}"] for part in ("verts", "uvs", "faces", "faces_uvs")}
        if name in _LOW:
            cut = out[f"{source}/strands"][1] / 255
            raw = _cropped(template, _cap(raw, cut, template, source), name)
        elif name == CURLS:
            raw = _curls(raw, template)
        elif name in CUTS:
            raw = long_cards(raw, STYLES[name], CUTS[name], skin)
        else:
            picture = load_image(folder / f"{source}.png")
            raw = bunned(raw, skin) if name == "bun01" else raw
            raw["strands"] = grey_strands(picture, raw["uvs"], raw["faces_uvs"], STYLES[name], name in _REDRAWN).numpy()
        for part, value in _style(raw, template, name).items():
            out[f"{name}/{part}"] = value
        if name in _MADE_OF:  # the same picture is stored once
            del out[f"{name}/strands"]
            out[f"{name}/picture"] = np.frombuffer(_MADE_OF[name].encode("ascii"), np.uint8)
        if name in _TIGHT:
            scalp = np.maximum(scalp, out[f"{name}/cap"] / 255)
    # Hair that hangs over the face shades it, but only the scalp gets the hair's tone.
    for name in (*_LOOSE, *_FRINGED):
        out[f"{name}/cap"] = _byte(out[f"{name}/cap"] / 255 * scalp)
    for name in _BLUNT.keys() - set(_LOW):  # which grow above the ears alone
        out[f"{name}/cap"] = _byte(out[f"{name}/cap"] / 255 * above_ears(template.verts.numpy(), name).clip(0))
    for name in SETS:
        raw = lash_cards(template, name)
        out |= {f"{name}/{part}": value for part, value in _quantised(raw).items()}
        out[f"{name}/strands"] = _byte(raw["strands"])
    return out | facial_arrays(folder.parent, template)


def _style(raw: dict[str, np.ndarray], template: Template, name: str) -> dict[str, np.ndarray]:
    raw = {**raw, **_without_empty(raw, raw["strands"][1])}
    turned = ~outward(raw["verts"].astype(np.float64), raw["faces"].astype(np.int64))
    for part in ("faces", "faces_uvs"):
        raw[part] = np.where(turned[:, None], raw[part][:, ::-1], raw[part])
    verts, faces = raw["verts"].astype(np.float64), raw["faces"].astype(np.int64)
    if name in _SMOOTHED:
        raw["verts"] = verts = relaxed(verts, faces, _SMOOTHED[name], _ABOVE_EARS)
    head, strands = template.verts.numpy().astype(np.float64), raw["strands"]
    if name in _STRIPS:
        strands = locks(strands, raw["uvs"], raw["faces_uvs"], strips(verts, faces))
    grown = among(template.parts, _GROWN).numpy()
    if name not in _LOOSE:
        bare = head[grown & (_cap(raw, strands[1], template, name) < 0.3)]
        ends = hairline(verts, faces, head, bare, 6.0 if name == CURLS else 10.0)
        # Keep the ears free where cards pass below their surface.
        ends = np.where(_between(verts, *_CONCHA), -1.0, np.minimum(ends, above_ears(verts, name)))
        strands = frayed(strands, raw["uvs"], faces, raw["faces_uvs"], ends)
    grey, cover = (torch.from_numpy(t) for t in strands)
    if "along" in raw:
        along = raw["along"]
    elif name == CURLS:  # curls have no common direction
        along = np.random.default_rng(3).normal(size=verts.shape)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
    else:
        along = along_cards(verts, raw["uvs"], faces, raw["faces_uvs"], strand_direction(grey, cover), np.array(_CROWN))
    cap = _cap(raw, strands[1], template, name)
    if name in _FRINGED:
        raw, strands, along = with_fringe(raw, strands, along, head[grown & (cap < 0.3) & (head[:, 1] > 20)])
        verts, faces = raw["verts"], raw["faces"]
    points, _ = card_points(verts, faces, raw["uvs"], raw["faces_uvs"], strands[1])
    normals = head_normals(template)
    tris = template.faces.numpy()
    both = np.concatenate((points, head[grown]))
    return {
        **_quantised(raw),
        "along": np.round(127 * along).astype(np.int8),
        "strands": np.round(255 * strands).astype(np.uint8),
        "openness": _byte(_INSIDE + (1 - _INSIDE) * smoothed(openness(verts, None, both, 6.0), faces, 2)),
        "cap": _byte(cap),
        # Never black: light passes through hair and is reflected between skin and hair.
        "shade": _byte(_LEAST + (1 - _LEAST) * smoothed(openness(head, normals, points), tris, _SOFT)),
    }


def _cap(raw: dict[str, np.ndarray], cover: np.ndarray, template: Template, name: str) -> np.ndarray:
    """Return the coverage of each head vertex by hair, (V,) in [0, 1], with holes closed.

    ``cover`` (H, W) is the coverage of the strand texture.
    """
    head, tris = template.verts.numpy().astype(np.float64), template.faces.numpy()
    normals = head_normals(template)
    # Ears are bare, except under loose hair: where they poke through it, they get its tone.
    grows = among(template.parts, _GROWN).numpy()
    grows &= ~(_ears(template) & (name not in _LOOSE or name in CUTS))
    cap = np.zeros(len(head))
    if "cap" in raw:
        cap = raw["cap"]
    else:
        points, each = card_points(
            raw["verts"].astype(np.float64), raw["faces"].astype(np.int64), raw["uvs"], raw["faces_uvs"], cover
        )
        high = (head[:, 1] > -60) & grows
        cap[high] = covered(head[high], normals[high], points, each)
        cap = closed(np.clip(1.3 * cap - 0.25, 0, 1), tris, 3)
    return smoothed(cap * grows, tris, 2) * grows


def above_ears(points: np.ndarray, name: str) -> np.ndarray:
    """Return (N,) from -1 to 1 for points (N, 3) mm: less than 0 below the blunt ends of a style at the temples, 1
    above.
    """
    if name not in _BLUNT:
        return np.ones(len(points))
    (height, slope, width), (aside, ahead) = _BLUNT[name], _TEMPLES
    x, y, z = points.T
    above = np.clip((y - height - slope * (z - ahead)) / width, -1, 1)
    return np.where((np.abs(x) > aside) & (z > ahead), above, 1.0)


def _curls(raw: dict[str, np.ndarray], template: Template) -> dict[str, np.ndarray]:
    """Build procedural curls over the region of the pack's cards, which have no texture."""
    head = template.verts.numpy().astype(np.float64)
    normals = head_normals(template)
    faces = raw["faces"].astype(np.int64)
    points, each = card_points(
        raw["verts"].astype(np.float64), faces, raw["uvs"], raw["faces_uvs"], np.ones((4, 4), np.float32)
    )
    grown = among(template.parts, _GROWN).numpy()
    cap = np.zeros(len(head))
    high = (head[:, 1] > -45) & grown
    cap[high] = covered(head[high], normals[high], points, 2 * each)
    cap = smoothed(cap, template.faces.numpy(), 4)
    net = Net.over(head, normals, cap)
    return {**curl_cards(net, _SHELL_SIZE), "cap": np.clip((cap - 0.6) / 0.4, 0, 1)}


def _cropped(template: Template, cap: np.ndarray, name: str = CROPPED) -> dict[str, np.ndarray]:
    """Build cropped or receding hair over the vertices of the head that the cap (V,) covers."""
    head = template.verts.numpy().astype(np.float64)
    cap = cap * above_ears(head, name).clip(0)
    net = Net.over(head, head_normals(template), cap)
    left, whole = (receded(points) if name == RECEDING else np.ones(len(points)) for points in (net.roots, head))
    return {**cropped_cards(net, _SHELL_SIZE, left), "cap": cap * cropped_cover(head, whole)}


def _quantised(raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "verts": np.round(raw["verts"] * STEPS_A_MM).astype(np.int16),
        "uvs": np.round(np.clip(raw["uvs"], 0, 1) * 65535).astype(np.uint16),
        "faces": raw["faces"].astype(np.uint16),
        "faces_uvs": raw["faces_uvs"].astype(np.uint16),
    }


def _without_empty(raw: dict[str, np.ndarray], cover: np.ndarray) -> dict[str, np.ndarray]:
    """Return the cards without fully transparent triangles and unused vertices."""
    high, wide = cover.shape
    chart = raw["uvs"][raw["faces_uvs"]]
    best = np.zeros(len(chart))
    for a, b in np.random.default_rng(1).random((64, 2)):
        a, b = (1 - a, 1 - b) if a + b > 1 else (a, b)
        uv = chart[:, 0] * (1 - a - b) + chart[:, 1] * a + chart[:, 2] * b
        x = np.clip((uv[:, 0] * wide).astype(int), 0, wide - 1)
        y = np.clip(((1 - uv[:, 1]) * high).astype(int), 0, high - 1)
        best = np.maximum(best, cover[y, x])
    kept = best > _EMPTY
    out = {}
    for points, index in (("verts", "faces"), ("uvs", "faces_uvs")):
        used, place = np.unique(raw[index][kept], return_inverse=True)
        out[points], out[index] = raw[points][used], place.reshape(-1, 3)
        if points == "verts" and "along" in raw:
            out["along"] = raw["along"][used]
    return out


def _skin(template: Template) -> Skin:
    solid = among(template.parts, (*_GROWN, "lids")).numpy()
    return Skin(template.verts.numpy().astype(np.float64)[solid], head_normals(template)[solid])


def _ears(template: Template) -> np.ndarray:
    """Return the vertices (V,) bool of both ears."""
    return _between(template.verts.numpy(), *_EARS) & (template.parts.numpy() == PARTS.index("skin"))


def _between(points: np.ndarray, low: tuple[float, ...], high: tuple[float, ...]) -> np.ndarray:
    """Return a mask (N,) bool of points (N, 3) inside a box on the head's left, or inside its mirror image."""
    folded = points * [1, 1, 1]
    folded[:, 0] = np.abs(folded[:, 0])
    return np.all((folded > low) & (folded < high), axis=1)


def _byte(values: np.ndarray) -> np.ndarray:
    return np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
