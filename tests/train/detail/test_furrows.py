"""Furrows: cross-section in millimetres, position, and the teacher's displacement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.latents import FaceLatents
from facekit.template import Template
from facekit.train.detail.furrows import KINDS, face_directions, furrow_field, furrows, tile_metric
from facekit.train.detail.teacher import DetailTeacher
from facekit.train.skin.layers import draw_layers
from facekit.weights import assets_folder
from tests import TRAINING_PACK as PACK

SIZE = 192


@pytest.fixture(scope="module")
def template() -> Template:
    return Template.load(assets_folder() / "template.npz")


@pytest.fixture(scope="module")
def families(template):
    return furrows(template, SIZE)


def test_every_family_is_drawn_on_both_sides(families):
    assert set(families) == set(KINDS)
    for name, family in families.items():
        dent = -family.profiles.min(0)
        left, right = dent[:, : SIZE // 2].max(), dent[:, SIZE // 2 :].max()
        if name.endswith("_left"):  # the subject's left is the picture's right
            assert left < 0.1 < right, name
        elif name.endswith("_right"):
            assert right < 0.1 < left, name
        else:
            assert min(left, right) > 0.25, name


def test_the_forehead_is_as_wide_as_skin_is(template):
    """Across a line: deepest on it, level half a width away (rounding and texels add to it), a low bulge beyond."""
    fine = furrows(template, 384)["forehead"].profiles[0]
    column = fine[:, 192]
    down = np.sqrt(tile_metric(template, 384)[:, 192, 2]) / 384  # mm a texel
    bottom = int(column.argmin())
    assert -1.05 < column[bottom] < -0.6
    rising = bottom + int(np.argmax(column[bottom:] > 0))
    past = column[rising] / (column[rising] - column[rising - 1])
    half = down[bottom:rising].sum() - past * down[rising]
    assert KINDS["forehead"].width < half < 1.7 * KINDS["forehead"].width
    assert 0.05 < column.max() < 0.2


def test_the_metric_is_millimetres(template):
    """Along the tile's rows and columns the template's face is as large as its vertices say."""
    across, down = (np.sqrt(tile_metric(template, SIZE)[SIZE // 2, SIZE // 2, k]) for k in (0, 2))
    assert 100 < across < 400
    assert 100 < down < 400


def test_directions_follow_the_lines(families, template):
    forehead = families["forehead"]
    on = forehead.near > 0.9
    assert (np.abs(forehead.along[on][:, 0]) > 0.8).all(), "across the forehead"
    chin = families["chin"]
    assert (np.abs(chin.along[chin.near > 0.9][:, 1]) > 0.99).all(), "the mentalis pulls skin in from the sides"
    found = face_directions(template, forehead.along)
    assert found.shape == (len(template.faces), 2)
    assert 100 < int((found != 0).any(dim=1).sum()) < len(found) / 3


def test_the_field_holds_unit_trust_and_sound_strains(families):
    field = furrow_field(families, 96)
    assert field.shape == (3, 96, 96)
    assert np.hypot(field[0], field[1]).max() <= 1.001
    strains = [kind.strain for kind in KINDS.values()]
    assert min(strains) - 1e-6 <= field[2].min()
    assert field[2].max() <= max(strains) + 1e-6


@pytest.fixture(scope="module", params=["tiny", "real"])
def teacher(template, request):
    """On the shipped template, with the relief of the made-up skins and, where they are here, of the real ones."""
    if request.param == "tiny":
        return DetailTeacher(request.getfixturevalue("tiny_layers"), template, SIZE)
    if not PACK.is_dir():
        pytest.skip("the training pack is not at ../shared/training-pack")
    return DetailTeacher(draw_layers(PACK), template, SIZE)


@pytest.mark.slow
def test_the_teacher_folds_with_the_strain_and_smooths_where_skin_is_stretched(teacher, default_pipeline, request):
    person = FaceLatents.sample(5)
    with torch.inference_mode():
        rest, brows, more, blown = (
            default_pipeline.decode_shape(person.with_expression(name, value))
            for name, value in (("neutral", 0.0), ("brow_raiser", 0.7), ("brow_raiser", 1.4), ("cheek_blowing", 1.5))
        )
        still, raised, deeper, flat = (teacher(person.identity, rest, posed) for posed in (rest, brows, more, blown))
    rows = slice(int(0.06 * SIZE), int(0.17 * SIZE))
    depth = [-float(d[0, 0, rows].min()) for d in (still, raised, deeper)]
    assert depth[0] < depth[1] < depth[2] < 3.0
    cheeks = (..., slice(int(0.42 * SIZE), int(0.6 * SIZE)), slice(int(0.15 * SIZE), int(0.3 * SIZE)))
    # The made-up skins have grain where cheeks do not stretch, too.
    left = 0.8 if "real" in request.node.name else 0.9
    assert float(flat[cheeks].square().mean()) < left * float(still[cheeks].square().mean())
    young = FaceLatents.sample(3)
    age = teacher.texture.attributes(torch.cat([person.identity, young.identity]))["age"]
    assert float(age[0]) > float(age[1])
    smooth = teacher(young.identity, rest, rest)
    assert float(smooth.square().mean()) < float(still.square().mean()), "old skin has more relief"
