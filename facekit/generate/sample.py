"""SampleMaker: make a picture with its labels from an index."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from facekit.color import linear_to_srgb, srgb_to_linear
from facekit.dense import dense_landmarks
from facekit.face import FaceOutput
from facekit.generate import labels, lens, occluders
from facekit.generate.classes import CLASSES, HeadClasses
from facekit.generate.recipe import Recipe
from facekit.generate.scene import Scene, draw_scene
from facekit.generate.surroundings import background_of, camera_of, lights_of
from facekit.hair import HAIR_PARTS, HIDDEN, Hair
from facekit.latents import FaceLatents
from facekit.mesh import FaceMesh
from facekit.motion.head import Neck, rotation
from facekit.pipeline import FacePipeline
from facekit.render import Camera, RenderOutput, render

#: Codes that are stored as labels.
_CODES = ("identity", "expression", "blendshapes")


@dataclass(frozen=True)
class Sample:
    """One sample.

    Parameters
    ----------
    index:
        Index in the set.
    images:
        Images by label: ``rgb`` and ``albedo`` (3, H, W) float32 sRGB in [0, 1]; ``mask`` (H, W) uint8; ``depth`` (H,
        W) float32 mm, inf for background; ``normals`` (3, H, W) float32; ``uv`` (2, H, W) float32, -1 for background.
    numbers:
        All other labels, as JSON values.
    jpeg:
        JPEG quality of ``rgb``, None for PNG.
    """

    index: int
    images: dict[str, torch.Tensor]
    numbers: dict[str, Any]
    jpeg: int | None = None


class SampleMaker:
    """Make the samples of one set.

    Parameters
    ----------
    pipe:
        The embedded default: labels need a model with eyes and parts.
    seed:
        Random seed of the set.
    """

    def __init__(self, pipe: FacePipeline, recipe: Recipe, seed: int = 0) -> None:
        self.pipe, self.recipe, self.seed = pipe, recipe, seed
        self.classes = HeadClasses(pipe)
        self._share = Neck(pipe.template.mesh(pipe.template.verts[None])).share
        eyes = [copy.deepcopy(eye).to("cpu") for eye in pipe.blendshapes.eyes]  # labels are computed on the CPU
        self.pupils = labels.Pupils(eyes, pipe.template.verts.cpu())

    def __call__(self, index: int) -> Sample:
        """Make sample ``index``, independent of earlier ones."""
        return self.batch([index])[0]

    @torch.inference_mode()
    def mesh(self, index: int) -> FaceMesh:
        """Return the posed head (B = 1) shown by sample ``index``."""
        scene = draw_scene(self.recipe, self.seed, index)
        codes = self._codes(scene)
        face = self.pipe(latents=codes, detail=self.recipe.detail, hair=None).mesh
        rest = self.pipe.decode_neutral(codes)
        neck = Neck(self.pipe.template.mesh(rest), self._share)
        return _held(face, neck, scene)

    @torch.inference_mode()
    def batch(self, indices: Sequence[int]) -> list[Sample]:
        """Make several samples whose faces are computed at once; equal to single ones up to rounding."""
        scenes = [draw_scene(self.recipe, self.seed, index) for index in indices]
        codes = [self._codes(scene) for scene in scenes]
        together = FaceLatents.cat(codes)
        hair = "auto" if self.recipe.hair else None
        faces = self.pipe(latents=together, detail=self.recipe.detail, hair=hair)
        rest = self.pipe.decode_shape(together.at_rest().to(self.pipe.device))
        return [
            self._sample(scene, own, faces[k : k + 1], self.pipe.template.mesh(rest[k : k + 1]))
            for k, (scene, own) in enumerate(zip(scenes, codes, strict=True))
        ]

    def _sample(self, scene: Scene, codes: FaceLatents, face: FaceOutput, rest: FaceMesh) -> Sample:
        recipe, neck = self.recipe, Neck(rest, self._share)
        mesh, head = _held(face.mesh, neck, scene), torch.tensor([scene.head])
        points = mesh.verts[0, mesh.need("landmarks")].cpu()
        camera, lights = camera_of(scene, points), lights_of(scene.light)
        hair = self.pipe.turned_hair(face.hair, neck, head) if face.hair else None
        picture = render(mesh, camera, recipe.size, lights, recipe.quality, "transparent", hair=hair)
        mesh = mesh.to("cpu")
        depth = picture.depth[0, 0].cpu()
        front, lenses = self._in_front(scene, mesh, neck, camera, depth)
        images = {"rgb": self._developed(scene, picture, front, lenses)}
        images |= self._images(mesh, camera, picture, codes, front, face.hair)
        marks = torch.cat((points, self.pupils(mesh.verts)))
        found = {"landmarks": labels.landmarks(marks, camera, depth)}
        if "landmarks478" in recipe.labels:
            corners, shares = dense_landmarks()
            dense = (mesh.verts[0, corners] * shares[..., None]).sum(dim=1)
            found["landmarks478"] = labels.landmarks(dense, camera, depth)
        numbers = self._numbers(scene, codes, camera, mesh, found)
        images = {name: image for name, image in images.items() if name in recipe.labels}
        return Sample(scene.index, images, numbers, scene.augment["jpeg"])

    def _codes(self, scene: Scene) -> FaceLatents:
        codes = FaceLatents.sample(scene.person, truncation=self.recipe.people.truncation)
        if scene.expression:
            codes = codes.with_expression(scene.expression)
        return codes.with_blendshapes(scene.blendshapes)

    def _in_front(
        self, scene: Scene, mesh: FaceMesh, neck: Neck, camera: Camera, depth: torch.Tensor
    ) -> tuple[list[occluders.Layer], torch.Tensor | None]:
        """Return the layers in front of the face, and the transmittance of lenses."""
        size, found, lenses = self.recipe.size, [], None
        if scene.glasses is not None:
            turn = rotation(torch.tensor([scene.head]))[0]
            pivot = neck.pivot.cpu()
            # Eyes rotate with the head: undo this to get the unturned head, on which glasses are built.
            eyes = pivot + (self.pupils.centres(mesh.verts) - pivot) @ turn

            def project(points: torch.Tensor) -> torch.Tensor:
                placed = camera.project((pivot + (points - pivot) @ turn.T)[None], size)[0]
                scale = camera.focal(size)[0] / placed[:, 2:].clamp_min(1.0)
                return torch.cat((placed, scale), dim=1)

            layer, lenses = occluders.glasses(scene.glasses, eyes, project, depth)
            found.append(layer)
        if scene.blob is not None:
            places = camera.project(mesh.verts[:, mesh.need("landmarks")], size)[0]
            found.append(occluders.blob(scene.blob, labels.box_of(places[:, :2]), size))
        return found, lenses

    def _developed(
        self, scene: Scene, picture: RenderOutput, front: list[occluders.Layer], lenses: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the photograph (3, H, W): head over background, occluders, and camera artifacts."""
        size, recipe = self.recipe.size, self.recipe
        behind = srgb_to_linear(background_of(scene.background, size, recipe.background.folder))
        alpha, head = picture.alpha[0].cpu(), srgb_to_linear(picture.rgb[0].cpu())
        head = lens.exposed(head, scene.light["stops"], 0.0)
        linear = behind + (head - behind) * alpha
        linear = linear if lenses is None else linear * lenses
        for layer in front:
            linear = layer.over(linear)
        augment = scene.augment
        linear = lens.exposed(lens.blurred(linear, augment), augment["exposure"], augment["white_balance"])
        return lens.sensed(linear_to_srgb(linear.clamp(0, 1)), augment)

    def _images(
        self,
        mesh: FaceMesh,
        camera: Camera,
        picture: RenderOutput,
        codes: FaceLatents,
        front: list[occluders.Layer],
        hair: tuple[Hair | None, ...],
    ) -> dict[str, torch.Tensor]:
        """Return the requested labels that are pictures."""
        wanted, ids = self.recipe.labels, picture.face_ids[0].cpu()
        found = {"depth": picture.depth[0, 0].cpu(), "normals": picture.normals[0].cpu()}
        if "mask" in wanted:
            mask = torch.where(ids >= 0, self.classes(codes, hair)[0][ids.clamp_min(0)], 0).to(torch.uint8)
            for part in ("hair", "beard"):
                mask[ids == HIDDEN - HAIR_PARTS.index(part)] = CLASSES.index(part)
            for layer in front:
                mask = layer.mark(mask).to(torch.uint8)
            found["mask"] = mask
        if "uv" in wanted:
            found["uv"] = labels.pixel_uvs(mesh, camera, ids)
        if "albedo" in wanted:
            flat = dataclasses.replace(mesh, displacement=None)
            found["albedo"] = render(flat, camera, self.recipe.size, "flat", background=(0.0, 0.0, 0.0)).rgb[0]
        return found

    def _numbers(
        self,
        scene: Scene,
        codes: FaceLatents,
        camera: Camera,
        mesh: FaceMesh,
        marks: dict[str, dict[str, Any]],
    ) -> dict[str, Any]:
        found = {name: getattr(codes, name)[0].tolist() for name in _CODES}
        found = {name: [round(value, 6) for value in row] for name, row in found.items()}
        found |= {
            "index": scene.index,
            "size": self.recipe.size,
            "camera": labels.camera_label(camera, self.recipe.size),
            "pose": labels.pose_label(rotation(torch.tensor([scene.head]))[0], camera),
            "gaze": self.pupils.gaze(mesh.verts, camera),
            "box": [round(value, 3) for value in labels.box_of(torch.tensor(marks["landmarks"]["points"][:68]))],
            "scene": scene.to_dict(),
        }
        return found | {name: points for name, points in marks.items() if name in self.recipe.labels}


def _held(face: FaceMesh, neck: Neck, scene: Scene) -> FaceMesh:
    return dataclasses.replace(face, verts=neck.turned(face.verts, torch.tensor([scene.head])))
