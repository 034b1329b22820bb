"""FaceSource: interface of the objects that make faces; and FaceRig, one of their results.

A pipeline is a source. A wrapper of a pipeline is a source if it has the methods below and passes on what it does not
change. A face has its source as an attribute, which is not pickled: see :meth:`facekit.FaceOutput.reattach`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch

from facekit.conventions import BLENDSHAPES, EXPRESSIONS, MORPH_TARGETS
from facekit.errors import InputError
from facekit.geometry.strain import StrainGraph
from facekit.hair import HairRig
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.face import FaceOutput


@dataclass(frozen=True)
class FaceRig:
    """Neutral face of one person, and displacements of its expressions and blendshapes.

    Parameters
    ----------
    neutral:
        FaceMesh with B = 1 for the zero expression code, with its texture.
    names:
        Names of the morph targets: :data:`facekit.conventions.MORPH_TARGETS`, :data:`facekit.conventions.BLENDSHAPES`,
        or both.
    deltas:
        (len(names), V, 3) float32 mm; weight 1 is the posed expression, or the whole blendshape.
    weights:
        (len(names),) float32: weights of the face that the rig was made for.
    hair:
        Hair and lashes with their own displacements; None without.
    """

    neutral: FaceMesh
    names: tuple[str, ...]
    deltas: torch.Tensor
    weights: torch.Tensor
    hair: HairRig | None = None

    def __repr__(self) -> str:
        """Summarise the rig in one line, without the tensors."""
        return f"FaceRig({self.neutral!r}, {len(self.names)} morph targets{', hair' if self.hair else ''})"

    def worn(self) -> FaceMesh:
        """Return the mesh (B = 1) at the rig's weights; the rig is kept as ``mesh.rig``."""
        worn = self.weights.nonzero()[:, 0].to(self.deltas.device)  # few of many weights are non-zero
        moved = torch.einsum("k,kvc->vc", self.weights.to(self.deltas)[worn], self.deltas[worn])
        return dataclasses.replace(self.neutral, verts=self.neutral.verts + moved, rig=self if self.names else None)

    def rest(self) -> FaceMesh:
        """Return the neutral mesh (B = 1); the rig is kept as ``mesh.rig``."""
        return dataclasses.replace(self.neutral, rig=self if self.names else None)

    def to(self, device: str | torch.device) -> FaceRig:
        """Return a copy on another device."""
        moved = (self.deltas.to(device), self.weights.to(device))
        hair = None if self.hair is None else self.hair.to(device)
        return FaceRig(self.neutral.to(device), self.names, *moved, hair)


@dataclass(frozen=True)
class FaceSettings:
    """Settings, besides the latents, that are needed to make a face again.

    Parameters
    ----------
    detail, detail_strength:
        As for the pipeline's call.
    pretrained:
        Non-default keyword arguments of ``from_pretrained`` besides name and device.
    hair:
        As for the pipeline's call.
    """

    detail: bool | str = True
    detail_strength: float = 1.0
    pretrained: Mapping[str, Any] = field(default_factory=dict)
    hair: str | None = None


@dataclass(frozen=True)
class Keyframes:
    """K shapes of one person without textures, with the strain of their skin.

    Parameters
    ----------
    verts:
        (K, V, 3) float32 mm.
    tension:
        (K, V) float32: strain relative to neutral, positive where skin is compressed, negative where it is stretched.
    compress, stretch:
        (K, V) float32 in [0, 1]: weights of dynamic detail; None without it.
    """

    verts: torch.Tensor
    tension: torch.Tensor
    compress: torch.Tensor | None = None
    stretch: torch.Tensor | None = None


#: Kinds of rigs, and the names of their morph targets.
RIGS: dict[str, tuple[str, ...]] = {
    "expressions": MORPH_TARGETS,
    "arkit": BLENDSHAPES,
    "both": (*MORPH_TARGETS, *BLENDSHAPES),
}


def rig_names(kind: str) -> tuple[str, ...]:
    """Return the names of the morph targets in a kind of rig.

    Raises
    ------
    InputError
        If the kind is not in :data:`RIGS`.
    """
    if kind not in RIGS:
        raise InputError(f"a rig out of {', '.join(RIGS)}", repr(kind), "choose one of these")
    return RIGS[kind]


def alone(latents: FaceLatents, name: str) -> FaceLatents:
    """Return the same people with one morph target at 1; mouthClose with the jaw open, on which it acts."""
    if name in EXPRESSIONS:
        return latents.at_rest().with_expression(name)
    jaw = {"jawOpen": 1.0} if name == "mouthClose" else {}
    return latents.at_rest().with_blendshapes({name: 1.0, **jaw})


def rig_weights(latents: FaceLatents, names: tuple[str, ...]) -> torch.Tensor:
    """Return the weights (B, len(names)) of morph targets in these latents; 0 for unknown names. Differentiable."""
    known = torch.cat((latents.expression, latents.blendshapes, torch.zeros_like(latents.expression[:, :1])), dim=1)
    words = (*EXPRESSIONS, *BLENDSHAPES)
    return known[:, [words.index(name) if name in words else len(words) for name in names]]


class FaceSource(Protocol):
    """Interface of the objects that make faces and more of the same person."""

    @property
    def name(self) -> str:
        """Name of the model, a record of ``weights_manifest.json``."""
        ...

    @property
    def expressions(self) -> tuple[str, ...]:
        """Supported expressions, neutral first."""
        ...

    @property
    def shapes(self) -> tuple[str, ...]:
        """Supported blendshapes, from :data:`facekit.conventions.BLENDSHAPES`."""
        ...

    @property
    def shape_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of blendshapes that are not additive, as indices into :data:`facekit.conventions.BLENDSHAPES`."""
        ...

    @property
    def single_person(self) -> bool:
        """True if the source only makes one person."""
        ...

    def __call__(
        self,
        *,
        latents: FaceLatents,
        expression: str | Mapping[str, float] | None = None,
        intensity: float = 1.0,
        detail: bool | str = True,
        detail_strength: float = 1.0,
        blendshapes: Mapping[str, float] | torch.Tensor | None = None,
    ) -> FaceOutput:
        """Make faces without gradients."""
        ...

    def decode(
        self, latents: FaceLatents, *, texture: bool = True, detail: bool | str = True, detail_strength: float = 1.0
    ) -> FaceMesh:
        """Make meshes, differentiable with respect to latents that require gradients."""
        ...

    def keyframes(self, latents: FaceLatents, *, detail: bool | str = True) -> Keyframes:
        """Make the shapes of K latents of one person, without textures."""
        ...

    def rig(
        self,
        latents: FaceLatents,
        *,
        kind: str = "expressions",
        detail: bool | str = True,
        detail_strength: float = 1.0,
    ) -> FaceRig:
        """Make the neutral mesh and morph targets of one face (B = 1), of a kind in :data:`RIGS`."""
        ...


class RigSource:
    """Source with one person's rig only: displacements are linear, the texture is constant.

    Parameters
    ----------
    rig:
        For instance from :func:`facekit.io.glb_read.read_rig`.
    name:
        Name of the original model.
    """

    single_person = True
    shape_pairs: tuple[tuple[int, int], ...] = ()

    def __init__(self, rig: FaceRig, name: str = "rig") -> None:
        self._rig, self.name = rig, name

    @property
    def expressions(self) -> tuple[str, ...]:
        """Neutral, and the expressions in the rig."""
        return ("neutral", *(name for name in self._rig.names if name in MORPH_TARGETS))

    @property
    def shapes(self) -> tuple[str, ...]:
        """Blendshapes in the rig."""
        return tuple(name for name in self._rig.names if name in BLENDSHAPES)

    def __call__(
        self,
        *,
        latents: FaceLatents,
        expression: str | Mapping[str, float] | None = None,
        intensity: float = 1.0,
        detail: bool | str = True,
        detail_strength: float = 1.0,
        blendshapes: Mapping[str, float] | torch.Tensor | None = None,
    ) -> FaceOutput:
        """Make the person's faces; only expression and blendshapes of the latents are used."""
        from facekit.face import FaceOutput

        if expression is not None:
            latents = latents.with_expression(expression, intensity)
        if blendshapes is not None:
            latents = latents.with_blendshapes(blendshapes)
        settings = FaceSettings(detail, detail_strength)
        return FaceOutput(self.decode(latents), latents, self.name, settings=settings, source=self)

    def decode(
        self, latents: FaceLatents, *, texture: bool = True, detail: bool | str = True, detail_strength: float = 1.0
    ) -> FaceMesh:
        """Apply the morph targets with the latents' weights; the rig's displacement map is unchanged."""
        neutral, names = self._rig.neutral, [name for name in self._rig.names if name in RIGS["both"]]
        weights = rig_weights(latents, tuple(names)).to(neutral.verts)
        deltas = self._rig.deltas[[self._rig.names.index(name) for name in names]].to(neutral.verts)
        verts = neutral.verts + torch.einsum("bk,kvc->bvc", weights, deltas)
        skin, relief = neutral.texture if texture else None, neutral.displacement if detail else None
        skin, relief = (None if m is None else m.expand(len(latents), -1, -1, -1) for m in (skin, relief))
        return dataclasses.replace(neutral, verts=verts, texture=skin, displacement=relief)

    def keyframes(self, latents: FaceLatents, *, detail: bool | str = True) -> Keyframes:
        """Return shapes and tension; a rig has no dynamic detail."""
        mesh = self.decode(latents, texture=False, detail=False)
        rest = self._rig.neutral.verts
        return Keyframes(mesh.verts, StrainGraph.of(mesh.faces, rest.shape[1]).tension(rest, mesh.verts))

    def rig(
        self,
        latents: FaceLatents,
        *,
        kind: str = "expressions",
        detail: bool | str = True,
        detail_strength: float = 1.0,
    ) -> FaceRig:
        """Return the rig with all its targets, at the weights of these latents (B = 1)."""
        return dataclasses.replace(self._rig, weights=rig_weights(latents, self._rig.names)[0])


@dataclass(frozen=True)
class LostSource:
    """Placeholder for the source of a pickled face, until it is loaded.

    Parameters
    ----------
    model, pretrained:
        Arguments of ``from_pretrained``.
    vertices:
        Number of vertices of the face's topology, for a check.
    """

    model: str
    pretrained: Mapping[str, Any]
    vertices: int

    def find(self, device: torch.device) -> FaceSource:
        """Load the model that the face names.

        Raises
        ------
        InputError
            If the model is not in the manifest, or has another topology.
        """
        from facekit.pipeline import FacePipeline
        from facekit.weights import known

        remedy = "hand over the pipeline that made it: face.reattach(pipe)"
        if not known(self.model):
            raise InputError("a pickled face of a model in the manifest", f"one of {self.model!r}", remedy)
        pipe = FacePipeline.from_pretrained(self.model, device, **self.pretrained)
        if len(pipe.template.verts) != self.vertices:
            got = f"{self.vertices} vertices, where {self.model!r} has {len(pipe.template.verts)}"
            raise InputError("a face with that model's topology", got, remedy)
        return pipe
