"""Clips to train the encoder on: simulated landmarks of people, motions and cameras, and landmarks of renders.

A simulated clip costs a thousandth of a rendered one: the rig's points are projected, and the landmarker's measured
error model (:mod:`facekit.reconstruct.response`) is applied: bias by pose, expression and person, and errors correlated
between points and frames. Scores are simulated in the same way. No photographs are used.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facekit.conventions import BLENDSHAPE_DIM, BLENDSHAPES, GAZE_ACROSS, GAZE_UP
from facekit.models.eyes import gaze_rotation
from facekit.reconstruct.encoded import Normaliser
from facekit.reconstruct.landmarker import LEFT_IRIS, RIGHT_IRIS
from facekit.reconstruct.points import FacePoints
from facekit.reconstruct.response import BLINKS, Response, features
from facekit.render.camera import HEAD_CENTRE
from facekit.train.photos.frames import Frames
from facekit.train.photos.photographs import FOV, HEIGHT, PITCH, ROLL, SIZE, YAW, drawn_blendshapes
from facekit.train.photos.response import identity_of

#: One in this many people is held out for validation; time in seconds between stills of a person.
_HELD, _STILLS = 10, 10.0
#: Fraction of clips that are motions (the rest are stills), frame duration in seconds; correlation of errors between
#: successive frames.
_MOVING, _FRAME, _STAYS = 0.5, 1 / 30, 0.9
_CUT, _BLINK = 2.5, 0.5


@dataclass(frozen=True)
class Clips:
    """B clips of K frames in the format of :class:`facekit.models.encoder.Encoder`, with ground truth.

    ``shapes`` (B, K, 52) and ``identity`` (B, M) are the ground truth; ``moving`` (B,) bool distinguishes motions from
    stills.
    """

    offsets: torch.Tensor
    scores: torch.Tensor
    pose: torch.Tensor
    times: torch.Tensor
    visible: torch.Tensor
    shapes: torch.Tensor
    identity: torch.Tensor
    moving: torch.Tensor

    @classmethod
    def cat(cls, parts: list[Clips]) -> Clips:
        """Concatenate clips of one length."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(cls)})

    @property
    def given(self) -> tuple[torch.Tensor, ...]:
        """The encoder's arguments."""
        return self.offsets, self.scores, self.pose, self.times, self.visible


class Renders:
    """Landmarks detected in renders, prepared once.

    Parameters
    ----------
    frames:
        Frames written by the photos stage, person by person.
    """

    def __init__(self, frames: Frames, points: FacePoints, normaliser: Normaliser) -> None:
        side = int(frames.size)
        self.offsets, self.pose = normaliser(frames.points, (side, side))
        self.scores, self.shapes = frames.scores, frames.blendshapes
        self.identity = torch.from_numpy(identity_of(frames, points)).float()
        self.people = [torch.nonzero(frames.person == person)[:, 0] for person in frames.person.unique()]

    def clips(self, people: list[torch.Tensor], count: int, generator: torch.Generator | None) -> Clips:
        """Return a clip of ``count`` frames per person, random or, without a generator, the first ones."""
        rows = []
        for own in people:
            order = own if generator is None else own[torch.randperm(len(own), generator=generator)]
            rows.append(order[torch.arange(count) % len(order)])
        index = torch.stack(rows)
        times = (torch.arange(count) * _STILLS).float().expand(len(index), -1)
        picked = {name: getattr(self, name)[index] for name in ("offsets", "scores", "pose", "shapes")}
        return Clips(
            **picked,
            times=times,
            visible=torch.ones(len(index), count),
            identity=self.identity[index[:, 0]],
            moving=torch.zeros(len(index), dtype=torch.bool),
        )

    def split(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the training and the held-out people."""
        return (
            [p for k, p in enumerate(self.people) if k % _HELD],
            [p for k, p in enumerate(self.people) if not k % _HELD],
        )


def load_frames(folder: Path) -> Frames:
    """Load all frames of the photos stage in a folder."""
    files = sorted(folder.glob("frames_*.npz"), key=lambda path: int(path.stem.split("_")[1]))
    return Frames.cat([Frames.load(path) for path in files])


class Simulator:
    """Simulator of clips.

    Parameters
    ----------
    table:
        (20, 52) float32: expressions as combinations of blendshapes.
    frames:
        Renders to fit the error model of the scores.
    """

    def __init__(
        self, points: FacePoints, response: Response, table: torch.Tensor, frames: Frames, biased: bool = True
    ) -> None:
        self.table, self.biased = table, biased
        self.normaliser = Normaliser(points)
        self.points = {
            name: torch.from_numpy(getattr(points, name)).float()
            for name in ("base", "normals", "modes", "shapes", "corrections", "centres", "centre_modes")
        }
        self.pairs = torch.from_numpy(points.pairs)
        self.follows = [torch.from_numpy(follow).float() for follow in points.blinks]
        self.bias = torch.from_numpy(response.weights).float()
        self.sigma, self.growth = torch.from_numpy(response.sigma).float(), torch.from_numpy(response.growth).float()
        self.factor = torch.from_numpy(response.factor).float()
        self.own = torch.from_numpy(response.own).float().sqrt()
        self.constant = float(response.constant)
        self._measure_scores(frames)

    def _measure_scores(self, frames: Frames) -> None:
        """Fit scores as a linear function of true weights, and the covariance of the residuals."""
        rows = torch.cat((torch.ones(len(frames), 1), frames.blendshapes), dim=1).double()
        gram = rows.T @ rows + torch.eye(rows.shape[1])
        self.to_scores = torch.linalg.solve(gram, rows.T @ frames.scores.double()).float()
        left = frames.scores - rows.float() @ self.to_scores
        values, vectors = torch.linalg.eigh((left.T @ left / len(left)).double())
        self.score_noise = (vectors * values.clamp_min(0).sqrt()).float()

    def clips(self, count: int, length: int, generator: torch.Generator) -> Clips:
        """Sample ``count`` clips of ``length`` frames."""
        g, size = generator, count * length
        identity = torch.randn(count, self.points["modes"].shape[-1], generator=g).clamp(-_CUT, _CUT)
        moving = torch.rand(count, generator=g) < _MOVING if length > 1 else torch.zeros(count, dtype=torch.bool)
        shapes = self._motions(count, length, moving, g)
        yaw, pitch, roll, shift = self._poses(count, length, moving, g)
        fov = torch.empty(count).uniform_(*FOV, generator=g).repeat_interleave(length)
        # In a motion, the size of the face is nearly constant.
        height = torch.empty(count, length).uniform_(*HEIGHT, generator=g)
        height = torch.where(moving[:, None], height[:, :1], height).flatten()
        places = self._places(identity.repeat_interleave(length, 0), shapes.flatten(0, 1))
        points = self._seen(places, identity, shapes, (yaw, pitch, roll, shift), fov, height, moving, g)
        offsets, pose = self.normaliser(points, (SIZE, SIZE))
        noise = torch.randn(size, BLENDSHAPE_DIM, generator=g) @ self.score_noise.T
        ones = torch.ones(size, 1)
        scores = (torch.cat((ones, shapes.flatten(0, 1)), dim=1) @ self.to_scores + noise).clamp(0, 1)
        step = torch.where(moving, torch.full((count,), _FRAME), torch.full((count,), _STILLS))
        visible = torch.where(torch.rand(count, length, generator=g) < 0.08, 0.05, 1.0)
        visible[visible.amax(dim=1) < 1] = 1.0
        return Clips(
            offsets.unflatten(0, (count, length)),
            scores.unflatten(0, (count, length)),
            pose.unflatten(0, (count, length)),
            torch.arange(length) * step[:, None],
            visible,
            shapes,
            identity,
            moving,
        )

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

    def _seen(
        self,
        places: torch.Tensor,
        identity: torch.Tensor,
        shapes: torch.Tensor,
        pose: tuple[torch.Tensor, ...],
        fov: torch.Tensor,
        height: torch.Tensor,
        moving: torch.Tensor,
        g: torch.Generator,
    ) -> torch.Tensor:
        """Simulate the landmarker's points, (N, 478, 2) pixels of a picture of :data:`SIZE`."""
        yaw, pitch, roll, shift = pose
        count, length = shapes.shape[:2]
        zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
        far = height / 2 / torch.tan(torch.deg2rad(fov) / 2)
        # A camera to the subject's left sees a head that turned to its right.
        cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
        about_y = torch.stack((cy, zero, -sy, zero, one, zero, sy, zero, cy), dim=1).unflatten(1, (3, 3))
        about_x = torch.stack((one, zero, zero, zero, cp, -sp, zero, sp, cp), dim=1).unflatten(1, (3, 3))
        turn = about_x @ about_y
        view = (places - torch.tensor(HEAD_CENTRE)) @ turn.transpose(1, 2)
        view = view + torch.nn.functional.pad(shift, (0, 1))[:, None]
        depth = far[:, None] - view[..., 2]
        normals = self.points["normals"] @ turn.transpose(1, 2)
        to_camera = torch.stack((-view[..., 0], -view[..., 1], depth), dim=-1)
        facing = (normals * to_camera).sum(dim=-1) / to_camera.norm(dim=-1)
        people = identity.repeat_interleave(length, 0)
        rows = features(
            yaw.double().numpy(), pitch.double().numpy(), far.double().numpy(),
            shapes.flatten(0, 1).double().numpy(), people.double().numpy(),
        )  # fmt: skip
        away = self._noise(count, length, moving, g) * self._spread(facing)[..., None]
        if self.biased:
            away = away + (torch.from_numpy(rows).float() @ self.bias).unflatten(1, (-1, 2))
        pixels = SIZE / height
        flat = view[..., :2] * (far[:, None] / depth)[..., None] + away
        cr, sr = roll.cos(), roll.sin()
        tilted = torch.stack((cr, -sr, sr, cr), dim=1).unflatten(1, (2, 2))
        flat = (flat @ tilted.transpose(1, 2)) * pixels[:, None, None]
        return SIZE / 2 + flat * flat.new_tensor([1.0, -1.0])

    def _noise(self, count: int, length: int, moving: torch.Tensor, g: torch.Generator) -> torch.Tensor:
        """Sample errors (N, 478, 2) in standard deviations: partly constant per person, partly correlated over
        frames.
        """

        def drawn(frames: int) -> torch.Tensor:
            shared = torch.randn(count, frames, self.factor.shape[1], generator=g) @ self.factor.T
            return shared + torch.randn(count, frames, len(self.own), generator=g) * self.own

        stays, fresh = drawn(1), drawn(length)
        slow = [fresh[:, 0]]
        for k in range(1, length):
            slow.append(_STAYS * slow[-1] + (1 - _STAYS**2) ** 0.5 * fresh[:, k])
        rest = torch.where(moving[:, None, None], torch.stack(slow, dim=1), fresh)
        noise = self.constant**0.5 * stays + (1 - self.constant) ** 0.5 * rest
        return noise.flatten(0, 1).unflatten(1, (-1, 2))

    def _spread(self, facing: torch.Tensor) -> torch.Tensor:
        from facekit.reconstruct.response import FACING

        grown = np.interp(facing.numpy(), FACING, self.growth.numpy())
        return self.sigma * torch.from_numpy(grown).float()
