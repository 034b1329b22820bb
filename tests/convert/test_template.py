"""Data that facekit adds to upstream's template: landmarks, parts, occlusion, sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import PARTS
from facekit.convert.template import LANDMARKS, VERTICES, describe, occlusion
from facekit.errors import WeightsError
from tests import UPSTREAM
from tests.models.composers.facemask import facemask


def test_landmarks_are_vertices():
    assert len(set(LANDMARKS)) == 68 and max(LANDMARKS) < VERTICES


def test_other_meshes_are_refused():
    template = facemask(60)
    arrays = [t.numpy() for t in (template.verts, template.faces, template.uvs, template.faces_uvs)]
    with pytest.raises(WeightsError, match="26317"):
        describe(*arrays)
    scrambled = np.random.default_rng(0).normal(size=(VERTICES, 3))
    with pytest.raises(WeightsError, match="landmarks"):
        describe(scrambled, *arrays[1:])


def test_occlusion_of_a_groove():
    """Three walls seen from above: the floor between two of them has less ambient light than their tops."""
    line = torch.linspace(-30, 30, 61)
    height = 12 * torch.cos(line * torch.pi / 10)
    y, x = torch.meshgrid(line, line, indexing="ij")
    verts = torch.stack((x, y, height.expand(61, -1)), dim=-1).reshape(-1, 3)
    corner = (torch.arange(60)[:, None] * 61 + torch.arange(60)).reshape(-1)
    faces = torch.cat(
        [torch.stack((corner, corner + 1, corner + 62), -1), torch.stack((corner, corner + 62, corner + 61), -1)]
    )
    ao = occlusion(verts.numpy(), faces.numpy(), directions=64).reshape(61, 61)[20:41]
    tops, floors = ao[:, [10, 30, 50]], ao[:, [20, 40]]
    assert tops.min() > 0.85 and floors.max() < 0.6


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="upstream's data files are not here")
def test_upstreams_template():
    lines = (UPSTREAM / "template_mesh.obj").read_text().splitlines()
    verts = np.array([line.split()[1:4] for line in lines if line.startswith("v ")], dtype=np.float32)
    uvs = np.array([line.split()[1:3] for line in lines if line.startswith("vt ")], dtype=np.float32)
    corners = np.array([[c.split("/")[:2] for c in line.split()[1:4]] for line in lines if line.startswith("f ")])
    faces, faces_uvs = corners.astype(np.int64).transpose(2, 0, 1) - 1
    facts = describe(verts, faces, uvs, faces_uvs)
    parts, landmarks, ao = facts["parts"], facts["landmarks"], facts["ao"]
    assert parts.dtype == np.uint8 and landmarks.dtype == np.int64 and ao.dtype == np.float32
    points = verts[landmarks]
    # iBUG's right eye is the image's left: +X is the subject's left.
    assert points[36:42, 0].max() < 0 < points[42:48, 0].min()
    np.testing.assert_allclose(points[[36, 48, 0], 0], -points[[45, 54, 16], 0], atol=6)
    assert verts[:, 2].max() - points[30, 2] < 0.5
    counts = np.bincount(parts, minlength=len(PARTS))
    for name, low in (("skin", 10000), ("lips", 500), ("lids", 1000), ("back_of_head", 3000), ("neck", 500)):
        assert counts[PARTS.index(name)] > low
    front = (parts == PARTS.index("neck")) & (verts[:, 2] > 0)
    assert verts[front, 1].max() < verts[parts == PARTS.index("lips"), 1].min()
    # The forehead sees the sky, the corners of the eyes less.
    assert ao[landmarks[[19, 24, 27]]].min() > ao[landmarks[[39, 42]]].max()
