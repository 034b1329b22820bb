"""``python -m facekit.train`` from a pack to a model that makes faces, at a four hundredth of its steps."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from facekit.conventions import MORPH_TARGETS
from facekit.errors import FacekitError
from facekit.files.readers import load_arrays
from facekit.models.config import ShapeConfig, TextureConfig, from_manifest
from facekit.models.detail import unpack_detail
from facekit.template import Template
from facekit.train import __main__ as command
from facekit.train import card
from facekit.train.export import ROLES
from facekit.train.figures import WRINKLED
from facekit.train.shape.stage import AUTOENCODER_FILE, load_autoencoder
from facekit.train.trained import load_generators, load_pipeline
from facekit.weights import assets_folder
from facekit.weights.manifest import _manifest_path
from tests.train.conftest import INTERRUPTED_AT

pytestmark = pytest.mark.slow

#: What all stages write but "photos", which renders people for a landmarker and is run when it is named.
_NAMED = ("modes", "landmarks", "encoder", "dense", "looked", "hair")
MADE = {role: name for role, name in ROLES.items() if role not in _NAMED}


def digests() -> dict[str, str]:
    """Hashes of everything that the package ships, and of its manifest."""
    files = [*sorted(assets_folder().iterdir()), _manifest_path()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


BEFORE = digests()


def test_an_interrupt_ends_with_130_and_the_same_command_goes_on(trained):
    assert trained.codes == (130, 0)


def test_all_assets_are_there_and_load(trained):
    context = trained.context
    assert {path.name for path in context.out.iterdir()} == {*MADE.values(), "MODEL_CARD.md", "weights_manifest.json"}
    template = Template.load(context.out / "template.npz")
    pipe = load_generators(context)
    assert pipe.shape.config.vertices == len(template.verts)
    module, home = unpack_detail(load_arrays(context.out / "detail.npz"))
    assert home.vertices == len(template.verts)
    assert module.config.composition == context.detail_config.composition


def test_the_record_holds_sizes_and_hashes_of_what_was_written(trained):
    context = trained.context
    record = json.loads(context.manifest.read_text(encoding="utf-8"))["models"]["default"]
    assert set(record["files"]) == set(MADE)
    for entry in record["files"].values():
        content = (context.out / entry["name"]).read_bytes()
        assert (entry["size"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert from_manifest(ShapeConfig, record["config"]["shape"]) == context.shape_config
    assert from_manifest(TextureConfig, record["config"]["texture"]) == context.texture_config


def test_the_package_is_left_alone(trained):
    assert digests() == BEFORE


def test_a_pipeline_of_these_files_makes_a_face(trained):
    pipe = load_pipeline(trained.context)
    face = pipe(seed=7, expression="smile", intensity=0.8)
    assert face.mesh.verts.shape == (1, len(pipe.template.verts), 3)
    assert bool(face.mesh.verts.isfinite().all())
    assert face.mesh.texture.shape == (1, 3, 1024, 1024)
    assert face.mesh.displacement.shape == (1, 1, 1024, 1024)
    assert float(face.mesh.displacement.abs().max()) > 0.01
    assert not torch.equal(face.mesh.verts, pipe(seed=7, expression="neutral", detail=False).mesh.verts)
    assert not torch.equal(face.mesh.verts, pipe(seed=8, expression="smile", intensity=0.8, detail=False).mesh.verts)


def test_neutral_is_the_zero_code_at_any_intensity(trained):
    pipe = load_generators(trained.context)
    faces = [pipe(seed=3, expression="neutral", intensity=k, detail=False).mesh for k in (0.0, 1.5)]
    assert torch.equal(faces[0].verts, faces[1].verts)
    assert torch.equal(faces[0].texture, faces[1].texture)


def test_the_card_has_a_figure_for_everything(trained):
    text = (trained.context.out / "MODEL_CARD.md").read_text(encoding="utf-8")
    for name in MORPH_TARGETS:
        assert f"| {name} |" in text
    for name in WRINKLED:
        assert text.count(f"| {name} |") == 2
    assert "each of the 52 alone at 1" in text and "| expressions | blendshapes |" in text
    assert "{" not in text
    assert "nan" not in text
    figures = json.loads((trained.context.work / "evaluation.json").read_text(encoding="utf-8"))
    assert set(figures["shape"]["expressions"]) == set(MORPH_TARGETS)


@pytest.mark.parametrize("name", card.SECTIONS)
def test_a_section_alone_can_be_written_again(trained, monkeypatch, name):
    path = trained.context.out / "MODEL_CARD.md"
    before = path.read_text(encoding="utf-8")
    first, last = card._marks(name)
    section = f"{first}\n\nmeasured again\n\n{last}"
    monkeypatch.setattr(card, f"{name}_section", lambda *given: "measured again")
    try:
        card.write_section(trained.context, name)
        text = path.read_text(encoding="utf-8")
        assert text == before[: before.index(first)] + section + before[before.index(last) + len(last) :]
        path.write_text("no marks", encoding="utf-8")
        with pytest.raises(FacekitError, match="run the stage card"):
            card.write_section(trained.context, name)
    finally:
        path.write_text(before, encoding="utf-8")


def test_the_interrupted_loop_went_on_from_its_step(trained, monkeypatch, capsys):
    """The second command does not repeat finished work; a finished stage is not trained further."""
    shape = (trained.context.out / "shape.safetensors").read_bytes()
    assert torch.load(trained.context.work / AUTOENCODER_FILE, weights_only=True)["step"] == 80 > INTERRUPTED_AT
    assert command.main([*trained.arguments, "--stages", "shape"]) == 0
    assert (trained.context.out / "shape.safetensors").read_bytes() == shape


def test_a_missing_checkpoint_names_the_stage(trained, tmp_path):
    import dataclasses

    from facekit.train.shape.data import ShapeBasis

    context = dataclasses.replace(trained.context, work=tmp_path)
    basis = ShapeBasis.load(trained.context.shape_basis, context.template.parts)
    with pytest.raises(FacekitError, match="run the stage shape"):
        load_autoencoder(context, basis)


def test_a_missing_pack_is_told(tmp_path, capsys):
    assert command.main(["--pack", str(tmp_path / "nowhere"), "--work", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "put the training pack together" in capsys.readouterr().err


def test_unknown_stages_are_refused(capsys):
    with pytest.raises(SystemExit):
        command.parse(["--stages", "nonsense"])
    assert "nonsense" in capsys.readouterr().err
