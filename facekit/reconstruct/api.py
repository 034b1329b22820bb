"""reconstruct(): photographs of one person in, their rigged, textured head out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.checks import finite, one_of, whole
from facekit.conventions import BLENDSHAPES
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.plainly import plainly
from facekit.reconstruct import TEXTURES, is_film
from facekit.reconstruct.dense import expected_identity, looker_of
from facekit.reconstruct.find import find
from facekit.reconstruct.fit import fit
from facekit.reconstruct.hair import find_hair
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
_FOCAL, _SCORES, TONGUE = 0.06, 1.6, BLENDSHAPES.index("tongueOut")
#: Likewise how much less what the network reads of blendshapes, and how surely they are known at best.
_READ, _LEAST = 1.5, 0.02
_CODES = ("identity", "texture_noise", "style")
_SIZES = (512, 1024, 2048)
#: Photographs that are looked at for the hair.
_LOOKED = 4


@plainly
def reconstruct(
    source: Any,
    *,
    texture: str = "blend",
    face: int | None = None,
    calm: float = 1.0,
    texture_size: int = 1024,
    hair: str | None = "auto",
    model: str | Path | FacePipeline = "default",
) -> Reconstruction:
    """Reconstruct a person from photographs, or a person and their motion from a film.

    Needs the extra ``photo``. Ask people before you reconstruct them; what comes out is a likeness, not a measurement,
    and no means to identify anybody.

    Parameters
    ----------
    source:
        A photograph, or several of one person: paths, a folder, arrays; see
        :func:`facekit.reconstruct.observe.read_all`. Or the path of one film, see
        :class:`facekit.reconstruct.clip.film.Film`.
    texture:
        "blend" projects the photographs onto the face and lets the texture network complete it, "photo" does without
        the network, "gan" is the network's texture alone.
    face:
        Which of several faces in a photograph, or in the first frame of a film that shows any; 0 is the largest and
        most central; None for that.
    calm:
        For films: how much tremble is taken out, 0 for none, 1 for as much as there is.
    texture_size:
        Side of the atlas in texels: 512, 1024 or 2048.
    hair:
        What the person wears: the style that comes nearest to the photographs', in their colour, for "auto"; a name out
        of ``pipe.hair_styles``; None for the head alone.
    model:
        The pipeline, or what ``FacePipeline.from_pretrained`` takes.

    Raises
    ------
    FacekitError
        For films and photographs that cannot be read or show no face, and without the extra; tells what to do.

    Returns
    -------
    Reconstruction
        Of a film a :class:`facekit.reconstruct.clip.result.ClipReconstruction`, which has the motion besides.
    """
    one_of(texture, TEXTURES, "a texture")
    size = whole(texture_size, "texture_size", min(_SIZES), max(_SIZES), "choose 512, 1024 or 2048")
    smoothing = finite(calm, "calm")
    if smoothing < 0:
        raise InputError("calm from 0", f"{calm}", "1 is usual")
    if is_film(source):
        from facekit.reconstruct.clip.api import reconstruct_clip

        return reconstruct_clip(
            source, texture=texture, face=face, calm=smoothing, texture_size=size, hair=hair, model=model
        )
    pictures = read_all(source)
    pipe = model if isinstance(model, FacePipeline) else FacePipeline.from_pretrained(model)
    photo = PhotoModel.of(pipe)
    with Landmarker() as landmarker:
        found = [find(picture, landmarker, photo.mirror, face) for picture in pictures]
    pictures, faces = [picture for picture, _, _ in found], [marks for _, marks, _ in found]
    fitted, faces = looked_and_fitted(photo, pictures, faces)
    return assembled(fitted, pictures, faces, pipe, photo, texture, size, hair)


def looked_and_fitted(
    photo: PhotoModel, pictures: list[Picture], faces: list[FaceLandmarks]
) -> tuple[Fitted, list[FaceLandmarks]]:
    """Look at faces again, and find whom the pictures show; also the faces as they were seen then."""
    looker, response = looker_of(photo)
    seen = [looker(picture.pixels, marks) for picture, marks in zip(pictures, faces, strict=True)]
    return fit(photo.points, response, views_of(pictures, seen, response), prior=expected_identity(seen)), seen


def assembled(
    fitted: Fitted,
    pictures: list[Picture],
    faces: list[FaceLandmarks],
    pipe: FacePipeline,
    photo: PhotoModel,
    texture: str,
    size: int,
    hair: str | None = "auto",
) -> Reconstruction:
    """Make the reconstruction of a fit: shape and texture, and how good they are."""
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
    if hair is not None:
        posed = codes.repeat(len(pictures)).with_blendshapes(weights)
        person = dressed(person, colours, posed, cameras, hair)
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


def dressed(
    pipe: FacePipeline, colours: list[torch.Tensor], latents: FaceLatents, cameras: Camera, hair: str
) -> FacePipeline:
    """Give a pipeline's person hair, in the colour of the photographs; what they wear there for "auto"."""
    wanted, _, beard = hair.partition("+")
    if wanted not in ("auto", *pipe.hair_styles):
        raise InputError(f"hair out of {', '.join(pipe.hair_styles)}", repr(hair), 'name one of them, "auto" or None')
    if beard not in ("", *pipe.beard_styles):
        raise InputError(f"a beard out of {', '.join(pipe.beard_styles)}", repr(beard), "name one of them, or none")
    found = [
        find_hair(colours[k].permute(2, 0, 1), pipe, latents[k], cameras[k]) for k in range(min(len(colours), _LOOKED))
    ]
    known = [one for one in found if one is not None]
    assert pipe.person is not None
    if not known:
        style, colour = (None if wanted == "auto" else wanted), None
    else:
        best = max(known, key=lambda one: max(one.agreement.values()))
        style, colour = (best.style if wanted == "auto" else wanted), None if best.style == "bald" else best.colour
    worn = f"{style or 'bald'}+{beard}" if beard else style
    return pipe.with_person(dataclasses.replace(pipe.person, hair=worn, hair_colour=colour))


def views_of(pictures: list[Picture], faces: list[FaceLandmarks], response: Response) -> list[View]:
    """What the fit takes of photographs and the faces in them."""
    cameras: dict[tuple[Any, ...], int] = {}
    certainty = certainty_of(response)
    views = []
    for picture, marks in zip(pictures, faces, strict=True):
        lens = (sorted(picture.size)[0], sorted(picture.size)[1], picture.focal)
        focal = None if picture.focal is None else (float(np.log(picture.focal)), _FOCAL)
        view = view_of(picture.size, marks, response, certainty, focal)
        views.append(dataclasses.replace(view, camera=cameras.setdefault(lens, len(cameras))))
    return views


def view_of(
    size: tuple[int, int],
    marks: FaceLandmarks,
    response: Response,
    certainty: np.ndarray,
    focal: tuple[float, float] | None,
) -> View:
    """What the fit takes of one face in a picture of this (height, width); see :class:`View` for the rest."""
    if marks.reading is None:
        expected = response.expected(marks.scores)
    else:
        expected = marks.reading.shapes.copy()
        certainty = np.diag(1 / (_READ * marks.reading.shapes_spread).clip(_LEAST))
        certainty[TONGUE, TONGUE] = 1 / _LEAST
    expected[TONGUE] = 0.0
    middle = np.array([size[1] / 2, size[0] / 2])
    return View(marks.points, marks.matrix[:3, :3], size, middle, expected, certainty, focal, spread=marks.spread)


def certainty_of(response: Response) -> np.ndarray:
    """How sure blendshapes (52, 52) are that scores let expect."""
    return response.certainty(_SCORES, ruled_out=(TONGUE,))


def cameras_of(fitted: Fitted, pictures: list[Picture]) -> Camera:
    """The K cameras in the space of the head at rest."""
    heights = np.array([float(picture.size[0]) for picture in pictures])
    return cameras_at(fitted.rotation, fitted.translation, fitted.focal, heights)


def cameras_at(rotation: np.ndarray, translation: np.ndarray, focal: np.ndarray, height: np.ndarray) -> Camera:
    """Cameras of heads that rotation (K, 3, 3) and translation (K, 3) mm place, focal length and height (K,) pixels."""
    turn, shift = (torch.from_numpy(t).float() for t in (rotation, translation))
    position = -(turn.transpose(1, 2) @ shift[..., None])[..., 0]
    return Camera(
        position=position,
        look_at=position + shift[:, 2:] * turn[:, 2],  # as far ahead as the head
        up=turn[:, 1],
        fov=2 * torch.rad2deg(torch.atan(torch.from_numpy(height / 2 / focal).float())),
    )
