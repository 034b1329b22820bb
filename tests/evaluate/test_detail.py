"""The detail experiment on a set whose truth the module itself makes, so that all figures are known."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from facekit.data import reliefs
from facekit.data.faceset import FaceSet
from facekit.data.reliefs import ReliefSet
from facekit.errors import FileError, InputError
from facekit.evaluate.detail import _way, detail, scans, transfer
from facekit.files.atomic import atomic_write
from facekit.files.images import save_image
from facekit.latents import FaceLatents
from facekit.models.config import DetailConfig
from facekit.models.detail import DetailModel
from facekit.models.detail_layer import DetailLayer
from facekit.weights import verified

NAMES = ("neutral", "smile", "brow_raiser")


@pytest.fixture(scope="module")
def folder(default_pipeline, tmp_path_factory):
    """Two people; on the left half of the tile the truth is the module's relief, on the right half it is doubled."""
    pipe, root = default_pipeline, tmp_path_factory.mktemp("relief")
    people = FaceLatents.cat([FaceLatents.sample(seed) for seed in (501, 502)])
    with torch.no_grad():
        verts = torch.stack([pipe.decode_shape(people.with_expression(name)) for name in NAMES], dim=1)
        way = _way(pipe, pipe.detail_layer)
        maps = [sum(way(code.expand(3, -1), v[:1], v)) for code, v in zip(people.identity, verts, strict=True)]
    maps = torch.stack(maps)[:, :, 0]
    side = maps.shape[-1]
    weight = torch.ones(side, side)
    weight[:, side // 2 :] = 0.0
    maps[..., side // 2 :] *= 2
    faces = FaceSet("codes", ("a", "b"), NAMES, verts, pipe.template.faces)
    reliefs.save(ReliefSet(faces, people.identity, maps, weight), root)
    return root


def test_the_truth_itself_has_no_error_and_parts_of_it_have(default_pipeline, folder):
    experiment = detail(default_pipeline, folder)
    results = experiment.run(methods=["no detail", "static alone", "a stranger's detail", "default, across furrows"])
    ours = {"method": "default, across furrows", "region": "all"}
    assert results.value(metric="distance_um", **ours) < 0.2, "half precision"
    assert results.value(metric="gain_percent", **ours) > 98
    assert results.value(metric="energy_share", **ours) == pytest.approx(1, abs=1e-3)
    assert results.value(metric="expression_energy_share", **ours) == pytest.approx(1, abs=1e-3)
    assert results.value(metric="worse_share", **ours) == 0
    none = {"method": "no detail", "region": "all"}
    assert results.value(metric="gain_percent", **none) == 0 and results.value(metric="energy_share", **none) == 0
    coarse = results.value(metric="distance_um", **none)
    assert 0 < results.value(metric="distance_um", method="a stranger's detail", region="all") < 2 * coarse
    static = results.select(metric="distance_by_expression_um", method="static alone")
    by_name = {row.region: row.mean for row in static}
    assert by_name["neutral"] < 0.2 < by_name["brow_raiser"], "at rest nothing dynamic is missed"
    assert {"nose", "mouth", "forehead", "cheeks"} <= {row.region for row in results.select(metric="distance_um")}


def test_furrows_are_swept_and_missing_controls_are_told(default_pipeline, folder):
    results = detail(default_pipeline, folder, quick=True).run(methods=["dynamic alone", "scalar tension"])
    assert any("controls/scalar.npz" in note for note in results.notes)
    assert results.value(metric="monotone_share", region="brow_raiser") == 1
    assert results.value(metric="furrow_depth_mm", region="brow_raiser") > 0.05
    with atomic_write(folder / "controls" / "scalar.npz") as path:
        path.write_bytes(verified("default", "detail").read_bytes())
    same = detail(default_pipeline, folder).run(methods=["scalar tension"])
    assert same.value(metric="distance_um", region="all") < 0.2, "the file says how it composes"


def test_detail_goes_from_face_to_face(default_pipeline):
    picture = transfer(default_pipeline, (3, 4))
    assert picture.width > 500 and picture.height > 500


def test_sets_are_checked(tmp_path):
    with pytest.raises(FileError, match="--stages relief"):
        reliefs.load(tmp_path)
    (tmp_path / "codes.npz").write_bytes(b"no archive")
    with pytest.raises(FileError, match="make the set again"):
        reliefs.load(tmp_path)
    faces = FaceSet("x", ("a",), ("neutral",), torch.zeros(1, 1, 4, 3), torch.tensor([[0, 1, 2]]))
    with pytest.raises(InputError, match="one map per scan"):
        ReliefSet(faces, torch.zeros(1, 20), torch.zeros(1, 2, 8, 8), torch.ones(8, 8))


def test_facescapes_scans_are_read_in_their_own_uv(tiny_mesh, tiny_template, default_pipeline, tmp_path):
    """The truth is a plate a tenth of a millimetre above the mesh; a module without maps has pores alone."""
    module = DetailModel(DetailConfig(size=32, static=2, compressed=2, stretched=1, hidden=8, field=16))
    trust = torch.ones(len(tiny_template.uvs))
    layer = DetailLayer(module, default_pipeline.composer.micro, tiny_template, tiny_template.uvs, trust, 64)
    pipe = types.SimpleNamespace(
        name="made up", template=tiny_template, detail_layer=layer, identities=torch.zeros(847, 20)
    )
    for k, name in enumerate(("neutral", "smile"), start=1):
        mesh = tiny_mesh.verts[0] * torch.tensor([1.0, 1.0 - 0.02 * k, 1.0])
        lines = [f"v {x} {y} {z}" for x, y, z in mesh.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (tiny_template.faces + 1).tolist()]
        path = tmp_path / f"3/models_reg/{k}_{name}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
        height = np.full((64, 64), 32768 + round(0.1 / 0.914 * 32768), np.uint16)
        save_image(height, tmp_path / f"3/dpmap/{k}_{name}.png")
    results = detail(pipe, tmp_path).run(methods=["no detail", "made up, across furrows", "scalar tension"])
    assert {row.split for row in results} == {"held-out scans"} and {row.dataset for row in results} == {"FaceScape"}
    assert results.value(metric="distance_um", region="all", method="no detail") == pytest.approx(100, abs=0.5)
    assert 50 < results.value(metric="distance_um", region="all", method="made up, across furrows") < 150
    assert any("controls/scalar.npz" in note for note in results.notes)
    pipe.identities = None
    with pytest.raises(InputError, match="--model 3dfacecam"):
        scans(pipe, tmp_path)
