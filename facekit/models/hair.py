"""Hair, beards, brows and lashes of the embedded default."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from facekit.errors import InputError
from facekit.hair import HAIR_PARTS, HairCards
from facekit.models.carried_hair import Carried, Ground
from facekit.models.eyes import Eyeball
from facekit.models.facial_hair import SHAVEN, FacialHair, Tufts
from facekit.models.grooming import Grooming
from facekit.models.lashes import Lashes
from facekit.models.ties import Ties
from facekit.template import Template

#: Name for no hair on the scalp.
BALD = "bald"
#: Quantisation step of positions, mm.
_STEP = 1 / 50
#: Middle of the template's skull, mm, on the axis from which triangles are put in order.
_SKULL = (0.0, 20.0, -20.0)


class Outfit(NamedTuple):
    """Names of a hair style, lashes and a beard, and whether brows have strands."""

    style: str
    lashes: str
    beard: str = SHAVEN
    brows: bool = False

    @property
    def name(self) -> str:
        """Names of the parts, joined by plus signs."""
        parts = (self.style, "" if self.beard == SHAVEN else self.beard, "brows" if self.brows else "", self.lashes)
        return "+".join(part for part in parts if part)


@dataclass(frozen=True)
class _Piece:
    """One part of an outfit on the mean head: its kind, the name of its strand texture, its cards, and their ties."""

    part: str
    picture: str
    verts: torch.Tensor
    faces: torch.Tensor
    uvs: torch.Tensor
    faces_uvs: torch.Tensor
    along: torch.Tensor
    openness: torch.Tensor
    ties: Ties


class Wardrobe:
    """All styles, beards, brows and lashes of ``hair.npz`` on a template.

    Parameters
    ----------
    arrays:
        Content of the file. For styles and lashes ``NAME/verts`` (N, 3) int16 in steps of 1/50 mm, ``NAME/uvs`` (T, 2)
        uint16, ``NAME/faces`` and ``NAME/faces_uvs`` (F, 3) uint16, and ``NAME/strands`` (2, H, W) uint8, or
        ``NAME/picture`` (n,) uint8, the name in ASCII of the style whose ``strands`` it has; for styles also
        ``NAME/along`` (N, 3) int8, ``NAME/openness`` (N,), ``NAME/cap`` and ``NAME/shade`` (V,) uint8; and the arrays
        of :class:`facekit.models.facial_hair.FacialHair`.
    template:
        Template that the file was made for.
    """

    def __init__(self, arrays: Mapping[str, torch.Tensor], template: Template) -> None:
        self._arrays, self.template = arrays, template
        names = {name.split("/")[0] for name in arrays if name.endswith("/verts")}
        #: Names of styles, :data:`BALD` first; and of lashes.
        self.styles = (BALD, *sorted(name for name in names if f"{name}/cap" in arrays))
        self.lashes = tuple(sorted(name for name in names if f"{name}/cap" not in arrays))
        caps = [array for name, array in arrays.items() if name.endswith("/cap")]
        #: Number of vertices of the template that the file was made for; 0 if the file has neither styles nor a beard.
        self.vertices = caps[0].shape[-1] if caps else 0
        self._cards: dict[str, HairCards] = {}
        self._outfits: dict[str, Outfit] = {}
        self._ties: dict[str, list[Ties]] = {}
        self._carried: dict[str, Carried] = {}
        self._on_lids: dict[str, Lashes] = {}
        self._eyes = [Eyeball(template, left) for left in (False, True)]

    @functools.cached_property
    def _ground(self) -> Ground:
        return Ground(self.template)

    @functools.cached_property
    def facial(self) -> FacialHair:
        """Brows and beards."""
        return FacialHair(self._arrays, self.template)

    @property
    def beards(self) -> tuple[str, ...]:
        """Names of beards, :data:`facekit.models.facial_hair.SHAVEN` first."""
        return self.facial.beards

    def cards(self, outfit: Outfit) -> HairCards:
        """Return an outfit as one set of cards; cached.

        Raises
        ------
        InputError
            For an unknown style, beard or lashes.
        """
        for name, known, what in ((outfit.style, self.styles, "hair"), (outfit.lashes, self.lashes, "lashes")):
            if name not in known:
                raise InputError(f"{what} out of {', '.join(known)}", repr(name), "choose one of these, or None")
        self.facial.check(outfit.beard)
        if outfit.name not in self._cards:
            pieces = self._pieces(outfit)
            self._outfits[outfit.name], self._ties[outfit.name] = outfit, [piece.ties for piece in pieces]
            self._cards[outfit.name] = self._joined(outfit, pieces)
        return self._cards[outfit.name]

    def wear(
        self, cards: HairCards, rest: torch.Tensor, verts: torch.Tensor, grooming: Grooming | None = None
    ) -> torch.Tensor:
        """Place cards on heads. Returns (B, N, 3) mm.

        Parameters
        ----------
        cards:
            Result of :meth:`cards`.
        rest:
            (B or 1, V, 3) mm, heads at rest.
        verts:
            (B, V, 3) mm, posed heads.
        grooming:
            That of B people, or of one person; None for hair and beards as they were drawn, and no brows.
        """
        outfit, placed = self._outfits[cards.name], []
        if outfit.style != BALD:
            placed.append(self._hair(outfit.style)(verts, None if grooming is None else grooming.cut))
        if outfit.beard != SHAVEN:
            worn = () if grooming is None else (grooming.length, grooming.density)
            placed.append(self.facial.grow_beard(outfit.beard, verts, *worn))
        if outfit.brows:
            assert grooming is not None
            placed.append(self.facial.grow_brows(grooming.brows, verts))
        return torch.cat([*placed, self._lash(outfit.lashes)(rest, verts)], dim=1)

    def held(self, cards: HairCards, values: torch.Tensor) -> torch.Tensor:
        """Interpolate head values (V, C) at the cards' ties. Returns (N, C)."""
        return torch.cat([ties(values[None])[0] for ties in self._ties[cards.name]])

    def ties(self, cards: HairCards, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the strongest ties of each card vertex: head vertices (N, count) int64 and weights, which sum to 1."""
        index, share = [], []
        for ties in self._ties[cards.name]:
            most, place = ties.share.topk(count, dim=1)
            index.append(ties.index.gather(1, place))
            share.append(most / most.sum(1, keepdim=True))
        return torch.cat(index), torch.cat(share)

    def eye_centres(self, verts: torch.Tensor) -> torch.Tensor:
        """Return the centres (2, 3) mm of the right and the left eye of a head (1, V, 3) mm."""
        return torch.cat([eye.centre(verts.to(self.template.verts))[0] for eye in self._eyes])

    # -- the file ---------------------------------------------------------------------------------------------------

    def _part(self, name: str, part: str) -> torch.Tensor:
        return self._arrays[f"{name}/{part}"].to(self.template.verts.device)

    def _hair(self, style: str) -> Carried:
        if style not in self._carried:
            self._carried[style] = Carried(self._part(style, "verts").float() * _STEP, self._ground)
        return self._carried[style]

    def _lash(self, name: str) -> Lashes:
        if name not in self._on_lids:
            verts, faces = self._part(name, "verts").float() * _STEP, self._part(name, "faces").long()
            self._on_lids[name] = Lashes(verts, faces, self.template, self._eyes)
        return self._on_lids[name]

    def _pieces(self, outfit: Outfit) -> list[_Piece]:
        """Return the parts of an outfit in the order of their vertices."""
        pieces = []
        if outfit.style != BALD:
            along = torch.nn.functional.normalize(self._part(outfit.style, "along").float(), dim=1)
            openness = self._part(outfit.style, "openness").float() / 255
            pieces.append(self._cut("hair", outfit.style, along, openness, self._hair(outfit.style).ties))
        if outfit.beard != SHAVEN:
            pieces.append(_of_tufts("beard", self.facial.beard_tufts(outfit.beard)))
        if outfit.brows:
            pieces.append(_of_tufts("brows", self.facial.brow_tufts()))
        lashes = self._lash(outfit.lashes)
        along = torch.zeros_like(lashes.verts)
        along[:, 2] = 1.0
        return [*pieces, self._cut("lashes", outfit.lashes, along, along[:, 2], lashes.ties)]

    def _cut(self, part: str, name: str, along: torch.Tensor, openness: torch.Tensor, ties: Ties) -> _Piece:
        """Return a part whose cards are stored in the file."""
        verts, uvs = self._part(name, "verts").float() * _STEP, self._part(name, "uvs").float() / 65535
        faces, faces_uvs = (self._part(name, k).long() for k in ("faces", "faces_uvs"))
        drawn = self._arrays.get(f"{name}/picture")
        picture = name if drawn is None else bytes(drawn.tolist()).decode("ascii")
        return _Piece(part, picture, verts, faces, uvs, faces_uvs, along, openness, ties)

    def _joined(self, outfit: Outfit, pieces: list[_Piece]) -> HairCards:
        """Join all parts, with one strand texture that has the lashes on the right."""
        like = self.template.verts
        names = list(dict.fromkeys(piece.picture for piece in pieces))
        pictures = [self._part(name, "strands").float() / 255 for name in names]
        high, wide = max(p.shape[1] for p in pictures), sum(p.shape[2] for p in pictures)
        strands = torch.zeros(2, high, wide, device=like.device)
        strands[0] = 0.5
        left, lefts = 0, {}
        for name, picture in zip(names, pictures, strict=True):
            strands[:, : picture.shape[1], left : left + picture.shape[2]] = picture
            # Row 0 is v = 1.
            scale = like.new_tensor([picture.shape[2] / wide, picture.shape[1] / high])
            lefts[name] = scale, like.new_tensor([left / wide, 1 - picture.shape[1] / high])
            left += picture.shape[2]
        uvs, faces, faces_uvs, start, charts = [], [], [], 0, 0
        for piece in pieces:
            scale, shift = lefts[piece.picture]
            uvs.append(piece.uvs * scale + shift)
            faces.append(piece.faces + start)
            faces_uvs.append(piece.faces_uvs + charts)
            start, charts = start + len(piece.verts), charts + len(piece.uvs)
        points, corners, charted = torch.cat([p.verts for p in pieces]), torch.cat(faces), torch.cat(faces_uvs)
        order = _outward(points, corners)
        part = [torch.full((len(p.verts),), HAIR_PARTS.index(p.part), dtype=torch.uint8) for p in pieces]
        cap, shade, bearded = like.new_zeros(len(like)), like.new_ones(len(like)), like.new_zeros(len(like))
        if outfit.style != BALD:
            cap, shade = (self._part(outfit.style, name).float() / 255 for name in ("cap", "shade"))
        if outfit.beard != SHAVEN:
            bearded, light = self.facial.cap(outfit.beard)
            cap, shade = torch.maximum(cap, bearded), shade * light
        return HairCards(
            name=outfit.name, verts=points, faces=corners[order], uvs=torch.cat(uvs), faces_uvs=charted[order],
            strands=strands, along=torch.cat([p.along for p in pieces]),
            openness=torch.cat([p.openness for p in pieces]), part=torch.cat(part).to(like.device),
            lash_from=float(lefts[outfit.lashes][1][0]), cap=cap, bearded=bearded, shade=shade,
        )  # fmt: skip


def _outward(verts: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Return the order (F,) of triangles from the skull outward: what blends them in this order, without sorting them
    for each view, has the nearer of two on top wherever hair lies on a head.
    """
    away = verts[faces].mean(1) - verts.new_tensor(_SKULL)
    away[:, 1].clamp_(min=0.0)  # hair hangs about the neck's axis
    return away.norm(dim=1).argsort(stable=True)


def _of_tufts(part: str, tufts: Tufts) -> _Piece:
    return _Piece(
        part, "tufts", tufts.verts, tufts.faces, tufts.uvs, tufts.faces, tufts.along, tufts.openness, tufts.ties
    )
