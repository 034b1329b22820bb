"""Texels that a topology's UVs cover, cached: read and write UV maps without seams.

Charts lie side by side in a map, and neighbours in the map need not be neighbours on the surface. Two neighbouring
texels are *linked* if both lie on triangles and no chart border runs between their centres. Differences are taken along
links only, and texels outside are filled from the nearest ones inside.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from facekit.errors import InputError
from facekit.forks import lock
from facekit.geometry.charts import open_edges
from facekit.geometry.lists import expand, flat_indices, weighted_sum
from facekit.geometry.uv import rasterize_uv

#: Width of the border around each chart, in texels, that is filled from inside: enough for bilinear samples at three
#: mip levels.
GUTTER = 8

# About 25 bytes per texel and entry.
_CACHE: OrderedDict[bytes, Texels] = OrderedDict()
_CACHE_ENTRIES = 2
_CACHE_LOCK = lock()


@dataclass(frozen=True)
class Texels:
    """Texels of an H x W map that lie on triangles, and their links. Made by :func:`texels_of`.

    Parameters
    ----------
    size:
        (H, W).
    inside:
        (P,) int64: flat indices of the texels whose centre lies on a triangle.
    corners:
        (3, P) int32: UV vertices of that triangle.
    weights:
        (3, P) float32: barycentric weights.
    across, down:
        (H, W - 1) and (H - 1, W) bool: whether a texel is linked to the next in its row, and in its column.
    gutter, source:
        (G,) int64: flat indices of the texels around the charts, and of those in corners without a link in each
        direction, which have no slope; and the inside texel that each is filled from.
    """

    size: tuple[int, int]
    inside: torch.Tensor
    corners: torch.Tensor
    weights: torch.Tensor
    across: torch.Tensor
    down: torch.Tensor
    gutter: torch.Tensor
    source: torch.Tensor

    def bake(self, values: torch.Tensor) -> torch.Tensor:
        """Interpolate values at UV vertices (C, T) to a map (C, H, W), 0 outside. Differentiable."""
        mixed = weighted_sum(values, self.corners, self.weights)
        height, width = self.size
        empty = values.new_zeros(len(values), height * width)
        return empty.index_copy(1, self.inside, mixed).view(-1, height, width)

    def mask(self) -> torch.Tensor:
        """Return the mask (1, 1, H, W) float32, 1 inside."""
        height, width = self.size
        mask = torch.zeros(height * width, device=self.inside.device)
        return mask.index_fill_(0, self.inside, 1.0).view(1, 1, height, width)

    def fill(self, image: torch.Tensor) -> torch.Tensor:
        """Fill the gutter of a map (B, C, H, W) from inside. Differentiable."""
        flat = image.flatten(2)
        return flat.index_copy(2, self.gutter, flat.index_select(2, self.source)).view_as(image)

    def slopes(self, heights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the slopes of a map (B, 1, H, W) along u and along v per unit of UV, 0 outside. Differentiable.

        Central differences of fourth order (second order would flatten features a few texels wide, such as pores), of
        second order one texel from a chart's border, and one-sided at the border.
        """
        height, width = self.size
        along_u = _slope(heights, self.across) * width
        along_v = _slope(heights.transpose(2, 3), self.down.t()).transpose(2, 3) * -height  # rows run down, v runs up
        return along_u, along_v


def texels_of(uvs: torch.Tensor, faces_uvs: torch.Tensor, size: tuple[int, int]) -> Texels:
    """Return the texels of a topology, from a small cache keyed by its content.

    Parameters
    ----------
    uvs:
        (T, 2) float, origin bottom-left.
    faces_uvs:
        (F, 3) int64.
    size:
        (H, W) of the maps.

    Raises
    ------
    InputError
        If no triangle has an area in UV, for instance in a mesh from a file without UVs.
    """
    digest = hashlib.sha1(repr((size, str(uvs.device))).encode(), usedforsecurity=False)
    for tensor in (uvs, faces_uvs):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    key = digest.digest()
    with _CACHE_LOCK:
        if key not in _CACHE:
            # Tensors created in inference mode could not take part in gradients later.
            with torch.inference_mode(False), torch.no_grad():
                _CACHE[key] = _find(uvs.detach().clone(), faces_uvs.clone(), size)
            while len(_CACHE) > _CACHE_ENTRIES:
                _CACHE.popitem(last=False)
        _CACHE.move_to_end(key)
        return _CACHE[key]


def check_uvs(uvs: torch.Tensor, faces_uvs: torch.Tensor) -> None:
    """Raise InputError unless at least one triangle has an area in UV."""
    if faces_uvs.numel():
        a, b, c = (uvs[corner].double() for corner in faces_uvs.t())
        if bool((((b - a)[:, 0] * (c - a)[:, 1]) != ((b - a)[:, 1] * (c - a)[:, 0])).any()):
            return
    raise InputError("a mesh with UVs", "triangles without area in UV", "use a mesh from the pipeline, .obj or .glb")


def _find(uvs: torch.Tensor, faces_uvs: torch.Tensor, size: tuple[int, int]) -> Texels:
    check_uvs(uvs, faces_uvs)
    ids, weights = rasterize_uv(uvs, faces_uvs, size)
    inside = flat_indices(ids >= 0)
    corners = faces_uvs.to(torch.int32)[ids.view(-1)[inside]].t().contiguous()
    across, down = _links(uvs, faces_uvs, ids >= 0)
    sound = (F.pad(across, (1, 0)) | F.pad(across, (0, 1))) & (F.pad(down, (0, 0, 1, 0)) | F.pad(down, (0, 0, 0, 1)))
    gutter, source = _gutter(sound)
    return Texels(size, inside, corners, weights.view(-1, 3)[inside].t().contiguous(), across, down, gutter, source)


def _links(uvs: torch.Tensor, faces_uvs: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the links between neighbours, along rows and along columns."""
    height, width = inside.shape
    size = torch.tensor([width, height], dtype=torch.float64, device=uvs.device)
    flipped = torch.stack((uvs[:, 0], 1 - uvs[:, 1]), dim=-1)
    ends = (flipped.double() * size - 0.5)[open_edges(faces_uvs)]  # texel centres at integers
    across = inside[:, 1:] & inside[:, :-1]
    down = inside[1:] & inside[:-1]
    _cut(across, ends)
    _cut(down.t(), ends.flip(-1))
    return across, down


def _cut(links: torch.Tensor, ends: torch.Tensor) -> None:
    """Clear the links (rows, columns) that edges ``ends`` (E, 2, 2), as x and y, cross."""
    low, high = ends[:, :, 1].amin(1), ends[:, :, 1].amax(1)
    first = low.ceil().clamp(0, len(links)).long()
    last = high.floor().clamp(-1, len(links) - 1).long()
    edge, row = expand((last - first + 1).clamp_min(0))
    row = row + first[edge]
    a, b = ends[edge].unbind(1)
    part = (row - a[:, 1]) / torch.where(b[:, 1] == a[:, 1], torch.ones_like(row, dtype=a.dtype), b[:, 1] - a[:, 1])
    x = a[:, 0] + part.clamp(0, 1) * (b[:, 0] - a[:, 0])
    for side in (-1e-6, 1e-6):  # a border through a texel's centre cuts both of its links
        column = (x + side).floor().long()
        some = (column >= 0) & (column < links.shape[1])
        links[row[some], column[some]] = False


def _gutter(inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return texels within :data:`GUTTER` of those ``inside``, and a closest inside texel for each."""
    index = torch.arange(inside.numel(), dtype=torch.float64, device=inside.device).view(inside.shape)
    nearest = torch.where(inside, index, index.new_tensor(-1.0))
    for _ in range(GUTTER):
        nearest = torch.where(nearest < 0, F.max_pool2d(nearest[None, None], 3, 1, 1)[0, 0], nearest)
    gutter = flat_indices((nearest >= 0) & ~inside)
    return gutter, nearest.view(-1)[gutter].long()


def _slope(heights: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
    """Return the difference per column, (B, 1, H, W), along the links (H, W - 1) only."""
    step = (heights[..., 1:] - heights[..., :-1]) * links
    before, after = F.pad(step, (1, 0)), F.pad(step, (0, 1))
    linked = links.to(heights.dtype)
    left, right = F.pad(linked, (1, 0)), F.pad(linked, (0, 1))
    slope = (before + after) / (left + right).clamp_min(1.0)
    # With two links in each direction: (8 (next - previous) - (second next - second previous)) / 12.
    both = left * right * F.pad(left[:, :-1], (1, 0)) * F.pad(right[:, 1:], (0, 1))
    wider = F.pad(before[..., :-1], (1, 0)) + F.pad(after[..., 1:], (0, 1))
    return torch.where(both > 0, (7 * (before + after) - wider) / 12, slope)
