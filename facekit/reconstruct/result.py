"""Reconstruction: a person reconstructed from photographs, which makes faces as a pipeline does."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facekit.checks import whole
from facekit.conventions import BLENDSHAPES
from facekit.errors import FileError, InputError
from facekit.face import FaceOutput
from facekit.files.atomic import atomic_write, expanded
from facekit.files.images import decode, encode, to_uint8
from facekit.files.readers import DAMAGE
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.motion.mapping import action_units
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.reconstruct.observe import Picture
from facekit.reconstruct.quality import Quality
from facekit.render import Camera, Lights
from facekit.source import FaceRig, Keyframes

if TYPE_CHECKING:
    from PIL import Image

_FORMAT, _SUFFIX = 1, ".facekit"


@dataclass(frozen=True)
class Reconstruction:
    """A person reconstructed from K photographs; a :class:`facekit.source.FaceSource` for this person alone.

    Call it to make the person's face: ``r(expression="smile", intensity=0.8)``. It works wherever a pipeline does:
    ``facekit.sweep_intensity(r, r.latents[0], "smile")``.

    Parameters
    ----------
    pipe:
        The pipeline with this person.
    latents:
        Latents of K faces, each with the blendshapes of its photograph.
    cameras:
        K cameras in the space of the neutral head: ``r.face.render(r.camera)`` repeats the photograph's view.
    sizes:
        (height, width) of each photograph.
    landmarks:
        (K, 478, 2) float32: landmarks in pixels.
    lights:
        Lights of each photograph in its camera's frame; empty if the texture was made without them.
    seen:
        (1, 1, S, S) float32 in [0, 1]: texels of the atlas that come from photographs; None if there are none.
    identity:
        (M,) float32: identity mode weights.
    quality:
        See :class:`facekit.reconstruct.quality.Quality`.
    notes:
        Messages on how photographs and texture were processed.
    pictures:
        The photographs; empty after loading from a file without them.
    """

    pipe: FacePipeline
    latents: FaceLatents
    cameras: Camera
    sizes: tuple[tuple[int, int], ...]
    landmarks: torch.Tensor
    lights: tuple[Lights, ...]
    seen: torch.Tensor | None
    identity: torch.Tensor
    quality: Quality
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = dataclasses.field(default=(), repr=False)

    def __len__(self) -> int:
        """Return K, the number of photographs."""
        return len(self.latents)

    def __repr__(self) -> str:
        """Summarise model, photographs and quality in one line."""
        count = "1 photograph" if len(self) == 1 else f"{len(self)} photographs"
        off = ", ".join(f"{error:.1f}" for error in self.quality.reprojection)
        return f"Reconstruction({count}, off by {off} % of the eyes' distance, {self.pipe.name!r})"

    def _repr_png_(self) -> bytes:
        return encode(np.asarray(self.overlay())) if self.pictures else self.face._repr_png_()

    # -- what was found -----------------------------------------------------------------------------------------------

    @functools.cached_property
    def faces(self) -> FaceOutput:
        """Faces (B = K) with the expressions of the photographs."""
        return self.pipe(latents=self.latents)

    @property
    def face(self) -> FaceOutput:
        """Face (B = 1) with the expression of the first photograph, upright in the model's own coordinates."""
        return self.faces[0]

    @functools.cached_property
    def neutral(self) -> FaceOutput:
        """Neutral face (B = 1)."""
        return self.pipe(latents=self.latents[:1].at_rest())

    @property
    def camera(self) -> Camera:
        """Camera of the first photograph."""
        return self.cameras[0]

    @property
    def blendshapes(self) -> dict[str, float]:
        """Blendshape weights of the first photograph by name; weights under 0.005 are left out."""
        return self.blendshapes_of(0)

    def blendshapes_of(self, photograph: int) -> dict[str, float]:
        """Return blendshape weights of a photograph by name; weights under 0.005 are left out."""
        row = self.latents.blendshapes[photograph].tolist()
        return {name: round(weight, 4) for name, weight in zip(BLENDSHAPES, row, strict=True) if weight > 5e-3}

    @property
    def action_units(self) -> dict[int, float]:
        """FACS action units of the first photograph by number, intensities 0 to 5."""
        said = action_units(self.blendshapes)
        assert isinstance(said, dict)
        return said

    # -- a source of faces --------------------------------------------------------------------------------------------

    name = property(lambda self: self.pipe.name)
    expressions = property(lambda self: self.pipe.expressions)
    shapes = property(lambda self: self.pipe.shapes)
    shape_pairs = property(lambda self: self.pipe.shape_pairs)
    single_person = True

    def __call__(
        self,
        *,
        latents: FaceLatents | None = None,
        expression: str | Mapping[str, float] | None = None,
        intensity: float = 1.0,
        detail: bool | str = True,
        detail_strength: float = 1.0,
        blendshapes: Mapping[str, float] | torch.Tensor | None = None,
        hair: str | None = "auto",
    ) -> FaceOutput:
        """Make the person's face with an expression, with blendshapes or with both; neutral by default. See the
        pipeline's call.
        """
        codes = self.latents[:1].at_rest() if latents is None else latents
        options: dict[str, Any] = {"detail": detail, "detail_strength": detail_strength, "blendshapes": blendshapes}
        return self.pipe(latents=codes, expression=expression, intensity=intensity, hair=hair, **options)

    def decode(
        self, latents: FaceLatents, *, texture: bool = True, detail: bool | str = True, detail_strength: float = 1.0
    ) -> FaceMesh:
        """Make meshes, differentiable with respect to expression and blendshapes."""
        return self.pipe.decode(latents, texture=texture, detail=detail, detail_strength=detail_strength)

    def keyframes(self, latents: FaceLatents, *, detail: bool | str = True) -> Keyframes:
        """Make the shapes of K codes without textures."""
        return self.pipe.keyframes(latents, detail=detail)

    def rig(
        self,
        latents: FaceLatents,
        *,
        kind: str = "expressions",
        detail: bool | str = True,
        detail_strength: float = 1.0,
    ) -> FaceRig:
        """Make the neutral mesh and morph targets."""
        return self.pipe.rig(latents, kind=kind, detail=detail, detail_strength=detail_strength)

    # -- showing and keeping ------------------------------------------------------------------------------------------

    def overlay(self, photograph: int = 0, height: int = 512) -> Image.Image:
        """Return the photograph, the mesh on it, the face rendered into it and the difference, side by side.

        Raises
        ------
        InputError
            If there is no such photograph, or if the file was saved without photographs.
        """
        from facekit.reconstruct.overlay import overlay

        if not self.pictures:
            raise InputError("photographs", "a reconstruction without", "save it with photographs=True")
        k = whole(photograph, "photograph", 0, len(self) - 1)
        light = self.lights[k] if self.lights else None
        return overlay(self.pictures[k].pixels, self.faces[k].mesh, self.cameras[k], light, height)

    def save(self, path: str | Path, photographs: bool = False) -> Path:
        """Write one small file, ``name.facekit``, with shape, texture, expressions and cameras.

        Parameters
        ----------
        photographs:
            Whether to store the photographs as well.
        """
        path = expanded(path)
        path = path if path.suffix else path.with_suffix(_SUFFIX)
        person = self.pipe.person
        assert person is not None
        told = {
            "format": _FORMAT,
            "model": self.pipe.name,
            "sizes": self.sizes,
            "quality": dataclasses.asdict(self.quality),
            "notes": self.notes,
            "names": [picture.name for picture in self.pictures],
            "hair": person.hair,
        }
        cameras = {name: getattr(self.cameras, name).cpu().numpy() for name in _CAMERA}
        codes = {name: getattr(self.latents, name).cpu().numpy() for name in _CODES}
        arrays: dict[str, Any] = {
            **self._extra_arrays(),
            "told": np.frombuffer(json.dumps(told).encode(), np.uint8),
            "neutral": person.neutral.cpu().numpy(),
            "landmarks": self.landmarks.numpy(),
            "identity": self.identity.numpy(),
            **{f"camera.{name}": value for name, value in cameras.items()},
            **{f"codes.{name}": value for name, value in codes.items()},
        }
        for name, picture in (("atlas", person.atlas), ("seen", self.seen)):
            if picture is not None:
                arrays[name] = np.frombuffer(encode(to_uint8(picture), ".png"), np.uint8)
        if self.lights and all(light.sh is not None for light in self.lights):
            arrays["lights"] = np.stack([np.asarray(light.sh) for light in self.lights])
        if person.hair_colour is not None:
            arrays["hair_colour"] = person.hair_colour.cpu().numpy()
        if photographs:
            for k, picture in enumerate(self.pictures):
                arrays[f"picture.{k}"] = np.frombuffer(encode(picture.pixels, ".jpg", 92), np.uint8)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    def _extra_arrays(self) -> dict[str, np.ndarray]:
        """Return arrays to store in addition; overridden by subclasses."""
        return {}

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Reconstruction:
        """Read a file written by :meth:`save`.

        Raises
        ------
        FileError
            If the file is missing or in another format.
        """
        path = expanded(path)
        if not path.is_file():
            raise FileError("a saved reconstruction", f"none at {path}", "check its name")
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            told = json.loads(arrays["told"].tobytes())
            codes = FaceLatents(**{name: torch.from_numpy(arrays[f"codes.{name}"]) for name in _CODES})
            placed: dict[str, Any] = {name: torch.from_numpy(arrays[f"camera.{name}"]) for name in _CAMERA}
            cameras = Camera(**placed)
            rated: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told["quality"].items()}
            quality = Quality(**rated)
            atlas, seen = (_picture(arrays[n]) if n in arrays else None for n in ("atlas", "seen"))
            pictures = [decode(arrays[f"picture.{k}"].tobytes()) for k in range(len(codes)) if f"picture.{k}" in arrays]
            lights = tuple(Lights(sh=torch.from_numpy(sh)) for sh in arrays.get("lights", ()))
            neutral, worn = torch.from_numpy(arrays["neutral"]), told.get("hair")
            colour = torch.from_numpy(arrays["hair_colour"]) if "hair_colour" in arrays else None
            found = (torch.from_numpy(arrays["landmarks"]), torch.from_numpy(arrays["identity"]))
            sizes = tuple((int(height), int(width)) for height, width in told["sizes"])
            more = {name.removeprefix("clip."): arrays[name] for name in arrays if name.startswith("clip.")}
            names, notes, model = list(told["names"]), tuple(told["notes"]), str(told["model"])
        except DAMAGE as error:
            raise FileError("a saved reconstruction", f"{path} ({error})", "save it again") from error
        pipe = FacePipeline.from_pretrained(model, device)
        pipe = pipe.with_person(Person(neutral, codes[:1].at_rest(), atlas, worn, colour))
        photographs = tuple(Picture(p, name) for p, name in zip(pictures, names, strict=False))
        made = cls(pipe, codes, cameras, sizes, found[0], lights, seen, found[1], quality, notes, photographs)
        return _with_motion(made, more) if more else made


_CAMERA = ("position", "look_at", "fov", "up", "principal", "aspect")
_CODES = ("identity", "expression", "shape_noise", "texture_noise", "style", "blendshapes")


def _picture(data: np.ndarray) -> torch.Tensor:
    """Decode a picture to (1, C, H, W) float32."""
    from facekit.files.images import to_float

    return to_float(decode(data.tobytes()))


def _with_motion(still: Reconstruction, arrays: dict[str, np.ndarray]) -> Reconstruction:
    """Return a video's reconstruction: that of its key frames, with the motion of all frames."""
    from facekit.reconstruct.clip.result import ClipReconstruction

    return ClipReconstruction.of_arrays(still, arrays)
