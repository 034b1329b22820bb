"""How a head is held: it turns about the top of the neck, and the neck's foot stays."""

from __future__ import annotations

import torch

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.mesh import FaceMesh

_NECK = PARTS.index("neck")
#: From the skull down the neck, mm, over which the turn fades.
_FADE = 70.0
#: The pivot: this share of the way from the chin's depth to the back of the head, at the chin's height.
_BEHIND = 0.55
#: Of the points that the distance from the skull is measured to, every so many will do.
_EVERY = 4


def rotation(head: torch.Tensor) -> torch.Tensor:
    """Matrices (T, 3, 3) of angles (T, 3) in degrees: turn to the subject's left, lift, tilt to the left shoulder.

    The head is tilted first, then lifted, then turned, as seen from the trunk.
    """
    turn, lift, tilt = torch.deg2rad(head).unbind(dim=1)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    (ca, sa), (cb, sb), (cc, sc) = ((angle.cos(), angle.sin()) for angle in (turn, lift, tilt))
    about_y = torch.stack((ca, zero, sa, zero, one, zero, -sa, zero, ca), dim=1)
    about_x = torch.stack((one, zero, zero, zero, cb, sb, zero, -sb, cb), dim=1)
    about_z = torch.stack((cc, sc, zero, -sc, cc, zero, zero, zero, one), dim=1)
    y, x, z = (rows.unflatten(1, (3, 3)) for rows in (about_y, about_x, about_z))
    return y @ x @ z


def angles(rotations: torch.Tensor) -> torch.Tensor:
    """Angles (T, 3) in degrees of matrices (T, 3, 3): what :func:`rotation` undoes."""
    lift = torch.asin(rotations[:, 1, 2].clamp(-1, 1))
    turn = torch.atan2(rotations[:, 0, 2], rotations[:, 2, 2])
    tilt = torch.atan2(-rotations[:, 1, 0], rotations[:, 1, 1])
    return torch.rad2deg(torch.stack((turn, lift, tilt), dim=1))


def quaternions(head: torch.Tensor) -> torch.Tensor:
    """Unit quaternions (T, 4), x, y, z, w, of the same angles (T, 3); neighbours lie on one side of the sphere."""
    turn, lift, tilt = (torch.deg2rad(head) / 2).double().unbind(dim=1)
    zero = torch.zeros_like(turn)
    y = torch.stack((zero, turn.sin(), zero, turn.cos()), dim=1)
    x = torch.stack((-lift.sin(), zero, zero, lift.cos()), dim=1)
    z = torch.stack((zero, zero, -tilt.sin(), tilt.cos()), dim=1)
    found = _product(_product(y, x), z)
    flips = torch.cat((torch.ones(1), torch.sign((found[1:] * found[:-1]).sum(dim=1)).cumprod(dim=0)))
    return (found * flips[:, None].to(found)).float()


def _product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    ax, ay, az, aw = a.unbind(dim=1)
    bx, by, bz, bw = b.unbind(dim=1)
    return torch.stack(
        (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ),
        dim=1,
    )


class Neck:
    """Where a person's head turns, and how much of the turn each vertex takes.

    Parameters
    ----------
    mesh:
        Their neutral face (B = 1), with parts.
    share:
        Of another face of the same topology, (V,), to take over: finding it costs more than all else.
    """

    def __init__(self, mesh: FaceMesh, share: torch.Tensor | None = None) -> None:
        if mesh.parts is None:
            raise InputError("a face that knows its parts", "one without", "use a face of FacePipeline")
        verts, neck = mesh.verts[0], mesh.parts == _NECK
        skull = verts[~neck]
        chin, back = verts[mesh.need("landmarks")[8]], skull[:, 2].amin()
        self.pivot = torch.stack((verts.new_zeros(()), chin[1], torch.lerp(chin[2], back, _BEHIND)))
        self.share = _share(verts, neck) if share is None else share.to(verts)

    def turned(self, verts: torch.Tensor, head: torch.Tensor, share: torch.Tensor | None = None) -> torch.Tensor:
        """Vertices (T, V, 3) mm with the head held at angles (T, 3) in degrees, see :func:`rotation`.

        ``share`` (V,) is how much of the turn each takes, where they are not the head's own.
        """
        away = verts - self.pivot
        turned = away @ rotation(head.to(verts)).transpose(1, 2)
        return self.pivot + torch.lerp(away, turned, (self.share if share is None else share)[None, :, None])


def _share(verts: torch.Tensor, neck: torch.Tensor) -> torch.Tensor:
    """How much of the head's turn each vertex (V, 3) takes, (V,) in [0, 1]; ``neck`` (V,) bool."""
    found = verts.new_ones(len(verts))
    if bool(neck.any()):
        away = torch.cdist(verts[neck], verts[~neck][::_EVERY]).amin(dim=1)
        share = (1 - away / _FADE).clamp(0, 1)
        found[neck] = share * share * (3 - 2 * share)
    return found
