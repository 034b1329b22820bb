"""Hair and lashes of the embedded default, and how heads and lids carry them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from facekit.conventions import LANDMARK_GROUPS, PARTS
from facekit.errors import InputError
from facekit.geometry.normals import vertex_normals
from facekit.hair import HairCards
from facekit.models.eyes import AHEAD, Eyeball
from facekit.template import Template

#: Wearing lashes and no hair.
BALD = "bald"
#: Positions are kept in steps of 1/50 mm.
_STEP = 1 / 50
#: Hair moves with so many of the head's vertices that expressions leave alone, and these are so many in all.
_ANCHORS, _NEAREST, _SOFT = 420, 20, 15.0
#: Hair this near the skin, mm, is kept off it by so much, looking at so many vertices of the skin, in so many rounds.
_CLOSE, _OFF, _UNDER, _ROUNDS = 26.0, 2.0, 10, 4
# Skin under hair is looked for within this of so many neighbouring vertices, mm.
_LOOKED, _CHUNK = 40.0, 128
#: Vertices of a lid this near the eyeball, mm, are its rim; lashes move with so many of them.
_RIM, _ROOTS = 1.6, 6
#: Skin above the brows by this much, mm, is still, and what lies this far back, above that height.
_ABOVE_BROWS, _BACK, _BELOW = 12.0, 8.0, -25.0


@dataclass(frozen=True)
class _Hold:
    """What vertices hang on: rows of head vertices, and their shares."""

    index: torch.Tensor
    share: torch.Tensor

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Mix values (B, V, C) of the head for each vertex that hangs on it, (B, N, C)."""
        return (values[:, self.index] * self.share[..., None]).sum(2)


class Wardrobe:
    """All styles and lashes of ``hair.npz``, on a template.

    Parameters
    ----------
    arrays:
        The file's content: ``NAME/verts`` (N, 3) int16, ``NAME/uvs`` (T, 2) uint16, ``NAME/faces`` and
        ``NAME/faces_uvs`` (F, 3) uint16, ``NAME/strands`` (2, H, W) uint8; of styles ``NAME/along`` (N, 3) int8,
        ``NAME/openness`` (N,), ``NAME/cap`` and ``NAME/shade`` (V,) uint8 besides.
    template:
        The head that they were made for.
    """

    def __init__(self, arrays: Mapping[str, torch.Tensor], template: Template) -> None:
        self._arrays, self.template = arrays, template
        names = {name.split("/")[0] for name in arrays}
        #: Names of styles, :data:`BALD` first; and of lashes.
        self.styles = (BALD, *sorted(name for name in names if f"{name}/cap" in arrays))
        self.lashes = tuple(sorted(name for name in names if f"{name}/cap" not in arrays))
        caps = [array for name, array in arrays.items() if name.endswith("/cap")]
        #: Of the head that they were made for.
        self.vertices = len(caps[0]) if caps else 0
        self._cards: dict[tuple[str, str], HairCards] = {}
        self._held: dict[str, tuple[_Hold, torch.Tensor, torch.Tensor]] = {}
        self._rooted: dict[str, tuple[_Hold, torch.Tensor]] = {}
        self._anchors: torch.Tensor | None = None
        self._eyes = [Eyeball(template, left) for left in (False, True)]

    def cards(self, style: str, lashes: str) -> HairCards:
        """Return a style with lashes as one set of cards; the same object each time.

        Raises
        ------
        InputError
            For a style or lashes that there are not.
        """
        for name, known, what in ((style, self.styles, "hair"), (lashes, self.lashes, "lashes")):
            if name not in known:
                raise InputError(f"{what} out of {', '.join(known)}", repr(name), "choose one of these, or None")
        if (style, lashes) not in self._cards:
            self._cards[style, lashes] = self._joined(style, lashes)
        return self._cards[style, lashes]

    def wear(self, cards: HairCards, rest: torch.Tensor, verts: torch.Tensor) -> torch.Tensor:
        """Where cards lie on heads, (B, N, 3) mm.

        Parameters
        ----------
        cards:
            Of :meth:`cards`.
        rest:
            (B or 1, V, 3) mm, the heads at rest.
        verts:
            (B, V, 3) mm, as they are posed.
        """
        style, lashes = cards.name.split("+")
        count = int((~cards.lash).sum())
        hair, lash = cards.verts[:count], cards.verts[count:]
        parts = [] if style == BALD else [self._carried(style, hair, verts)]
        return torch.cat([*parts, self._on_lids(lashes, lash, rest, verts)], dim=1)

    def held(self, cards: HairCards, values: torch.Tensor) -> torch.Tensor:
        """Values (V, C) of the head where cards hang on it, (N, C); call :meth:`wear` before."""
        style, lashes = cards.name.split("+")
        holds = [] if style == BALD else [self._held[style][0]]
        return torch.cat([hold(values[None])[0] for hold in (*holds, self._rooted[lashes][0])])

    def ties(self, cards: HairCards, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Head vertices that cards hang on most, (N, count) int64, and their shares, which sum to 1.

        Call :meth:`wear` before.
        """
        style, lashes = cards.name.split("+")
        holds = [] if style == BALD else [self._held[style][0]]
        index, share = [], []
        for hold in (*holds, self._rooted[lashes][0]):
            most, place = hold.share.topk(min(count, hold.share.shape[1]), dim=1)
            index.append(hold.index.gather(1, place))
            share.append(most / most.sum(1, keepdim=True))
        return torch.cat(index), torch.cat(share)

    def eye_centres(self, verts: torch.Tensor) -> torch.Tensor:
        """Centres (2, 3) mm of the right and the left eye of a head (1, V, 3)."""
        return torch.cat([eye.centre(verts.to(self.template.verts))[0] for eye in self._eyes])

    # -- the file ---------------------------------------------------------------------------------------------------

    def _part(self, name: str, part: str) -> torch.Tensor:
        return self._arrays[f"{name}/{part}"].to(self.template.verts.device)

    def _joined(self, style: str, lashes: str) -> HairCards:
        """One picture of both, the lashes' to the right of the hair's."""
        like = self.template.verts
        pieces = [name for name in (style, lashes) if name != BALD]
        pictures = [self._part(name, "strands").float() / 255 for name in pieces]
        high, wide = max(p.shape[1] for p in pictures), sum(p.shape[2] for p in pictures)
        strands = torch.zeros(2, high, wide, device=like.device)
        strands[0] = 0.5
        rows: dict[str, list[torch.Tensor]] = {k: [] for k in ("verts", "faces", "uvs", "faces_uvs")}
        left = start = charts = 0
        for name, picture in zip(pieces, pictures, strict=True):
            strands[:, : picture.shape[1], left : left + picture.shape[2]] = picture
            # Row 0 is v = 1.
            scale = like.new_tensor([picture.shape[2] / wide, picture.shape[1] / high])
            shift = like.new_tensor([left / wide, 1 - picture.shape[1] / high])
            rows["verts"].append(self._part(name, "verts").float() * _STEP)
            rows["uvs"].append(self._part(name, "uvs").float() / 65535 * scale + shift)
            rows["faces"].append(self._part(name, "faces").long() + start)
            rows["faces_uvs"].append(self._part(name, "faces_uvs").long() + charts)
            left, start, charts = left + picture.shape[2], start + len(rows["verts"][-1]), charts + len(rows["uvs"][-1])
        hairs = len(rows["verts"][0]) if style != BALD else 0
        lash = torch.arange(start, device=like.device) >= hairs
        along, openness = like.new_zeros(start, 3), like.new_ones(start)
        along[:, 2] = 1.0
        cap, shade = like.new_zeros(len(like)), like.new_ones(len(like))
        if style != BALD:
            run = self._part(style, "along").float()
            along[:hairs] = run / run.norm(dim=1, keepdim=True).clamp_min(1e-6)
            openness[:hairs] = self._part(style, "openness").float() / 255
            cap, shade = (self._part(style, part).float() / 255 for part in ("cap", "shade"))
        joined = {name: torch.cat(values) for name, values in rows.items()}
        first = 0.0 if style == BALD else pictures[0].shape[2] / wide
        return HairCards(
            name=f"{style}+{lashes}", strands=strands, along=along, openness=openness, lash=lash, lash_from=first,
            cap=cap, shade=shade, **joined,
        )  # fmt: skip

    # -- hair on the head -------------------------------------------------------------------------------------------

    def _carried(self, style: str, hair: torch.Tensor, verts: torch.Tensor) -> torch.Tensor:
        """Move hair with what of the head is still, then out of the skin."""
        if style not in self._held:
            self._held[style] = self._hold(hair)
        hold, close, under = self._held[style]
        moved = hair + hold(verts - self.template.verts)
        normals = vertex_normals(verts, self.template.faces)
        skin, out = verts[:, under], normals[:, under]
        near = moved[:, close]
        for _ in range(_ROUNDS):
            away = near[:, :, None] - skin
            nearest = away.square().sum(-1).argmin(2)[..., None, None].expand(-1, -1, 1, 3)
            normal = out.gather(2, nearest)[:, :, 0]
            height = (away.gather(2, nearest)[:, :, 0] * normal).sum(-1, keepdim=True)
            near = near + (_OFF - height).clamp_min(0) * normal
        moved[:, close] = near
        return moved

    def _hold(self, hair: torch.Tensor) -> tuple[_Hold, torch.Tensor, torch.Tensor]:
        """What a style hangs on; its vertices near the skin, (n,); and skin under each, (n, k)."""
        head = self.template.verts
        anchors = self._still()
        distance, near = torch.cdist(hair, head[anchors]).topk(_NEAREST, largest=False)
        share = torch.exp(-((distance / (distance[:, :1] + _SOFT)) ** 2))
        parts = self.template.parts
        skin = torch.isin(parts, parts.new_tensor([PARTS.index(n) for n in ("skin", "back_of_head", "neck", "lids")]))
        place = skin.nonzero()[:, 0]
        distances, under = [], []
        for some in hair.split(_CHUNK):
            low, high = some.amin(0) - _LOOKED, some.amax(0) + _LOOKED
            around = place[((head[place] > low) & (head[place] < high)).all(1)]
            if len(around) < _UNDER:
                around = place
            d, k = torch.cdist(some, head[around]).topk(_UNDER, largest=False)
            if bool((d[:, -1] > _LOOKED)[d[:, 0] < _CLOSE].any()):  # there may be nearer ones outside of the box
                around = place
                d, k = torch.cdist(some, head[around]).topk(_UNDER, largest=False)
            distances.append(d[:, 0])
            under.append(around[k])
        close = torch.cat(distances) < _CLOSE
        return (
            _Hold(anchors[near], share / share.sum(1, keepdim=True)),
            close.nonzero()[:, 0],
            torch.cat(under)[close],
        )

    def _still(self) -> torch.Tensor:
        """Vertices of the head that expressions leave alone, evenly spread, (n,) int64."""
        if self._anchors is None:
            verts, parts = self.template.verts, self.template.parts
            brows = verts[self.template.landmarks[LANDMARK_GROUPS["brows"]]][:, 1].amax()
            skin = parts == PARTS.index("skin")
            high = skin & (verts[:, 1] > brows + _ABOVE_BROWS)
            back = skin & (verts[:, 2] < _BACK) & (verts[:, 1] > _BELOW)
            rest = torch.isin(parts, parts.new_tensor([PARTS.index("back_of_head"), PARTS.index("neck")]))
            self._anchors = _spread(verts, (high | back | rest).nonzero()[:, 0], _ANCHORS)
        return self._anchors

    # -- lashes on the lids -----------------------------------------------------------------------------------------

    def _on_lids(self, name: str, lash: torch.Tensor, rest: torch.Tensor, verts: torch.Tensor) -> torch.Tensor:
        """Turn lashes about the eyes' centres as the rims of their lids turn."""
        if name not in self._rooted:
            self._rooted[name] = self._root(name, lash)
        hold, left = self._rooted[name]
        home = hold(self.template.verts[None])
        root, now = hold(rest), hold(verts)
        placed = lash + root - home
        centre, centre_now = (
            torch.where(left[:, None], self._eyes[1].centre(v), self._eyes[0].centre(v)) for v in (rest, verts)
        )
        a, b = root - centre, now - centre_now
        size = b.norm(dim=-1, keepdim=True) / a.norm(dim=-1, keepdim=True)
        a, b = (torch.nn.functional.normalize(t, dim=-1) for t in (a, b))
        # Rodrigues' rotation from a to b, without the angle itself.
        axis, cos = torch.linalg.cross(a.expand_as(b), b), (a * b).sum(-1, keepdim=True)
        arm = placed - centre
        arm = arm.expand_as(axis)
        turned = arm * cos + torch.linalg.cross(axis, arm)
        turned = turned + axis * ((axis * arm).sum(-1, keepdim=True) / (1 + cos).clamp_min(1e-3))
        return centre_now + turned * size

    def _root(self, name: str, lash: torch.Tensor) -> tuple[_Hold, torch.Tensor]:
        """The rims' vertices that each of the lashes hangs on, and which lashes are the left eye's, (N,) bool."""
        verts, parts = self.template.verts, self.template.parts
        left = lash[:, 0] > 0
        lids = parts == PARTS.index("lids")
        strip = _components(len(lash), self._part(name, "faces").long())
        index = torch.zeros(len(lash), _ROOTS, dtype=torch.int64, device=lash.device)
        share = lash.new_zeros(len(lash), _ROOTS)
        for side, eye in enumerate(self._eyes):
            ray = verts - eye.centre(verts[None])[0]
            gap = ray.norm(dim=1) - eye.radius(ray[:, 2] / ray.norm(dim=1))
            rim = lids & ((verts[:, 0] > 0) == bool(side)) & (gap.abs() < _RIM) & (ray[:, 2] > AHEAD * ray.norm(dim=1))
            corners = verts[self.template.landmarks[[42, 45] if side else [36, 39]]]
            slope = (corners[1, 1] - corners[0, 1]) / (corners[1, 0] - corners[0, 0])

            def height(points: torch.Tensor, corners: torch.Tensor = corners, slope: torch.Tensor = slope):
                return points[:, 1] - corners[0, 1] - slope * (points[:, 0] - corners[0, 0])

            for number in strip[left == bool(side)].unique():
                mine = (strip == number).nonzero()[:, 0]
                upper = bool(height(lash[mine]).mean() > 0)
                place = (rim & ((height(verts) > 0.3) if upper else (height(verts) < -0.3))).nonzero()[:, 0]
                # Across the lid they are as near as along it they are far.
                scale = verts.new_tensor([1.0, 0.4, 0.4])
                distance, near = torch.cdist(lash[mine] * scale, verts[place] * scale).topk(_ROOTS, largest=False)
                weight = torch.exp(-((distance / (distance[:, :1] + 1.0)) ** 2))
                index[mine], share[mine] = place[near], weight / weight.sum(1, keepdim=True)
        return _Hold(index, share), left


def _spread(points: torch.Tensor, chosen: torch.Tensor, count: int) -> torch.Tensor:
    """So many of the chosen points, each as far as can be from those before it (Gonzalez 1985)."""
    some = points[chosen]
    picked, distance = [0], (some - some[0]).square().sum(1)
    for _ in range(min(count, len(some)) - 1):
        picked.append(int(distance.argmax()))
        distance = torch.minimum(distance, (some - some[picked[-1]]).square().sum(1))
    return chosen[torch.tensor(picked, device=chosen.device)]


def _components(count: int, faces: torch.Tensor) -> torch.Tensor:
    """The least vertex that each vertex is connected to, (count,) int64."""
    label = torch.arange(count, device=faces.device)
    while True:
        least = label[faces].amin(1)
        after = label.clone()
        for k in range(3):
            after.scatter_reduce_(0, faces[:, k], least, "amin")
        if bool((after == label).all()):
            return label
        label = after
