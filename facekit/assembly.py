"""Load the parts of a model from its files: networks, composer, detail."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from facekit import weights
from facekit.conventions import PARTS
from facekit.errors import InputError
from facekit.files.readers import load_arrays, load_into, load_tensors
from facekit.geometry.correspond import interpolate_nearest, similarity, warp
from facekit.geometry.normals import vertex_normals
from facekit.geometry.parts import among
from facekit.models.blendshape_data import BlendshapeData
from facekit.models.blendshape_data import unpack as unpack_rig
from facekit.models.blendshapes import Blendshapes
from facekit.models.composers import Composer, composer_class
from facekit.models.composers.micro import MicroLayer
from facekit.models.config import COMPOSITIONS, from_manifest
from facekit.models.detail import DetailHome, unpack_detail
from facekit.models.detail_layer import DetailLayer, tile_uvs_of
from facekit.models.hair import Wardrobe
from facekit.models.modes import IdentityModes
from facekit.models.modes import unpack as unpack_modes
from facekit.template import Template

_Network = TypeVar("_Network", bound=nn.Module)
#: Model whose detail module is used for all models.
_DETAIL_OF = "default"
#: Model whose topology the identity modes belong to.
_MODES_OF = "default"
#: Parts that exist on other topologies, too; distance in mm that opposite normals count for in the matching of points.
_SURFACE, _APART = ("skin", "lips", "lids", "back_of_head", "neck"), 5.0
# Number of times that transferred displacements are averaged with those of neighbouring vertices.
_SMOOTHINGS = 3
_SKIN = ("skin", "lips", "lids", "neck")


def pick_device(device: str | torch.device | None) -> torch.device:
    """Return the named device; for None and ``"auto"`` CUDA if available, else the CPU."""
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise InputError("a device like cpu, cuda or cuda:0", repr(device), "name one that torch knows") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("an available device", "cuda without a CUDA device", "choose cpu")
    return device


def load_network(name: str, role: str, network: type[_Network], config: type) -> _Network:
    """Create a network with the tensors of its file."""
    # On the meta device: initialising random weights takes far longer than mapping the file.
    with torch.device("meta"):
        module = network(from_manifest(config, weights.record(name).config[role]))
    path = weights.verified(name, role)
    return load_into(module, load_tensors(path), path.name)


def load_composer(name: str, template: Template, mode: str = "blend") -> Composer:
    """Load the composer of a model in one of its modes; the model's record names its class."""
    record = weights.record(name)
    roles = ("base", "parts", "iris", "complexion", "micro")
    files = {role: weights.verified(name, role) for role in roles if role in record.files}
    return composer_class(record.config["composer"], mode).load(files, template, mode)


@functools.lru_cache(maxsize=1)
def load_modes() -> IdentityModes:
    """Load the identity modes of heads, on the topology of the embedded default and on the CPU; kept for next time."""
    return unpack_modes(load_arrays(weights.verified(_MODES_OF, "modes")))


def load_detail(template: Template, size: int, path: Path | None = None, composition: str | None = None) -> DetailLayer:
    """Load the detail module for a topology and maps of ``size`` texels per side, on the template's device.

    A module trained on another topology is transferred by registering the surfaces with landmarks. Identity codes have
    other meanings there: the detail is consistent per code, but was not learned with these identities.

    Parameters
    ----------
    template:
        Any face topology with UVs and the 68 landmarks, with its mean neutral shape as vertices. For ``layer(identity,
        texture_noise, rest, posed)`` see :class:`DetailLayer`.
    path:
        File of a module that you trained (``python -m facekit.train.detail.facescape``); by default the embedded one.
    composition:
        "directional" or HiFace's "scalar"; by default what the module was trained for. To use a layer in a pipeline:
        ``pipe.detail_layer = load_detail(pipe.template, 1024, composition="scalar")``.
    """
    device = template.verts.device
    path = weights.verified(_DETAIL_OF, "detail") if path is None else path
    model, home = unpack_detail(load_arrays(path))
    if composition is not None:
        if composition not in COMPOSITIONS:
            raise InputError(f"a composition out of {', '.join(COMPOSITIONS)}", repr(composition), "choose one of them")
        model.config = dataclasses.replace(model.config, composition=composition)
    micro = MicroLayer(load_arrays(weights.verified(_DETAIL_OF, "micro")))
    if home.vertices == len(template.verts):
        tile_uvs, trust = tile_uvs_of(template, home.tile_rect, _SKIN)
    else:
        tile_uvs, trust = _transferred_tile_uvs(home, template)
    return DetailLayer(model.to(device), micro.to(device), template, tile_uvs, trust, size)


def load_wardrobe(template: Template) -> Wardrobe | None:
    """Load hair and lashes of the embedded default; None for other topologies, which they do not fit."""
    has_eyes = bool((template.parts == PARTS.index("eyes")).any())
    if not has_eyes or "hair" not in weights.record(_DETAIL_OF).files:
        return None
    wardrobe = Wardrobe(load_arrays(weights.verified(_DETAIL_OF, "hair")), template)
    return wardrobe if wardrobe.vertices == len(template.verts) else None


def load_blendshapes(template: Template) -> Blendshapes:
    """Load ARKit's 52 blendshapes for a topology, on the template's device.

    They are made for the embedded default, and transferred to other topologies like detail; gaze is left out for
    topologies without eyeballs.

    Parameters
    ----------
    template:
        Any face topology with the 68 landmarks, with its mean neutral shape as vertices.
    """
    rig = unpack_rig(load_arrays(weights.verified(_DETAIL_OF, "blendshapes")))
    home = template.to("cpu")
    if rig.vertices != len(template.verts):
        rig = _transferred_rig(rig, home)
    return Blendshapes(rig, home).to(template.verts.device)


def _transferred_rig(rig: BlendshapeData, template: Template) -> BlendshapeData:
    """Transfer the rig to another topology, where lids close like those of the mean face."""
    owner = Template.load(weights.verified(_DETAIL_OF, "template"))
    skin = among(owner.parts, _SURFACE)
    moved, turn = _laid_over(template, owner)
    # Upper and lower lips, and lids, coincide; normals distinguish them.
    ours, theirs = (
        torch.cat((points, _APART * vertex_normals(points[None], faces)[0]), dim=1)
        for points, faces in ((moved, template.faces), (owner.verts, owner.faces))
    )
    fields = torch.cat((rig.deltas, rig.corrections)).permute(1, 0, 2).flatten(1)
    found, near = interpolate_nearest(ours, theirs[skin], fields[skin])
    near = near * among(template.parts, _SURFACE)
    found = _smoothed(found * near[:, None], template.faces).unflatten(1, (-1, 3)).permute(1, 0, 2) @ turn
    none = torch.zeros(0, dtype=torch.long)
    blink = (none, none, torch.zeros(0))
    shapes, corrections = found.split((len(rig.deltas), len(rig.corrections)))
    return dataclasses.replace(rig, deltas=shapes, corrections=corrections, blinks=(blink, blink))


def _smoothed(fields: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Return fields (V, C) smoothed over the mesh, not across the mouth opening: interpolation leaves them rough."""
    edges = torch.cat((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    a, b = torch.cat((edges, edges.flip(1))).unique(dim=0).T
    count = torch.bincount(a, minlength=len(fields)).clamp_min(1)[:, None]
    for _ in range(_SMOOTHINGS):
        fields = (fields + torch.zeros_like(fields).index_add(0, a, fields[b]) / count) / 2
    return fields


def _laid_over(template: Template, owner: Template) -> tuple[torch.Tensor, torch.Tensor]:
    """Register a template's vertices (V, 3) to the owner's face; return them, and the matrix that maps displacements
    back.
    """
    scale, rotation, shift = similarity(template.verts[template.landmarks], owner.verts[owner.landmarks])
    moved = (scale * template.verts.double() @ rotation.T + shift).float()
    moved = warp(moved, moved[template.landmarks], owner.verts[owner.landmarks])
    return moved, (rotation / scale).float()


def _transferred_tile_uvs(home: DetailHome, template: Template) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tile coordinates and weights for the UVs of another topology."""
    device = template.verts.device
    owner = Template.load(weights.verified(_DETAIL_OF, "template")).to(device)
    if home.vertices != len(owner.verts):
        raise InputError(
            f"detail trained on {len(template.verts)} or {len(owner.verts)} vertices",
            f"{home.vertices}",
            "use it with the model that it was trained for",
        )
    tile_uvs, trust = tile_uvs_of(owner, home.tile_rect, _SKIN)
    at_home = tile_uvs.new_zeros(len(owner.verts), 3)
    at_home[owner.faces.reshape(-1)] = torch.cat((tile_uvs, trust[:, None]), dim=1)[owner.faces_uvs.reshape(-1)]
    skin = at_home[:, 2] > 0
    moved, _ = _laid_over(template, owner)
    found, near = interpolate_nearest(moved, owner.verts[skin], at_home[skin, :2])
    near = near * among(template.parts, _SKIN)
    at_uvs = tile_uvs.new_zeros(len(template.uvs), 3)
    known = torch.cat((found, near[:, None]), dim=1)
    at_uvs[template.faces_uvs.reshape(-1)] = known[template.faces.reshape(-1)]
    return at_uvs[:, :2], at_uvs[:, 2]
