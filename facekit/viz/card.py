"""Notebook display of faces: a thumbnail and a line of text."""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING

from facekit.files.images import encode, encode_png, to_uint8
from facekit.viz.sheets import render_faces

if TYPE_CHECKING:
    import numpy as np

    from facekit.face import FaceOutput

_SIZE = 224
# Largest number of faces of a batch in the thumbnail.
_MOST = 6


def thumbnail(face: FaceOutput) -> np.ndarray:
    """Return the first faces of a batch side by side, (224, 224 · n, 3) uint8, n at most 6."""
    import numpy as np

    pictures = render_faces(face[: min(len(face), _MOST)], image_size=_SIZE)
    return np.concatenate([to_uint8(picture) for picture in pictures], axis=1)


def face_png(face: FaceOutput) -> bytes:
    """Return the thumbnail as PNG."""
    return encode_png(thumbnail(face))


def face_html(face: FaceOutput) -> str:
    """Return the thumbnail and the line of :func:`repr` as HTML."""
    picture, line = thumbnail(face), html.escape(repr(face))
    data = base64.b64encode(encode(picture, ".jpg", 85)).decode()
    size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
    image = f'<img alt="{line}" {size} style="max-width:100%;height:auto" src="data:image/jpeg;base64,{data}">'
    return f"<figure style='margin:0'>{image}<figcaption><code>{line}</code></figcaption></figure>"
