"""FaceScape's displacement maps, on a small data set of the same form."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from facekit.errors import FileError
from facekit.files.readers import load_arrays
from facekit.io.obj import write as write_obj
from facekit.mesh import FaceMesh
from facekit.models.composers.micro import MicroLayer
from facekit.models.config import DetailConfig
from facekit.models.detail import DetailModel, unpack_detail
from facekit.models.detail_layer import DetailLayer
from facekit.pipeline import FacePipeline
from facekit.template import Template
from facekit.train.detail import facescape
from facekit.weights import verified

NAMES = ("neutral", "smile", "brow_raiser")


@pytest.fixture
def template(tiny_template) -> Template:
    return tiny_template


@pytest.fixture
def dataset(tmp_path, template):
    """Two people in three expressions, 64² maps of 16 bits; person 2 is half as deep."""
    folder = tmp_path / "scans"
    wave = np.sin(np.linspace(0, 12, 64))[:, None] * np.ones(64)
    for person in (1, 2):
        for k, name in enumerate(NAMES):
            squeeze = torch.tensor([1.0, 1.0 - 0.1 * k, 1.0])
            mesh = FaceMesh((template.verts * squeeze)[None], template.faces, template.uvs, template.faces_uvs)
            stem = f"{k + 1}_{name}"
            write_obj(mesh, folder / str(person) / "models_reg" / f"{stem}.obj")
            values = 32768 + 8000 * (k + 1) / person * wave
            path = folder / str(person) / "dpmap" / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.round().astype(np.uint16)).save(path)
    return folder


@pytest.fixture
def layer(template, default_pipeline) -> DetailLayer:
    micro = MicroLayer(load_arrays(verified("default", "micro")))
    model = DetailModel(DetailConfig(size=32, static=2, compressed=2, stretched=1, hidden=8, field=16))
    return DetailLayer(model, micro, template, template.uvs, torch.ones(len(template.uvs)), 64)


def test_people_are_found(dataset):
    (dataset / "3" / "models_reg").mkdir(parents=True)  # nothing in it: left out
    (dataset / "notes").mkdir()
    people = facescape.find_people(dataset)
    assert [person.number for person in people] == [1, 2]
    assert set(people[0].files) == set(NAMES)


def test_values_are_millimetres(dataset):
    path = dataset / "1" / "dpmap" / "2_smile.png"
    found = facescape.read_displacement(path, 64)
    raw = np.asarray(Image.open(path)).astype(np.float64)
    np.testing.assert_allclose(found.numpy(), (raw - 32768) / 32768 * 0.914, atol=1e-6)
    small = facescape.read_displacement(path, 16)
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(found[None], 4)[0])


def test_samples_hold_code_strain_and_map(dataset, template, layer):
    identities = torch.randn(847, 20)
    measure = facescape.TileStrain(layer, template.uvs, template.faces, template.faces_uvs)
    weight = facescape.chart_weight(template, layer.trust, 32)
    samples = facescape.facescape_samples(facescape.find_people(dataset), template, identities, measure, weight)
    assert len(samples) == 6
    torch.testing.assert_close(samples.identity[:3], identities[0].expand(3, -1))
    torch.testing.assert_close(samples.identity[3:], identities[1].expand(3, -1))
    torch.testing.assert_close(samples.target[3:].float(), samples.target[:3].float() / 2, atol=2e-3, rtol=0)
    assert samples.strain[0].abs().max() == 0
    assert float(samples.strain[1].float().mean()) > 0.02


def test_the_one_command(dataset, template, layer, tmp_path, monkeypatch, capsys):
    class Pipe:
        def __init__(self):
            self.template, self.detail_layer = template, layer
            self.identities = torch.randn(847, 20, generator=torch.Generator().manual_seed(0))

    monkeypatch.setattr(FacePipeline, "from_pretrained", lambda *a, **k: Pipe())
    out = tmp_path / "detail.npz"
    arguments = [str(dataset), "--out", str(out), "--work", str(tmp_path / "work"), "--size", "32", "--steps", "30"]
    monkeypatch.setattr(sys, "argv", ["facescape", *arguments])
    assert facescape.main() == 0
    assert f"wrote {out}" in capsys.readouterr().out
    model, home = unpack_detail(load_arrays(out))
    assert home.vertices == len(template.verts)
    assert model.config.static == 32
    monkeypatch.setattr(sys, "argv", ["facescape", str(tmp_path / "nowhere")])
    assert facescape.main() == 2
    assert "models_reg" in capsys.readouterr().err


def test_bad_files_are_named(dataset, template):
    path = dataset / "1" / "dpmap" / "1_neutral.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    with pytest.raises(FileError, match="16-bit"):
        facescape.read_displacement(path, 8)
    mesh = FaceMesh(template.verts[None, :3], torch.tensor([[0, 1, 2]]), template.uvs[:3], torch.tensor([[0, 1, 2]]))
    other = dataset / "1" / "models_reg" / "2_smile.obj"
    write_obj(mesh, other)
    with pytest.raises(FileError, match="registered meshes"):
        facescape._verts(other, template)
    with pytest.raises(FileError, match="none in"):
        facescape.find_people(dataset / "1")


def test_directions_are_transferred_into_another_chart(template):
    """Furrows along x of the tile, under a chart that is turned by 90 degrees, run along y."""
    field = torch.zeros(3, 16, 16)
    field[0], field[2] = 1.0, 0.12  # twice the angle 0
    tile_uvs = torch.stack((template.uvs[:, 1], 1 - template.uvs[:, 0]), dim=-1)
    found = facescape.transfer_field(field, tile_uvs, torch.ones(len(tile_uvs)), template, 16)
    middle = found[:, 5:11, 5:11]
    torch.testing.assert_close(middle[0], -torch.ones(6, 6), atol=1e-3, rtol=0)
    torch.testing.assert_close(middle[1], torch.zeros(6, 6), atol=1e-2, rtol=0)
