"""The public forward pass: the same faces as a call, with gradients to every code."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys

import pytest
import torch

from facekit.latents import FaceLatents
from facekit.traits import to_networks
from tests.models import plain

FIELDS = ("identity", "expression", "shape_noise", "texture_noise", "style", "blendshapes")
WORN = {"jawOpen": 0.4, "mouthSmileLeft": 0.5, "eyeBlinkLeft": 0.4, "eyeLookInRight": 0.3, "browInnerUp": 0.5}


def learning(latents: FaceLatents) -> FaceLatents:
    """The same codes with gradients for all of them."""
    return FaceLatents(**{name: getattr(latents, name).clone().requires_grad_() for name in FIELDS})


@pytest.fixture(scope="module")
def codes() -> FaceLatents:
    return FaceLatents.sample(5, expression={"smile": 0.6, "brow_raiser": 0.5})


@pytest.fixture(scope="module")
def worn(codes) -> FaceLatents:
    """The same with blendshapes on top."""
    return codes.with_blendshapes(WORN)


def test_a_call_is_decode_without_gradients(default_pipeline, codes):
    face = default_pipeline(latents=codes)
    mesh = default_pipeline.decode(codes)
    for name in ("verts", "texture", "displacement"):
        assert torch.equal(getattr(mesh, name), getattr(face.mesh, name)), name
        assert not getattr(face.mesh, name).requires_grad
        assert not getattr(face.mesh, name).is_inference(), "others may build on what a call returns"


def test_parts_are_left_out(default_pipeline, codes):
    mesh = default_pipeline.decode(codes, texture=False, detail=False)
    assert mesh.texture is None and mesh.displacement is None
    assert torch.equal(mesh.verts, default_pipeline(latents=codes).verts)


def test_one_person_has_one_neutral_face(default_pipeline, codes):
    people = FaceLatents.cat([codes, FaceLatents.sample(6)])
    with torch.no_grad():
        frames = default_pipeline.decode_neutral(codes.repeat(3))
        both = default_pipeline.decode_neutral(people)
        alone = default_pipeline.decode_shape(codes.at_rest())
    assert frames.shape == alone.shape and torch.equal(frames, alone)
    assert len(both) == 2
    torch.testing.assert_close(both[:1], alone, atol=1e-4, rtol=0)
    assert len(default_pipeline.decode_neutral(learning(codes.repeat(2)))) == 2, "each has its own gradient"


@pytest.mark.parametrize("more", [{}, WORN])
def test_frames_of_a_motion_are_single_faces(default_pipeline, codes, more):
    frames = FaceLatents.cat([codes.with_blendshapes(w) for w in (more, {"jawOpen": 0.7}, {})])
    frames = frames if more else codes.repeat(3)
    with torch.no_grad():
        together = default_pipeline.decode_shape(frames)
        alone = torch.cat([default_pipeline.decode_shape(own) for own in frames])
    assert together.shape == alone.shape and together.is_contiguous()
    torch.testing.assert_close(together, alone, atol=4e-3, rtol=0)


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("verts", {"identity", "expression", "shape_noise", "style", "blendshapes"}),
        ("texture", {"identity", "expression", "texture_noise", "blendshapes"}),
        ("displacement", {"identity", "expression", "shape_noise", "texture_noise", "style", "blendshapes"}),
    ],
)
@pytest.mark.parametrize("rest", [True, False])
def test_gradients_reach_every_code(default_pipeline, codes, worn, what, fields, rest):
    """Also with all blendshapes 0, where a fit begins."""
    latents = learning(codes if rest else worn)
    options = {"texture": what == "texture", "detail": what == "displacement"}
    value = getattr(default_pipeline.decode(latents, **options), what)
    weight = torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    (value * weight).sum().backward()
    for name in FIELDS:
        gradient = getattr(latents, name).grad
        if name in fields:
            assert bool(torch.isfinite(gradient).all()) and float(gradient.abs().max()) > 0, name
        else:
            assert gradient is None or float(gradient.abs().max()) == 0, name


@pytest.mark.parametrize("name", ["identity", "expression", "style", "shape_noise"])
def test_shape_gradients_are_finite_differences(default_pipeline, codes, name):
    check_slope(default_pipeline, codes, name, "verts", 1e-3, 3e-2)


@pytest.mark.parametrize("name", ["blendshapes", "identity", "expression"])
def test_gradients_with_blendshapes_are_finite_differences(default_pipeline, worn, name):
    half = dataclasses.replace(worn, blendshapes=0.3 + 0.2 * worn.blendshapes)  # room for a step to either side
    check_slope(default_pipeline, half, name, "verts", 2e-3, 4e-2)


@pytest.mark.parametrize("name", ["identity", "texture_noise", "expression"])
def test_texture_gradients_are_finite_differences(default_pipeline, codes, name):
    check_slope(default_pipeline, codes, name, "texture", 1e-2, 4e-2)


@pytest.mark.parametrize("name", ["identity", "texture_noise", "expression"])
def test_displacement_gradients_are_finite_differences(default_pipeline, codes, name):
    check_slope(default_pipeline, codes, name, "displacement", 1e-2, 4e-2)


def check_slope(pipe, codes: FaceLatents, name: str, what: str, step: float, tolerance: float) -> None:
    """Compare the gradient of a random projection along itself with a central difference."""
    options = {"texture": what == "texture", "detail": what == "displacement"}

    def projected(latents: FaceLatents) -> torch.Tensor:
        value = getattr(pipe.decode(latents, **options), what).double()
        return (value * projection(tuple(value.shape))).sum()

    latents = learning(codes)
    projected(latents).backward()
    gradient = getattr(latents, name).grad
    along = torch.nn.functional.normalize(gradient, dim=1)
    with torch.no_grad():
        ahead, behind = (
            projected(dataclasses.replace(codes, **{name: getattr(codes, name) + sign * step * along}))
            for sign in (1, -1)
        )
    assert float((ahead - behind) / (2 * step)) == pytest.approx(float(gradient.norm()), rel=tolerance)


@functools.lru_cache(maxsize=3)
def projection(shape: tuple[int, ...]) -> torch.Tensor:
    """Random weights, smooth ones for maps, so that a kink at a single texel does not dominate."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for kernel in ((31, 1), (1, 31)) if len(shape) == 4 else ():
        weight = torch.nn.functional.avg_pool2d(weight, kernel, 1, (kernel[0] // 2, kernel[1] // 2))
    return weight


def test_shape_gradients_are_the_plain_networks(default_pipeline, codes):
    """Against networks written down a second time, without the library's modules; lids are not touched here."""
    latents = learning(codes)
    pipe = default_pipeline
    seen = pipe.template.landmarks[:36]  # jaw, brows and nose: no lid among them
    weight = torch.randn(36, 3, generator=torch.Generator().manual_seed(3))
    (pipe.decode(latents, texture=False, detail=False).verts[0, seen] * weight).sum().backward()
    other = learning(codes)
    own = dataclasses.replace(other, identity=to_networks(other.identity), style=to_networks(other.style))
    verts = pipe.template.verts + plain_displacement(pipe, own) + pipe.features(own.shape_noise)
    verts = verts + pipe.ageing(own.identity) + pipe.proportions(own.identity) + pipe.accents(own.expression)
    (verts[0, seen] * weight).sum().backward()
    for name in ("identity", "expression", "shape_noise", "style"):
        torch.testing.assert_close(getattr(latents, name).grad, getattr(other, name).grad, rtol=1e-3, atol=1e-4)


def plain_displacement(pipe, latents: FaceLatents) -> torch.Tensor:
    """Displacements (B, V, 3) mm by the plain reference."""
    tensors = pipe.shape.state_dict()
    person = plain.plain_mlp(tensors, "generator_identity.", torch.cat([latents.shape_noise, latents.identity], 1))
    code = torch.cat([latents.shape_noise, latents.style, latents.expression], 1)
    pose = plain.plain_mlp(tensors, "generator_expression.", code)
    return plain.plain_mlp(tensors, "decoder.", torch.cat([person, pose], 1)).view(len(latents), -1, 3)


def test_texture_gradients_are_the_plain_networks(default_pipeline, codes):
    latents, other, pipe = learning(codes), learning(codes), default_pipeline
    tile = pipe.decode_texture(latents)
    weight = torch.randn(tile.shape, generator=torch.Generator().manual_seed(4))
    (tile * weight).sum().backward()
    (plain_tile(pipe, other) * weight).sum().backward()
    for name in ("identity", "expression", "texture_noise"):
        torch.testing.assert_close(getattr(latents, name).grad, getattr(other, name).grad, rtol=1e-3, atol=1e-2)


def plain_tile(pipe, latents: FaceLatents) -> torch.Tensor:
    """The tile by the plain reference; the embedded model holds the code's neutral entry at 1."""
    expression = torch.cat([torch.ones_like(latents.expression[:, :1]), latents.expression[:, 1:]], dim=1)
    code = torch.cat((latents.texture_noise, latents.identity, expression), 1)
    return plain.plain_texture(pipe.texture.state_dict(), code, pipe.texture.config.sizes[-1])


def test_each_face_of_a_batch_has_its_own_gradient(default_pipeline, codes):
    latents = learning(FaceLatents.cat([codes, codes]))
    mesh = default_pipeline.decode(latents, texture=False)
    (mesh.displacement[0].square().sum() + 2 * mesh.displacement[1].square().sum()).backward()
    for name in ("identity", "texture_noise"):
        one, two = getattr(latents, name).grad
        torch.testing.assert_close(two, 2 * one, rtol=1e-3, atol=1e-4)


def test_gradients_after_a_call(default_pipeline, codes):
    """Values cached by a call must also work in a pass with gradients."""
    default_pipeline(latents=codes)
    latents = learning(codes)
    default_pipeline.decode(latents).displacement.sum().backward()
    assert latents.identity.grad is not None


MEMORY = """
import torch
from facekit import FaceLatents, FacePipeline
from tests.test_decoder import learning
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
pipe, codes = FacePipeline.from_pretrained(device="cpu"), FaceLatents.sample(1, 2)
warm = pipe(latents=codes)
before = resident()
mesh = pipe.decode(learning(codes))
kept = resident() - before
(mesh.verts.sum() + mesh.texture.sum() + mesh.displacement.sum()).backward()
print(kept)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_backward_needs_is_modest():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    kept = float(done.stdout) / 2
    assert 20 < kept < 250, "MB per face: an atlas and its displacement alone take 17"
