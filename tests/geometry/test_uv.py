"""Mip pyramids and baking."""

from types import SimpleNamespace

import torch

from facekit.geometry.mip import MipTexture, halve
from facekit.geometry.uv import bake, bake_skirted, rasterize_uv, sample_texture


def test_halving_takes_means():
    image = torch.rand(2, 3, 6, 10)
    assert torch.allclose(halve(image), torch.nn.functional.avg_pool2d(image, 2), atol=1e-6)


def test_levels_are_the_halved_textures():
    texture = torch.rand(2, 3, 32, 64)
    pyramid = MipTexture.build(texture)
    level = texture
    for k in range(len(pyramid.layout)):
        h, w = level.shape[2:]
        y, x = torch.meshgrid((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij")
        uv = torch.stack((x.reshape(-1), 1.0 - y.reshape(-1)))
        for b in range(2):
            for form in (pyramid, pyramid.packed()):
                found = form.sample(uv, torch.full((h * w,), float(k)), torch.full((h * w,), b))
                assert torch.allclose(found.view(3, h, w), level[b], atol=1e-4)
        level = halve(level)


def test_level_zero_is_plain_bilinear_sampling_with_a_clamped_border():
    texture, uv = torch.rand(1, 3, 40, 24), torch.rand(500, 2) * 1.2 - 0.1
    found = MipTexture.build(texture).sample(uv.t(), torch.zeros(500))
    assert torch.allclose(found.t(), sample_texture(texture, uv)[0], atol=1e-4)


def test_origin_is_bottom_left_and_rows_start_at_the_top():
    texture = torch.zeros(1, 1, 4, 4)
    texture[0, 0, 3, 0] = 1.0
    assert float(sample_texture(texture, torch.tensor([[0.125, 0.125]]))) == 1.0


def test_packed_levels_are_blended_alike_and_taps_are_shared():
    first, second = MipTexture.build(torch.rand(1, 3, 32, 64)), MipTexture.build(torch.rand(1, 2, 32, 64))
    uv, level = torch.rand(2, 300), torch.rand(300) * 4 - 0.5
    taps = first.taps(uv, level)
    assert first.form == second.form != second.packed().form
    for pyramid in (first, second):
        found = pyramid.at(taps)
        assert torch.allclose(found, pyramid.sample(uv, level))
        assert torch.allclose(found, pyramid.packed().sample(uv, level), atol=1e-4)


def test_the_nearest_level_is_what_trilinear_samples_are_at_whole_levels():
    random = torch.Generator().manual_seed(2)
    mip = MipTexture.build(torch.rand(1, 2, 32, 64, generator=random)).packed()
    uv, off = torch.rand(2, 500, generator=random) * 1.2 - 0.1, torch.rand(500, generator=random) * 0.9 - 0.45
    level = torch.randint(-1, 6, (500,), generator=random).float()
    assert (mip.read(mip.places(uv, level + off)) - mip.sample(uv, level)).abs().max() < 1e-5
    assert (mip.read(mip.places(uv, level + 1.0)) - mip.sample(uv, level)).abs().max() > 0.1
    # At the border no level reads its neighbours in the image.
    ends = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    for each in range(len(mip.layout)):
        level = torch.full((4,), float(each))
        assert (
            mip.read(mip.places(torch.stack(ends), level)) - mip.sample(torch.stack(ends), level)
        ).abs().max() < 1e-5


def test_texture_gradient_flows_to_all_levels():
    texture = torch.rand(1, 3, 16, 16, requires_grad=True)
    MipTexture.build(texture).sample(torch.rand(2, 50), torch.rand(50) * 2).sum().backward()
    assert abs(float(texture.grad.sum()) - 150.0) < 1e-2


def test_baking_a_linear_function_gives_it_back():
    uvs = torch.tensor([[0.05, 0.05], [0.95, 0.05], [0.95, 0.95], [0.05, 0.95]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    ids, weights = rasterize_uv(uvs, faces, (32, 48))
    baked = bake(uvs[None].expand(2, -1, -1), faces, ids, weights, fill=-1.0)
    y, x = torch.meshgrid((torch.arange(32) + 0.5) / 32, (torch.arange(48) + 0.5) / 48, indexing="ij")
    inside = (x > 0.05) & (x < 0.95) & (y > 0.05) & (y < 0.95)
    assert torch.equal(ids >= 0, inside)
    assert torch.allclose(baked[0, 0][inside], x[inside], atol=1e-5)
    assert torch.allclose(baked[1, 1][inside], 1.0 - y[inside], atol=1e-5)
    assert bool((baked[:, :, ~inside] == -1.0).all())


def test_a_skirt_extends_charts_by_some_texels_and_leaves_them_as_they_are():
    uvs = torch.tensor([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]])
    mesh = SimpleNamespace(uvs=uvs, faces=torch.tensor([[0, 1, 2], [0, 2, 3]]))
    mesh.faces_uvs = mesh.faces
    values = uvs[:, :1]
    ids, weights = rasterize_uv(uvs, mesh.faces, 64)
    baked = bake_skirted(values, mesh, 64, skirt=5)[0]
    assert torch.equal(baked[16:48, 16:48], bake(values[None], mesh.faces, ids, weights)[0, 0, 16:48, 16:48])
    assert (baked[30, 14:16] - baked[30, 16:18].mean()).abs().max() < 0.02, "two texels on the left"
    assert (baked[30, 48:50] - baked[30, 46:48].mean()).abs().max() < 0.02, "two texels on the right"
    assert baked[:, :14].abs().max() == 0 and baked[:, 50:].abs().max() == 0
