"""Hair, beards, brows and lashes: cards with strands painted on them, as one head wears them."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import torch

from facekit.color import srgb_to_linear
from facekit.files.pickling import compact_state
from facekit.geometry.uv import MipTexture, bake, box_blurred, rasterize_uv
from facekit.mesh import FaceMesh

#: Parts of what is worn; :attr:`HairCards.part` counts from 0.
HAIR_PARTS = ("hair", "beard", "brows", "lashes")
#: What ``face_ids`` of pictures say where hair or a beard hides the head: this minus the part's id, -2 or -3.
HIDDEN = -2
#: Lashes are darker than the hair, by this share of the way to their own brown black, sRGB.
LASH_SRGB, LASH_SHARE = (0.085, 0.060, 0.052), 0.88
#: The grey that stands for the hair's own colour.
MIDDLE = 0.5
#: The scalp under hair has the hair's colour times this: it lies in shade.
CAP_SHADE = 0.62


@dataclass(frozen=True)
class HairCards:
    """Cards with their picture of strands, on the mean head; shared by all who wear them.

    Parameters
    ----------
    name:
        Names of the style, the beard, the brows and the lashes, as far as they are worn, with plus signs.
    verts:
        (N, 3) float32 mm.
    faces, faces_uvs:
        (F, 3) int64.
    uvs:
        (T, 2) float32, origin bottom-left.
    strands:
        (2, H, W) float32 in [0, 1]: grey, of which :data:`MIDDLE` is the hair's colour, and coverage.
    along:
        (N, 3) float32 unit, where the strands run, away from the root.
    openness:
        (N,) float32 in [0, 1], ambient light that reaches each vertex through the rest of the hair.
    part:
        (N,) uint8, ids into :data:`HAIR_PARTS`.
    lash_from:
        u of the picture from which on it shows lashes.
    cap:
        (V,) float32 in [0, 1], how far hair or a beard covers each vertex of the head: its tone hides the skin there.
    bearded:
        (V,) float32 in [0, 1], the beard's share of that.
    shade:
        (V,) float32 in [0, 1], ambient light that the hair leaves to each vertex of the head.
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
        """(N,) bool: vertices of lashes, which have a colour of their own."""
        return self.part == HAIR_PARTS.index("lashes")

    @functools.cached_property
    def on_scalp(self) -> torch.Tensor:
        """(N,) bool: vertices of hair on the scalp, which needs room in pictures and throws shadows."""
        return self.part == HAIR_PARTS.index("hair")

    @functools.cached_property
    def mip(self) -> MipTexture:
        """The strands with their halved copies, for the renderer."""
        return MipTexture.build(self.strands[None])

    def cap_map(self, mesh: FaceMesh) -> torch.Tensor:
        """How far hair covers each texel of a head's texture, (1, 1, H, W); kept once made."""
        assert mesh.texture is not None
        kept = self.__dict__.setdefault("_cap_maps", {})
        size = tuple(mesh.texture.shape[2:])
        if size not in kept:
            ids, weights = rasterize_uv(mesh.uvs, mesh.faces_uvs, (size[0], size[1]))
            known = (ids >= 0).float()[None, None]
            baked = bake(self.cap[None, :, None].to(mesh.uvs), mesh.faces, ids, weights)
            # Past the charts' edges it goes on, so that no filter mixes in bare skin.
            spread = [box_blurred(t, 9) for t in (baked * known, known)]
            kept[size] = torch.where(known > 0, baked, spread[0] / spread[1].clamp_min(1e-6))
        return kept[size]

    def __getstate__(self) -> dict[str, Any]:
        # What was kept is made again; strands were 8 bits once.
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
        What is worn.
    verts:
        (N, 3) float32 mm, where it lies on this face.
    colour:
        (3,) float32 sRGB in [0, 1].
    """

    cards: HairCards
    verts: torch.Tensor
    colour: torch.Tensor

    def __getstate__(self) -> dict[str, Any]:
        return compact_state(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def moved(self, verts: torch.Tensor) -> Hair:
        """Return the same hair with its vertices elsewhere, (N, 3) mm."""
        return Hair(self.cards, verts, self.colour)

    @property
    def style(self) -> str:
        """The style's name."""
        return self.cards.name

    @property
    def colours(self) -> torch.Tensor:
        """(2, 3) float32 sRGB: of hair and of lashes."""
        lash = torch.lerp(self.colour, self.colour.new_tensor(LASH_SRGB), LASH_SHARE)
        return torch.stack((self.colour, lash))

    @property
    def cap_colour(self) -> torch.Tensor:
        """(3,) float32 sRGB of the scalp under hair."""
        return self.colour * CAP_SHADE

    @property
    def mesh(self) -> FaceMesh:
        """The cards as a mesh (B = 1) without a texture, for writers of files."""
        cards = self.cards
        return FaceMesh(self.verts[None], cards.faces, cards.uvs, cards.faces_uvs)

    def capped(self, mesh: FaceMesh) -> torch.Tensor | None:
        """The texture (1, 3, H, W) of a head's mesh with the hair's tone on the scalp, as pictures show it."""
        if mesh.texture is None:
            return None
        cap = self.cards.cap_map(mesh).to(mesh.texture)
        tone = self.cap_colour.to(mesh.texture)[None, :, None, None]
        return torch.lerp(mesh.texture, tone, cap)

    @property
    def texture(self) -> torch.Tensor:
        """(4, H, W) float32 sRGB and coverage, in the cards' UV."""
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
    """Hair of one face at rest, and how it moves with the face's morph targets.

    Parameters
    ----------
    neutral:
        On the face at rest.
    deltas:
        (K, N, 3) float32 mm, of the rig's K targets.
    """

    neutral: Hair
    deltas: torch.Tensor

    def to(self, device: str | torch.device) -> HairRig:
        """Return a copy on another device."""
        return HairRig(self.neutral.to(device), self.deltas.to(device))


def hair_to(hair: tuple[Hair | None, ...], device: str | torch.device) -> tuple[Hair | None, ...]:
    """Return copies on another device; who shares cards goes on sharing them."""
    cards = {id(h.cards): h.cards.to(device) for h in hair if h is not None}
    return tuple(None if h is None else Hair(cards[id(h.cards)], h.verts.to(device), h.colour.to(device)) for h in hair)


def tinted(grey: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Colours of strands, (3, ...) sRGB, from their grey (...) in [0, 1] and the hair's colour, broadcast to it."""
    # In sRGB, not in linear light: a strand of half the value looks half as bright.
    return (colour * (0.25 + 0.75 * grey / MIDDLE) + 0.12 * (grey - MIDDLE).clamp_min(0) ** 2).clamp(0, 1)


def linear_tint(grey: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Likewise in linear light."""
    return srgb_to_linear(tinted(grey, colour))
