"""FaceOutput, what the pipeline returns: meshes with their codes. FaceRig and FaceDetail are what it is made up of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import as_slice
from facekit.conventions import EXPRESSIONS
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh

if TYPE_CHECKING:
    from facekit.render import Camera, RenderOutput


@dataclass(frozen=True)
class FaceRig:
    """One person's neutral face and the displacements that morph it into the 19 other expressions.

    Parameters
    ----------
    neutral:
        FaceMesh with B = 1, the zero expression code with its texture.
    names:
        The morph targets' names, by default :data:`facekit.conventions.MORPH_TARGETS`.
    deltas:
        (len(names), V, 3) float32 mm; weight 1 is the posed expression.
    weights:
        (len(names),) float32, the weights at which the face was when the rig was asked for.
    """

    neutral: FaceMesh
    names: tuple[str, ...]
    deltas: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class FaceDetail:
    """The parts that a face's displacement is composed of (SD-DeTail of HiFace, Chai et al., ICCV 2023).

    The displacement is ``strength * (static + UV(compress) * compressed + UV(stretch) * stretched)``. The three maps
    belong to the person; only the weights move with the expression.

    Parameters
    ----------
    static:
        (B, 1, H, W) float32 mm, with the micro layer's pores.
    compressed, stretched:
        (B, 1, h, w) float32 mm, in the same UV at a lower resolution: what is added where skin is wholly compressed or
        stretched.
    compress, stretch:
        (B, V) float32 in [0, 1], how far each vertex is.
    tension:
        (B, V) float32, what the weights were computed from: above 0 compressed, below 0 stretched, 0 at rest.
    strength:
        Factor on all of it.
    """

    static: torch.Tensor
    compressed: torch.Tensor
    stretched: torch.Tensor
    compress: torch.Tensor
    stretch: torch.Tensor
    tension: torch.Tensor
    strength: float = 1.0

    def __getitem__(self, index: slice) -> FaceDetail:
        maps = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "strength"}
        return dataclasses.replace(self, **{name: value[index] for name, value in maps.items()})

    @classmethod
    def cat(cls, parts: list[FaceDetail]) -> FaceDetail:
        """Several batches as one; the first one's strength counts."""
        if len(parts) == 1:
            return parts[0]
        names = [f.name for f in dataclasses.fields(cls) if f.name != "strength"]
        return cls(**{n: torch.cat([getattr(p, n) for p in parts]) for n in names}, strength=parts[0].strength)

    def to(self, device: str | torch.device) -> FaceDetail:
        """A copy on another device."""
        maps = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "strength"}
        return dataclasses.replace(self, **{name: value.to(device) for name, value in maps.items()})


@dataclass(frozen=True)
class FaceOutput:
    """What :class:`facekit.FacePipeline` returns: B faces with the codes that made them.

    ``len(face)`` is B, ``face[i]`` picks one face, iteration goes over single faces.

    Parameters
    ----------
    mesh:
        The textured meshes.
    latents:
        The codes they came from.
    model:
        Name of the model, a record of ``weights_manifest.json``.
    metadata:
        What a bundle's metadata.json tells besides: seed, labels of a sweep and the like. Lists of length B are
        per face and are split by indexing.
    make_rig:
        Function of single latents that computes the FaceRig; None when the model cannot.
    detail:
        What ``mesh.displacement`` was composed of; None without detail.
    """

    mesh: FaceMesh
    latents: FaceLatents
    model: str = "default"
    metadata: dict[str, Any] = field(default_factory=dict)
    make_rig: Callable[[FaceLatents], FaceRig] | None = field(default=None, repr=False, compare=False)
    detail: FaceDetail | None = field(default=None, repr=False, compare=False)

    @property
    def verts(self) -> torch.Tensor:
        """(B, V, 3) float32 mm."""
        return self.mesh.verts

    @property
    def texture(self) -> torch.Tensor | None:
        """(B, 3, H, W) float32 sRGB in [0, 1]."""
        return self.mesh.texture

    @property
    def displacement(self) -> torch.Tensor | None:
        """(B, 1, H, W) float32 mm along the smooth vertex normal, in UV; None without detail."""
        return self.mesh.displacement

    @property
    def normal_map(self) -> torch.Tensor | None:
        """(B, 3, H, W) float32 in [0, 1], tangent space, OpenGL's +Y; None without detail."""
        return None if self.mesh.displacement is None else self.mesh.normal_map()

    def detailed_mesh(self, level: int = 2) -> FaceMesh:
        """The mesh subdivided ``level`` times (4 triangles each time) and displaced, for print or close-up."""
        return self.mesh.detailed(level)

    def __len__(self) -> int:
        return len(self.mesh)

    def __getitem__(self, index: int | slice) -> FaceOutput:
        index = as_slice(index, len(self), "face")
        metadata = {
            key: value[index] if isinstance(value, list) and len(value) == len(self) else value
            for key, value in self.metadata.items()
        }
        detail = None if self.detail is None else self.detail[index]
        return dataclasses.replace(
            self, mesh=self.mesh[index], latents=self.latents[index], metadata=metadata, detail=detail
        )

    def __iter__(self) -> Iterator[FaceOutput]:
        return (self[i] for i in range(len(self)))

    def to(self, device: str | torch.device) -> FaceOutput:
        """A copy on another device."""
        detail = None if self.detail is None else self.detail.to(device)
        return dataclasses.replace(self, mesh=self.mesh.to(device), latents=self.latents.to(device), detail=detail)

    def expression_weights(self) -> list[dict[str, float]]:
        """The expression of each face as ``{name: weight}``, without the zeros."""
        return [
            {EXPRESSIONS[k]: round(float(v), 6) for k, v in enumerate(code) if abs(float(v)) > 1e-6}
            for code in self.latents.expression
        ]

    def rig(self) -> FaceRig:
        """Neutral mesh and morph targets of the one face of this batch (B must be 1)."""
        if len(self) != 1:
            raise InputError("one face", f"a batch of {len(self)}", "pick one with face[i]")
        if self.make_rig is None:
            raise InputError("a face that knows its expressions", "one without", "make it with FacePipeline")
        return self.make_rig(self.latents)

    def render(
        self, camera: Camera | None = None, image_size: int | tuple[int, int] = 512, **options: Any
    ) -> RenderOutput:
        """Pictures of all faces of the batch; see :func:`facekit.render.render`."""
        from facekit.render import render

        return render(self.mesh, camera=camera, image_size=image_size, **options)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the one face of this batch (B must be 1): .obj .ply .glb .zip, or a picture as .png .jpg .webp.

        The suffix chooses the format; see :func:`facekit.io.save` for what each holds and for the options.
        """
        from facekit.io import save

        return save(self, path, **options)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the one face of this batch (B must be 1) as a page with sliders, which opens without a network.

        See :func:`facekit.viz.viewer.page.write_page` for the options.
        """
        from facekit.viz.viewer.page import write_page

        return write_page(self, path, **options)
