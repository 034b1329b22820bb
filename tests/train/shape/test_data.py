"""Shape samples: the basis is orthonormal in millimetres, codes have their documented effect, limits are soft."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facekit.conventions import EXPRESSIONS, PARTS
from facekit.train.shape.data import ShapeBasis, ShapeTeacher, random_expressions, soft_cap
from facekit.train.shape.recipes import RECIPES

VERTS, MODES = 12, 26
NAMES = sorted({name for recipe in RECIPES.values() for name in recipe})


@pytest.fixture(scope="module")
def basis(tmp_path_factory) -> ShapeBasis:
    rng = np.random.default_rng(0)
    blinks = {f"blink_{s}_{k}": v for s in "LR" for k, v in (("row", [1]), ("col", [2]), ("data", [0.5]))}
    path = tmp_path_factory.mktemp("basis") / "shape_basis.npz"
    np.savez(
        path,
        identity_modes=rng.normal(size=(MODES, VERTS, 3)).astype(np.float32),
        expression_shapes=rng.normal(size=(len(NAMES), VERTS, 3)).astype(np.float32),
        expression_names=np.array(NAMES),
        trait_axes=np.linalg.qr(rng.normal(size=(20, 2)))[0].T,
        **{name: np.array(value) for name, value in blinks.items()},
    )
    return ShapeBasis.load(path, torch.tensor([PARTS.index("skin")] * 6 + [PARTS.index("lips")] * 6))


def test_squared_coordinates_are_weighted_squared_millimetres(basis):
    coordinates = torch.randn(3, len(basis.vectors), generator=torch.Generator().manual_seed(1))
    squared = (basis.vertices(coordinates).square().sum(dim=-1) * basis.vertex_weights).mean(dim=1)
    torch.testing.assert_close(coordinates.square().sum(dim=1), squared, rtol=1e-3, atol=1e-4)
    assert float(basis.vertex_weights.mean()) == pytest.approx(1.0)
    assert float(basis.vertex_weights[-1]) > 10 * float(basis.vertex_weights[0])


def test_a_blink_follows_the_identity_up_and_out_only(basis):
    added = basis.vertices(basis.blink[0])
    whole = basis.vertices(basis.identity)
    torch.testing.assert_close(added[:, 1, 1:], 0.5 * whole[:, 2, 1:], rtol=1e-3, atol=1e-3)
    assert float(added[:, 1, 0].abs().max()) < 1e-3
    assert float(added[:, 3:].abs().max()) < 1e-3


def test_samples_are_what_their_codes_say(basis):
    teacher = ShapeTeacher(basis)
    s = teacher.sample(64, torch.Generator().manual_seed(2))
    torch.testing.assert_close(s["identity"] @ basis.turn.T, s["modes"][:, :20])
    torch.testing.assert_close(s["noise"], s["modes"][:, 20:25])
    torch.testing.assert_close(s["shape_expression"], teacher.pose(s["modes"], s["expression"], s["style"]))
    still = s["expression"].abs().sum(dim=1) == 0
    assert bool(still.any())
    assert float(s["shape_expression"][still].abs().max()) == 0
    modes = teacher.modes(s["identity"], s["noise"])
    assert modes.shape == (64, MODES)
    assert float(modes[:, 25:].abs().max()) == 0


def test_people_make_an_expression_in_their_own_way_and_neutral_not_at_all(basis):
    teacher = ShapeTeacher(basis)
    code = torch.eye(20)[[EXPRESSIONS.index("smile"), 0]]
    one, other = (teacher.expression_weights(code, style.expand(2, 20)) for style in torch.randn(2, 20))
    assert float((one[0] - other[0]).abs().max()) > 0.005
    assert float(one[1].abs().max()) == 0
    named = {NAMES[k] for k in one[0].nonzero()[:, 0].tolist()}
    assert named == set(RECIPES["smile"])


def test_caps_leave_small_weights_alone_and_are_monotone():
    x = torch.linspace(0, 2, 400)
    y = soft_cap(x, torch.ones(()))
    torch.testing.assert_close(y[x < 0.9], x[x < 0.9])
    assert bool((y.diff() >= 0).all())
    torch.testing.assert_close(y[x > 1.1], torch.ones_like(y[x > 1.1]))


def test_random_expressions_cover_the_range():
    code = random_expressions(4000, torch.Generator().manual_seed(0))
    total, kinds = code.sum(dim=1), (code > 0).sum(dim=1)
    assert code.shape == (4000, len(EXPRESSIONS))
    assert float(code.min()) >= 0 and 1.45 < float(total.max()) <= 1.5 + 1e-6
    assert 0.08 < float((total == 0).float().mean()) < 0.12
    assert 0.1 < float((kinds == 2).float().mean()) < 0.2
    assert int(kinds.max()) == 2


def test_resting_lids_are_a_share_of_the_blink_and_spared_by_it(basis):
    teacher = ShapeTeacher(basis)
    modes = torch.randn(3, MODES, generator=torch.Generator().manual_seed(3))
    code = torch.eye(20)[[EXPRESSIONS.index("eye_closed")] * 3]
    style = torch.zeros(3, 20)
    shut = teacher.neutral(modes) + teacher.pose(modes, code, style)
    full = teacher.resting + (1 - teacher.resting) * teacher.expression_weights(code, style)
    torch.testing.assert_close(shut, modes @ basis.identity + teacher.muscles(modes, full))
    blink = teacher.blinks[0]
    assert 0 < float(teacher.resting[blink]) < 0.3 and 0.99 < float(full[0, blink]) < 1.03
