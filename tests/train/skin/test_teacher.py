"""The texture teacher: smooth, neutral is neutral, expressions respond monotonically, no border."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import EXPRESSIONS
from facekit.errors import FacekitError, InputError
from facekit.train.skin.layers import NOISES, draw_layers
from facekit.train.skin.teacher import TextureTeacher
from tests import TRAINING_PACK as PACK

SIZE = 128


@pytest.fixture(scope="module", params=["tiny", "real"])
def teacher(request):
    """With the made-up skins and, where they are here, with the real ones."""
    if request.param == "tiny":
        return TextureTeacher(request.getfixturevalue("tiny_layers"), SIZE)
    if not PACK.exists():
        pytest.skip("the training pack is not at ../shared/training-pack")
    return TextureTeacher(draw_layers(PACK), SIZE)


@pytest.fixture(scope="module")
def codes():
    generator = torch.Generator().manual_seed(4)
    return (
        torch.randn(3, 20, generator=generator),
        torch.zeros(3, 20),
        torch.randn(3, 128, generator=generator),
    )


def expression(name: str, intensity: float, batch: int = 3) -> torch.Tensor:
    code = torch.zeros(batch, 20)
    code[:, EXPRESSIONS.index(name)] = intensity
    return code


def test_range_and_shape(teacher, codes):
    tile = teacher(*codes)
    assert tile.shape == (3, 3, SIZE, SIZE)
    assert tile.dtype == torch.float32
    assert tile.isfinite().all()
    assert tile.min() >= 0
    assert tile.max() <= 1


def test_batch_equals_single(teacher, codes):
    together = teacher(*codes)
    alone = torch.cat([teacher(*(c[i : i + 1] for c in codes)) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_smooth_in_every_code(teacher, codes, which):
    """Halving a small step halves the change: no jumps, no steps."""
    step = torch.randn(codes[which].shape, generator=torch.Generator().manual_seed(which))
    base = list(codes)
    base[1] = expression("smile", 0.5)
    start = teacher(*base).double()
    change = []
    for size in (2e-2, 1e-2):
        moved = list(base)
        moved[which] = base[which] + size * step
        change.append(teacher(*moved).double() - start)
    assert 0 < change[0].abs().max() < 0.06
    assert (change[0] - 2 * change[1]).norm() < 0.15 * change[0].norm()


@pytest.mark.parametrize("intensity", [0.3, 1.0, 1.5])
def test_neutral_has_no_effect(teacher, codes, intensity):
    assert torch.equal(teacher(*codes), teacher(codes[0], expression("neutral", intensity), codes[2]))


@pytest.mark.parametrize("name", ["smile", "anger", "chin_raiser", "brow_raiser", "brow_lower", "sadness", "grin"])
def test_expression_response_is_monotone(teacher, codes, name):
    start = teacher(*codes)
    change = [
        (teacher(codes[0], expression(name, i), codes[2]) - start).norm() for i in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    ]
    assert all(a < b for a, b in zip(change, change[1:], strict=False))
    assert change[-1] > 0.2


def test_expressions_mix(teacher, codes):
    """A blend shows both: each part's change is contained in the blend's."""
    start = teacher(*codes)
    smile, lower = expression("smile", 0.8), expression("brow_lower", 0.8)
    blend = teacher(codes[0], smile + lower, codes[2]) - start
    parts = teacher(codes[0], smile, codes[2]) + teacher(codes[0], lower, codes[2]) - 2 * start
    assert torch.nn.functional.cosine_similarity(blend.flatten(), parts.flatten(), dim=0) > 0.95


def test_border_is_one_tone(teacher, codes):
    """The outermost texels have one tone per face, which continues over the back of the head."""
    tile = teacher(codes[0], expression("anger", 1.5), codes[2])
    border = torch.cat([tile[:, :, 0], tile[:, :, -1], tile[:, :, :, 0], tile[:, :, :, -1]], -1)
    assert (border.amax(-1) - border.amin(-1)).max() < 2 / 255
    assert (border.mean(-1)[0] - border.mean(-1)[1]).abs().max() > 0.01


def test_identities_span_the_skin_tones(teacher):
    identity = torch.randn(400, 20, generator=torch.Generator().manual_seed(1))
    attributes = teacher.attributes(identity)
    melanin = attributes["melanin"]
    assert melanin.min() < 0.03
    assert melanin.max() > 0.97
    assert abs(float(melanin.median()) - 0.5) < 0.08
    assert torch.allclose(attributes["skins"].sum(1), torch.ones(400), atol=1e-5)
    assert attributes["moles"].sum(1).median() < 6


def test_missing_pack_is_told(tmp_path):
    with pytest.raises(FacekitError, match="training pack"):
        draw_layers(tmp_path)


def test_only_sizes_that_halve_the_layers(tiny_layers):
    with pytest.raises(InputError, match="power of two"):
        TextureTeacher(tiny_layers, 100)


def test_smaller_teachers_paint_about_the_mean_of_the_large_one(tiny_layers, codes):
    large, small = (TextureTeacher(tiny_layers, size)(*codes) for size in (128, 64))
    assert float((torch.nn.functional.avg_pool2d(large, 2) - small).abs().mean()) < 0.01


def test_noise_beyond_the_first_entries_means_nothing(tiny_layers, codes):
    teacher, other = TextureTeacher(tiny_layers, 64), codes[2].clone()
    other[:, NOISES:] += 1
    assert torch.equal(teacher(*codes), teacher(codes[0], codes[1], other))
    other[:, 0] += 1
    assert not torch.equal(teacher(*codes), teacher(codes[0], codes[1], other))
