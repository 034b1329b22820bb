"""Playback of a motion in chunks of frames, so that long motions need no more memory than short ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from facekit.checks import whole
from facekit.detail import check_detail
from facekit.face import FaceOutput
from facekit.latents import FaceLatents
from facekit.motion.head import Neck
from facekit.motion.motion import Motion
from facekit.source import FaceSettings

if TYPE_CHECKING:
    from facekit.pipeline import FacePipeline


@torch.no_grad()
def animate(
    pipe: FacePipeline,
    latents: FaceLatents,
    motion: Motion,
    chunk: int = 8,
    detail: bool | str = True,
    detail_strength: float = 1.0,
    hair: str | None = "auto",
) -> Iterator[FaceOutput]:
    """Make the frames of one person's motion, ``chunk`` at a time; see :meth:`facekit.FacePipeline.animate`.

    Vertices and furrows are computed per frame. Skin colour, which blood flow changes within a quarter of a second, is
    computed for the first frame of each chunk and interpolated in between.
    """
    chunk, strength = whole(chunk, "chunk", 1), check_detail(detail, detail_strength)
    codes = motion.latents(latents).to(pipe.device)
    settings = FaceSettings(detail, strength, pipe.pretrained, hair)
    model = pipe.to_model_codes(codes)
    rest = pipe.decode_neutral(model[:1])
    neck = Neck(pipe.template.mesh(rest))
    colour = pipe.skin(model[:1])
    for start in range(0, len(motion), chunk):
        some = slice(start, min(start + chunk, len(motion)))
        verts = pipe.decode_shape(model[some])
        displacement, parts = pipe.displace(model[some], verts, detail, strength, rest)
        last = min(some.stop, len(motion) - 1)
        following = pipe.skin(model[last : last + 1])
        share = torch.arange(some.stop - start, device=pipe.device).view(-1, 1, 1, 1) / max(some.stop - start, 1)
        texture = colour if torch.equal(colour, following) else torch.lerp(colour, following, share)
        colour = following
        mesh = pipe.template.mesh(neck.turned(verts, motion.head[some]), texture.expand(len(verts), *texture.shape[1:]))
        worn = pipe.dress(model[some], verts, hair, rest)
        worn = pipe.turned_hair(worn, neck, motion.head[some]) if worn else ()
        times = [round(float(time), 6) for time in motion.times[some]]
        yield FaceOutput(
            dataclasses.replace(mesh, displacement=displacement),
            codes[some],
            pipe.name,
            {"time": times},
            settings,
            parts,
            pipe,
            worn,
        )
