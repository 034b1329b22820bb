"""Texels of a topology: links within charts only, exact slopes, filled borders, a small cache."""

from __future__ import annotations

import pytest
import torch

from facekit.errors import InputError
from facekit.geometry import texels
from facekit.geometry.texels import texels_of

SIZE = (40, 50)


def two_charts(gap: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Two rectangles of UVs side by side, ``gap`` apart; the left one ends at u = 0.463."""
    u0, u1, u2, u3 = 0.1, 0.463, 0.463 + gap, 0.9
    corners = [(u0, 0.1), (u1, 0.1), (u1, 0.9), (u0, 0.9), (u2, 0.1), (u3, 0.1), (u3, 0.9), (u2, 0.9)]
    return torch.tensor(corners), torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])


def places(size: tuple[int, int] = SIZE) -> tuple[torch.Tensor, torch.Tensor]:
    """u and v of each texel's centre."""
    height, width = size
    v, u = torch.meshgrid(1 - (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return u, v


@pytest.mark.parametrize("gap", [0.0, 0.005, 0.02, 0.1])
def test_slopes_do_not_read_across_charts(gap):
    found = texels_of(*two_charts(gap), SIZE)
    u, v = places()
    inside = found.mask()[0, 0] > 0
    steps = torch.where(u < 0.463 + gap / 2, torch.tensor(0.0), torch.tensor(5.0)) + 3 * u - 2 * v
    heights = torch.where(inside, steps, torch.tensor(1e3))  # nor what lies outside
    along_u, along_v = found.slopes(heights[None, None])
    assert torch.allclose(along_u[0, 0][inside], torch.tensor(3.0), atol=1e-3)
    assert torch.allclose(along_v[0, 0][inside], torch.tensor(-2.0), atol=1e-3)


def test_borders_through_centres_cut_both_ways():
    uvs, faces = two_charts(0.0)
    uvs[:, 0] = torch.where((uvs[:, 0] - 0.463).abs() < 1e-6, torch.tensor(23.5 / 50), uvs[:, 0])  # a column's centres
    found = texels_of(uvs, faces, SIZE)
    assert not found.across[8:32, 22:24].any()
    assert found.across[8:32, 10:22].all() and found.across[8:32, 24:40].all()


def test_waves_are_followed_closely():
    found = texels_of(*two_charts(0.1), SIZE)
    u, _ = places()
    wave = torch.sin(2 * torch.pi * 6 * u)  # eight texels long
    along_u, _ = found.slopes(wave[None, None])
    slope = 2 * torch.pi * 6 * torch.cos(2 * torch.pi * 6 * u)
    middle = (slice(10, 30), slice(8, 20))
    assert (along_u[0, 0] - slope)[middle].abs().max() < 0.02 * slope.abs().max()


def test_baking_is_exact_for_what_is_linear():
    uvs, faces = two_charts(0.1)
    found = texels_of(uvs, faces, SIZE)
    u, v = places()
    inside = found.mask()[0, 0] > 0
    baked = found.bake((4 * uvs[:, 0] - uvs[:, 1])[None])[0]
    assert (baked - (4 * u - v))[inside].abs().max() < 1e-5
    assert (baked[~inside] == 0).all()


def test_the_gutter_repeats_the_chart():
    uvs, faces = two_charts(0.3)
    found = texels_of(uvs, faces, SIZE)
    u, _ = places()
    image = torch.where(u < 0.6, torch.tensor(1.0), torch.tensor(2.0)) * found.mask()
    filled = found.fill(image)[0, 0]
    assert (filled[20, 23 : 23 + texels.GUTTER // 2] == 1).all()
    assert (filled[20, 38 - texels.GUTTER // 2 : 38] == 2).all()
    assert torch.equal(filled[found.mask()[0, 0] > 0], image[0, 0][found.mask()[0, 0] > 0])
    assert found.gutter.unique().numel() == found.gutter.numel()


def test_the_cache_goes_by_content_and_is_bounded():
    uvs, faces = two_charts(0.1)
    first = texels_of(uvs, faces, SIZE)
    assert texels_of(uvs.clone(), faces.clone(), SIZE) is first
    uvs[0, 0] -= 0.01
    assert texels_of(uvs, faces, SIZE) is not first
    for k in range(4):
        texels_of(uvs, faces, (16, 16 + k))
    assert len(texels._CACHE) <= texels._CACHE_ENTRIES


@pytest.mark.parametrize("faces", [torch.zeros(3, 3, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.int64)])
def test_meshes_without_uvs_are_refused(faces):
    with pytest.raises(InputError, match="UVs"):
        texels_of(torch.zeros(1, 2), faces, SIZE)


def test_what_inference_made_may_take_part_in_gradients():
    uvs, faces = two_charts(0.2)
    with torch.inference_mode():
        texels_of(uvs * 1.0, faces * 1, SIZE)
    heights = torch.zeros(1, 1, *SIZE, requires_grad=True)
    sum(part.sum() for part in texels_of(uvs, faces, SIZE).slopes(heights)).backward()
    assert heights.grad is not None
