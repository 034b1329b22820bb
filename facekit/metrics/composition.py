"""Measures of how a face tile fits its atlas and its mesh."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facekit.conventions import LANDMARK_GROUPS
from facekit.errors import InputError
from facekit.geometry.charts import Charted, eye_openings, landmark_uvs, signed_distance, to_pixels
from facekit.geometry.uv import bake, rasterize_uv
from facekit.metrics.texture import delta_e, lab

#: Extent of the eye ring: outward from the rim of the eye opening, as a fraction of the distance between the eye
#: centres.
RING = (0.0, 0.14)
#: Darker than the cheeks by more than this (L*) is a stain: a lid's natural shade is some 5 to 10.
STAIN_L = 15.0

#: Landmarks detected by :func:`find_landmarks`, in order: corners of both eyes and of the mouth (iBUG numbers).
FOUND = (36, 39, 42, 45, 48, 54)
# Search windows in the tile, left, right, top, bottom as fractions: right eye, left eye, mouth.
_WINDOWS = ((0.29, 0.465, 0.365, 0.455), (0.535, 0.71, 0.365, 0.455), (0.36, 0.64, 0.635, 0.755))
# Fraction of a window's darkness beyond each corner.
_TAIL = 0.03


@dataclass(frozen=True)
class Regions:
    """Masks (H, W) bool of an atlas: texels used by the mesh, the ring around the eyes, cheeks, neck."""

    covered: Tensor
    ring: Tensor
    cheeks: Tensor
    neck: Tensor


def regions(mesh: Charted, parts: Tensor, neck: int, size: int = 1024) -> Regions:
    """Return the atlas regions of a mesh; ``parts`` (V,) are its part ids, ``neck`` the id of the neck."""
    ids, weights = rasterize_uv(mesh.uvs, mesh.faces_uvs, size)
    is_neck = bake((parts == neck).float()[None, :, None], mesh.faces, ids, weights)[0, 0] > 0.99
    points = to_pixels(landmark_uvs(mesh), size)
    between = (points[LANDMARK_GROUPS["right_eye"]].mean(0) - points[LANDMARK_GROUPS["left_eye"]].mean(0)).norm()
    ring = torch.zeros(size, size, dtype=torch.bool)
    for outline in eye_openings(mesh):
        outline = to_pixels(outline, size)
        low, high = (outline.amin(0) - 0.2 * between).long(), (outline.amax(0) + 0.2 * between).long()
        rows, columns = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
        share = signed_distance(outline, rows, columns) / between
        ring[rows, columns] |= (share > RING[0]) & (share < RING[1])
    spots = (0.5 * (points[2] + points[31]), 0.5 * (points[14] + points[35]))
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    left, right = ((x - s[0]) ** 2 + (y - s[1]) ** 2 < (0.25 * between) ** 2 for s in spots)
    covered = ids >= 0
    return Regions(covered, ring & covered, left | right, is_neck)


def seam_step(atlas: Tensor, rows: tuple[int, int], columns: tuple[int, int], covered: Tensor) -> Tensor:
    """Return the colour step across the border of a rectangle, in delta E (CIE76): (B,), mean over the border on the
    mesh.

    Strips of three texels on either side are compared, so that noise does not count as a step. ``atlas`` (B, 3, H, W)
    sRGB in [0, 1]; ``rows`` and ``columns`` bound the rectangle; ``covered`` (H, W) bool.
    """
    steps = []
    for picture, shown, (start, stop), (low, high) in (
        (atlas, covered, rows, columns),
        (atlas.transpose(2, 3), covered.t(), columns, rows),
    ):
        for border in (start, stop):
            before, after = picture[:, :, border - 3 : border, low:high], picture[:, :, border : border + 3, low:high]
            seen = shown[border - 3 : border + 3, low:high].all(0)
            step = delta_e(before.mean(2, keepdim=True), after.mean(2, keepdim=True))[:, 0]
            steps.append(step[:, seen])
    steps = torch.cat(steps, dim=1)
    if steps.shape[1] == 0:
        raise InputError("a border that the mesh covers", "none of it", "check the rectangle and the UVs")
    return steps.mean(1)


def stain_share(atlas: Tensor, found: Regions) -> Tensor:
    """Return the fraction (B,) of the eye ring that is darker than the cheeks by more than ``STAIN_L`` (L*)."""
    ring, cheeks = (lab(atlas[:, :, mask][..., None])[:, 0, :, 0] for mask in (found.ring, found.cheeks))
    return (ring < cheeks.mean(1, keepdim=True) - STAIN_L).float().mean(1)


def neck_mismatch(atlas: Tensor, found: Regions) -> Tensor:
    """Return the colour difference (B,) between cheeks and neck, in delta E."""
    face, neck = (atlas[:, :, mask].mean(2)[..., None, None] for mask in (found.cheeks, found.neck))
    return delta_e(face, neck)[:, 0, 0]


def find_landmarks(tile: Tensor) -> Tensor:
    """Detect the corners of eyes and mouth in one face tile from its dark slits: (6, 2) pixels x, y.

    Darkness relative to the surroundings is accumulated in a wide window for each eye and the mouth; its horizontal
    ends are the corners, accurate to a few pixels. Independent of the mesh. In the order of :data:`FOUND`. ``tile`` (3,
    S, S).
    """
    size = tile.shape[-1]
    light = tile.mean(0)[None, None]
    wide = size // 16 * 2 + 1
    around = F.avg_pool2d(light, wide, 1, wide // 2, count_include_pad=False)
    dark = ((around - light) / around.clamp_min(0.02)).clamp_min(0)[0, 0]
    points = []
    for left, right, top, bottom in _WINDOWS:
        x0, y0 = round(left * size), round(top * size)
        window = dark[y0 : round(bottom * size), x0 : round(right * size)]
        window = (window - 0.35 * window.amax()).clamp_min(0)
        total = window.sum().clamp_min(1e-9)
        share = window.sum(0).cumsum(0) / total
        y = (window.sum(1) * (torch.arange(len(window)) + 0.5)).sum() / total
        for level in (_TAIL, 1 - _TAIL):
            points.append(torch.stack((x0 + (share < level).sum() + 0.5, y0 + y)))
    return torch.stack(points)


def landmark_offset(
    mesh: Charted, tile_landmarks_px: Tensor, rows: tuple[int, int], columns: tuple[int, int]
) -> Tensor:
    """Return the offset (2,) dx, dy, in pixels right and down, of the tile's landmarks from the mesh's in the atlas.

    Moving the tile by its negative aligns them. Errors of the two corners of a feature are opposite, so the mean over
    all is far more accurate than each.

    Parameters
    ----------
    mesh:
        Mesh with UVs and landmarks.
    tile_landmarks_px:
        (6, 2), of :func:`find_landmarks` or any other finder, in pixels of a 512² tile, in order of :data:`FOUND`.
    rows, columns:
        Rows and columns of the tile in an atlas of 1024².
    """
    if tile_landmarks_px.shape != (len(FOUND), 2):
        raise InputError(f"landmarks ({len(FOUND)}, 2)", f"{tuple(tile_landmarks_px.shape)}", "see find_landmarks")
    corner = torch.tensor([columns[0], rows[0]], dtype=torch.float32)
    scale = torch.tensor([columns[1] - columns[0], rows[1] - rows[0]]) / 512
    place = corner + tile_landmarks_px.cpu().float() * scale
    return (place - to_pixels(landmark_uvs(mesh)[list(FOUND)].cpu(), 1024)).mean(0)
