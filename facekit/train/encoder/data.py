"""Clips to train the encoder on: simulated people, motions and cameras, and renders.

A simulated clip costs a thousandth of a rendered one: the rig's points are projected, and the measured error model
(:mod:`facekit.train.encoder.errors`) is applied: bias by pose, expression and person, and errors correlated between
points, readings and frames. No photographs are used.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from facekit.conventions import BLENDSHAPES, GAZE_ACROSS, GAZE_UP
from facekit.models.blendshapes import BLINKS
from facekit.models.encoder import Observed
from facekit.models.eyes import gaze_rotation
from facekit.reconstruct.dense import mirrored_identity, swapped
from facekit.reconstruct.encoded import STILLS, Normaliser
from facekit.reconstruct.landmarker import LEFT_IRIS, POINTS, RIGHT_IRIS
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import features
from facekit.render.camera import HEAD_CENTRE
from facekit.train.encoder.errors import Errors
from facekit.train.encoder.frames import ReadFrames
from facekit.train.photos.photographs import FOV, HEIGHT, PITCH, ROLL, SIZE, YAW, drawn_blendshapes
from facekit.train.photos.response import identity_of

#: One in this many people is held out for validation.
_HELD = 10
#: Fraction of clips that are motions (the rest are stills), frame duration in seconds; correlation of errors between
#: successive frames.
_MOVING, _FRAME, _STAYS = 0.5, 1 / 30, 0.9
_CUT, _BLINK = 2.5, 0.5


@dataclass(frozen=True)
class Clips:
    """B clips of K frames with ground truth.

    ``seen`` is the encoder's input; ``shapes`` (B, K, 52) and ``identity`` (B, M) are the ground truth; ``moving`` (B,)
    bool distinguishes motions from stills.
    """

    seen: Observed
    shapes: torch.Tensor
    identity: torch.Tensor
    moving: torch.Tensor

    @classmethod
    def cat(cls, parts: list[Clips]) -> Clips:
        """Concatenate clips of one length."""
        seen = Observed(
            **{f.name: torch.cat([getattr(p.seen, f.name) for p in parts]) for f in dataclasses.fields(Observed)}
        )
        return cls(seen, *(torch.cat([getattr(p, name) for p in parts]) for name in ("shapes", "identity", "moving")))

    def to(self, device: torch.device) -> Clips:
        """Move to a device."""
        return Clips(self.seen.to(device), *(t.to(device) for t in (self.shapes, self.identity, self.moving)))


class Renders:
    """Renders in the encoder's format, prepared once.

    Parameters
    ----------
    read:
        Frames, person by person.
    mirror:
        (478,) int64: index of each landmark's mirror image.
    """

    def __init__(self, read: ReadFrames, points: FacePoints, normaliser: Normaliser, mirror: np.ndarray) -> None:
        self.mirror, self.swapped = torch.from_numpy(mirror), torch.tensor(swapped())
        self.across = torch.from_numpy(mirrored_identity(points, mirror)).float()
        side = int(read.size)
        self.offsets, self.pose = normaliser(read.read_points, (side, side))
        self.scores, self.shapes = read.scores, read.blendshapes
        self.reading, self.unsure = read.reading, read.reading_spread.log()
        self.identity = torch.from_numpy(identity_of(read, points)).float()
        self.people = [torch.nonzero(read.person == person)[:, 0] for person in read.person.unique()]

    def clips(self, people: list[torch.Tensor], count: int, generator: torch.Generator | None) -> Clips:
        """Return a clip of ``count`` frames per person, random or, without a generator, the first ones."""
        rows = []
        for own in people:
            order = own if generator is None else own[torch.randperm(len(own), generator=generator)]
            rows.append(order[torch.arange(count) % len(order)])
        index = torch.stack(rows)
        times = (torch.arange(count) * STILLS).float().expand(len(index), -1)
        picked = {name: getattr(self, name)[index] for name in ("offsets", "scores", "pose", "reading", "unsure")}
        seen = Observed(**picked, times=times, visible=torch.ones(len(index), count))
        still = torch.zeros(len(index), dtype=torch.bool)
        return Clips(seen, self.shapes[index], self.identity[index[:, 0]], still)

    def mirrored(self, clips: Clips) -> Clips:
        """Return the clips of the mirrored people."""
        seen, modes = clips.seen, len(self.across)
        offsets = seen.offsets[:, :, self.mirror] * seen.offsets.new_tensor([-1.0, 1.0])
        pose = seen.pose * seen.pose.new_tensor([-1.0, 1.0, 1.0, 1.0, -1.0, 1.0])  # yaw, and the place across
        reading = torch.cat(
            (seen.reading[..., :modes] @ self.across.T, seen.reading[..., modes:][..., self.swapped]), -1
        )
        unsure = torch.cat((seen.unsure[..., :modes], seen.unsure[..., modes:][..., self.swapped]), dim=-1)
        scores = seen.scores[..., self.swapped]
        turned = Observed(offsets, scores, pose, reading, unsure, seen.times, seen.visible)
        return Clips(turned, clips.shapes[..., self.swapped], clips.identity @ self.across.T, clips.moving)

    def split(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the training and the held-out people."""
        return (
            [p for k, p in enumerate(self.people) if k % _HELD],
            [p for k, p in enumerate(self.people) if not k % _HELD],
        )


class Simulator:
    """Simulator of clips.

    Parameters
    ----------
    table:
        (20, 52) float32: expressions as combinations of blendshapes.
    """

    def __init__(self, points: FacePoints, errors: Errors, table: torch.Tensor) -> None:
        self.table, self.errors, self.normaliser = table, errors, Normaliser(points)
        self.points = {
            name: torch.from_numpy(getattr(points, name)).float()
            for name in ("base", "modes", "shapes", "corrections", "centres", "centre_modes")
        }
        self.pairs = torch.from_numpy(points.pairs)
        self.follows = [torch.from_numpy(follow).float() for follow in points.blinks]

    def clips(self, count: int, length: int, generator: torch.Generator) -> Clips:
        """Sample ``count`` clips of ``length`` frames."""
        g = generator
        identity = torch.randn(count, self.points["modes"].shape[-1], generator=g).clamp(-_CUT, _CUT)
        moving = torch.rand(count, generator=g) < _MOVING if length > 1 else torch.zeros(count, dtype=torch.bool)
        shapes = self._motions(count, length, moving, g)
        yaw, pitch, roll, shift = self._poses(count, length, moving, g)
        fov = torch.empty(count).uniform_(*FOV, generator=g).repeat_interleave(length)
        # In a motion, the size of the face is nearly constant.
        height = torch.empty(count, length).uniform_(*HEIGHT, generator=g)
        height = torch.where(moving[:, None], height[:, :1], height).flatten()
        people, flat = identity.repeat_interleave(length, 0), shapes.flatten(0, 1)
        far = height / 2 / torch.tan(torch.deg2rad(fov) / 2)
        rows = features(*(t.double().numpy() for t in (yaw, pitch, far, flat, people)))
        lender = 2 * torch.rand(count, length, generator=g) - 1
        spread = self.errors.spread(yaw, torch.where(moving[:, None], lender[:, :1], lender).flatten())
        told = torch.from_numpy(rows).float() @ self.errors.weights + self._noise(count, length, moving, g) * spread
        modes, split = identity.shape[1], 2 * POINTS
        away, reading, scores = told.split((split, modes + flat.shape[1], flat.shape[1]), dim=1)
        reading = torch.cat((reading[:, :modes], reading[:, modes:].clamp(0, 1)), dim=1)
        points = _projected(
            self._places(people, flat), away.unflatten(1, (-1, 2)), (yaw, pitch, roll, shift), far, height
        )
        offsets, pose = self.normaliser(points, (SIZE, SIZE))
        step = torch.where(moving, torch.full((count,), _FRAME), torch.full((count,), STILLS))
        visible = torch.where(torch.rand(count, length, generator=g) < 0.08, 0.05, 1.0)
        visible[visible.amax(dim=1) < 1] = 1.0
        unsure = spread[:, split : split + reading.shape[1]].log()
        seen = (t.unflatten(0, (count, length)) for t in (offsets, scores.clamp(0, 1), pose, reading, unsure))
        offsets, scores, pose, reading, unsure = seen
        times = torch.arange(length) * step[:, None]
        clips = Observed(offsets, scores, pose, reading, unsure, times, visible)
        return Clips(clips, shapes, identity, moving)

    def _motions(self, count: int, length: int, moving: torch.Tensor, g: torch.Generator) -> torch.Tensor:
        """Sample weights (count, length, 52): stills, or smooth motion between some of them, with blinks."""
        stills = drawn_blendshapes(self.table, count * length, g).unflatten(0, (count, length))
        if length == 1:
            return stills
        phase = torch.rand(count, generator=g)[:, None] + torch.arange(length) / torch.empty(count, 1).uniform_(
            6, 40, generator=g
        )
        share = 0.5 - 0.5 * torch.cos(math.pi * phase)
        ways = torch.lerp(stills[:, :1], stills[:, 1:2], share[..., None])
        blinks = torch.rand(count, generator=g) < _BLINK
        when = torch.rand(count, generator=g) * length
        lid = (1.3 - (torch.arange(length) - when[:, None]).abs() / 3).clamp(0, 1) * blinks[:, None]
        for k in BLINKS:
            ways[..., k] = torch.maximum(ways[..., k], lid)
        return torch.where(moving[:, None, None], ways, stills)

    def _poses(self, count: int, length: int, moving: torch.Tensor, g: torch.Generator) -> tuple[torch.Tensor, ...]:
        """Sample yaw, pitch and roll (N,) in radians, and shifts (N, 2) in mm; slowly varying for motions."""

        def drawn(spread: tuple[float, ...]) -> torch.Tensor:
            return torch.randn(count, length, len(spread), generator=g) * torch.tensor(spread)

        turned = torch.empty(count, length).uniform_(-YAW, YAW, generator=g)
        yaw = torch.where(torch.rand(count, length, generator=g) < 0.8, turned, drawn((8.0,))[..., 0])
        pitch = torch.empty(count, length).uniform_(-PITCH, PITCH, generator=g)
        rest = torch.cat((yaw[..., None], pitch[..., None], drawn((ROLL, 12.0, 12.0))), dim=-1)
        slow = rest[:, :1] + drawn((0.6, 0.4, 0.3, 0.5, 0.5)).cumsum(dim=1)
        found = torch.where(moving[:, None, None], slow, rest).flatten(0, 1)
        yaw, pitch, roll = torch.deg2rad(found[:, :3]).unbind(dim=1)
        return yaw, pitch, roll, found[:, 3:]

    def _places(self, identity: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """Return the rig's points (N, 478, 3) in mm."""
        p = self.points
        rest = p["base"] + torch.einsum("pcm,nm->npc", p["modes"], identity)
        product = shapes[:, self.pairs[:, 0]] * shapes[:, self.pairs[:, 1]]
        places = rest + torch.einsum("pcs,ns->npc", p["shapes"], shapes)
        places = places + torch.einsum("pcs,ns->npc", p["corrections"], product)
        for blink, follow in zip(BLINKS, self.follows, strict=True):
            places = places + torch.einsum("pcm,nm->npc", follow, identity) * shapes[:, blink, None, None]
        for side, (name, iris, out) in enumerate((("Right", RIGHT_IRIS, -1.0), ("Left", LEFT_IRIS, 1.0))):
            look = {way: shapes[:, BLENDSHAPES.index(f"eyeLook{way}{name}")] for way in ("Out", "In", "Up", "Down")}
            turn = gaze_rotation(out * GAZE_ACROSS * (look["Out"] - look["In"]), GAZE_UP * (look["Up"] - look["Down"]))
            centre = p["centres"][side] + identity @ p["centre_modes"][side].T
            away = rest[:, list(iris)] - centre[:, None]
            places[:, list(iris)] = centre[:, None] + away @ turn.transpose(1, 2)
        return places

    def _noise(self, count: int, length: int, moving: torch.Tensor, g: torch.Generator) -> torch.Tensor:
        """Sample errors (N, D) in standard deviations: partly constant per person, partly correlated over frames."""
        stays = self.errors.noise(count, g, person=True)[:, None]
        fresh = self.errors.noise(count * length, g, person=False).unflatten(0, (count, length))
        slow = [fresh[:, 0]]
        for k in range(1, length):
            slow.append(_STAYS * slow[-1] + (1 - _STAYS**2) ** 0.5 * fresh[:, k])
        return (stays + torch.where(moving[:, None, None], torch.stack(slow, dim=1), fresh)).flatten(0, 1)


def _projected(
    places: torch.Tensor, away: torch.Tensor, pose: tuple[torch.Tensor, ...], far: torch.Tensor, height: torch.Tensor
) -> torch.Tensor:
    """Return points (N, 478, 2) in pixels of a picture of :data:`SIZE`, from places (N, 478, 3) in mm on the heads and
    errors (N, 478, 2) in mm, upright.
    """
    yaw, pitch, roll, shift = pose
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    # A camera to the subject's left sees a head that turned to its right.
    cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
    about_y = torch.stack((cy, zero, -sy, zero, one, zero, sy, zero, cy), dim=1).unflatten(1, (3, 3))
    about_x = torch.stack((one, zero, zero, zero, cp, -sp, zero, sp, cp), dim=1).unflatten(1, (3, 3))
    view = (places - torch.tensor(HEAD_CENTRE)) @ (about_x @ about_y).transpose(1, 2)
    view = view + torch.nn.functional.pad(shift, (0, 1))[:, None]
    flat = view[..., :2] * (far[:, None] / (far[:, None] - view[..., 2]))[..., None] + away
    cr, sr = roll.cos(), roll.sin()
    tilted = torch.stack((cr, -sr, sr, cr), dim=1).unflatten(1, (2, 2))
    flat = (flat @ tilted.transpose(1, 2)) * (SIZE / height)[:, None, None]
    return SIZE / 2 + flat * flat.new_tensor([1.0, -1.0])
