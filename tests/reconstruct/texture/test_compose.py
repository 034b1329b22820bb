"""From a picture to an atlas, on people whose skin is known."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from facekit.color import luminance
from facekit.errors import InputError
from facekit.evaluate.photographs import photograph, skin_tone
from facekit.latents import FaceLatents
from facekit.metrics.texture import delta_e, lab
from facekit.reconstruct.texture import mask
from facekit.reconstruct.texture.compose import PictureStudy, _view, compose_texture
from facekit.reconstruct.texture.delight import white_of_eyes
from facekit.reconstruct.texture.grid import TileGrid
from facekit.reconstruct.texture.lighting import KeyLight


@pytest.fixture(scope="module")
def fair_and_dark(default_pipeline):
    """Two people and the fits to their photographs."""
    found = []
    for seed in (60_005, 60_010):
        taken = photograph(default_pipeline, seed, size=256, yaw=10.0)
        study = PictureStudy.of([taken.picture], taken.verts[None], taken.camera, default_pipeline)
        found.append((taken, study))
    return found


def error(pipe, albedo, truth):
    grid = TileGrid.of(pipe.template, 768)
    face = grid.spread((mask.region(pipe, grid) * grid.skin)[None])[0] > 0.5
    return float(delta_e(albedo[..., :768, :768], truth[..., :768, :768])[0][face].mean())


@pytest.mark.slow
def test_skin_comes_out_in_its_own_tone(default_pipeline, fair_and_dark):
    mean = FaceLatents.sample(0, truncation=0.0)
    with torch.inference_mode():
        plain = default_pipeline.compose(default_pipeline.decode_texture(mean), mean)
    for taken, study in fair_and_dark:
        result = study.texture()
        assert result.albedo.shape == (1, 3, 1024, 1024)
        assert error(default_pipeline, result.albedo, taken.albedo) < 6.5
        assert error(default_pipeline, plain, taken.albedo) > 12
        rect = default_pipeline.template.tile_rect
        assert float((skin_tone(result.albedo, rect) - skin_tone(taken.albedo, rect)).abs()) < 12
        assert 0.3 < float(result.seen[..., :768, :768].mean() / 0.45) < 1.2


def test_whites_of_eyes_tell_the_light_wherever_the_lamp_stands(default_pipeline):
    """Each pixel reflects as its own normal does: a mean normal of two balls reflects as none of them."""
    for seed in (60_007, 60_013, 60_023):
        taken = photograph(default_pipeline, seed, yaw=10.0)
        lamp = taken.lights.lights[0]
        azimuth, elevation = math.radians(lamp.azimuth), math.radians(lamp.elevation)
        flat = math.cos(elevation)
        toward = torch.tensor([math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat])
        light = KeyLight(taken.lights.sh, toward, lamp.strength * torch.tensor([float(c) for c in lamp.colour]))
        white = white_of_eyes(default_pipeline, _view(taken.picture, taken.verts, taken.camera, default_pipeline))
        assert white is not None
        colour, albedo, geometry = white
        off = (light.predict(albedo, geometry) + 0.02).log() - colour
        assert abs(float(off.mean())) < 0.09


@pytest.mark.slow
def test_without_colour_skin_has_natural_hues(default_pipeline, fair_and_dark):
    """The picture's luminance with the network's hues; not grey skin, nor a bluish light that explains it."""
    taken, _ = fair_and_dark[0]
    grey = luminance(taken.picture.permute(2, 0, 1)[None])[0].expand(3, -1, -1).permute(1, 2, 0)
    study = PictureStudy.of([grey], taken.verts[None], taken.camera, default_pipeline)
    result = study.texture()
    assert study.views[0].grey
    assert error(default_pipeline, result.albedo, taken.albedo) < 9
    cheeks = lab(result.albedo[..., 300:380, 200:260]).mean(dim=(2, 3))[0]
    assert 5 < cheeks[1] < 25 and 5 < cheeks[2] < 30
    level = study.found.lights[0].level()
    assert float(level.max() / level.min()) < 1.1


@pytest.mark.slow
def test_modes_and_sizes(default_pipeline, fair_and_dark):
    taken, study = fair_and_dark[0]
    blend, photo, gan = (study.texture(mode, 512) for mode in ("blend", "photo", "gan"))
    assert {tuple(r.albedo.shape) for r in (blend, photo, gan)} == {(1, 3, 512, 512)}
    sure = (blend.seen > 0.95).expand_as(blend.albedo)
    assert float((blend.albedo - photo.albedo)[sure].abs().mean()) < 0.01, "where a picture shows it, both have it"
    assert float((blend.albedo - gan.albedo)[sure].abs().mean()) > 0.01
    with pytest.raises(InputError, match="a texture mode"):
        study.texture("best")


def test_what_an_expression_folds_counts_less(default_pipeline, fair_and_dark):
    taken, study = fair_and_dark[0]
    grin = taken.latents.with_expression("grin", 1.2)
    with torch.no_grad():
        verts = default_pipeline.decode_shape(default_pipeline.to_model_codes(grin))
    smiling = PictureStudy.of([taken.picture], verts, taken.camera, default_pipeline, taken.neutral)
    assert study.folds.abs().max() == 0
    assert smiling.folds.shape == (len(taken.neutral), 1) and float(smiling.folds.max()) > 0.3
    plain = dataclasses.replace(smiling, folds=torch.zeros_like(smiling.folds))
    less, all_of_it = (one.texture(size=512).seen for one in (smiling, plain))
    assert bool((less <= all_of_it + 1e-5).all())
    assert float((all_of_it - less).max()) > 0.25


def test_what_does_not_fit_is_refused(default_pipeline):
    verts = default_pipeline.template.verts[None]
    picture = torch.rand(64, 64, 3)
    from facekit.render import Camera

    camera = Camera.front()
    for change, message in (
        ({"pictures": []}, "one or more pictures"),
        ({"pictures": [picture] * 2}, "match their numbers"),
        ({"verts": verts[:, :-1]}, r"vertices \(K, 24586, 3\)"),
        ({"pictures": [picture.permute(2, 0, 1)]}, r"pictures \(H, W, 3\)"),
        ({"pictures": [(picture * 255).int()]}, "float in"),
        ({"mode": "best"}, "a texture mode"),
    ):
        arguments = {
            "pictures": [picture],
            "verts": verts,
            "cameras": camera,
            "neutral": None,
            "pipe": default_pipeline,
        }
        with pytest.raises(InputError, match=message):
            compose_texture(**{**arguments, **change})
