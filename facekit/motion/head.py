"""Head pose: the head turns about the top of the neck, and the base of the neck stays in place."""

from __future__ import annotations

import torch

from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.mesh import FaceMesh

_NECK = PARTS.index("neck")
#: Height, mm, over which the rotation fades out below the skull.
_FADE = 70.0
#: Position of the pivot, at the height of the chin: fraction of the way from the chin to the back of the head.
_BEHIND = 0.55
#: Stride of the points that the distance from the skull is measured to.
_EVERY = 4


def rotation(head: torch.Tensor) -> torch.Tensor:
    """Return rotations (T, 3, 3) for angles (T, 3) in degrees: yaw to the subject's left, pitch up, roll to the left
    shoulder.

    Roll is applied first, then pitch, then yaw, relative to the trunk.
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
    """Return the angles (T, 3) in degrees of rotations (T, 3, 3); inverse of :func:`rotation`."""
    lift = torch.asin(rotations[:, 1, 2].clamp(-1, 1))
    turn = torch.atan2(rotations[:, 0, 2], rotations[:, 2, 2])
    tilt = torch.atan2(-rotations[:, 1, 0], rotations[:, 1, 1])
    return torch.rad2deg(torch.stack((turn, lift, tilt), dim=1))


def quaternions(head: torch.Tensor) -> torch.Tensor:
    """Return unit quaternions (T, 4), x, y, z, w, for the same angles (T, 3), with consistent signs between
    neighbours.
    """
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
    """Pivot of a person's head, and each vertex's share of its rotation.

    Parameters
    ----------
    mesh:
        Neutral face (B = 1), with parts.
    share:
        (V,) share of another face with the same topology, to reuse: computing it dominates the cost.
    """

    def __init__(self, mesh: FaceMesh, share: torch.Tensor | None = None) -> None:
        if mesh.parts is None:
            raise InputError("a face with part labels", "one without", "use a face of FacePipeline")
        verts, neck = mesh.verts[0], mesh.parts == _NECK
        skull = verts[~neck]
        chin, back = verts[mesh.need("landmarks")[8]], skull[:, 2].amin()
        self.pivot = torch.stack((verts.new_zeros(()), chin[1], torch.lerp(chin[2], back, _BEHIND)))
        self.share = _share(verts, neck) if share is None else share.to(verts)

    def turned(self, verts: torch.Tensor, head: torch.Tensor, share: torch.Tensor | None = None) -> torch.Tensor:
        """Return vertices (T, V, 3) in mm with the head at angles (T, 3) in degrees, see :func:`rotation`.

        ``share`` (V,) is each vertex's share of the rotation, for vertices other than the head's own.
        """
        away = verts - self.pivot
        turned = away @ rotation(head.to(verts)).transpose(1, 2)
        return self.pivot + torch.lerp(away, turned, (self.share if share is None else share)[None, :, None])


def _share(verts: torch.Tensor, neck: torch.Tensor) -> torch.Tensor:
    """Return each vertex's share (V,) in [0, 1] of the head's rotation; ``neck`` (V,) bool."""
    found = verts.new_ones(len(verts))
    if bool(neck.any()):
        away = torch.cdist(verts[neck], verts[~neck][::_EVERY]).amin(dim=1)
        share = (1 - away / _FADE).clamp(0, 1)
        found[neck] = share * share * (3 - 2 * share)
    return found
