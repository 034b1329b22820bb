"""Hair in the viewer: cards on the neutral head, and the head vertices that they follow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from facekit.geometry.normals import vertex_normals
from facekit.io.arrays import split_at_seams
from facekit.pipeline import FacePipeline
from facekit.viz.viewer.block import Picture

if TYPE_CHECKING:
    from facekit.hair import Hair
    from facekit.viz.viewer.tracks import Arrays, Subject

#: Number of head vertices that each card vertex follows: fewer than for rendering, as the difference is hardly visible.
_TIES = 6


def hair_entries(subject: Subject) -> tuple[dict[str, Any] | None, Arrays]:
    """Return header and arrays of a person's hair; None and an empty dict without hair."""
    worn, source = subject.worn, subject.source
    if worn is None or not isinstance(source, FacePipeline) or source.wardrobe is None:
        return None, {}
    cards, mesh = worn.cards, worn.mesh
    index, share = source.wardrobe.ties(cards, _TIES)
    split = split_at_seams(mesh)
    kind = np.uint16 if len(split.vertex) <= 65535 else np.uint32
    u, v = mesh.uvs.numpy()[split.uv].T
    places = np.stack([u, 1 - v], axis=-1)
    arrays: Arrays = {
        "hair/verts": worn.verts.numpy(),
        "hair/faces": split.faces.astype(kind),
        "hair/copies": split.copies.astype(kind),
        "hair/uv": np.rint(places.clip(0, 1) * 65535).astype(np.uint16),
        "hair/normals": np.rint(vertex_normals(worn.verts[None], cards.faces)[0].numpy() * 127).astype(np.int8),
        "hair/along": np.rint(cards.along.cpu().numpy() * 127).astype(np.int8),
        "hair/openness": np.rint(worn.openness.cpu().numpy() * 255).astype(np.uint8),
        "hair/fuzz": np.rint(cards.fuzz.cpu().numpy() * 255).astype(np.uint8),
        "hair/lash": cards.lash.cpu().numpy().astype(np.uint8),
        "hair/hold": index.cpu().numpy().astype(np.uint16 if len(subject.mesh.verts[0]) <= 65536 else np.uint32),
        "hair/share": np.rint(share.cpu().numpy() * 255).astype(np.uint8),
        "hair/strands": strands_picture(worn),
    }
    centres = [[round(x, 4) for x in eye.tolist()] for eye in source.wardrobe.eye_centres(subject.mesh.verts)]
    tint = [[round(x, 5) for x in colour.tolist()] for colour in worn.colours]
    header = {"style": worn.style, "count": len(worn.verts), "centres": centres, "tint": tint}
    return header | {"lashFrom": round(cards.lash_from, 6)}, arrays


def strands_picture(worn: Hair) -> Picture:
    """Return grey level and coverage of the strands as PNG."""
    from PIL import Image

    levels = np.rint(worn.cards.strands.cpu().numpy() * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)), "LA").save(buffer, "PNG")
    return Picture(buffer.getvalue(), "image/png")
