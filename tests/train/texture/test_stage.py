"""The texture loop on a toy teacher: it learns, and resumes after an interruption."""

import pytest
import torch

from facekit.evaluate.skins import BLIND, SIGHTED, SkinControls
from facekit.files.readers import load_tensors
from facekit.models.config import TextureConfig
from facekit.train import loop
from facekit.train.context import Context
from facekit.train.skin.layers import NOISES
from facekit.train.texture import blind
from facekit.train.texture.blind import BlindPairs
from facekit.train.texture.data import TextureSamples
from facekit.train.texture.networks import reconstruction, start_texture
from facekit.train.texture.stage import Phase, train_texture

_SCHEDULE = (Phase(8, 60, 8, 3e-2, 0.0), Phase(16, 20, 4, 1e-2, 0.005))


class ToySamples(TextureSamples):
    """A flat tone per person and a faint stripe that the smile brings."""

    def __init__(self):
        super().__init__(None, 16)  # it paints without layers

    def paint(self, codes, size):
        tone = torch.sigmoid(2 * codes.identity[:, 0])[:, None, None, None].expand(-1, 3, size, size)
        stripe = torch.zeros(size, size)
        stripe[size // 2 :] = 0.2
        return 0.2 + 0.6 * tone + codes.expression[:, 1, None, None, None] * stripe


def _train(folder, schedule=_SCHEDULE):
    torch.manual_seed(0)
    config = TextureConfig(channels=(16, 16, 12), constant_neutral=True)
    return train_texture(start_texture(config), ToySamples(), folder, schedule, seed=1)


def _folder(parent, name):
    (parent / name).mkdir(exist_ok=True)
    return parent / name


def test_comes_nearer_to_the_teacher_and_keeps_a_log(tmp_path):
    _train(tmp_path)
    lines = [line.split(",") for line in (tmp_path / "texture_log.csv").read_text().splitlines()]
    assert [int(line[0]) for line in lines] == [0, 20, 40, 60]
    assert {line[1] for line in lines} == {"8", "16"}
    assert float(lines[2][2]) < 0.5 * float(lines[0][2])  # reconstruction
    assert float(lines[2][3]) < 0.5 * float(lines[0][3])  # difference of two expressions


def test_unheard_noise_has_weights_of_zero(tmp_path):
    first = _train(tmp_path).input_layer[0].conv.weight_orig
    assert first[NOISES:128].abs().max() == 0
    assert first[:NOISES].abs().max() > 0


def test_interrupted_run_ends_like_a_straight_one(tmp_path, monkeypatch):
    straight = _train(_folder(tmp_path, "a"))
    calls = {"left": 30}
    pairs = ToySamples.pairs

    def interrupted(self, *args):
        calls["left"] -= 1
        if calls["left"] == 0:
            raise KeyboardInterrupt
        return pairs(self, *args)

    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(ToySamples, "pairs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _train(_folder(tmp_path, "b"))
    assert torch.load(tmp_path / "b" / "texture.pt", weights_only=True)["step"] == 29
    resumed = _train(_folder(tmp_path, "b"))
    for mine, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(mine, other, atol=1e-4)


def test_reconstruction_is_zero_only_for_equal_pictures():
    picture = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert reconstruction(picture, picture) == 0
    assert reconstruction(picture, picture + 0.1).item() == pytest.approx(0.3, abs=1e-4)  # three sizes, no gradients


def test_a_blind_network_learns_without_identities(tmp_path):
    samples = BlindPairs(ToySamples())
    codes, tiles = samples.pairs(3, 8, torch.Generator().manual_seed(0))
    assert not codes.identity.any() and float(tiles.std()) > 0.05, "people differ all the same"
    torch.manual_seed(0)
    config = TextureConfig(channels=(8, 8), constant_neutral=True)
    model = train_texture(start_texture(config), samples, tmp_path, (Phase(8, 20, 8, 3e-2, 0.0),), seed=1)
    assert bool(model(codes.noise, codes.identity, codes.expression, size=8).isfinite().all())


def test_the_controls_stage_trains_both_alike(tiny_pack, tiny_layers, tmp_path, monkeypatch):
    monkeypatch.setattr(blind, "SCHEDULE", (Phase(8, 400, 4, 3e-2, 0.0),))
    monkeypatch.setattr(blind, "_PAINTED", 4)
    context = Context(tiny_pack, tmp_path, tmp_path / "out", tmp_path / "manifest.json", 0.01, 0.1)
    vars(context)["skin_layers"] = tiny_layers  # they take seconds to draw
    blind.run(context)
    controls = SkinControls.load(tmp_path / "controls")
    assert (controls.steps, controls.share, len(controls.painted)) == (4, 0.01, 4)
    assert float(controls.painted.std(dim=0).mean()) > 0.01, "skins of different people"
    none, some = (load_tensors(controls.folder / name) for name in (BLIND, SIGHTED))
    assert none.keys() == some.keys() and not torch.equal(*(t["to_rgb_8.conv.weight_orig"] for t in (none, some)))
