"""Texture samples, and networks used only in training."""

from __future__ import annotations

import torch

from facekit.models.config import TextureConfig
from facekit.train.texture.data import TextureCodes, TextureSamples, held_out
from facekit.train.texture.networks import TextureDiscriminator, discriminator_step, start_texture

CONFIG = TextureConfig(channels=(16, 16, 12), constant_neutral=True)


def test_pairs_are_the_same_people_twice(tiny_layers):
    samples = TextureSamples(tiny_layers, 64)
    codes, tiles = samples.pairs(3, 16, torch.Generator().manual_seed(0))
    assert tiles.shape == (6, 3, 16, 16)
    assert torch.equal(codes.identity[:3], codes.identity[3:])
    assert torch.equal(codes.noise[:3], codes.noise[3:])
    assert not torch.equal(codes.expression[:3], codes.expression[3:])
    torch.testing.assert_close(tiles, samples.paint(codes, 16))
    fine = torch.nn.functional.avg_pool2d(samples.paint(codes, 64), 4)
    torch.testing.assert_close(tiles, fine, atol=1e-5, rtol=0)


def test_held_out_codes_are_the_same_each_time():
    one, again = held_out(4), held_out(4)
    assert torch.equal(one.identity, again.identity)
    assert one.condition().shape == (4, 40)
    assert not torch.equal(one.identity, TextureCodes.sample(4, torch.Generator().manual_seed(0)).identity)


def test_the_discriminator_learns_to_tell_black_from_white():
    torch.manual_seed(0)
    critic = TextureDiscriminator(CONFIG)
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2)
    white, black, codes = torch.ones(4, 3, 16, 16), torch.zeros(4, 3, 16, 16), torch.randn(4, 40)
    for step in range(30):
        discriminator_step(critic, optimiser, white.clone(), black, codes, penalise=step % 8 == 0)
    with torch.no_grad():
        assert bool((critic(white, codes) > critic(black, codes) + 0.5).all())
        assert critic(white[:, :, :8, :8], codes).shape == (4,)


def test_a_fresh_generator_starts_from_one_face():
    torch.manual_seed(0)
    model = start_texture(CONFIG)
    codes = TextureCodes.sample(8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        posed = model(codes.noise, codes.identity, codes.expression)
        rest = model(codes.noise, codes.identity, torch.zeros_like(codes.expression))
    assert float((posed - rest).std()) < 0.5 * float(rest.std(dim=0).mean() + rest.std())
