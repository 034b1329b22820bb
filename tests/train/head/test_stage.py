"""The shipped template: counts, topology, UVs, landmarks; and, where the training pack is there, its
reproduction."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from tests import TRAINING_PACK as PACK

ASSETS = ROOT / "facekit" / "assets"
SKIN, LIPS, LIDS, EYES, TEETH, MOUTH, BACK, NECK = range(8)


@pytest.fixture(scope="module")
def template() -> dict[str, np.ndarray]:
    with np.load(ASSETS / "template.npz", allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def edge_counts(faces: np.ndarray) -> np.ndarray:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(edges, axis=0, return_counts=True)[1]


def test_shapes_and_types(template):
    n = len(template["verts"])
    assert 15_000 <= n <= 30_000
    assert template["verts"].shape == (n, 3) and template["verts"].dtype == np.float32
    assert template["faces"].dtype == np.int32 and template["faces_uvs"].shape == template["faces"].shape
    assert template["parts"].shape == (n,) and template["ao"].shape == (n,)
    assert list(template["part_names"]) == [
        "skin",
        "lips",
        "lids",
        "eyes",
        "teeth",
        "mouth",
        "back_of_head",
        "neck",
    ]
    assert (ASSETS / "template.npz").stat().st_size < 2_000_000


def test_every_vertex_and_uv_is_used_and_finite(template):
    assert np.array_equal(np.unique(template["faces"]), np.arange(len(template["verts"])))
    assert np.array_equal(np.unique(template["faces_uvs"]), np.arange(len(template["uvs"])))
    assert np.isfinite(template["verts"]).all()
    assert template["uvs"].min() >= 0 and template["uvs"].max() <= 1
    assert template["ao"].min() >= 0 and template["ao"].max() <= 1


def test_no_degenerate_triangle(template):
    a, b, c = (template["verts"][template["faces"][:, k]].astype(float) for k in range(3))
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() / 2 > 1e-3
    p = template["uvs"][template["faces_uvs"]].astype(float)
    u, v = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    in_tile = p.max(1)[:, 0] <= 0.75
    in_tile &= p.min(1)[:, 1] >= 0.25
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    assert np.abs(area).min() > 0
    assert (area[in_tile] > 0).mean() > 0.999


def test_edges_are_manifold_and_consistently_oriented(template):
    faces = template["faces"]
    assert edge_counts(faces).max() == 2
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)


def test_skin_has_no_cracks(template):
    """The face's own border is the mouth of each socket and the bust's lower edge: nothing opens at the
    front."""
    skin = np.isin(template["parts"], (SKIN, LIPS, LIDS))
    edges = np.sort(
        np.concatenate([template["faces"][:, [0, 1]], template["faces"][:, [1, 2]], template["faces"][:, [2, 0]]]),
        axis=1,
    )
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border = unique[count == 1]
    assert not skin[border].all(1).any()


def test_landmarks_mirror(template):
    marks = template["landmarks"]
    assert len(set(marks.tolist())) == 68
    points = template["verts"][marks]
    assert (points[:8, 0] < 0).all() and (points[9:17, 0] > 0).all()
    for right, left in ((0, 16), (17, 26), (36, 45), (39, 42), (31, 35), (48, 54), (60, 64)):
        assert np.allclose(points[right] * [-1, 1, 1], points[left], atol=0.3)
    assert points[8, 1] < points[57, 1] < points[51, 1] < points[30, 1] < points[27, 1]


def test_parts_lie_where_they_should(template):
    verts, parts = template["verts"], template["parts"]
    assert set(np.unique(parts)) == set(range(8))
    assert (np.abs(verts[parts == EYES][:, 0]) > 10).all()
    assert (verts[parts == EYES][:, 0] > 0).sum() == (verts[parts == EYES][:, 0] < 0).sum()
    assert verts[parts == TEETH][:, 1].max() < 0 and verts[parts == NECK][:, 1].max() < 0
    assert verts[parts == BACK][:, 2].mean() < 0


def test_eyes_look_forward_and_rest_charts_keep_their_places(template):
    faces, uvs = template["faces"], template["uvs"]
    places = {EYES: (0.5, 0.0, 0.75, 0.25), TEETH: (0.25, 0.0, 0.5, 0.25)}
    for part, (u0, v0, u1, v1) in places.items():
        own = (template["parts"][faces] == part).all(1)
        box = uvs[np.unique(template["faces_uvs"][own])]
        assert (box >= [u0, v0]).all() and (box <= [u1, v1]).all()
    assert template["tile_rect"].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_atlas_pictures_match_the_template(template):
    parts = np.array(Image.open(ASSETS / "atlas_parts.png"))
    assert parts.shape == (1024, 1024) and set(np.unique(parts)) == set(range(8)) | {255}
    assert np.array(Image.open(ASSETS / "atlas_base.png")).shape == (1024, 1024, 3)
    iris = np.array(Image.open(ASSETS / "atlas_iris.png"))
    assert iris.max() > 250 and (parts[iris > 0] == EYES).all()
    uv = template["uvs"][template["faces_uvs"][(template["parts"][template["faces"]] == TEETH).all(1)]].mean(1)
    texel = parts[((1 - uv[:, 1]) * 1024).astype(int), (uv[:, 0] * 1024).astype(int)]
    assert (texel == TEETH).mean() > 0.95


def test_recipes_cover_all_expressions_with_mirrored_shapes():
    from facekit.conventions import EXPRESSIONS
    from facekit.train.shape.recipes import RECIPES, WEIGHT_CAPS

    assert list(RECIPES) == list(EXPRESSIONS)
    assert RECIPES["neutral"] == {}
    for name, recipe in [*RECIPES.items(), ("caps", WEIGHT_CAPS)]:
        assert all(weight > 0 for weight in recipe.values())
        for shape, weight in recipe.items():
            if shape.endswith("_L"):
                assert recipe[shape[:-2] + "_R"] == weight, (name, shape)


def test_a_missing_pack_names_its_sources(tmp_path):
    from facekit.errors import FacekitError
    from facekit.train.pack import load_head

    with pytest.raises(FacekitError, match="ICT-FaceKit"):
        load_head(tmp_path)
    with pytest.raises(FacekitError, match="MakeHuman"):
        load_head(tmp_path / "nowhere")


def test_the_pack_gives_the_shipped_template(template):
    if not (PACK / "ict_light.npz").exists():
        pytest.skip("needs the training pack beside the repository, in ../shared/training-pack")
    pytest.importorskip("embreex", reason="needs embreex to cast rays, of the extra train")
    pytest.importorskip("fast_simplification", reason="needs fast_simplification, of the extra train")
    import torch

    from facekit.evaluate.shape import turned_triangles
    from facekit.train.head.atlas import paint_atlas
    from facekit.train.head.stage import build_template

    built = build_template(PACK)
    assert np.array_equal(built.faces, template["faces"]) and np.array_equal(built.parts, template["parts"])
    for name in ("verts", "uvs", "faces_uvs", "landmarks", "ao"):
        assert np.array_equal(getattr(built, name), template[name]), name
    for name, picture in paint_atlas(built).items():
        assert np.array_equal(picture, np.array(Image.open(ASSETS / f"atlas_{name}.png"))), name
    verts, faces = torch.from_numpy(built.verts)[None], torch.from_numpy(built.faces).long()
    worst = max(
        int(turned_triangles(verts, verts + torch.from_numpy(shape), faces).sum())
        for name, shape in zip(built.expression_names, built.expression_shapes, strict=True)
        if name != "mouthClose"
    )
    assert worst < 0.005 * len(built.faces)
