"""FaceOutput, the result of the pipeline: meshes with their latents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from facekit.checks import as_slice
from facekit.conventions import BLENDSHAPES, EXPRESSIONS
from facekit.detail import FaceDetail
from facekit.errors import InputError
from facekit.files.pickling import compact_state
from facekit.hair import Hair, hair_to
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.source import FaceRig, FaceSettings, FaceSource, LostSource

if TYPE_CHECKING:
    from facekit.render import Camera, RenderOutput


@dataclass(frozen=True)
class FaceOutput:
    """B faces with their latents, as returned by :class:`facekit.FacePipeline`.

    ``len(face)`` is B, ``face[i]`` selects one face, iteration is over single faces.

    Parameters
    ----------
    mesh:
        The textured meshes.
    latents:
        Latents of the faces.
    model:
        Name of the model, a record of ``weights_manifest.json``.
    metadata:
        Additional entries of a bundle's metadata.json: seed, labels of a sweep and the like. Lists of length B are per
        face and are split by indexing.
    settings:
        Other settings that they were made with.
    detail:
        Components of ``mesh.displacement``; None without detail.
    source:
        Source that made them and can make more of the same people, or None. It is not pickled: the first use loads the
        model again, or :meth:`reattach` sets a source.
    hair:
        Hair and lashes of each face, separate from ``mesh``, which is the head alone. Empty if no face has any.
    """

    mesh: FaceMesh
    latents: FaceLatents
    model: str = "default"
    metadata: dict[str, Any] = field(default_factory=dict)
    settings: FaceSettings = field(default_factory=FaceSettings)
    detail: FaceDetail | None = field(default=None, repr=False, compare=False)
    source: FaceSource | LostSource | None = field(default=None, repr=False, compare=False)
    hair: tuple[Hair | None, ...] = field(default=(), repr=False, compare=False)

    @property
    def verts(self) -> torch.Tensor:
        """Vertices (B, V, 3) float32 in mm."""
        return self.mesh.verts

    @property
    def texture(self) -> torch.Tensor | None:
        """Texture (B, 3, H, W) float32 sRGB in [0, 1]."""
        return self.mesh.texture

    @property
    def displacement(self) -> torch.Tensor | None:
        """Displacement (B, 1, H, W) float32 in mm along the smooth vertex normal, in UV; None without detail."""
        return self.mesh.displacement

    @property
    def normal_map(self) -> torch.Tensor | None:
        """Normal map (B, 3, H, W) float32 in [0, 1], tangent space, OpenGL's +Y; None without detail."""
        return None if self.mesh.displacement is None else self.mesh.normal_map()

    def detailed_mesh(self, level: int = 2) -> FaceMesh:
        """Return the mesh subdivided ``level`` times (4 triangles each time) and displaced, for 3D printing or
        close-ups.
        """
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
            self,
            mesh=self.mesh[index],
            latents=self.latents[index],
            metadata=metadata,
            detail=detail,
            hair=self.hair[index],
        )

    def __iter__(self) -> Iterator[FaceOutput]:
        return (self[i] for i in range(len(self)))

    def to(self, device: str | torch.device) -> FaceOutput:
        """Return a copy on another device."""
        detail = None if self.detail is None else self.detail.to(device)
        moved = {name: getattr(self, name).to(device) for name in ("mesh", "latents")}
        return dataclasses.replace(self, **moved, detail=detail, hair=hair_to(self.hair, device))

    def without_hair(self) -> FaceOutput:
        """Return the same faces without hair and lashes."""
        return dataclasses.replace(self, hair=(), settings=dataclasses.replace(self.settings, hair=None))

    def expression_weights(self) -> list[dict[str, float]]:
        """Return the expression of each face as ``{name: weight}``, without zeros."""
        return [
            {EXPRESSIONS[k]: round(float(v), 6) for k, v in enumerate(code) if abs(float(v)) > 1e-6}
            for code in self.latents.expression
        ]

    def blendshape_weights(self) -> list[dict[str, float]]:
        """Return the blendshapes of each face as ``{name: weight}``, without zeros."""
        return [
            {BLENDSHAPES[k]: round(float(v), 6) for k, v in enumerate(code) if abs(float(v)) > 1e-6}
            for code in self.latents.blendshapes
        ]

    def __repr__(self) -> str:
        """Summarise the faces in one line, without the tensors."""
        seed, worn = self.metadata.get("seed"), self.expression_weights()[0] if len(self) == 1 else {}
        terms = [] if seed is None else [f"seed={seed}"]
        terms += [f"{name}={weight:g}" for name, weight in worn.items() if name != "neutral"]
        terms += ["detail"] if self.mesh.displacement is not None else []
        count = "1 face" if len(self) == 1 else f"{len(self)} faces"
        return f"FaceOutput({', '.join([count, *terms])}, {self.verts.shape[1]:,} vertices, {self.model!r})"

    def _repr_html_(self) -> str:
        from facekit.viz.card import face_html

        return face_html(self)

    def _repr_png_(self) -> bytes:
        from facekit.viz.card import face_png

        return face_png(self)

    # -- source -----------------------------------------------------------------------------------------------------

    @property
    def can_rig(self) -> bool:
        """True if the face has a source, so that :meth:`rig` and viewers work."""
        return self.source is not None

    def resolve_source(self) -> FaceSource:
        """Return the source of this face; a face from a pickle loads its model first.

        Raises
        ------
        InputError
            If the face has no source, or its model cannot be found.
        """
        if self.source is None:
            raise InputError("a face with a source", "one without", "make it with FacePipeline")
        if isinstance(self.source, LostSource):
            # Set on the frozen instance: recovering the source does not change the face.
            object.__setattr__(self, "source", self.source.find(self.mesh.verts.device))
        assert self.source is not None and not isinstance(self.source, LostSource)
        return self.source

    def reattach(self, source: FaceSource | None = None) -> FaceOutput:
        """Return the face with a source: ``source``, or the model that it names, loaded now."""
        found = self.resolve_source() if source is None else source
        return dataclasses.replace(self, source=found)

    def rig(self, kind: str = "expressions") -> FaceRig:
        """Return neutral mesh and morph targets of the face (B must be 1); cached.

        Parameters
        ----------
        kind:
            "expressions" for 19 targets, "arkit" for ARKit's 52 blendshapes, "both" for all.
        """
        if len(self) != 1:
            raise InputError("one face", f"a batch of {len(self)}", "pick one with face[i]")
        kept = self.__dict__.setdefault("_rigs", {})
        if kind not in kept:
            options = {"detail": self.settings.detail, "detail_strength": self.settings.detail_strength}
            if self.hair:
                options["hair"] = self.settings.hair
            kept[kind] = self.resolve_source().rig(self.latents, kind=kind, **options)
        return kept[kind]

    def __getstate__(self) -> dict[str, Any]:
        # A person's source cannot be loaded by name: such a face is restored without one.
        lost = self.source is not None and not getattr(self.source, "single_person", False)
        return {**compact_state(self), "source": None, "lost": lost}

    def __setstate__(self, state: dict[str, Any]) -> None:
        lost = state.pop("lost")
        self.__dict__.update(state)
        if lost:
            source = LostSource(self.model, self.settings.pretrained, self.mesh.verts.shape[1])
            object.__setattr__(self, "source", source)

    # -- using ------------------------------------------------------------------------------------------------------

    def render(
        self, camera: Camera | None = None, image_size: int | tuple[int, int] = 512, **options: Any
    ) -> RenderOutput:
        """Render all faces of the batch; see :func:`facekit.render.render`."""
        from facekit.render import render

        return render(self.mesh, camera=camera, image_size=image_size, **{"hair": self.hair or None, **options})

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the face (B must be 1): .obj .ply .glb .zip, or a picture as .png .jpg .webp.

        The suffix chooses the format; see :func:`facekit.io.save` for their content and the options.
        """
        from facekit.io import save

        return save(self, path, **options)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the face (B must be 1) as a page with sliders, which works without a network.

        See :func:`facekit.viz.viewer.page.write_page` for the options.
        """
        from facekit.viz.viewer.page import write_page

        return write_page(self, path, **options)
