"""The shape networks have the published tensors and compute what the paper says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from facekit.models.config import PUBLISHED_SHAPE, ShapeConfig
from facekit.models.shape import ShapeModel
from tests.models.plain import plain_mlp

# (out, in) of each weight of the published Generator_Checkpoint_id, Generator_Checkpoint_exp and ae/Decoder.
PUBLISHED = {
    "generator_identity.fc0.0": (256, 25),
    "generator_identity.fc1.0": (512, 256),
    "generator_identity.fc2.0": (1024, 512),
    "generator_identity.fc3.0": (100, 1024),
    "generator_expression.fc0.0": (256, 45),
    "generator_expression.fc1.0": (512, 256),
    "generator_expression.fc2.0": (1024, 512),
    "generator_expression.fc3.0": (30, 1024),
    "decoder.fc0.0": (512, 130),
    "decoder.fc1.0": (1024, 512),
    "decoder.fc2.0": (78951, 1024),
}


def reference(tensors, noise, identity, style, expression):
    who = plain_mlp(tensors, "generator_identity.", torch.cat([noise, identity], 1))
    what = plain_mlp(tensors, "generator_expression.", torch.cat([noise, style, expression], 1))
    return plain_mlp(tensors, "decoder.", torch.cat([who, what], 1)).reshape(len(noise), -1, 3)


def codes(batch):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, size, generator=generator) for size in (5, 20, 20, 20)]


def test_published_tensors():
    with torch.device("meta"):
        model = ShapeModel(PUBLISHED_SHAPE)
    found = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    expected = {f"{name}.weight": shape for name, shape in PUBLISHED.items()}
    expected |= {f"{name}.bias": shape[:1] for name, shape in PUBLISHED.items()}
    assert found == expected


def test_published_size_agrees_with_the_reference():
    torch.manual_seed(0)
    model = ShapeModel(PUBLISHED_SHAPE)
    with torch.inference_mode():
        out = model(*codes(2))
        expected = reference(model.state_dict(), *codes(2))
    assert out.shape == (2, 26317, 3)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    assert float(out.std()) > 1e-3, "the comparison is not of zeros"


@pytest.mark.parametrize("widths", [(8,), (16, 8), (4, 5, 6)])
def test_other_sizes_agree_with_the_reference(widths):
    sizes = {"identity_latent": 9, "expression_latent": 3, "decoder_widths": widths, "generator_widths": widths}
    model = ShapeModel(ShapeConfig(vertices=7, **sizes))
    out = model(*codes(4))
    assert out.shape == (4, 7, 3)
    torch.testing.assert_close(out, reference(model.state_dict(), *codes(4)), atol=1e-5, rtol=1e-5)


def test_vertices_are_consecutive_xyz():
    model = ShapeModel(ShapeConfig(vertices=4, decoder_widths=(8,), generator_widths=(8,)))
    with torch.no_grad():
        model.decoder.fc1[0].weight.zero_()
        model.decoder.fc1[0].bias.copy_(torch.arange(12.0))
    assert torch.equal(model(*codes(1))[0], torch.arange(12.0).view(4, 3))


def test_gradients_reach_every_code():
    model = ShapeModel(ShapeConfig(vertices=4, decoder_widths=(8,), generator_widths=(8,)))
    inputs = [c.requires_grad_() for c in codes(2)]
    F.mse_loss(model(*inputs), torch.zeros(2, 4, 3)).backward()
    assert all(bool(c.grad.abs().sum() > 0) for c in inputs)
