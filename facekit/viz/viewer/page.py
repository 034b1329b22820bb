"""Files of the viewer: still picture, downloads, stand-alone page."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facekit.checks import finite, whole
from facekit.conventions import MAX_INTENSITY
from facekit.errors import FileError, InputError
from facekit.files.atomic import atomic_write, expanded
from facekit.files.images import encode, encode_png, to_uint8
from facekit.io.glb import encode_glb
from facekit.io.hair import encode_hair, hair_material, hair_pictures, head_of, worn_by
from facekit.io.obj import encode_mtl, encode_obj
from facekit.progress import progress
from facekit.viz.viewer.block import Picture, pack
from facekit.viz.viewer.rig import motion_block, rig_entries
from facekit.viz.viewer.tracks import Subject, head_entries, mix_key, track_entries
from facekit.weights import models

if TYPE_CHECKING:
    import numpy as np

    from facekit.face import FaceOutput
    from facekit.motion import Motion

#: JavaScript module, built from the sources in viewer/ by ``make viewer``.
MODULE = Path(__file__).parent / "static" / "viewer.js"

#: Views, lights and backgrounds of the viewer; the first of each is the default.
VIEWS = ("texture", "clay", "wireframe", "tension")
LIGHTS = ("studio", "daylight", "rim", "flat")
BACKGROUNDS = ("studio", "light", "dark", "none")

_POSTER_SIZE = 480
#: Number of expressions from which a progress bar is shown.
_FEW = 4
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)

#: Languages of the labels; the empty one is the browser's, or English if there is no translation.
LANGUAGES = ("", "en", "ko")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 0; min-height: 100dvh; display: flex; flex-direction: column; background: #f4f4f2; color: #1d1f23;
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans KR", sans-serif }}
header, footer {{ padding: 10px clamp(12px, 2vw, 24px) }}
h1 {{ margin: 0; font-size: 17px }}
main {{ flex: 1; padding: 0 clamp(0px, 2vw, 24px); box-sizing: border-box }}
footer {{ display: flex; flex-wrap: wrap; gap: 4px 24px; justify-content: space-between }}
footer {{ font-size: 12.5px; color: #5b6068 }}
noscript img {{ display: block; margin: 0 auto; max-width: 100% }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #131417; color: #eceded }}
  footer {{ color: #a3a7ae }}
}}
</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main id="facekit-page"></main>
<footer><span>Drag to turn, scroll or pinch to come closer. Arrow keys turn, + and − zoom, 0 resets, space plays.</span>
<span>Made with facekit. {licence}</span></footer>
<noscript><p>This page shows a face that can be turned and moved; it needs JavaScript.</p>
<img alt="{title}" src="{poster}"></noscript>
<script type="application/json" id="facekit-state">{state}</script>
<script type="text/plain" id="facekit-data">{data}</script>
{motion}<script type="module">{module}</script>
</body>
</html>
"""


_MOTION = """<script type="text/plain" id="facekit-motion">{data}</script>
"""


def module_text() -> str:
    """Return the viewer's JavaScript module."""
    try:
        return MODULE.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError("the viewer's module in the package", f"none at {MODULE}", "reinstall facekit") from error


def portrait(face: FaceOutput) -> np.ndarray:
    """Return the picture shown where the viewer cannot run, (480, 480, 3) uint8."""
    return to_uint8(face.render(image_size=_POSTER_SIZE).rgb)


def poster_of(pixels: np.ndarray) -> Picture:
    """Return the portrait as stored in the viewer and, with every run, in the notebook: a JPEG."""
    return Picture(encode(pixels, ".jpg", 88), "image/jpeg")


def obj_zip(face: FaceOutput, stem: str) -> bytes:
    """Return an OBJ with MTL and PNG in a zip; the same face gives the same bytes."""
    mesh, hair = head_of(face), worn_by(face)
    textured = mesh.texture is not None
    files = {f"{stem}.obj": encode_obj(mesh, f"{stem}.mtl" if textured else None)}
    if textured:
        files |= {
            f"{stem}.mtl": encode_mtl(f"{stem}.png").encode(),
            f"{stem}.png": encode_png(to_uint8(mesh.need("texture"))),
        }
    if textured and hair is not None:
        files[f"{stem}.obj"] += encode_hair(hair, mesh.verts.shape[1], len(mesh.uvs))
        files[f"{stem}.mtl"] += hair_material(stem).encode()
        files |= hair_pictures(hair, stem)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data)
    return buffer.getvalue()


def download(face: FaceOutput, kind: str, stem: str) -> bytes:
    """Return the bytes of a download; ``kind`` is "glb" or "obj" (a zip)."""
    if kind not in ("glb", "obj"):
        raise InputError("a download out of glb, obj", repr(kind), "choose one of these")
    return encode_glb(face) if kind == "glb" else obj_zip(face, stem)


def pose_of(face: FaceOutput) -> tuple[str | dict[str, float], float]:
    """Return the expression or blend of a face, and its intensity; a smile at 0 for the neutral face.

    A blend is scaled so that its strongest weight is 1.
    """
    weights = face.expression_weights()[0]
    weights.pop("neutral", None)
    if not weights:
        return "smile", 0.0
    intensity = max(weights.values())
    blend = {name: round(weight / intensity, 6) for name, weight in weights.items()}
    return next(iter(blend)) if len(blend) == 1 else blend, min(intensity, MAX_INTENSITY)


def strength_of(face: FaceOutput) -> float:
    """Return the strength of a face's detail, within the range of the viewer's slider."""
    return 1.0 if face.detail is None else min(max(face.detail.strength, 0.0), 2.0)


def write_page(
    face: FaceOutput,
    path: str | Path,
    expressions: Sequence[str] | None = None,
    steps: int = 15,
    title: str | None = None,
    subject: Subject | None = None,
    rig: bool = False,
    motion: Motion | None = None,
    **settings: Any,
) -> Path:
    """Write the viewer as one self-contained HTML file, which works from disk without a network.

    With the default mesh a page of all 20 expressions takes some 18 MB: 0.8 MB per expression, and 2.5 MB for the rest.
    Blends are sums of the expressions' displacements, as there is no generator to evaluate them.

    Parameters
    ----------
    face:
        One face (B = 1) with a source; the page opens with its expression.
    expressions:
        Expressions of the page; all by default. Those of the face are always included.
    steps:
        Keyframes from intensity 0 to 1.5; the page interpolates between neighbours.
    title:
        Title of the page.
    subject:
        Source of the data; by default the face's own.
    rig:
        Whether to include the tab with ARKit's 52 blendshapes, some 2 MB; always with a motion.
    motion:
        A :class:`facekit.Motion` for the page to play.
    settings:
        ``view``, ``light``, ``background``, ``detail_strength``, ``height`` and ``lang``, as for
        :class:`facekit.viz.Viewer`; without a height the page fills the window.

    Raises
    ------
    InputError
        If there are several faces, the face has no source, or a name or setting is unknown.
    """
    subject = Subject.of(face) if subject is None else subject
    expression, intensity = pose_of(face)
    settings = {"detail_strength": strength_of(face), **settings}
    worn = [expression] if isinstance(expression, str) else list(expression)
    portrait_ = poster_of(portrait(face))
    header, arrays = head_entries(subject, portrait_)
    names = list(dict.fromkeys([*worn, *(header["expressions"] if expressions is None else expressions)]))
    for name in names:
        mix_key(name)
        if name not in header["expressions"]:
            raise InputError(f"expressions out of {', '.join(header['expressions'])}", repr(name), "drop it")
    header |= {"expressions": [name for name in header["expressions"] if name in names], "tracks": []}
    shown = header["expressions"]
    for name in progress(shown, desc="page") if len(shown) > _FEW else shown:
        track, more = track_entries(subject, name, steps)
        header["tracks"].append(track)
        arrays |= more
    if (rig or motion is not None) and header["shapes"]:
        header["rig"], more = rig_entries(subject)
        arrays |= more
    else:
        header["shapes"] = []
    seed = face.metadata.get("seed")
    header |= {"seed": seed[0] if isinstance(seed, list) else seed, "person": 0}
    worn_shapes = face.blendshape_weights()[0] if header["shapes"] else {}
    pose = {"expression": expression, "intensity": intensity, "seed": header["seed"], "blendshapes": worn_shapes}
    state = settings_of(settings) | pose
    if "height" not in settings:
        state["height"] = None  # fill the window
    text = _PAGE.format(
        title=html.escape(title or "A face by facekit"),
        licence=html.escape(_licence(face.model)),
        poster=f"data:{portrait_.mime};base64,{base64.b64encode(portrait_.data).decode()}",
        state=json.dumps(state).replace("<", "\\u003c"),
        data=_packed(pack(header, arrays)),
        motion="" if motion is None else _MOTION.format(data=_packed(motion_block(motion))),
        module=module_text().replace("</script", "<\\/script"),
    )
    path = expanded(path)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _packed(block: bytes) -> str:
    """Return a block as compressed text. A low level: numbers hardly compress better at a higher one."""
    return base64.b64encode(gzip.compress(block, 5, mtime=0)).decode()


def _licence(model: str) -> str:
    """Return one line on the model's licence, empty for models that are not in the manifest."""
    record = models().get(model)
    return "" if record is None else f"Model {model}: {record.licence}."


def settings_of(given: dict[str, Any]) -> dict[str, Any]:
    """Check view, light, background, detail strength, height and language, and fill in defaults.

    Raises
    ------
    InputError
        If a setting or value is unknown.
    """
    settings: dict[str, Any] = {
        "view": VIEWS[0],
        "light": LIGHTS[0],
        "background": BACKGROUNDS[0],
        "detail_strength": 1.0,
        "height": 560,
        "lang": LANGUAGES[0],
    }
    unknown = [name for name in given if name not in settings]
    if unknown:
        raise InputError(f"settings out of {', '.join(settings)}", ", ".join(unknown), "drop or rename them")
    settings |= given
    settings["detail_strength"] = finite(settings["detail_strength"], "detail_strength")
    settings["height"] = whole(settings["height"], "height", 1)
    for name, known in (("view", VIEWS), ("light", LIGHTS), ("background", BACKGROUNDS), ("lang", LANGUAGES)):
        if settings[name] not in known:
            raise InputError(f"{name} out of {', '.join(known)}", repr(settings[name]), "choose one of these")
    return settings
