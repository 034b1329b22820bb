"""The published model reproduces upstream's numbers, and supports everything that the default does.

Its weights are stand-ins in upstream's layout (:mod:`tests.convert.published`), imported as a user imports them; what
comes out is compared with plain forward passes on the state dicts as upstream saved them (:mod:`tests.models.plain`).
"""

from __future__ import annotations

import json
import zipfile

import pytest
import torch

from facekit import (
    MORPH_TARGETS,
    FaceLatents,
    FacePipeline,
    load,
    save,
    sweep_expressions,
    sweep_intensity,
    weights,
)
from facekit.cli import main as cli
from facekit.conventions import EXPRESSIONS
from facekit.errors import InputError
from facekit.io.glb_primitives import TOLERANCE
from facekit.io.glb_read import read_rig
from facekit.models.sides import SIDED, mirrored
from tests.convert.published import DECODER, EXPRESSION, IDENTITY, NAME, TEXTURE, build, install
from tests.models.plain import plain_mlp, plain_texture

SAME_MM = 1e-3
SAME_COLOUR = 1e-4
CASES = [
    ("neutral", 0.0),
    ("neutral", 1.0),
    ("smile", 0.4),
    ("jaw_left", 1.0),
    ("jaw_right", 1.5),
    ("eye_closed", 1.0),
    ({"grin": 0.7, "brow_raiser": 0.5}, 1.0),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Small networks of upstream's layout, imported: what was written, with the cache's environment until the end."""
    with pytest.MonkeyPatch.context() as patch:
        made = build(tmp_path_factory.mktemp("upstream"), seed=2)  # with this one, tiles depend much on the codes
        install(made, patch, tmp_path_factory.mktemp("cache"))
        yield made


@pytest.fixture(scope="module")
def pipe(published):
    return FacePipeline.from_pretrained(NAME, device="cpu")


def plain_verts(published, verts, latents):
    """Template plus decoded displacements (B, V, 3) mm; ``verts`` (V, 3) are those of upstream's OBJ."""
    who = plain_mlp(published.states[IDENTITY], "", torch.cat([latents.shape_noise, latents.identity], 1))
    codes = torch.cat([latents.shape_noise, latents.style, latents.expression], 1)
    what = plain_mlp(published.states[EXPRESSION], "", codes)
    return verts + plain_mlp(published.states[DECODER], "", torch.cat([who, what], 1)).reshape(len(latents), -1, 3)


def plain_tile(published, latents):
    """The raw texture (B, 3, 512, 512)."""
    state = {name.removeprefix("module."): value for name, value in published.states[TEXTURE].items()}
    return plain_texture(state, torch.cat([latents.texture_noise, latents.identity, latents.expression], 1), 512)


def obj_verts(published):
    lines = (published.data / "template_mesh.obj").read_text().splitlines()
    return torch.tensor([[float(x) for x in line.split()[1:]] for line in lines if line.startswith("v ")])


# -- number for number ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("expression", "intensity"), CASES, ids=str)
def test_equals_the_plain_reference(published, pipe, expression, intensity):
    latents = FaceLatents.sample(11, 2, expression, intensity)
    verts = pipe.decode_shape(latents)
    torch.testing.assert_close(verts, plain_verts(published, obj_verts(published), latents), atol=SAME_MM, rtol=0)
    assert float((verts - pipe.template.verts).norm(dim=-1).mean()) > 0.1, "the comparison is not of zeros"
    tile = pipe.decode_texture(latents)
    assert tile.shape == (2, 3, 512, 512)
    torch.testing.assert_close(tile, plain_tile(published, latents), atol=SAME_COLOUR, rtol=0)
    zero = pipe.decode_texture(latents.with_expression("neutral", 0.0))
    assert intensity == 0 or float((tile - zero).abs().max()) > 10 * SAME_COLOUR, "the expression matters"


def test_a_face_is_what_was_decoded(published, pipe):
    latents = FaceLatents.sample(11, 1, "jaw_left", 0.8)
    face = pipe(latents=latents)
    assert face.model == NAME
    assert face.texture.shape == (1, 3, 1024, 1024)
    torch.testing.assert_close(face.verts, plain_verts(published, obj_verts(published), latents), atol=SAME_MM, rtol=0)
    tile = pipe.decode_texture(latents)
    assert torch.equal(face.texture, pipe.compose(tile, latents)), "tile and mesh come from the same codes"


@pytest.mark.slow
def test_full_size_equals_the_plain_reference(tmp_path, monkeypatch):
    published = build(tmp_path / "upstream", "full", zipped=False)
    install(published, monkeypatch, tmp_path / "cache")
    pipe = FacePipeline.from_pretrained(NAME, device="cpu")
    latents = FaceLatents.cat([FaceLatents.sample(5, 1, name, value) for name, value in CASES[:4]])
    expected = plain_verts(published, obj_verts(published), latents)
    assert expected.shape == (4, 26317, 3)
    torch.testing.assert_close(pipe.decode_shape(latents), expected, atol=SAME_MM, rtol=0)
    one = latents[2]
    torch.testing.assert_close(pipe.decode_texture(one), plain_tile(published, one), atol=SAME_COLOUR, rtol=0)


# -- one code drives shape and texture --------------------------------------------------------------------------------


def test_a_sweep_changes_the_intensity_alone(published, pipe):
    person = FaceLatents.sample(3)
    faces = sweep_intensity(pipe, person, "smile", steps=4)
    smile = EXPRESSIONS.index("smile")
    for k, intensity in enumerate((0.0, 0.5, 1.0, 1.5)):
        latents = faces[k].latents
        for field in ("identity", "shape_noise", "texture_noise", "style"):
            assert torch.equal(getattr(latents, field), getattr(person, field))
        assert latents.expression[0].tolist() == [intensity if i == smile else 0.0 for i in range(20)]
        expected = plain_verts(published, obj_verts(published), latents)
        torch.testing.assert_close(faces[k].verts, expected, atol=SAME_MM, rtol=0)
        tile = plain_tile(published, latents)
        torch.testing.assert_close(faces[k].texture, pipe.compose(tile, latents), atol=1e-3, rtol=0)


@pytest.mark.parametrize("field", ["identity", "expression"])
def test_one_code_for_shape_and_skin(pipe, field):
    a, b = FaceLatents.sample(1), FaceLatents.sample(2, expression="anger")
    changed = FaceLatents.from_dict({**a.to_dict(), field: b.to_dict()[field]})
    assert float((pipe.decode_shape(changed) - pipe.decode_shape(a)).abs().max()) > 0.1
    assert float((pipe.decode_texture(changed) - pipe.decode_texture(a)).abs().max()) > 10 * SAME_COLOUR


def test_a_step_of_a_sweep_is_the_single_face(pipe):
    person = FaceLatents.sample(3)
    faces = sweep_expressions(pipe, person, ["smile", "anger", "grin", "jaw_left", "lip_roll"])
    single = pipe(latents=person, expression="lip_roll")
    torch.testing.assert_close(faces[4].verts, single.verts, atol=SAME_MM, rtol=0)
    torch.testing.assert_close(faces[4].texture, single.texture, atol=SAME_COLOUR, rtol=0)


# -- training identities ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 360, 847])
def test_training_identities_are_upstreams(published, pipe, number):
    latents = pipe.training_identity(number)
    assert torch.equal(latents.identity[0], published.identities[number - 1])
    assert torch.equal(latents.style, latents.identity)
    assert torch.equal(latents.texture_noise, FaceLatents.sample(0).texture_noise)
    other = pipe.training_identity(number, seed=4)
    assert torch.equal(other.identity, latents.identity)
    assert not torch.equal(other.shape_noise, latents.shape_noise)
    face = pipe(latents=latents, expression="smile")
    torch.testing.assert_close(
        face.verts, plain_verts(published, obj_verts(published), face.latents), atol=SAME_MM, rtol=0
    )


@pytest.mark.parametrize("number", [0, -1, 848, 1.0, "1", True, None])
def test_other_training_identities_are_told(pipe, number):
    with pytest.raises(InputError, match="a training identity as a whole number from 1 to 847"):
        pipe.training_identity(number)


def test_the_default_has_no_training_identities(default_pipeline):
    with pytest.raises(InputError, match="'default', without"):
        default_pipeline.training_identity(1)


# -- ways to compose --------------------------------------------------------------------------------------------------


def test_upstreams_paste_is_there_for_comparisons(pipe):
    pasted = FacePipeline.from_pretrained(NAME, device="cpu", compose="upstream")
    latents = FaceLatents.sample(11, 1, "smile")
    tile = pipe.decode_texture(latents)
    resized = torch.nn.functional.interpolate(tile.clamp(0, 1), size=(616, 616), mode="bilinear", align_corners=False)
    atlas = pasted(latents=latents).texture
    torch.testing.assert_close(atlas[:, :, 51:667, 204:820], resized, atol=1e-3, rtol=0)
    blended = pipe(latents=latents).texture
    assert float((blended - atlas).abs().mean()) > 1e-3


@pytest.mark.parametrize(("name", "compose"), [(NAME, "paste"), (NAME, None), ("default", "upstream")])
def test_unknown_ways_are_told(published, name, compose):
    with pytest.raises(InputError, match="compose out of blend"):
        FacePipeline.from_pretrained(name, device="cpu", compose=compose)


# -- everything the default can do ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smile(pipe):
    return pipe(seed=7, expression="smile", intensity=0.8)


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_exports_load_back(smile, tmp_path, suffix):
    mesh = load(save(smile, tmp_path / f"face{suffix}"))
    verts, error = smile.verts, 0.01
    if suffix == ".glb":  # sliders are straight lines from the neutral head, in sixteen bits
        rig = smile.rig()
        verts = rig.neutral.verts + torch.einsum("k,kvc->vc", smile.latents.expression[0, 1:], rig.deltas)
        error = 2 * TOLERANCE["expression"]
    low, high = verts[0].amin(0), verts[0].amax(0)
    torch.testing.assert_close(mesh.verts[0].amin(0), low, atol=error, rtol=0)
    torch.testing.assert_close(mesh.verts[0].amax(0), high, atol=error, rtol=0)
    if suffix == ".obj":
        assert torch.equal(mesh.faces, smile.mesh.faces), "the topology's vertex order"
        torch.testing.assert_close(mesh.texture, smile.texture, atol=0.51 / 255, rtol=0)


def test_glb_has_the_sliders(smile, tmp_path):
    rig = read_rig(save(smile, tmp_path / "face.glb"))
    assert rig.names == MORPH_TARGETS
    torch.testing.assert_close(rig.weights, smile.latents.expression[0, 1:])
    torch.testing.assert_close(rig.deltas, smile.rig().deltas, atol=2 * TOLERANCE["expression"], rtol=0)


def test_bundle_names_model_and_licence(smile, tmp_path):
    with zipfile.ZipFile(save(smile, tmp_path / "face.zip")) as archive:
        metadata = json.loads(archive.read(next(n for n in archive.namelist() if n.endswith("metadata.json"))))
    assert metadata["model"] == NAME
    assert metadata["licence"] == weights.record(NAME).licence
    assert "non-commercial" in metadata["licence"].lower()


def test_rig_agrees_with_the_faces(pipe, smile):
    rig = smile.rig()
    posed = sweep_expressions(pipe, smile.latents, ["smile", "mouth_right"])
    for k, name in enumerate(("smile", "mouth_right")):
        delta = rig.deltas[MORPH_TARGETS.index(name)]
        torch.testing.assert_close(rig.neutral.verts[0] + delta, posed.verts[k], atol=SAME_MM, rtol=0)


def test_renders(smile):
    picture = smile.render(image_size=96)
    assert 0.2 < float(picture.alpha.mean()) < 0.9
    assert float(picture.rgb.std()) > 0.01


@pytest.mark.parametrize(
    ("command", "made"),
    [
        (["export", "--expression", "smile", "--out", "{}/a.glb"], ["a.glb"]),
        (["render", "--size", "64", "--quality", "standard", "--out", "{}/a.png"], ["a.png"]),
        (
            ["sweep", "--steps", "3", "--size", "64", "--format", "obj", "--out", "{}"],
            ["smile_02.obj"],
        ),
        (["expressions", "--size", "64", "--out", "{}/sheet.png"], ["sheet.png"]),
        (["generate", "--count", "2", "--format", "ply", "--out", "{}"], ["face_000000.ply", "manifest.jsonl"]),
    ],
    ids=lambda value: value[0],
)
def test_commands_take_the_model(published, tmp_path, command, made):
    argv = ["--device", "cpu", *(part.format(tmp_path) for part in command), "--model", NAME]
    assert cli.main(argv) == 0
    for name in made:
        assert (tmp_path / name).stat().st_size > 100


# -- left and right ---------------------------------------------------------------------------------------------------


class Nods(torch.nn.Module):
    """A shape model whose sided expressions move chin and lips by 5 mm along x, to the side given for the left ones."""

    def __init__(self, template, side):
        super().__init__()
        lower = template.landmarks[[6, 7, 8, 9, 10, *range(48, 68)]]
        self.moved = torch.zeros(20, *template.verts.shape)
        for left, right in SIDED:
            self.moved[EXPRESSIONS.index(left), lower, 0] = 5.0 * side
            self.moved[EXPRESSIONS.index(right), lower, 0] = -5.0 * side

    def forward(self, noise, identity, style, expression):
        return torch.einsum("bk,kvc->bvc", expression, self.moved)


@pytest.mark.parametrize(("side", "pairs"), [(1.0, ()), (-1.0, SIDED)])
def test_left_is_the_subjects_left(default_pipeline, side, pairs):
    parts = (default_pipeline.texture, default_pipeline.composer)
    pipe = FacePipeline(default_pipeline.template, Nods(default_pipeline.template, side), *parts, "nods")
    assert pipe.mirrored_pairs == pairs
    face = pipe(seed=1, expression="jaw_left", intensity=1.0)
    chin, rest = face.mesh.landmarks[8], pipe(seed=1).verts
    assert float(face.verts[0, chin, 0] - rest[0, chin, 0]) == pytest.approx(5.0, abs=1e-3)
    assert face.expression_weights() == [{"jaw_left": 1.0}]
    deltas = face.rig().deltas[:, chin, 0]
    assert [round(float(deltas[MORPH_TARGETS.index(name)])) for name in ("jaw_left", "jaw_right")] == [5, -5]
    raw = pipe.decode_shape(face.latents)[0, chin, 0] - rest[0, chin, 0]
    assert float(raw) == pytest.approx(5.0 * side, abs=1e-3), "decode_shape takes the model's code as it is"


def test_weights_of_no_face_say_nothing_about_sides(pipe, default_pipeline):
    assert pipe.mirrored_pairs == ()
    assert default_pipeline.mirrored_pairs == ()
    template = default_pipeline.template
    noise = torch.randn(*template.verts.shape, generator=torch.Generator().manual_seed(0))
    assert not mirrored(noise - 1, noise + 1, template)
    assert not mirrored(noise * 0, noise * 0, template)
