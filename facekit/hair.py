"""Hair, beards, brows and lashes of one head: hair cards with a strand texture."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import torch

from facekit.color import srgb_to_linear
from facekit.files.pickling import compact_state
from facekit.geometry.mip import MipTexture
from facekit.geometry.uv import bake_skirted
from facekit.hairline import CAP_SHADE, edge_tone, hairs, thinned
from facekit.mesh import FaceMesh

#: Kinds of hair; ids in :attr:`HairCards.part` are indices into this.
HAIR_PARTS = ("hair", "beard", "brows", "lashes")
#: Value of ``face_ids`` in pictures where hair or a beard hides the head: this minus the part's id, so -2 or -3.
HIDDEN = -2
#: Base colour of lashes, a brownish black in sRGB, and its share in their blend with the hair's colour.
LASH_SRGB, LASH_SHARE = (0.085, 0.060, 0.052), 0.88
#: Fraction of the shade under hair that hair painted on skin does not get.
_LIT = 0.75
#: Fraction of the light that hair takes which white hair scatters on.
_SCATTERED = 0.55
#: Heights y below which, mm, and depths z in front of which hair of loose styles hangs beside chin and neck; depth
#: behind which there is only a tail.
_LOOSE, _TAIL = (-60.0, -50.0), -105.0
#: Cosines from behind within which hair that lies on the head is gone: tousled, and tied, which is smooth.
_TOUSLED, _TIED = 0.11, 0.25
#: Grey level of the strand texture that is rendered in exactly the hair's colour.
MIDDLE = 0.5
#: Contrast of strands, and how much less it is in hair without pigment: light goes on from strand to strand, and fills
#: what is dark between them. The least channel of the hair's colour at which that begins, and where it ends.
_CONTRAST, _FILLED, _BLEACHED = 0.75, 0.38, (0.34, 0.74)


@dataclass(frozen=True)
class HairCards:
    """Hair cards on the mean head with their strand texture; shared by all faces with the same hair.

    Parameters
    ----------
    name:
        Names of the hair style, beard, brows and lashes that are present, joined by plus signs.
    verts:
        (N, 3) float32 mm.
    faces, faces_uvs:
        (F, 3) int64.
    uvs:
        (T, 2) float32, origin bottom-left.
    strands:
        (2, H, W) float32 in [0, 1]: strand texture, grey (:data:`MIDDLE` is the hair's colour) and coverage.
    along:
        (N, 3) float32 unit vectors: direction of the strands from root to tip.
    openness:
        (N,) float32 in [0, 1]: fraction of ambient light that reaches each vertex through the rest of the hair.
    part:
        (N,) uint8, ids into :data:`HAIR_PARTS`.
    lash_from:
        Smallest u of lashes in the strand texture; they fill everything to the right of it.
    cap:
        (V,) float32 in [0, 1]: coverage of each head vertex by hair or a beard, whose tone replaces the skin's there.
    bearded:
        (V,) float32 in [0, 1]: the beard's part of ``cap``.
    shade:
        (V,) float32 in [0, 1]: fraction of ambient light that reaches each head vertex through the hair.
    """

    name: str
    verts: torch.Tensor
    faces: torch.Tensor
    uvs: torch.Tensor
    faces_uvs: torch.Tensor
    strands: torch.Tensor
    along: torch.Tensor
    openness: torch.Tensor
    part: torch.Tensor
    lash_from: float
    cap: torch.Tensor
    bearded: torch.Tensor
    shade: torch.Tensor

    @functools.cached_property
    def lash(self) -> torch.Tensor:
        """(N,) bool: vertices of lashes, which have their own colour."""
        return self.part == HAIR_PARTS.index("lashes")

    @functools.cached_property
    def on_scalp(self) -> torch.Tensor:
        """(N,) bool: vertices of hair on the scalp, which framing of pictures includes and which casts shadows."""
        return self.part == HAIR_PARTS.index("hair")

    @functools.cached_property
    def fuzz(self) -> torch.Tensor:
        """(N,) float32: cosine between normal and view, from behind, within which hair is gone whose outline is drawn
        strand by strand, so that its triangles' edges are not seen: short and tied hair, where it lies on the head.

        0 for all other hair. Of sheets that hang free, edge-on, too little would be left.
        """
        _, y, z = self.verts.unbind(1)
        loose, tail = self.on_scalp & (y < _LOOSE[0]) & (z > _LOOSE[1]), self.on_scalp & (z < _TAIL)
        lies = self.on_scalp & ~tail & ~loose.any()
        return lies.to(self.verts) * (_TIED if bool(tail.any()) else _TOUSLED)

    @functools.cached_property
    def light(self) -> torch.Tensor:
        """(V,) in [0, 1]: fraction of ambient light at each head vertex. What is painted there is hair, and is as light
        as the hair above it.
        """
        return self.shade + _LIT * self.cap * (1 - self.shade)

    @functools.cached_property
    def covers_skin(self) -> bool:
        """True if the tone of hair replaces the skin's anywhere."""
        return bool((self.cap > 0).any())

    @functools.cached_property
    def mip(self) -> MipTexture:
        """Mip chain of the strand texture, for the renderer."""
        return MipTexture.build(self.strands[None]).packed()

    def cap_map(self, mesh: FaceMesh) -> torch.Tensor:
        """Return the coverage by hair of each texel of a head's texture, (1, 1, H, W) in [0, 1]; cached."""
        assert mesh.texture is not None
        kept = self.__dict__.setdefault("_cap_maps", {})
        size = tuple(mesh.texture.shape[2:])
        if size not in kept:
            kept[size] = cover_maps(self.cap[:, None], mesh)
        return kept[size]

    def __repr__(self) -> str:
        """Summarise the cards in one line, without the tensors."""
        return f"HairCards({self.name!r}, {len(self.verts):,} vertices, {len(self.faces):,} triangles)"

    def __getstate__(self) -> dict[str, Any]:
        # Caches are dropped. The strand texture was made from 8-bit values, so 8 bits keep it exactly.
        state = compact_state(self)
        return {**state, "strands": (state["strands"] * 255).round().to(torch.uint8)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        object.__setattr__(self, "strands", state["strands"].float() / 255)

    def to(self, device: str | torch.device) -> HairCards:
        """Return a copy on another device."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        moved = {name: value.to(device) for name, value in fields.items() if isinstance(value, torch.Tensor)}
        return dataclasses.replace(self, **moved)


@dataclass(frozen=True)
class Hair:
    """All hair of one face.

    Parameters
    ----------
    cards:
        Cards on the mean head.
    verts:
        (N, 3) float32 mm: their vertices on this face.
    colour:
        (3,) float32 sRGB in [0, 1].
    """

    cards: HairCards
    verts: torch.Tensor
    colour: torch.Tensor

    def __repr__(self) -> str:
        """Summarise the hair in one line, without the tensors."""
        colour = ", ".join(f"{value:.2f}" for value in self.colour.tolist())
        return f"Hair({self.style!r}, {len(self.verts):,} vertices, sRGB ({colour}))"

    def __getstate__(self) -> dict[str, Any]:
        return compact_state(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def moved(self, verts: torch.Tensor) -> Hair:
        """Return the same hair with other vertices, (N, 3) mm."""
        return Hair(self.cards, verts, self.colour)

    @property
    def style(self) -> str:
        """Name of the cards, see :attr:`HairCards.name`."""
        return self.cards.name

    @property
    def colours(self) -> torch.Tensor:
        """(2, 3) float32 sRGB: colours of hair and of lashes."""
        lash = torch.lerp(self.colour, self.colour.new_tensor(LASH_SRGB), LASH_SHARE)
        return torch.stack((self.colour, lash))

    @property
    def openness(self) -> torch.Tensor:
        """(N,) float32 in [0, 1]: the cards' openness, with the light that other hairs scatter: more in light hair."""
        return torch.lerp(self.cards.openness, torch.ones_like(self.cards.openness), _SCATTERED * self.colour.mean())

    @property
    def cap_colour(self) -> torch.Tensor:
        """(3,) float32 sRGB: colour of the scalp under hair."""
        return self.colour * CAP_SHADE

    @property
    def mesh(self) -> FaceMesh:
        """Cards as a mesh (B = 1) without a texture, for export."""
        cards = self.cards
        return FaceMesh(self.verts[None], cards.faces, cards.uvs, cards.faces_uvs)

    def capped(self, mesh: FaceMesh) -> torch.Tensor | None:
        """Return the texture (1, 3, H, W) of a head's mesh with the hair's tone on the scalp, as it is rendered; None
        for a mesh without a texture.
        """
        if mesh.texture is None:
            return None
        cap = self.cards.cap_map(mesh).to(mesh.texture)
        drawn = hairs(*cap.shape[2:], cap.device).image
        tone = edge_tone(self.cap_colour.to(mesh.texture)[None, :, None, None], cap, drawn)
        return torch.lerp(mesh.texture, tone, thinned(cap, drawn))

    @property
    def texture(self) -> torch.Tensor:
        """(4, H, W) float32: sRGB colour and coverage, in the cards' UVs."""
        grey, cover = self.cards.strands
        width = grey.shape[1]
        lashes = torch.arange(width, device=grey.device) >= round(self.cards.lash_from * width)
        tint = torch.where(lashes[None, :], self.colours[1][:, None], self.colours[0][:, None])
        return torch.cat((tinted(grey, tint[:, None]), cover[None]))

    def to(self, device: str | torch.device) -> Hair:
        """Return a copy on another device."""
        return Hair(self.cards.to(device), self.verts.to(device), self.colour.to(device))


@dataclass(frozen=True)
class HairRig:
    """Hair of one neutral face, with its deltas for the face's morph targets.

    Parameters
    ----------
    neutral:
        Hair on the neutral face.
    deltas:
        (K, N, 3) float32 mm: displacements for the rig's K morph targets.
    """

    neutral: Hair
    deltas: torch.Tensor

    def to(self, device: str | torch.device) -> HairRig:
        """Return a copy on another device."""
        return HairRig(self.neutral.to(device), self.deltas.to(device))


def hair_to(hair: tuple[Hair | None, ...], device: str | torch.device) -> tuple[Hair | None, ...]:
    """Return copies on another device; cards that were shared stay shared."""
    cards = {id(h.cards): h.cards.to(device) for h in hair if h is not None}
    return tuple(None if h is None else Hair(cards[id(h.cards)], h.verts.to(device), h.colour.to(device)) for h in hair)


def contrast(colour: torch.Tensor) -> torch.Tensor:
    """Return the contrast of strands, (1, ...) in [0, 1], for hair of a colour (3, ...) in sRGB: less in grey and white
    hair, whose strands would look like wires.
    """
    low, high = _BLEACHED
    return _CONTRAST - _FILLED * ((colour.amin(0, keepdim=True) - low) / (high - low)).clamp(0.0, 1.0)


def tinted(grey: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Return colours of strands, (3, ...) sRGB in [0, 1], for grey levels (...) in [0, 1].

    ``colour`` is the hair's, sRGB, and broadcasts to the result.
    """
    # In sRGB, which is perceptually even: a strand of half the grey level looks half as bright.
    level = 1.0 + contrast(colour) * (grey / MIDDLE - 1.0)
    return (colour * level + 0.12 * (grey - MIDDLE).clamp_min(0) ** 2).clamp(0, 1)


def linear_tint(grey: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Return :func:`tinted` in linear RGB."""
    return srgb_to_linear(tinted(grey, colour))


def cover_maps(cover: torch.Tensor, mesh: FaceMesh) -> torch.Tensor:
    """Return the coverage of each texel of a head's texture, (1, C, H, W), by that of its vertices, (V, C)."""
    assert mesh.texture is not None
    return bake_skirted(cover.to(mesh.uvs), mesh, (mesh.texture.shape[2], mesh.texture.shape[3]))[None]
