"""The head that is built from the made-up pack: topology, charts in their places, parts that move as they should."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from facekit.conventions import PARTS
from facekit.train.head import lids, parts
from facekit.train.head.atlas import UNUSED, cover_texels, spread, tongue_uvs
from facekit.train.head.occlusion import cast
from facekit.train.head.stage import HeadTemplate
from facekit.train.head.surface import ATLAS, TILE_RECT, fitted, into_rect, lip_outline
from facekit.train.pack import HeadPack, load_head

EYES, TEETH, MOUTH = (PARTS.index(name) for name in ("eyes", "teeth", "mouth"))
EYE_VERTS = 1 + len(parts.EYE_RINGS) * parts.EYE_SEGMENTS


@pytest.fixture(scope="module")
def pack(tiny_pack) -> HeadPack:
    return load_head(tiny_pack)


@pytest.fixture(scope="module")
def head(tiny_head) -> HeadTemplate:
    return tiny_head[1]


def test_every_vertex_is_used_and_finite(head):
    assert np.array_equal(np.unique(head.faces), np.arange(len(head.verts)))
    assert np.array_equal(np.unique(head.faces_uvs), np.arange(len(head.uvs)))
    for field in (head.verts, head.ao, head.identity_modes, head.expression_shapes):
        assert np.isfinite(field).all()
    assert set(np.unique(head.parts)) == set(range(len(PARTS)))
    assert len(set(head.landmarks.tolist())) == 68 and head.landmarks.min() >= 0


def test_edges_are_manifold(head):
    directed = np.concatenate([head.faces[:, [0, 1]], head.faces[:, [1, 2]], head.faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)
    assert np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)[1].max() == 2


def test_shapes_move_what_their_names_say(head):
    def moved(name: str) -> np.ndarray:
        return head.expression_shapes[head.expression_names.index(name)]

    chin, crown = head.landmarks[8], head.verts[:, 1].argmax()
    assert moved("jawOpen")[chin, 1] < -10
    assert np.abs(moved("jawOpen")[crown]).max() == 0
    left = head.verts[:, 0] > 0
    assert np.abs(moved("browDown_L")[left]).max() > 10 * np.abs(moved("browDown_L")[~left]).max()


def test_gaze_turns_the_eyeball_to_the_side_of_its_name(head):
    start = len(head.verts) - 2 * EYE_VERTS  # the subject's left eye comes first; vertex 0 of a ball is its pole
    for name, axis, sign in (("eyeLookUp_L", 1, 1), ("eyeLookDown_L", 1, -1), ("eyeLookOut_L", 0, 1)):
        shape = head.expression_shapes[head.expression_names.index(name)]
        assert sign * shape[start, axis] > 2, name
        assert np.abs(shape[start + EYE_VERTS :]).max() == 0, "the other eye stays"


def test_blinks_meet_for_the_mean_and_for_an_identity(head):
    """The corrective closes the remaining gap: with it the upper margin meets the lower one."""
    for side in "LR":
        matrix = head.blink_correctives[side]
        assert matrix.nnz > 0
        sign = 1 if side == "L" else -1
        assert (sign * head.verts[np.unique(matrix.nonzero()[0]), 0] > 0).all()
        shift = lids.apply(matrix, head.identity_modes[0].astype(float))
        assert (shift[:, 0] == 0).all()
        assert np.isfinite(shift).all()


def test_lips_that_are_apart_are_sealed_halfway():
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    verts = np.stack([20 * np.cos(turn), 1.5 * np.sin(turn), np.zeros(16)], -1)
    everything = np.ones(16, bool)
    sealed = verts[:, 1] + lids.lip_seal(verts, everything, everything) @ verts[:, 1]
    inner = np.abs(verts[:, 0]) < 15
    assert np.abs(sealed[inner]).max() < 0.15 * np.abs(verts[inner, 1]).max()
    np.testing.assert_allclose(sealed[[0, 8]], 0, atol=1e-9)


def test_charts_lie_in_their_rectangles(head):
    corners = head.parts[head.faces]
    for part, name in ((EYES, "eyes"), (TEETH, "teeth")):
        u0, v0, u1, v1 = ATLAS[name]
        box = head.uvs[np.unique(head.faces_uvs[(corners == part).all(1)])]
        assert (box >= [u0 - 1e-6, v0 - 1e-6]).all() and (box <= [u1 + 1e-6, v1 + 1e-6]).all()
    face = head.uvs[np.unique(head.faces_uvs[(corners == 0).all(1)])]
    assert (face >= np.array(TILE_RECT[:2]) - 1e-6).all()


def test_the_atlas_shows_parts_where_faces_lie(head, tiny_head):
    pictures = {
        name: np.array(Image.open(tiny_head[0].out / f"atlas_{name}.png")) for name in ("parts", "base", "iris")
    }
    assert pictures["base"].shape == (1024, 1024, 3)
    assert set(np.unique(pictures["parts"])) == {*range(len(PARTS)), UNUSED}
    assert (pictures["parts"][pictures["iris"] > 0] == EYES).all()
    assert pictures["iris"].max() > 250
    assert tongue_uvs(head).any()


def test_eyes_are_balls_about_the_packs_own(pack):
    for side, sign in (("L", 1), ("R", -1)):
        centre, radius, sclera = parts.eye_sphere(pack, side)
        assert sign * centre[0] > 20
        assert radius == pytest.approx(12.5, abs=0.5)
        ball = parts.build_eye(pack, side, EYES)
        assert len(ball.verts) == EYE_VERTS
        assert np.abs(np.linalg.norm(ball.verts - centre, axis=1) - radius).max() < 1.1
        shift = np.zeros_like(pack.verts)
        shift[sclera] = [1.0, 2.0, 3.0]
        np.testing.assert_allclose(ball.carry @ shift, np.tile([1.0, 2.0, 3.0], (EYE_VERTS, 1)), atol=1e-6)


def test_teeth_keep_their_rows(pack):
    seen = np.ones(len(pack.verts), bool)
    crowns = parts.build_teeth(pack, seen, TEETH, 10_000)
    assert len(crowns) == 16
    assert sum(crown.verts[:, 1].mean() > -33.5 for crown in crowns) == 8
    assert all((crown.uvs >= 0).all() and (crown.uvs <= 1).all() for crown in crowns)


def test_teeth_are_simplified_to_a_budget(pack):
    seen = np.ones(len(pack.verts), bool)
    many, few = (parts.build_teeth(pack, seen, TEETH, target) for target in (10_000, 250))
    assert sum(len(c.verts) for c in few) < 0.85 * sum(len(c.verts) for c in many)
    for crown in few:
        np.testing.assert_allclose(crown.carry.sum(1), 1)


def test_repeated_corners_make_one_triangle():
    corner, owner = parts.triangles_of(np.array([[0, 1, 2, 2], [0, 1, 2, 3]]))
    assert owner.tolist() == [0, 1, 1]
    assert corner.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]


def test_free_sky_is_white_and_a_floor_under_a_roof_dark():
    floor = np.array([[-1.0, 0, -1], [-1, 0, 1], [1, 0, 1], [1, 0, -1]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    np.testing.assert_allclose(cast(floor, faces), 1.0)
    roof = 50 * floor + [0, 0.3, 0]
    covered = cast(np.concatenate([floor, roof]), np.concatenate([faces, faces[:, ::-1] + 4]))
    assert covered[:4].max() < 0.1


def test_texels_know_their_face_and_place():
    uvs = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
    owner, weight = cover_texels(uvs, np.array([[0, 1, 2], [0, 2, 3]]), 8)
    assert (owner[np.triu_indices(8, 1)[::-1]] >= 0).all()
    assert owner[7, 6] == 0 and owner[0, 1] == 1  # bottom right, top left
    np.testing.assert_allclose(weight.sum(-1), 1)
    place = (weight[..., None] * uvs[np.array([[0, 1, 2], [0, 2, 3]])[owner]]).sum(2)
    np.testing.assert_allclose(place[3, 5], [5.5 / 8, 1 - 3.5 / 8])
    none, _ = cover_texels(uvs * 0.5, np.array([[0, 1, 2]]), 8)
    assert (none[:4] == -1).all()


def test_values_spread_within_reach():
    values, known = np.array([[1.0, 0, 0, 0]]), np.array([[True, False, False, False]])
    filled, reached = spread(values, known, reach=2)
    assert filled.tolist() == [[1.0, 1, 1, 1]]
    assert reached.tolist() == [[True, True, True, False]]


def test_rectangles_and_outlines(pack):
    square = np.array([[0.0, 0.0], [1.0, 0.5]])
    assert into_rect(square, (0.5, 0.0, 1.0, 0.5)).tolist() == [[0.5, 0.0], [1.0, 0.25]]
    box = fitted(np.array([[3.0, 1.0], [7.0, 2.0]]), margin=0.0)
    assert box.tolist() == [[0.0, 0.375], [1.0, 0.625]]
    turn = np.pi - np.linspace(0, 2 * np.pi, 12, endpoint=False)
    curve = lip_outline(np.stack([np.cos(turn), 0.4 * np.sin(turn)], -1))
    assert len(curve) == 160
    assert np.abs(curve[:, 1]).max() == pytest.approx(0.4, abs=0.01)
