"""Data of the viewer: one person's head, and the displacements of each expression."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from facekit.checks import whole
from facekit.codes import expression_code
from facekit.conventions import BLENDSHAPES, MAX_INTENSITY, PARTS
from facekit.errors import InputError
from facekit.files.images import encode, to_uint8
from facekit.geometry.uv import slopes
from facekit.hair import hair_to
from facekit.io.arrays import mesh_of, split_at_seams
from facekit.latents import FaceLatents
from facekit.render.materials import sheen
from facekit.viz.viewer.block import (
    POSITION_BUDGET,
    POSITION_TOLERANCE,
    WEIGHT_BUDGET,
    WEIGHT_TOLERANCE,
    Picture,
    Series,
)
from facekit.viz.viewer.hair import hair_entries

if TYPE_CHECKING:
    from facekit.detail import FaceDetail
    from facekit.face import FaceOutput
    from facekit.hair import Hair
    from facekit.mesh import FaceMesh
    from facekit.source import FaceSource, Keyframes

Arrays = dict[str, "np.ndarray | Picture"]
Kept = TypeVar("Kept")
Entries = tuple[dict[str, Any], Arrays]

_SKIN_QUALITY = 94
_SLOPE_QUALITY = 92
#: Mean difference, in 8-bit steps, below which a posed texture is not sent, as it is not visible.
_TEXTURE_CHANGE = 0.35


def mix_key(expression: str | Mapping[str, float]) -> str:
    """Return a canonical name of an expression or blend: ``"smile"``, ``"anger:0.5+smile:1"``, sorted by name."""
    if isinstance(expression, str):
        expression_code(expression)  # raises for unknown names
        return expression
    expression_code(expression)
    weights = {name: round(float(expression[name]), 3) for name in sorted(expression)}
    weights = {name: weight for name, weight in weights.items() if weight}
    if not weights:
        return "neutral"
    if list(weights.values()) == [1.0]:
        return next(iter(weights))
    return "+".join(f"{name}:{weight:g}" for name, weight in weights.items())


#: The subject used last, the only one that caches its results.
_LATEST: list[weakref.ref[Subject]] = []


class Subject:
    """One person, evaluated lazily for head and displacements.

    Results are cached until another subject is used. Notebooks never release widgets, so otherwise each viewer would
    keep the textures of its face; recomputing them takes a tenth of a second.

    Parameters
    ----------
    source:
        Source of the keyframes.
    latents:
        Latents of one face; their expression is ignored.
    detail:
        As for the pipeline: True, "static", "dynamic" or False.
    hair:
        As for the pipeline; None for a source without hair.
    """

    def __init__(
        self, source: FaceSource, latents: FaceLatents, detail: bool | str = True, hair: str | None = None
    ) -> None:
        self.source, self.latents, self.detail, self.hair = source, latents.at_rest(), detail, hair
        self._made: dict[str, tuple[Any, Any]] = {}

    @classmethod
    def of(cls, face: FaceOutput) -> Subject:
        """Create the subject of an existing face (B = 1).

        Raises
        ------
        InputError
            If there are several faces, or the face has no source.
        """
        if len(face) != 1:
            raise InputError("one face", f"a batch of {len(face)}", "pick one with face[i]")
        hair = face.settings.hair if face.hair else None
        return cls(face.resolve_source(), face.latents, face.settings.detail, hair)

    def kept(self, name: str, state: Any, make: Callable[[], Kept]) -> Kept:
        """Return the cached result of this name, recomputed if its state changed."""
        latest = _LATEST[0]() if _LATEST else None
        if latest is not self:
            if latest is not None:
                latest._made.clear()
            _LATEST[:] = [weakref.ref(self)]
        if name not in self._made or self._made[name][0] != state:
            self._made[name] = state, make()
        return self._made[name][1]

    @property
    def neutral(self) -> FaceOutput:
        """The neutral face."""
        return self.kept("neutral", None, lambda: self._made_of(latents=self.latents))

    def _made_of(self, **options: Any) -> FaceOutput:
        """Make a face; options for hair are dropped if the source has none."""
        worn = {} if self.hair is None else {"hair": self.hair}
        face = self.source(detail=self.detail, **worn, **options)
        return face if self.hair is not None else face.without_hair()

    @property
    def worn(self) -> Hair | None:
        """Hair and lashes of the neutral face, on the CPU."""
        hair = self.neutral.hair
        return None if not hair or hair[0] is None else self.kept("hair", None, lambda: hair_to(hair, "cpu")[0])

    def skin(self, mesh: FaceMesh) -> torch.Tensor | None:
        """Return the texture (1, 3, H, W) of this person's mesh, with the hair's tone on the scalp."""
        return mesh.texture if self.worn is None else self.worn.capped(mesh)

    def face(
        self,
        expression: str | Mapping[str, float],
        intensity: float,
        detail_strength: float,
        blendshapes: Mapping[str, float] | None = None,
    ) -> FaceOutput:
        """Make the exact face with an expression and blendshapes."""
        latents = self.latents.with_blendshapes(blendshapes or {})
        options = {"expression": expression, "intensity": intensity, "detail_strength": detail_strength}
        return self._made_of(latents=latents, **options)

    @property
    def mesh(self) -> FaceMesh:
        """The neutral mesh on the CPU."""
        return self.kept("mesh", None, lambda: mesh_of(self.neutral))

    def keyframes(self, expression: str | Mapping[str, float], steps: int) -> Keyframes:
        """Return shapes at ``steps`` intensities from 0 to 1.5, with their strain."""
        intensities = torch.linspace(0, MAX_INTENSITY, steps).tolist()
        batch = FaceLatents.cat([self.latents.with_expression(expression, value) for value in intensities])
        return self.source.keyframes(batch, detail=self.detail)

    def posed_texture(self, expression: str | Mapping[str, float]) -> torch.Tensor | None:
        """Return the albedo at intensity 1, (1, 3, H, W) sRGB, or None without a texture."""
        with torch.no_grad():
            posed = self.latents.with_expression(expression, 1.0)
            texture = self.skin(mesh_of(self.source.decode(posed, detail=False)))
        return None if texture is None else texture.cpu()


def head_entries(subject: Subject, poster: Picture | None = None) -> Entries:
    """Return header and arrays of a head: topology, neutral shape, materials, texture, detail, lights and camera."""
    mesh, face = subject.mesh, subject.neutral
    split = split_at_seams(mesh)
    u, v = mesh.uvs.numpy()[split.uv].T
    uv = np.stack([u, 1 - v], axis=-1)  # pictures have row 0 at the top
    index = np.uint16 if len(split.vertex) <= 65535 else np.uint32
    count = split.vertices
    arrays: Arrays = {
        "verts": mesh.verts[0].numpy(),
        "faces": split.faces.astype(index),
        "copies": split.copies.astype(index),
        "uv": np.rint(uv.clip(0, 1) * 65535).astype(np.uint16),
        "ao": _bytes(_shaded(subject)),
        "sheen": _bytes(sheen(mesh).numpy()),
        "parts": np.zeros(count, np.uint8) if mesh.parts is None else mesh.parts.numpy().astype(np.uint8),
    }
    skin = subject.skin(mesh)
    if skin is not None:
        arrays["texture"] = Picture(encode(to_uint8(skin), ".jpg", _SKIN_QUALITY), "image/jpeg")
    if poster is not None:
        arrays["poster"] = poster
    header: dict[str, Any] = {
        "model": face.model,
        "counts": [count, len(split.vertex), len(split.faces)],
        "expressions": list(subject.source.expressions),
        "shapes": list(BLENDSHAPES) if len(subject.source.shapes) == len(BLENDSHAPES) else [],
        "maxIntensity": MAX_INTENSITY,
        "stage": _stage(subject.worn is not None and bool(subject.worn.cards.on_scalp.any())),
        "detail": None,
    }
    header["hair"], cards = hair_entries(subject)
    arrays |= cards
    if face.detail is not None:
        header["detail"], maps = _detail(face.detail)
        arrays |= maps
    return header, arrays


def track_entries(subject: Subject, expression: str | Mapping[str, float], steps: int) -> Entries:
    """Return header and arrays of an expression or blend: displacements, tension, detail weights and texture."""
    key, steps = mix_key(expression), whole(steps, "steps", 2, remedy="pass for instance steps=15")
    frames = subject.keyframes(expression, steps)
    moved = (frames.verts.cpu() - subject.mesh.verts).numpy()
    moved -= moved[:1]  # intensity 0 is exactly the neutral face
    header: dict[str, Any] = {"key": key, "steps": steps}
    arrays: Arrays = {}

    def add(name: str, values: np.ndarray, tolerance: float, budget: int) -> None:
        entry, parts = Series.encode(values.reshape(len(values), -1), tolerance, budget).entries(f"{key}/{name}")
        header[name] = entry
        arrays.update(parts)

    add("position", moved, POSITION_TOLERANCE, POSITION_BUDGET)
    for name in ("tension", "compress", "stretch"):
        values = getattr(frames, name)
        if values is not None:
            add(name, values.float().cpu().numpy(), WEIGHT_TOLERANCE, WEIGHT_BUDGET)
    if subject.mesh.texture is not None and key != "neutral":
        posed = subject.posed_texture(expression)
        rest = subject.skin(subject.mesh)
        if posed is not None and rest is not None and float((posed - rest).abs().mean()) * 255 > _TEXTURE_CHANGE:
            arrays[f"{key}/texture"] = Picture(encode(to_uint8(posed), ".jpg", _SKIN_QUALITY), "image/jpeg")
    return header, arrays


def _shaded(subject: Subject) -> np.ndarray:
    """Return ambient light at the vertices of the neutral head, (V,), through the hair; of the mouth, as if it were
    open.
    """
    mesh = subject.mesh
    occlusion = mesh.occlusion()
    if mesh.ao is None or occlusion is None:
        light = np.ones(mesh.verts.shape[1], np.float32)
    else:
        shade = occlusion.view(-1, len(mesh.ao))[0].clone()
        if mesh.openings is not None:
            mouth = torch.cat((mesh.openings.inside, mesh.openings.edge))
            shade[mouth] = mesh.ao[mouth].to(shade)
        light = shade.numpy()
    return light if subject.worn is None else light * subject.worn.cards.light.numpy()


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8)


def _detail(detail: FaceDetail) -> tuple[dict[str, Any], Arrays]:
    """Return the three detail maps as slopes: these bend normals in the shader, and can be quantised to eight bits and
    filtered.
    """
    ranges, maps = {}, {}
    for name in ("static", "compressed", "stretched"):
        steep = slopes(getattr(detail, name).detach().cpu())[0].numpy() * np.array([1, -1], np.float32)[:, None, None]
        span = max(float(np.quantile(np.abs(steep), 0.9995)), 1e-6)
        levels = np.rint(steep.clip(-span, span) * (127 / span) + 128).astype(np.uint8)
        pixels = np.stack([levels[0], levels[1], np.full_like(levels[0], 128)], axis=-1)
        ranges[name] = span
        maps[f"detail/{name}"] = Picture(encode(pixels, ".jpg", _SLOPE_QUALITY), "image/jpeg")
    return {"ranges": ranges, "strength": detail.strength}, maps


def _stage(roomy: bool) -> dict[str, Any]:
    """Return lights, materials and camera of :mod:`facekit.render`, so that faces look the same."""
    from facekit.render.camera import HAIR_CENTRE, HAIR_DISTANCE, HEAD_CENTRE, PORTRAIT_DISTANCE, PORTRAIT_FOV
    from facekit.render.lights import PRESETS, Lights
    from facekit.render.materials import CLAY, CLAY_MATERIAL, MATERIALS, ROUGHER
    from facekit.render.shading import WRAP

    def described(lights: Lights) -> dict[str, Any]:
        toward = lights.directions(torch.eye(3)[None])[0].tolist() if lights.lights else []
        lamps = [
            {
                "direction": [round(value, 6) for value in vector],
                "colour": [light.strength * value for value in light.colour],
                "gloss": light.gloss,
                "size": light.size,
            }
            for light, vector in zip(lights.lights, toward, strict=True)
        ]
        return {"lamps": lamps, "sky": lights.sky, "ground": lights.ground, "unlit": lights.unlit}

    return {
        "lights": {name: described(preset) for name, preset in PRESETS.items()},
        "materials": [MATERIALS[name] for name in PARTS],
        "rougher": ROUGHER,
        "clay": {"colour": CLAY, "material": CLAY_MATERIAL},
        "wrap": WRAP,
        "camera": {
            "target": HAIR_CENTRE if roomy else HEAD_CENTRE,
            "distance": HAIR_DISTANCE if roomy else PORTRAIT_DISTANCE,
            "fov": PORTRAIT_FOV,
        },
    }
