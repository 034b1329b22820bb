"""reconstruct(): turn photographs of one person into their rigged, textured head."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facekit.assembly import load_modes
from facekit.checks import finite, one_of, whole
from facekit.conventions import BLENDSHAPES
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.person import Person
from facekit.pipeline import FacePipeline
from facekit.reconstruct import TEXTURES, is_film
from facekit.reconstruct.algebra import solved
from facekit.reconstruct.dense import expected_identity, load_refiner
from facekit.reconstruct.encoded import Reader
from facekit.reconstruct.find import find
from facekit.reconstruct.fit import fit
from facekit.reconstruct.hair import find_hair
from facekit.reconstruct.landmarker import FaceLandmarks, Landmarker
from facekit.reconstruct.model import PhotoModel, loaded, mirrored_marks
from facekit.reconstruct.observe import Picture, read_all
from facekit.reconstruct.personal import PersonalOffsets, left_over
from facekit.reconstruct.quality import Quality
from facekit.reconstruct.response import Response
from facekit.reconstruct.result import Reconstruction
from facekit.reconstruct.silhouettes import Silhouettes, prepare_silhouettes
from facekit.reconstruct.texture.compose import compose_texture, prepare_texture
from facekit.reconstruct.texture.delight import trait_direction
from facekit.reconstruct.unknowns import Fitted, View
from facekit.render import Camera
from facekit.render.frames import beside, on_threads
from facekit.torch_defaults import with_torch_defaults

#: Standard deviation of a log focal length read from EXIF; factor on the standard deviations of blendshape scores,
#: which were measured on renders, for use on photographs; the tongue's blendshape, which is not fitted.
_FOCAL, _SCORES, TONGUE = 0.06, 1.6, BLENDSHAPES.index("tongueOut")
#: The same factor for the blendshapes that the network predicts, and the least standard deviation of these.
_READ, _LEAST = 1.5, 0.02
#: The same factor for the identity: below 1, as the network has read it from the same landmarks.
FIRM = 0.25
_CODES = ("identity", "texture_noise", "style")
_SIZES = (512, 1024, 2048)
#: Largest number of photographs that are searched for hair.
_LOOKED = 4
#: Most threads for textures: their operations are too small for more.
_THREADS = 2


@with_torch_defaults
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
    """Reconstruct a person from photographs, or a person and their motion from a video.

    Needs the extra ``photo``. Ask people before you reconstruct them. The result is a likeness: do not measure with it,
    and do not use it to identify anybody.

    Parameters
    ----------
    source:
        A photograph, or several of one person: paths, a folder, arrays; see
        :func:`facekit.reconstruct.observe.read_all`. Or the path of one video, see
        :class:`facekit.reconstruct.clip.film.Film`.
    texture:
        "blend" projects the photographs onto the face and completes them with the texture network, "photo" does so
        without the network, "gan" takes the network's texture alone.
    face:
        Index of the face in a photograph, or in the first video frame with a face; 0, the default (None), is the
        largest and most central.
    calm:
        Strength of the temporal smoothing of videos: 0 for none, 1 for the measured noise.
    texture_size:
        Side of the atlas in texels: 512, 1024 or 2048.
    hair:
        Hair: "auto" for the closest style in the person's own colour, a name from ``pipe.hair_styles``, or None for the
        head alone.
    model:
        The pipeline, or an argument of ``FacePipeline.from_pretrained``. The default is loaded once in a process.

    Raises
    ------
    FacekitError
        If a file cannot be read or shows no face, or if the extra is not installed.

    Returns
    -------
    Reconstruction
        For a video a :class:`facekit.reconstruct.clip.result.ClipReconstruction`, which adds the motion.
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
    with torch.no_grad(), beside(torch.device("cpu")) as begin:
        known = begin(lambda: loaded(model))
        found = _found_in(pictures, face)
        pipe = known.result()
        settled, ready = begin(lambda: _settle(pipe)), begin(lambda: _prepare(pipe, size, hair))
        photo = on_threads(1)(PhotoModel.of)(pipe)
        pictures, faces = [picture for picture, _, _ in found], [marks for _, marks, _ in found]
        fitted, faces = refine_and_fit(photo, pictures, faces)
        settled.result()
        return assembled(fitted, pictures, faces, pipe, photo, texture, size, hair, ready)


@on_threads(1)
def _found_in(pictures: list[Picture], face: int | None) -> list[tuple[Picture, FaceLandmarks, int]]:
    """Find a face in each photograph; see :func:`facekit.reconstruct.find.find`."""
    load_modes()  # the model needs them late
    with Landmarker() as landmarker:
        return [find(picture, landmarker, mirrored_marks(), face) for picture in pictures]


def _settle(pipe: FacePipeline) -> None:
    """Make what the shapes of all people share, which is cached; what copies of the pipeline make is lost with them."""
    _ = pipe.contact, pipe.unfolding, pipe.wall, pipe.eye_corners, pipe.resting_lids


def _prepare(pipe: FacePipeline, size: int, hair: str | None) -> None:
    """Make what the textures and the hair of all people share, which is cached."""
    prepare_texture(pipe, size)
    if hair is not None:
        prepare_silhouettes(pipe)


@on_threads(1)
def refine_and_fit(
    photo: PhotoModel, pictures: list[Picture], faces: list[FaceLandmarks]
) -> tuple[Fitted, list[FaceLandmarks]]:
    """Refine the landmarks with the network, then fit; return the fit and the refined faces.

    The residuals that the fit leaves at the landmarks become the head's
    :class:`facekit.reconstruct.personal.PersonalOffsets`.
    """
    refiner, response = load_refiner(photo)
    seen = [refiner(picture.pixels, marks) for picture, marks in zip(pictures, faces, strict=True)]
    views = views_of(pictures, seen, response)
    mean, deviation = identity_prior(photo, seen, [view.size for view in views])
    fitted = fit(photo.points, response, views, prior=(mean, FIRM * deviation))
    # The firmer prior is for a better mean: it is not surer.
    eye = np.eye(len(deviation))
    precision = solved(fitted.covariance, eye) + (1 - FIRM**-2) * deviation**-2 * eye
    left = left_over(photo, response, fitted, views, faces, seen)
    offsets = PersonalOffsets.of(photo.points, left)
    return dataclasses.replace(fitted, covariance=solved(precision, eye), offsets=offsets), seen


def identity_prior(
    photo: PhotoModel, faces: list[FaceLandmarks], sizes: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (M,) of the identity: the network's reading of one picture, and of several its
    readings and the encoder's together.

    The encoder is closer on people like those that it learned from, the readings on a real head: the product of both is
    close on both. It is no surer than they are, as both see the same landmarks.
    """
    mean, deviation = expected_identity(faces)
    if len(faces) > 1:
        told = Reader(photo.points).stills(faces, sizes)
        a, b = deviation**-2, told.deviation**-2
        mean, deviation = (a * mean + b * told.identity) / (a + b), np.sqrt(2 / (a + b))
    return mean, deviation


@on_threads(_THREADS)
def assembled(
    fitted: Fitted,
    pictures: list[Picture],
    faces: list[FaceLandmarks],
    pipe: FacePipeline,
    photo: PhotoModel,
    texture: str,
    size: int,
    hair: str | None = "auto",
    ready: Future[None] | None = None,
) -> Reconstruction:
    """Build the reconstruction from a fit: shape, texture and quality.

    ``ready`` is what another thread still prepares for textures and hair, if it does.
    """
    cameras = cameras_of(fitted, pictures)
    weights = torch.from_numpy(fitted.blendshapes).float()
    rest = FaceLatents.sample(0, expression="neutral", intensity=0.0, truncation=0.0, device=pipe.device)
    shaped, verts = posed_heads(fitted, pipe, photo, rest)
    assert shaped.person is not None
    neutral = shaped.person.neutral
    colours = [torch.from_numpy(picture.pixels) for picture in pictures]
    views = [cameras[k] for k in range(len(pictures))]

    if ready is not None:
        ready.result()  # or threads would wait for each other
    skin = compose_texture(colours, verts, views, neutral, pipe, mode=texture, size=size)
    codes = dataclasses.replace(rest, **{name: getattr(skin.codes, name).float() for name in _CODES})
    person = shaped.with_person(Person(neutral, codes, skin.albedo.float()))
    if hair is not None:
        posed = codes.repeat(len(pictures)).with_blendshapes(weights)
        trait = trait_direction(pipe, "masculinity")
        man = photo.masculine(pipe.template, neutral, None if trait is None else float(codes.identity[0] @ trait))
        looked = list(zip(colours, verts.split(1), views, strict=True))[:_LOOKED]
        styles = [Silhouettes.of(c.permute(2, 0, 1), pipe, neutral[None], v, camera) for c, v, camera in looked]
        person = dressed(person, posed, styles, hair, man)
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


@on_threads(1)
@torch.no_grad()
def posed_heads(
    fitted: Fitted, pipe: FacePipeline, photo: PhotoModel, rest: FaceLatents
) -> tuple[FacePipeline, torch.Tensor]:
    """Return the pipeline with a fit's neutral head, and the head as in each picture (K, V, 3), mm; ``rest`` are the
    mean's latents (B = 1).
    """
    neutral = photo.head(pipe.template, fitted)
    shaped, weights = pipe.with_person(Person(neutral, rest)), torch.from_numpy(fitted.blendshapes).float()
    return shaped, shaped.decode_shape(shaped.to_model_codes(rest.repeat(len(weights)).with_blendshapes(weights)))


@on_threads(1)
def dressed(
    pipe: FacePipeline, latents: FaceLatents, silhouettes: list[Silhouettes | None], hair: str, man: float = 0.5
) -> FacePipeline:
    """Return the pipeline with hair in the colour found in the photographs; for "auto" in the style found there.

    For the arguments see :func:`facekit.reconstruct.hair.find_hair`, which takes one photograph.
    """
    wanted, _, beard = hair.partition("+")
    if wanted not in ("auto", *pipe.hair_styles):
        raise InputError(f"hair out of {', '.join(pipe.hair_styles)}", repr(hair), 'name one of them, "auto" or None')
    if beard not in ("", *pipe.beard_styles):
        raise InputError(f"a beard out of {', '.join(pipe.beard_styles)}", repr(beard), "name one of them, or none")
    found = [find_hair(pipe, latents[k], one, man) for k, one in enumerate(silhouettes)]
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
    """Return the fit's input for photographs and the faces in them."""
    cameras: dict[tuple[Any, ...], int] = {}
    views = []
    for picture, marks in zip(pictures, faces, strict=True):
        lens = (sorted(picture.size)[0], sorted(picture.size)[1], picture.focal)
        focal = None if picture.focal is None else (float(np.log(picture.focal)), _FOCAL)
        view = view_of(picture.size, marks, response, focal)
        views.append(dataclasses.replace(view, camera=cameras.setdefault(lens, len(cameras))))
    return views


def view_of(
    size: tuple[int, int],
    marks: FaceLandmarks,
    response: Response,
    focal: tuple[float, float] | None,
) -> View:
    """Return the fit's input for one face in a picture of size (height, width); see :class:`View` for the rest."""
    if marks.reading is None:
        expected, certainty = response.expected(marks.scores), response.certainty(_SCORES, ruled_out=(TONGUE,))
    else:
        expected = marks.reading.shapes.copy()
        certainty = np.diag(1 / (_READ * marks.reading.shapes_spread).clip(_LEAST))
        certainty[TONGUE, TONGUE] = 1 / _LEAST
    expected[TONGUE] = 0.0
    middle = np.array([size[1] / 2, size[0] / 2])
    return View(marks.points, marks.matrix[:3, :3], size, middle, expected, certainty, focal, spread=marks.spread)


def cameras_of(fitted: Fitted, pictures: list[Picture]) -> Camera:
    """Return the K cameras in the space of the neutral head."""
    heights = np.array([float(picture.size[0]) for picture in pictures])
    return cameras_at(fitted.rotation, fitted.translation, fitted.focal, heights)


def cameras_at(rotation: np.ndarray, translation: np.ndarray, focal: np.ndarray, height: np.ndarray) -> Camera:
    """Return cameras for heads with rotation (K, 3, 3), translation (K, 3) in mm, focal length (K,) in pixels and image
    height (K,) in pixels.
    """
    turn, shift = (torch.from_numpy(t).float() for t in (rotation, translation))
    position = -(turn.transpose(1, 2) @ shift[..., None])[..., 0]
    return Camera(
        position=position,
        look_at=position + shift[:, 2:] * turn[:, 2],  # as far ahead as the head
        up=turn[:, 1],
        fov=2 * torch.rad2deg(torch.atan(torch.from_numpy(height / 2 / focal).float())),
    )
