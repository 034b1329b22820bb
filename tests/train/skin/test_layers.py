"""Layers of the skin teacher: cleaned photographs, drawn marks, folds; and the micro layer's asset."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import EXPRESSIONS
from facekit.files.readers import load_arrays
from facekit.models.composers.micro import MicroLayer
from facekit.train.arrays import smoothstep
from facekit.train.skin import marks
from facekit.train.skin.folds import FLUSH_DRIVES, FOLD_DRIVES, FOLDS, drive_matrix, fold_layers
from facekit.train.skin.layers import FULL, MOLES, NOISES, SMOOTH
from facekit.train.skin.photographs import (
    density_to_srgb,
    ellipse,
    load_chart,
    reliable_skin,
    srgb_to_density,
    tone_curve,
)
from facekit.train.skin.stage import build_micro_asset, reference_skins

SIZE = 128


def test_layers_have_their_sizes_and_are_finite(tiny_layers):
    assert all(layer.shape[-2:] == (FULL, FULL) for layer in tiny_layers.full.values())
    assert all(layer.shape[-2:] == (SMOOTH, SMOOTH) for layer in tiny_layers.smooth.values())
    every = (*tiny_layers.full.values(), *tiny_layers.smooth.values(), tiny_layers.zones)
    assert all(layer.dtype == np.float32 and np.isfinite(layer).all() for layer in every)
    assert len(tiny_layers.full["mole"]) == MOLES
    assert len(tiny_layers.smooth["noise_field"]) == NOISES
    assert tiny_layers.bank.old.tolist() == [1.0, 0.0]
    assert tiny_layers.bank.male.tolist() == [1.0, 0.0]


def test_everything_fades_at_the_border(tiny_layers):
    for name in ("detail", "fold", "freckle", "mole", "beard"):
        layer = tiny_layers.full[name]
        assert max(np.abs(layer[..., k, :]).max() for k in (0, -1)) < 1e-3, name


def test_density_is_the_inverse_of_colour():
    colours = np.random.default_rng(0).uniform(0.05, 1, (3, 50)).astype(np.float32)
    np.testing.assert_allclose(density_to_srgb(srgb_to_density(colours)), colours, atol=1e-5)
    assert float(srgb_to_density(np.zeros(1))[0]) == pytest.approx(6.0)


def test_tones_go_from_pale_to_dark():
    curve = tone_curve(65)
    assert (np.diff(curve, axis=0) > 0).all()
    assert (curve[:, 0] < curve[:, 2]).all(), "skin takes more blue than red"


def test_the_chart_has_openings_for_eyes_and_mouth(tiny_pack):
    chart = load_chart(tiny_pack, SIZE)
    assert chart.inside.mean() > 0.9
    for x, y in ((0.355, 0.283), (0.645, 0.283), (0.5, 0.57)):
        assert chart.openings[int(y * SIZE), int(x * SIZE)] > 0.5
    assert chart.openings[SIZE // 8, SIZE // 2] == 0
    assert chart.fade.min() == 0 and chart.fade.max() == pytest.approx(1.0)
    good = reliable_skin(tiny_pack, SIZE)
    assert good[int(0.283 * SIZE), int(0.355 * SIZE)] < 0.1, "eyes are no skin"
    assert good[int(0.45 * SIZE), int(0.28 * SIZE)] > 0.9, "cheeks are"


def test_steps_and_ellipses():
    x = np.linspace(-1, 2, 31)
    np.testing.assert_allclose(smoothstep(x, 0.0, 1.0) + smoothstep(x, 1.0, 0.0), 1.0)
    assert smoothstep(np.float32([0.5]), 0.0, 1.0).dtype == np.float32
    spot = ellipse(64, 0.5, 0.5, 0.2, 0.1)
    assert spot[32, 32] == 1 and spot[0, 0] == 0 and spot[32, 42] > spot[42, 32]


def test_folds_are_dark_lines_driven_by_expressions():
    names, layers = fold_layers(SIZE)
    assert names == [*FOLDS, "chin"]
    for name, layer in zip(names, layers, strict=True):
        left, right = np.abs(layer[:, : SIZE // 2]).max(), np.abs(layer[:, SIZE // 2 :]).max()
        if name.endswith("_left"):  # the subject's left is the picture's right
            assert right > 5 * left
        elif not name.endswith("_right"):
            assert 0.3 < left / right < 3, name
    matrix = drive_matrix(FOLD_DRIVES, names)
    assert matrix.shape == (len(EXPRESSIONS), len(names))
    assert (matrix[0] == 0).all(), "neutral folds nothing"
    assert matrix[EXPRESSIONS.index("brow_raiser"), names.index("forehead")] == 1.0
    assert set(FOLD_DRIVES) == set(names)
    assert {name for drives in FLUSH_DRIVES.values() for name in drives} <= set(EXPRESSIONS)


def test_marks_are_covers_in_0_to_1(tiny_pack):
    openings = load_chart(tiny_pack, SIZE).openings
    for name, zone in marks.zones(SIZE, openings).items():
        assert zone.min() >= -1e-6 and zone.max() <= 1.6, name
        assert np.abs(zone - zone[:, ::-1]).mean() < 0.005, name
    freckles, moles = marks.spot_layers(FULL, moles=5, count=200)
    assert freckles.shape == (6, FULL, FULL) and moles.shape == (5, FULL, FULL)
    assert all(0.3 < mole.max() <= 1 for mole in moles)
    lashes = marks.lash_layers(SIZE, openings)
    assert lashes.max() > 0.2
    assert lashes[:, SIZE // 2 :].sum() == 0, "none in the lower half"
    assert abs(float(marks.lip_lines(SIZE).mean())) < 0.1
    assert 0 < marks.stubble_dots(SIZE, 3.0, 1).mean() < 0.5
    assert marks.scalp(SIZE)[2, SIZE // 2] > 0.9


def test_brows_are_nested_and_lie_on_their_guides(tiny_pack):
    guides = marks.brow_guides(tiny_pack)
    assert guides.shape == (2, 48)
    assert guides.min() > 0.17 and guides.max() < 0.25
    thin, middle, thick = marks.brow_layers(SIZE, guides.mean(0))
    assert thin.sum() < middle.sum() < thick.sum()
    rows = np.nonzero(thick.sum(1) > 0.5)[0] / SIZE
    assert rows.min() > 0.12 and rows.max() < 0.3


def test_curves_go_through_their_points():
    points = [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)]
    path = marks.smooth_path(points, 101)
    np.testing.assert_allclose(path[[0, 50, 100]], points, atol=1e-9)
    straight = marks.smooth_path(points[:2], 3)
    np.testing.assert_allclose(straight[1], [0.5, 0.5])


def test_the_micro_asset_makes_a_layer(tiny_pack, tmp_path):
    build_micro_asset(tiny_pack, tmp_path / "micro.npz")
    layer = MicroLayer(load_arrays(tmp_path / "micro.npz"))
    tile = torch.full((1, 3, 512, 512), 0.6)
    out = layer(tile, torch.zeros(1, 20), torch.randn(1, 128, generator=torch.Generator().manual_seed(0)))
    assert out.shape == (1, 3, 768, 768)
    assert float(out.std()) > 0.001


def test_reference_skins_keep_their_number(tiny_pack):
    assert reference_skins(tiny_pack, 32).shape == (2, 3, 32, 32)
