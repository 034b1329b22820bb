"""Functions behind the page's controls: from their values to pictures, pages and files."""

from __future__ import annotations

import functools
import html
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.checks import finite, one_of, whole
from facekit.conventions import EXPRESSIONS, MAX_INTENSITY
from facekit.errors import InputError
from facekit.latents import FaceLatents
from facekit.motion import Motion
from facekit.pipeline import FacePipeline
from facekit.reconstruct import TEXTURES
from facekit.reconstruct.api import reconstruct
from facekit.reconstruct.result import Reconstruction
from facekit.sweeps import sweep_expressions
from facekit.viz.sheets import expression_sheet, render_faces

if TYPE_CHECKING:
    from PIL import Image

    from facekit.face import FaceOutput

#: Formats for download by their labels on the page.
DOWNLOADS = {
    "GLB with sliders (Blender, Unity, web)": ".glb",
    "OBJ, PLY, GLB, maps and codes in a zip": ".zip",
    "PLY with vertex colours": ".ply",
    "Picture (PNG)": ".png",
    "Viewer as a page (HTML)": ".html",
}
#: Formats of a motion by their labels.
MOTIONS = {
    "Animated GLB (Blender, Unity, web)": ".glb",
    "Film (MP4)": ".mp4",
    "Motion alone (CSV of Live Link Face)": ".csv",
}
#: Formats of a reconstructed person by their labels.
PEOPLE = {
    "GLB with sliders (Blender, Unity, web)": ".glb",
    "OBJ, PLY, GLB, maps and codes in a zip": ".zip",
    "Viewer as a page (HTML)": ".html",
    "To go on in Python (no photograph in it)": ".facekit",
}
LARGEST_SEED = 2**31 - 1
#: Longest motion in seconds to play, and to render as a video: others are waiting.
LONGEST, LONGEST_FILM = 60.0, 10.0
#: Lifetime of files in seconds.
KEPT = 1800
_HEIGHT = 700


@functools.lru_cache(maxsize=1)
def pipeline() -> FacePipeline:
    """Return the embedded model, loaded once."""
    return FacePipeline.from_pretrained()


def make(seed: float, expression: str, intensity: float, truncation: float, detail: bool) -> FaceOutput:
    """Make the face with the controls' values, which are checked, as a page may send anything."""
    number = int(seed) if isinstance(seed, float) and seed.is_integer() else seed
    return pipeline()(
        seed=whole(number, "the seed", 0, LARGEST_SEED),
        expression=one_of(expression, EXPRESSIONS, "an expression"),
        intensity=_within(intensity, "the intensity", MAX_INTENSITY),
        truncation=_within(truncation, "the variety", 1.0),
        detail=bool(detail),
    )


def viewer(seed: float, expression: str, intensity: float, truncation: float, detail: bool) -> str:
    """Return the viewer with this face."""
    face = make(seed, expression, intensity, truncation, detail)
    return _frame(face, expression, f"Seed {int(seed)}, {expression.replace('_', ' ')}: drag to turn, move the slider")


def motion_of(take: str | None) -> Motion:
    """Read an uploaded motion, truncated to :data:`LONGEST` seconds; facekit's sample without one."""
    motion = Motion.sample() if take is None else Motion.load(take)
    return motion.slice(0, LONGEST) if motion.duration > LONGEST else motion


def motion_viewer(take: str | None, seed: float, truncation: float) -> str:
    """Return the viewer with a person performing the motion, with timeline."""
    face = make(seed, "neutral", 1, truncation, True)
    return _frame(face, "neutral", f"Seed {int(seed)}: play the motion, or move the sliders", motion=motion_of(take))


def save_motion(kind: str, take: str | None, seed: float, truncation: float) -> str:
    """Write the motion and return the path; a video is truncated to :data:`LONGEST_FILM` seconds."""
    suffix = MOTIONS[one_of(kind, MOTIONS, "a kind of file")]
    motion = motion_of(take)
    path = _folder() / f"motion_{int(seed)}{suffix}"
    if suffix == ".csv":
        return str(motion.save(path))
    if suffix == ".mp4" and motion.duration > LONGEST_FILM:
        motion = motion.slice(0, LONGEST_FILM)
    return str(motion.save(path, make(seed, "neutral", 1, truncation, True)))


def save(kind: str, seed: float, expression: str, intensity: float, truncation: float, detail: bool) -> str:
    """Write the face and return the path; Gradio serves a copy, and both are deleted after a while."""
    suffix = DOWNLOADS[one_of(kind, DOWNLOADS, "a kind of file")]
    face = make(seed, expression, intensity, truncation, detail)
    path = _folder() / f"face_{int(seed)}_{expression}{suffix}"
    return str(face.to_html(path) if suffix == ".html" else face.save(path))


def from_photograph(photograph: str | None, consent: bool, texture: str) -> tuple[Image.Image, str, str, str]:
    """Return overlay, viewer, warnings, and the path of a file with the person; the photograph is deleted."""
    if not consent:
        raise InputError(
            "the consent of the person", "no tick", "tick it if the person agrees, or take another picture"
        )
    if photograph is None:
        raise InputError("a photograph", "none", "upload one, or take one with the camera")
    try:
        found = reconstruct(photograph, texture=one_of(texture, TEXTURES, "a texture"), model=pipeline())
    finally:
        Path(photograph).unlink(missing_ok=True)
    kept = found.save(_folder() / "person.facekit")
    told = "\n".join(f"- {line}" for line in (*found.quality.warnings, *found.notes))
    return found.overlay(), _frame(found.neutral, "neutral", "At rest: drag to turn", rig=True), told, str(kept)


def save_person(kind: str, kept: str | None) -> str:
    """Write the person found by :func:`from_photograph` in another format; return the path."""
    suffix = PEOPLE[one_of(kind, PEOPLE, "a kind of file")]
    if not kept or not Path(kept).is_file():
        raise InputError("a person", "none yet", "make one from a photograph first")
    if suffix == ".facekit":
        return kept
    face, path = Reconstruction.load(kept).neutral, Path(kept).with_suffix(suffix)
    return str(face.to_html(path) if suffix == ".html" else face.save(path))


def sheet(seed: float, intensity: float, truncation: float) -> Image.Image:
    """Return all 20 expressions of one person on a page."""
    number = int(seed) if isinstance(seed, float) and seed.is_integer() else seed
    codes = FaceLatents.sample(
        whole(number, "the seed", 0, LARGEST_SEED), truncation=_within(truncation, "the variety", 1.0)
    )
    faces = sweep_expressions(pipeline(), codes, intensity=_within(intensity, "the intensity", MAX_INTENSITY))
    return expression_sheet(faces, render_faces(faces, image_size=224), cell_size=224)


@functools.lru_cache(maxsize=1)
def _root() -> tempfile.TemporaryDirectory[str]:
    """Temporary folder of this process, deleted when the process ends."""
    return tempfile.TemporaryDirectory(prefix="facekit-")


def _folder() -> Path:
    """Create a folder that is deleted after :data:`KEPT` seconds."""
    folder = tempfile.mkdtemp(dir=_root().name)
    timer = threading.Timer(KEPT, shutil.rmtree, (folder, True))
    timer.daemon = True
    timer.start()
    return Path(folder)


def _frame(face: FaceOutput, expression: str, title: str, **options: Any) -> str:
    """Return the face's page in a sandboxed frame; ``options`` are those of ``to_html``."""
    with tempfile.TemporaryDirectory() as folder:
        page = face.to_html(
            Path(folder) / "face.html",
            expressions=[expression],
            height=_HEIGHT - 140,
            title=title.partition(":")[0],
            **options,
        )
        text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    return (
        f'<iframe title="{html.escape(title)}" sandbox="allow-scripts allow-downloads" srcdoc="{text}" '
        f'style="width:100%;height:{_HEIGHT}px;border:0"></iframe>'
    )


def _within(value: float, what: str, most: float) -> float:
    number = finite(value, what)
    if not 0 <= number <= most:
        raise InputError(f"{what} from 0 to {most:g}", f"{number:g}", "move the slider")
    return number
