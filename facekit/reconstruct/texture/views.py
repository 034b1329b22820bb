"""Views: a picture cropped to the head, in linear light, with visibility and confidence per pixel."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from facekit.color import srgb_to_linear
from facekit.errors import InputError
from facekit.geometry.charts import step
from facekit.geometry.lists import flat_indices
from facekit.geometry.normals import dot
from facekit.geometry.parts import among
from facekit.geometry.uv import box_max
from facekit.reconstruct.texture.grid import SKIN_PARTS, TileGrid
from facekit.reconstruct.texture.lighting import Geometry, untone
from facekit.render import Camera
from facekit.render.materials import material_table
from facekit.render.rasterize import rasterize
from facekit.template import Template

#: Least longer side of the cropped picture in pixels, so that small parts are resolved, and largest, which is finer
#: than the atlas.
_SMALLEST, _LARGEST = 640, 1280
#: Margin around the head's outline, as a fraction of its size.
_MARGIN = 0.08
#: Cosines of the viewing angle at which skin has no weight, and full weight.
_GRAZING = (0.18, 0.55)
#: Depth tolerance, mm, of the visibility test, scaled by the slant.
_BEHIND = 1.5
#: Width of the band along outlines that is ignored, as a fraction of the head's height in the picture.
_RIM = 0.012
#: Linear values at which a pixel starts to count as overexposed, and fully does.
_BURNT = (0.90, 0.97)
#: Mean difference between the channels, sRGB, below which a picture has no colour.
_GREY = 0.012

#: Probabilities of bare skin at which a pixel starts to count, and fully does. Rims of glasses are thinner than a pixel
#: of the network.
_BARE = (0.75, 0.95)
#: The same of a beard.
_BEARDED = (0.4, 0.7)


@dataclass(frozen=True)
class View:
    """Cropped picture of the head, with the posed mesh.

    Parameters
    ----------
    picture:
        (3, h, w) float32: linear light without the tone curve, see :func:`untone`.
    sound:
        (1, h, w) in [0, 1]: 0 where the picture is overexposed.
    clear:
        (1, h, w) in [0, 1]: 0 along the head's outline.
    ids, depth:
        (h, w): index of the nearest triangle, -1 for none, and its depth in mm, inf for none.
    camera:
        Camera of the cropped picture.
    verts:
        (V, 3) mm: posed vertices.
    rows:
        (V, 10): position and normal in camera space, and material (occlusion, roughness, reflectance, scattering), per
        vertex.
    scene:
        (3,) linear: median colour of the whole picture.
    bare, bearded:
        (1, h, w) in [0, 1]: probability that the skin is not occluded, and that a beard grows on it.
    grey:
        Whether the picture has no colour.
    """

    picture: torch.Tensor
    sound: torch.Tensor
    clear: torch.Tensor
    ids: torch.Tensor
    depth: torch.Tensor
    camera: Camera
    verts: torch.Tensor
    rows: torch.Tensor
    scene: torch.Tensor
    bare: torch.Tensor
    bearded: torch.Tensor
    grey: bool = False

    @classmethod
    def of(cls, picture: torch.Tensor, verts: torch.Tensor, camera: Camera, template: Template) -> View:
        """Crop a picture to the head.

        Parameters
        ----------
        picture:
            (H, W, 3) sRGB: float32 in [0, 1], or uint8.
        verts:
            (V, 3) float32, mm: vertices posed as in the picture.
        camera:
            Camera of the whole picture.

        Raises
        ------
        InputError
            If the head lies outside of the picture or is smaller than sixteen pixels.
        """
        height, width = picture.shape[:2]
        place = camera.project(verts[None], (height, width))[0]
        front = place[(place[:, 2] > 0) & torch.isfinite(place).all(1)][:, :2]
        low, high = (front.amin(0), front.amax(0)) if len(front) else (place[0, :2], place[0, :2])
        pad = _MARGIN * float((high - low).max())
        left, top = (max(0, int(v - pad)) for v in low.tolist())
        right, bottom = (min(size, int(v + pad) + 1) for v, size in zip(high.tolist(), (width, height), strict=True))
        if min(right - left, bottom - top) < 16:
            got = f"one from {[round(v) for v in low.tolist()]} to {[round(v) for v in high.tolist()]}"
            raise InputError(f"a head inside of the picture of {width} x {height}", got, "fit it to the picture first")
        near = camera.crop(top, left, (bottom - top, right - left), (height, width))
        # One channel at a time: photographs are large.
        linear = torch.stack([srgb_to_linear(unit(row)) for row in picture[top:bottom, left:right].unbind(2)])
        scene = srgb_to_linear(unit(_sparse(picture)))
        longest = max(linear.shape[1:])
        scale = min(1.0, _LARGEST / longest) * max(1.0, _SMALLEST / longest)
        if scale != 1:  # averages are taken in linear light
            to = [max(16, round(side * scale)) for side in linear.shape[1:]]
            way = "area" if scale < 1 else "bicubic"
            linear = F.interpolate(linear[None], size=to, mode=way)[0].clamp(0, 1)
        size = (linear.shape[1], linear.shape[2])
        ids, depth = (t[0] for t in rasterize(verts[None], template.faces, near, size))
        rim = max(1, round(_RIM * float((high - low)[1]) * size[0] / (bottom - top)))
        clear = step(_around(ids >= 0, rim), 0.7, 1.0)
        # Eyes and teeth bleed into the skin next to them: pixels are wider than the rims of lids.
        other = (~among(template.parts, SKIN_PARTS))[template.faces].any(1)
        clear = clear * step(_around(other[ids.clamp_min(0)] & (ids >= 0), max(1, rim // 3)), 0.12, 0.0)
        mesh = template.mesh(verts[None])
        parts = (near.view(verts[None])[0], mesh.normals()[0] @ near.rotation()[0].T, _materials(template, verts))
        # Pixels next to overexposed ones are excluded, too: noise alone decides there.
        bright = F.avg_pool2d(linear.amax(0)[None, None], 5, 1, 2, count_include_pad=False)[0]
        sound = step(bright, *_BURNT[::-1])
        middle = untone(scene).median(1).values
        least, most = picture.aminmax(dim=2)
        grey = float(unit(most - least).mean()) < _GREY
        return cls(
            untone(linear),
            sound,
            clear,
            ids,
            depth,
            near,
            verts,
            torch.cat(parts, 1),
            middle,
            torch.ones_like(clear),
            torch.zeros_like(clear),
            grey,
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.picture.shape[1], self.picture.shape[2]

    def project(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project points (3, P) in camera space to pixel coordinates (2, P) and depth (P,)."""
        fx, fy, cx, cy = self.camera.intrinsics(self.size)[0].tolist()
        depth = -positions[2]
        safe = depth.clamp_min(1.0)
        return torch.stack((cx + positions[0] * (fx / safe), cy - positions[1] * (fy / safe))), depth

    def texels(self, grid: TileGrid) -> Texels:
        """Sample the picture at the texels of a tile."""
        rows = grid.bake(self.rows)
        geometry, (place, depth) = self._geometry(rows), self.project(rows[:3])
        slant = dot(geometry.normal, geometry.view)
        span = _pixels_per_texel(grid, place)
        rows = torch.cat((self.picture, self.sound, self.clear, self.bare, self.bearded))
        colour = _sampled(self._shrunk(rows, grid, span, slant), self, place)
        hidden = depth - _nearest(self.depth, place) > _BEHIND / slant.clamp_min(0.15)
        height, width = self.size
        inside = (place[0] > 1) & (place[0] < width - 1) & (place[1] > 1) & (place[1] < height - 1)
        bare = step(colour[5], *_BARE)
        weight = step(slant, *_GRAZING) * (colour[3] * colour[4] * bare) * (inside & ~hidden & grid.skin)
        return Texels(colour[:3], weight, bare, step(colour[6], *_BEARDED), span, geometry)

    def _shrunk(self, rows: torch.Tensor, grid: TileGrid, span: torch.Tensor, slant: torch.Tensor) -> torch.Tensor:
        """Average a picture down so that a texel covers about a pixel."""
        factor = float(span[(slant > 0.5) & grid.skin].median()) if bool((slant > 0.5).any()) else 1.0
        if factor <= 1.3:
            return rows
        size = [max(2, round(side / factor)) for side in self.size]
        return F.interpolate(rows[None], size=size, mode="area")[0]

    def pixels(self, template: Template, part: int) -> Pixels:
        """Find the pixels that show a part other than skin, for instance eyes, and their texture coordinates.

        Mixed pixels at the border of the part are left out.
        """
        of_part = (template.parts[template.faces] == part).all(1)
        shown = (self.ids >= 0) & of_part[self.ids.clamp_min(0)]
        whole = F.avg_pool2d(shown.float()[None, None], 3, 1, 1, count_include_pad=False)[0, 0] > 0.99
        index = flat_indices(whole)
        face = template.faces[self.ids.view(-1)[index]]
        corners = self.rows[face]
        height, width = self.size
        fx, fy, cx, cy = self.camera.intrinsics(self.size)[0].tolist()
        x, y = (index % width + 0.5 - cx) / fx, (cy - index // width - 0.5) / fy
        ray = torch.stack((x, y, -torch.ones_like(x)), -1)
        a, b, c = corners[..., :3].unbind(1)
        # Möller-Trumbore intersection; the ray starts at the camera, the origin.
        cross = torch.linalg.cross(ray, c - a)
        area = (cross * (b - a)).sum(1)
        area = torch.where(area.abs() < 1e-9, torch.full_like(area, 1e-9), area)
        u, v = (cross * -a).sum(1) / area, (ray * torch.linalg.cross(-a, b - a)).sum(1) / area
        shares = torch.stack((1 - u - v, u, v), -1).clamp(0, 1)
        charts = template.uvs[template.faces_uvs[self.ids.view(-1)[index]]]
        mixed = (corners * shares[..., None]).sum(1).T
        colour = self.picture.flatten(1)[:, index]
        return Pixels(colour, (charts * shares[..., None]).sum(1), self._geometry(mixed), self._open.view(-1)[index])

    def _geometry(self, rows: torch.Tensor) -> Geometry:
        """Build geometry from rows (10, P) as in :attr:`rows`."""
        outward = rows[:3] - self.rows[:, :3].mean(0)[:, None]
        normal, view, outward = (F.normalize(t, dim=0) for t in (rows[3:6], -rows[:3], outward))
        return Geometry(normal, view, outward, rows[6:])

    @functools.cached_property
    def _open(self) -> torch.Tensor:
        """(1, h, w): the highest probability of bare skin nearby; eyes and teeth are not skin for the mask."""
        return box_max(self.bare[None], 2 * max(2, round(0.012 * self.size[0])) + 1)[0]


@dataclass(frozen=True)
class Texels:
    """Samples of a picture at the P texels of a tile.

    Parameters
    ----------
    colour:
        (3, P) float32: linear light without the tone curve.
    weight:
        (P,) in [0, 1]: visibility.
    bare, bearded:
        (P,) in [0, 1]: probability that the texel is not occluded, and that a beard grows there.
    span:
        (P,) picture pixels per texel side.
    geometry:
        Geometry for shading.
    """

    colour: torch.Tensor
    weight: torch.Tensor
    bare: torch.Tensor
    bearded: torch.Tensor
    span: torch.Tensor
    geometry: Geometry

    @property
    def shaven(self) -> torch.Tensor:
        """(P,) in [0, 1]: visibility of skin without a beard."""
        return self.weight * (1 - self.bearded)


@dataclass(frozen=True)
class Pixels:
    """Pixels that show one part: colour (3, P) linear, texture coordinates (P, 2), geometry, and probability (P,) in
    [0, 1] that they are not occluded.
    """

    colour: torch.Tensor
    uv: torch.Tensor
    geometry: Geometry
    bare: torch.Tensor

    def __getitem__(self, index: torch.Tensor) -> Pixels:
        return Pixels(self.colour[:, index], self.uv[index], self.geometry[index], self.bare[index])


def unit(colour: torch.Tensor) -> torch.Tensor:
    """Return colours of any shape, uint8 or in [0, 1], as float32 in [0, 1]."""
    return colour.float() / 255 if colour.dtype == torch.uint8 else colour.float()


def _around(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """Return the fraction (1, h, w) of a mask (h, w) bool that is set within ``reach`` pixels."""
    wide = 2 * reach + 1
    rows = F.avg_pool2d(mask.float()[None, None], (wide, 1), 1, (reach, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, wide), 1, (0, reach), count_include_pad=False)[0]


def _sparse(picture: torch.Tensor) -> torch.Tensor:
    """Subsample a picture (H, W, 3) to about 40,000 pixels (3, N)."""
    flat = picture.flatten(0, 1)
    return flat[:: max(1, len(flat) // 40000)].T


def _materials(template: Template, verts: torch.Tensor) -> torch.Tensor:
    # With any texture the mesh is shaded as skin; without, as clay.
    return material_table(template.mesh(verts[None], verts.new_zeros(1, 3, 2, 2)))[:4].T


def _pixels_per_texel(grid: TileGrid, place: torch.Tensor) -> torch.Tensor:
    """Return the square root of the pixel area per texel, (P,)."""
    picture = grid.spread(place)
    across = F.pad(picture.diff(dim=2), (0, 1))
    down = F.pad(picture.diff(dim=1), (0, 0, 0, 1))
    return grid.gather((across[:1] * down[1:] - across[1:] * down[:1]).abs().sqrt())[0]


def _grid_of(view: View, place: torch.Tensor) -> torch.Tensor:
    height, width = view.size
    return torch.stack((place[0] * (2.0 / width) - 1.0, place[1] * (2.0 / height) - 1.0), -1)[None, None]


def _sampled(rows: torch.Tensor, view: View, place: torch.Tensor) -> torch.Tensor:
    """Sample rows (C, h, w) of any resolution at pixel coordinates (2, P) of the view: (C, P)."""
    found = F.grid_sample(rows[None], _grid_of(view, place), mode="bicubic", padding_mode="border", align_corners=False)
    return found[0, :, 0].clamp_min(0)


def _nearest(depth: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the depth (P,) of the pixels at coordinates (2, P)."""
    height, width = depth.shape
    x, y = place[0].long().clamp(0, width - 1), place[1].long().clamp(0, height - 1)
    return depth.view(-1)[y * width + x]
