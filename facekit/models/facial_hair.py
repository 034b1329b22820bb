"""Brows and beards of the embedded default: tufts of hair attached to the facial skin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.geometry.charts import step
from facekit.geometry.uv import rasterize_uv
from facekit.models.brows import BrowForm, BrowShape
from facekit.models.composers.micro import BROW_NOISE
from facekit.models.ties import Ties
from facekit.template import Template

#: Name for no beard.
SHAVEN = "shaven"
#: Zones of a beard: upper lip, around the mouth and chin, cheeks and jaw, under the jaw.
MOUSTACHE, CHIN, JAW, NECK = range(4)
_ZONES = {"full": (MOUSTACHE, CHIN, JAW, NECK), "goatee": (MOUSTACHE, CHIN), "moustache": (MOUSTACHE,)}
#: Most that a beard's length is in each zone, over that of the drawn one: hair over the mouth is cut.
_LONGEST = (1.3, 3.0, 1.8, 3.0)
#: Columns of brows and of beards in the strand texture: first u, last u, number of different tufts.
BROW_PICTURE, BEARD_PICTURE = (0.0, 0.5, 8), (0.5, 1.0, 4)
#: Rows of vertices per card, root to tip, and vertices per card.
_ROWS, _CORNERS = 3, 6
#: Height above the skin, and half width, of a brow card's rows, mm.
_HEIGHTS, _HALF = (0.0, 0.55, 0.75), (0.55, 0.85, 0.6)
#: Depth of a beard's roots under the skin, mm.
_UNDER = 0.5
#: At full density: coverage of the skin by a beard, fraction of ambient light that the skin under it loses, and
#: fraction that reaches the roots.
_HIDES, _SHADES, _ROOT_LIGHT = 0.82, 0.35, 0.5
#: Fraction of ambient light that reaches brows.
_BROW_LIGHT = 0.85
#: Share of their tufts that the sparsest brows keep, and how long and wide these are, in shares of a dense brow's.
_SPARSEST, _FINEST = 0.50, 0.35
#: Golden section: its multiples leave tufts out evenly.
_GOLDEN = 0.618034
#: Resolution of the triangle index over the face tile, and number of head vertices that each card vertex is tied to.
_MAP, _TIES = 512, 6
#: Softness of these ties, mm.
_TIE_SOFT = 1.0


@dataclass(frozen=True)
class Brows:
    """Brows of B people.

    Parameters
    ----------
    rows:
        (B, N, 3, 2) float32: x and y (down) on the face tile, in [0, 1], of each tuft's root, middle and tip.
    grown:
        (B, N) float32 in [0, 1]: length of each tuft as a fraction of its full length; 0 for tufts that are absent.
    """

    rows: Tensor
    grown: Tensor

    def __getitem__(self, index: Tensor | slice) -> Brows:
        return Brows(self.rows[index], self.grown[index])


@dataclass(frozen=True)
class Tufts:
    """Cards of brows or a beard on the mean head, six vertices each; fields as in :class:`facekit.hair.HairCards`."""

    verts: Tensor
    faces: Tensor
    uvs: Tensor
    along: Tensor
    openness: Tensor
    ties: Ties


def card_faces(count: int) -> Tensor:
    """Return the triangles (count * 4, 3) int64 of cards with three rows of two vertices each, root to tip."""
    quads = torch.tensor([[0, 1, 3], [0, 3, 2], [2, 3, 5], [2, 5, 4]])
    return (quads + _CORNERS * torch.arange(count)[:, None, None]).reshape(-1, 3)


class FacialHair:
    """Brows and beards of ``hair.npz`` on a template.

    Parameters
    ----------
    arrays:
        Content of the file, see :func:`facekit.train.hair.facial.facial_arrays`.
    template:
        Template that they were made for.
    """

    def __init__(self, arrays: Mapping[str, Tensor], template: Template) -> None:
        self.template = template
        like = template.verts

        def part(name: str) -> Tensor:
            return arrays[name].to(like.device)

        #: Names of beards, :data:`SHAVEN` first.
        self.beards = (SHAVEN, *_ZONES)
        self._rows, self._rank = part("brows/rows").float() / 65535, part("brows/rank").float() / 255
        self._face, self._share = part("beard/face").long(), part("beard/share").float()
        self._share = self._share / self._share.sum(1, keepdim=True)
        self._ways, self._side = part("beard/ways").float() / 5, part("beard/side").float() / 20
        self._zone, self._cap = part("beard/zone"), part("beard/cap").float() / 255
        self._tile = _TileMap(template)
        self._kept: dict[str, Tufts] = {}
        self._planted: dict[str, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = {}

    # -- brows of an identity ---------------------------------------------------------------------------------------

    def brows_of(self, shape: BrowShape, form: BrowForm, texture_noise: Tensor) -> Brows:
        """Return the brows of a form, as `shape` warps the painted ones.

        Parameters
        ----------
        shape, form:
            Shape of brows, and its result for these people.
        texture_noise:
            (B, 128) codes, which choose the growth pattern.
        """
        layout = texture_noise[:, BROW_NOISE].argmax(1)
        rows, rank = self._rows[layout], self._rank[layout]
        # A thin brow has only the central tufts of a thick one; a sparse one lacks some everywhere, and has finer ones.
        many, long = (least + (1 - least) * form.density[:, None] for least in (_SPARSEST, _FINEST))
        reach = 0.34 + 0.46 * form.thickness[:, None]
        thinned = torch.arange(rank.shape[1], device=rank.device) * _GOLDEN % 1.0
        grown = step(reach - rank, -0.06, 0.10) * long * step(many - thinned, -0.05, 0.05)
        return Brows(shape.placed(form, rows), grown)

    # -- cards ------------------------------------------------------------------------------------------------------

    def brow_tufts(self) -> Tufts:
        """Return the cards of brows on the mean head; cached."""
        if "" not in self._kept:
            plain = Brows(self._rows[:1], torch.ones_like(self._rank[:1]))
            verts = self.grow_brows(plain, self.template.verts[None])[0]
            light = verts.new_full((len(verts),), _BROW_LIGHT)
            self._kept[""] = self._tufts(verts, light, BROW_PICTURE)
        return self._kept[""]

    def beard_tufts(self, style: str) -> Tufts:
        """Return the cards of a beard on the mean head; cached."""
        if style not in self._kept:
            verts = self.grow_beard(style, self.template.verts[None])[0]
            light = verts.new_tensor([_ROOT_LIGHT, 0.5 * (1 + _ROOT_LIGHT), 1.0])
            light = light.repeat_interleave(2).repeat(len(verts) // _CORNERS)
            self._kept[style] = self._tufts(verts, light, BEARD_PICTURE)
        return self._kept[style]

    def check(self, style: str) -> None:
        """Raise :class:`facekit.errors.InputError` for an unknown beard."""
        if style not in self.beards:
            raise InputError(f"a beard out of {', '.join(self.beards)}", repr(style), "choose one of these")

    def cap(self, style: str) -> tuple[Tensor, Tensor]:
        """Return a beard's coverage of each head vertex and the ambient light left there, (V,) each."""
        cover = self._cap[list(_ZONES[style])].sum(0).clamp(0, 1)
        return _HIDES * cover, 1 - _SHADES * cover

    # -- placement on faces -----------------------------------------------------------------------------------------

    def grow_brows(self, brows: Brows, verts: Tensor) -> Tensor:
        """Place the cards of brows on faces.

        Parameters
        ----------
        brows:
            Brows of B people, or of one person.
        verts:
            (B, V, 3) mm.

        Returns
        -------
        torch.Tensor
            (B, N * 6, 3) mm.
        """
        count = len(verts)
        index, share = self._tile(brows.rows.flatten(1, 2))
        corners = verts[torch.arange(count, device=verts.device)[:, None, None], index.expand(count, -1, -1)]
        points = (corners * share[..., None]).sum(2).view(count, -1, _ROWS, 3)
        normal = _normals(corners).view(count, -1, _ROWS, 3)
        along = F.normalize(points[:, :, 2] - points[:, :, 0], dim=-1)[:, :, None]
        side = F.normalize(torch.linalg.cross(along.expand_as(normal), normal), dim=-1)
        heights, half = (verts.new_tensor(t)[:, None] for t in (_HEIGHTS, _HALF))
        middle = points + heights * normal
        both = torch.stack((middle - half * side, middle + half * side), 3)
        root = points[:, :, None, :1]
        return (root + brows.grown[:, :, None, None, None] * (both - root)).flatten(1, 3)

    def grow_beard(
        self, style: str, verts: Tensor, length: Tensor | None = None, density: Tensor | None = None
    ) -> Tensor:
        """Place the cards of a beard on faces.

        Parameters
        ----------
        style:
            One of :attr:`beards`.
        verts:
            (B, V, 3) mm.
        length, density:
            (B,) or (1,): factor on its length, and share of its tufts that grow; None for 1.

        Returns
        -------
        torch.Tensor
            (B, N * 6, 3) mm.
        """
        if style not in self._planted:
            self._planted[style] = self._plant(style)
        tris, share, rows, sides, most = self._planted[style]
        one = verts.new_ones(1)
        length, density = (one if value is None else value.to(verts) for value in (length, density))
        order = torch.arange(len(tris), device=verts.device) * _GOLDEN % 1.0
        grown = step(density[:, None] - order, -0.02, 0.02)[:, :, None, None]
        tufts = (torch.minimum(length[:, None], most)[..., None, None] * rows)[..., None, :] + torch.stack(
            (-sides, sides), 2
        )
        tufts = grown * tufts.flatten(2, 3) - tufts.new_tensor([0.0, 0.0, _UNDER])
        corners = verts[:, tris]
        root = (corners * share[..., None]).sum(2)
        # Tufts rotate with the triangle at their root; the last axis of its frame is the normal.
        return (root[:, :, None] + tufts @ _frames(corners).transpose(-1, -2)).flatten(1, 2)

    def _plant(self, style: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the triangles' vertices (N, 3) at a beard's roots; the roots' barycentric weights (N, 3); from the
        roots, in the frames of these triangles, the middles of cards' rows (N, 3, 3) mm and the half widths; and the
        longest (N,) that they are let grow.
        """
        some = torch.isin(self._zone, self._zone.new_tensor(_ZONES[style]))
        tris, ways, side = self.template.faces[self._face[some]], self._ways[some], self._side[some, None]
        rows, frames = torch.cat((torch.zeros_like(ways[:, :1]), ways), 1), _frames(self.template.verts[tris])
        side = side * ways.new_tensor([0.8, 1.0, 0.9])[:, None]
        most = side.new_tensor(_LONGEST)[self._zone[some].long()]
        return tris, self._share[some], rows @ frames, side @ frames, most

    def _tufts(self, verts: Tensor, light: Tensor, picture: tuple[float, float, int]) -> Tufts:
        """Build cards from their vertices; ``picture`` is the range of u and the number of tufts in the strand texture,
        where tufts lie side by side.
        """
        first, last, kinds = picture
        count = len(verts) // _CORNERS
        kind = torch.arange(count, device=verts.device) * 5 % kinds
        left = first + (last - first) * kind / kinds
        across = (last - first) / kinds * verts.new_tensor([0.04, 0.96]).repeat(_ROWS)
        up = verts.new_tensor([0.0, 0.5, 1.0]).repeat_interleave(2).expand(count, -1)
        uvs = torch.stack((left[:, None] + across, up), -1).reshape(-1, 2)
        faces = card_faces(count).to(verts.device)
        card = verts.view(count, _ROWS, 2, 3)
        along = F.normalize((card[:, 2] - card[:, 0]).mean(1), dim=-1).repeat_interleave(_CORNERS, 0)
        skin = (self.template.parts == PARTS.index("skin")).nonzero()[:, 0]
        ties = Ties.nearest(verts, self.template.verts, skin, _TIES, _TIE_SOFT)
        return Tufts(verts, faces, uvs, along, light, ties)


class _TileMap:
    """Lookup of positions on the face tile as barycentric coordinates on the head."""

    def __init__(self, template: Template) -> None:
        self.faces, tile = template.faces, template.tile_uvs
        self.corners = tile[template.faces_uvs]
        inside = ((self.corners >= 0) & (self.corners <= 1)).all(2).all(1).nonzero()[:, 0]
        ids, _ = rasterize_uv(tile, template.faces_uvs[inside], _MAP)
        self.ids = torch.where(ids < 0, ids, inside[ids.clamp_min(0)])

    def __call__(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return triangles' vertices (B, P, 3) int64 and barycentric weights (B, P, 3) for positions (B, P, 2), y down.

        Positions outside of all triangles are extrapolated from the first one.
        """
        column, row = ((places[..., k] * _MAP).long().clamp(0, _MAP - 1) for k in (0, 1))
        face = self.ids[row, column].clamp_min(0)
        a, b, c = self.corners[face].unbind(-2)
        p = torch.stack((places[..., 0], 1 - places[..., 1]), -1) - a
        e, f = b - a, c - a
        area = e[..., 0] * f[..., 1] - e[..., 1] * f[..., 0]
        area = torch.where(area.abs() < 1e-12, 1.0, area)
        second = (p[..., 0] * f[..., 1] - p[..., 1] * f[..., 0]) / area
        third = (e[..., 0] * p[..., 1] - e[..., 1] * p[..., 0]) / area
        return self.faces[face], torch.stack((1 - second - third, second, third), -1)


def _normals(corners: Tensor) -> Tensor:
    """Unit normals (…, 3) of triangles (…, 3, 3)."""
    return F.normalize(
        torch.linalg.cross(corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]), dim=-1
    )


def _frames(corners: Tensor) -> Tensor:
    """Orthonormal frames (…, 3, 3), axes in columns, of triangles (…, 3, 3)."""
    first = F.normalize(corners[..., 1, :] - corners[..., 0, :], dim=-1)
    normal = _normals(corners)
    return torch.stack((first, torch.linalg.cross(normal, first), normal), -1)
