"""What a face looks like as the last line of a notebook's cell: a thumbnail and a line."""

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
# Of a batch the first faces: a card is for recognizing, not for looking.
_MOST = 6


def thumbnail(face: FaceOutput) -> np.ndarray:
    """The first faces of a batch side by side, (224, 224 · n, 3) uint8, n at most 6."""
    import numpy as np

    pictures = render_faces(face[: min(len(face), _MOST)], image_size=_SIZE)
    return np.concatenate([to_uint8(picture) for picture in pictures], axis=1)


def face_png(face: FaceOutput) -> bytes:
    """The thumbnail as a PNG."""
    return encode_png(thumbnail(face))


def face_html(face: FaceOutput) -> str:
    """The thumbnail, and the line that :func:`repr` gives."""
    picture, line = thumbnail(face), html.escape(repr(face))
    data = base64.b64encode(encode(picture, ".jpg", 85)).decode()
    size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
    image = f'<img alt="{line}" {size} style="max-width:100%;height:auto" src="data:image/jpeg;base64,{data}">'
    return f"<figure style='margin:0'>{image}<figcaption><code>{line}</code></figcaption></figure>"
