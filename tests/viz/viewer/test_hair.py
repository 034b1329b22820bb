"""The viewer's hair: the data of the page, and the same positions as in renders."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.latents import FaceLatents
from facekit.viz.viewer.tracks import Subject, head_entries


@pytest.fixture(scope="module")
def subject(default_pipeline):
    return Subject(default_pipeline, FaceLatents.sample(0), hair="short01")


@pytest.fixture(scope="module")
def entries(subject):
    return head_entries(subject)


def test_the_page_gets_cards_and_strands(subject, entries):
    header, arrays = entries
    told, count = header["hair"], header["hair"]["count"]
    assert told["style"].startswith("short01") and count == len(subject.worn.verts)
    assert arrays["hair/faces"].max() < count + len(arrays["hair/copies"])
    assert (arrays["hair/share"].sum(1).astype(int) - 255 <= 3).all() and arrays["hair/hold"].max() < header["counts"][
        0
    ]
    assert arrays["hair/fuzz"].any() and not arrays["hair/fuzz"][arrays["hair/lash"] > 0].any()
    picture = Image.open(io.BytesIO(arrays["hair/strands"].data))
    assert picture.mode == "LA" and len(arrays["hair/strands"].data) < 500_000
    assert sum(a.nbytes for n, a in arrays.items() if n.startswith("hair/") and isinstance(a, np.ndarray)) < 500_000


def test_what_it_hangs_on_moves_it_as_pictures_do(default_pipeline, subject, entries):
    """The page moves lashes by few ties and without rotation; on a shut eye they end near those of a render."""
    _, arrays = entries
    lash = torch.from_numpy(arrays["hair/lash"]).bool()
    shut = default_pipeline(latents=subject.latents, expression="eye_closed", hair="short01")
    moved = shut.verts[0] - subject.mesh.verts[0]
    ties = moved[torch.from_numpy(arrays["hair/hold"].astype(np.int64))]
    fall = (ties * torch.from_numpy(arrays["hair/share"] / 255.0)[..., None].float()).sum(1)
    exact = shut.hair[0].verts - subject.worn.verts
    assert (fall - exact)[lash].norm(dim=1).mean() < 0.5 * exact[lash].norm(dim=1).mean()
    assert (fall - exact)[~lash].norm(dim=1).quantile(0.95) < 1.5


def test_the_scalp_has_the_hairs_tone(subject):
    skin = subject.skin(subject.mesh)
    assert skin is not None and float((skin - subject.mesh.texture).abs().mean()) > 0.005


def test_nobody_wears_what_was_not_asked_for(default_pipeline):
    header, arrays = head_entries(Subject(default_pipeline, FaceLatents.sample(0)))
    assert header["hair"] is None and not any(name.startswith("hair/") for name in arrays)
