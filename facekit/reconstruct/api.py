"""reconstruct(): photographs of one person in, their rigged, textured head out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.checks import one_of, whole
from facekit.conventions import BLENDSHAPES
from facekit.latents import FaceLatents
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.plainly import plainly
from facekit.reconstruct import TEXTURES
from facekit.reconstruct.find import find
from facekit.reconstruct.fit import fit
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel
from facekit.reconstruct.observe import Picture, read_all
from facekit.reconstruct.quality import Quality
from facekit.reconstruct.response import Response
from facekit.reconstruct.result import Reconstruction
from facekit.reconstruct.texture.compose import compose_texture
from facekit.reconstruct.unknowns import Fitted, View
from facekit.render import Camera

#: How sure a focal length is that a camera tells, in its logarithm; and how much less scores are trusted on photographs
#: than on the renders they were measured on. The tongue is not looked for.
_FOCAL, _SCORES, _TONGUE = 0.06, 1.6, BLENDSHAPES.index("tongueOut")
_CODES = ("identity", "texture_noise", "style")
_SIZES = (512, 1024, 2048)


@plainly
def reconstruct(
    source: Any,
    *,
    texture: str = "blend",
    face: int | None = None,
    texture_size: int = 1024,
    model: str | Path | FacePipeline = "default",
) -> Reconstruction:
    """Reconstruct a person from photographs.

    Needs the extra ``photo``. Ask people before you reconstruct them; what comes out is a likeness, not a measurement,
    and no means to identify anybody.

    Parameters
    ----------
    source:
        A photograph, or several of one person: paths, a folder, arrays; see
        :func:`facekit.reconstruct.observe.read_all`.
    texture:
        "blend" projects the photographs onto the face and lets the texture network complete it, "photo" does without
        the network, "gan" is the network's texture alone.
    face:
        Which of several faces in a photograph, 0 is the largest and most central; None for that.
    texture_size:
        Side of the atlas in texels: 512, 1024 or 2048.
    model:
        The pipeline, or what ``FacePipeline.from_pretrained`` takes.

    Raises
    ------
    FacekitError
        For photographs that cannot be read or show no face, and without the extra; tells what to do.
    """
    one_of(texture, TEXTURES, "a texture")
    size = whole(texture_size, "texture_size", min(_SIZES), max(_SIZES), "choose 512, 1024 or 2048")
    pictures = read_all(source)
    pipe = model if isinstance(model, FacePipeline) else FacePipeline.from_pretrained(model)
    photo = PhotoModel.of(pipe)
    with Landmarker() as landmarker:
        found = [find(picture, landmarker, photo.mirror, face) for picture in pictures]
    return _reconstructed([(picture, marks) for picture, marks, _ in found], pipe, photo, texture, size)


def _reconstructed(
    found: list[tuple[Picture, FaceLandmarks]], pipe: FacePipeline, photo: PhotoModel, texture: str, size: int
) -> Reconstruction:
    pictures, faces = [picture for picture, _ in found], [marks for _, marks in found]
    fitted = fit(photo.points, photo.response, views_of(pictures, faces, photo.response))
    neutral = photo.neutral(pipe.template.verts, torch.from_numpy(fitted.identity))
    cameras = cameras_of(fitted, pictures)
    weights = torch.from_numpy(fitted.blendshapes).float()
    rest = FaceLatents.sample(0, expression="neutral", intensity=0.0, truncation=0.0, device=pipe.device)
    shaped = pipe.with_person(Person(neutral, rest))
    with torch.no_grad():
        verts = shaped.decode_shape(shaped.to_model_codes(rest.repeat(len(pictures)).with_blendshapes(weights)))
    colours = [torch.from_numpy(picture.pixels).float() / 255 for picture in pictures]
    skin = compose_texture(
        colours, verts, [cameras[k] for k in range(len(pictures))], neutral, pipe, mode=texture, size=size
    )
    codes = dataclasses.replace(rest, **{name: getattr(skin.codes, name).float() for name in _CODES})
    person = pipe.with_person(Person(neutral, codes, skin.albedo.float()))
    names = [picture.name for picture in pictures]
    return Reconstruction(
        pipe=person,
        latents=codes.repeat(len(pictures)).with_blendshapes(weights),
        cameras=cameras,
        sizes=tuple(picture.size for picture in pictures),
        landmarks=torch.from_numpy(np.stack([marks.points for marks in faces])).float(),
        lights=tuple(skin.lights),
        seen=skin.seen,
        identity=torch.from_numpy(fitted.identity).float(),
        quality=Quality.of(fitted, photo.points, faces, [picture.pixels for picture in pictures], names),
        notes=(*(note for picture in pictures for note in picture.notes), *skin.notes),
        pictures=tuple(pictures),
    )


def views_of(pictures: list[Picture], faces: list[FaceLandmarks], response: Response) -> list[View]:
    """What the fit takes of photographs and the faces in them."""
    cameras: dict[tuple[Any, ...], int] = {}
    certainty = response.certainty(_SCORES, ruled_out=(_TONGUE,))
    views = []
    for picture, marks in zip(pictures, faces, strict=True):
        height, width = picture.size
        expected = response.expected(marks.scores)
        expected[_TONGUE] = 0.0
        lens = (sorted(picture.size)[0], sorted(picture.size)[1], picture.focal)
        views.append(
            View(
                points=marks.points,
                rotation=marks.matrix[:3, :3],
                size=picture.size,
                principal=np.array([width / 2, height / 2]),
                expected=expected,
                certainty=certainty,
                focal=None if picture.focal is None else (float(np.log(picture.focal)), _FOCAL),
                camera=cameras.setdefault(lens, len(cameras)),
            )
        )
    return views


def cameras_of(fitted: Fitted, pictures: list[Picture]) -> Camera:
    """The K cameras in the space of the head at rest."""
    rotation, shift = (torch.from_numpy(t).float() for t in (fitted.rotation, fitted.translation))
    position = -(rotation.transpose(1, 2) @ shift[..., None])[..., 0]
    heights = torch.tensor([float(picture.size[0]) for picture in pictures])
    focal = torch.from_numpy(fitted.focal).float()
    return Camera(
        position=position,
        look_at=position + shift[:, 2:] * rotation[:, 2],  # as far ahead as the head
        up=rotation[:, 1],
        fov=2 * torch.rad2deg(torch.atan(heights / 2 / focal)),
    )
