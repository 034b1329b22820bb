"""Brows match the painted ones and move with the skin; beards are only on people with beard growth, off the lips."""

from __future__ import annotations

import pytest
import torch

from facekit.conventions import PARTS
from facekit.geometry.uv import sample_texture
from facekit.hair import HAIR_PARTS
from facekit.latents import FaceLatents
from facekit.models.facial_hair import SHAVEN
from facekit.models.hair_choice import choose_beards
from facekit.person import Person


def corners(face, part):
    """Corners (N, 6, 3) mm of the cards of one part."""
    worn = face.hair[0]
    return worn.verts[worn.cards.part == HAIR_PARTS.index(part)].view(-1, 6, 3)


def gap(points, face, parts=("skin",)):
    """Distances (N,) mm from points to vertices of the head's parts."""
    ids = torch.tensor([PARTS.index(name) for name in parts])
    return torch.cdist(points, face.verts[0, torch.isin(face.mesh.parts, ids)]).amin(1)


@pytest.fixture(scope="module")
def bearded(default_pipeline):
    return default_pipeline(seed=15, hair="bald+full")


def test_brows_grow_where_the_network_paints_them(default_pipeline):
    template = default_pipeline.template
    for seed in (17, 18):
        face = default_pipeline(seed=seed, hair="bald+shaven")
        cards = corners(face, "brows")
        seen = cards[(cards[:, 4] - cards[:, 0]).norm(dim=1) > 2.0]
        assert 60 < len(seen) <= len(cards)
        # Colour of the skin under the tufts' middle against that of the forehead a centimetre higher.
        brows = default_pipeline.grooming(face.latents).brows
        middle = brows.rows[0, brows.grown[0] > 0.5, 1]
        x0, y0, x1, y1 = template.tile_rect
        tones = []
        for places in (middle, middle - torch.tensor([0.0, 0.04])):
            x, y = places.unbind(-1)
            uv = torch.stack((x0 + (x1 - x0) * x, y0 + (y1 - y0) * (1 - y)), -1)
            tones.append(sample_texture(face.texture, uv)[0].mean(0))
        # Through sparse brows, as of the second person, skin is seen.
        assert float(tones[0].median()) < 0.85 * float(tones[1].median())
        assert float(gap(seen[:, 0], face).max()) < 5.0


def test_thin_brows_have_fewer_hairs(default_pipeline):
    grown = []
    for thickness in (0.05, 0.95):
        codes = default_pipeline.to_model_codes(FaceLatents.sample(5).with_traits(brow_thickness=thickness))
        grown.append(float(default_pipeline.grooming(codes).brows.grown.mean()))
    assert grown[0] < 0.75 * grown[1]


def test_brows_and_beard_go_with_the_skin(default_pipeline, bearded):
    raised = default_pipeline(seed=15, hair="bald+full", expression="brow_raiser")
    open_ = default_pipeline(seed=15, hair="bald+full", blendshapes={"jawOpen": 1.0})
    assert float((corners(raised, "brows") - corners(bearded, "brows"))[..., 1].mean()) > 1.5
    fall = (corners(bearded, "beard") - corners(open_, "beard"))[..., 1].mean(1)
    low = corners(bearded, "beard").mean(1)[:, 1] < -60
    assert float(fall[low].mean()) > 8.0
    for face in (bearded, raised, open_):
        assert float(gap(corners(face, "beard")[:, :2].mean(1), face).max()) < 5.0
    # A card keeps its size.
    length = [(c[:, 4] - c[:, 0]).norm(dim=1) for c in (corners(bearded, "beard"), corners(open_, "beard"))]
    assert float((length[0] - length[1]).abs().max()) < 0.5


def test_a_beard_leaves_the_lips_free(default_pipeline, bearded):
    cards = bearded.hair[0].cards
    assert cards.bearded[bearded.mesh.parts == PARTS.index("lips")].max() == 0
    assert cards.bearded[bearded.mesh.landmarks[[5, 11]]].min() > 0.4
    some = [default_pipeline(seed=15, hair=f"bald+{name}") for name in ("moustache", "goatee")]
    counts = [len(corners(face, "beard")) for face in (*some, bearded)]
    assert counts == sorted(counts) and 100 < counts[0] < 0.7 * counts[1] < 0.5 * counts[2]


def test_identity_chooses_the_beard(default_pipeline):
    codes = FaceLatents.sample(0, count=300)
    traits = default_pipeline.composer.micro.projections(codes.identity)
    names = choose_beards(traits)
    worn = torch.tensor([name != SHAVEN for name in names])
    assert 0.08 < float(worn.float().mean()) < 0.3 and set(names) == set(default_pipeline.beard_styles)
    assert float(traits["masculinity"][worn].min()) > 0
    assert names[:4] == choose_beards({name: values[:4] for name, values in traits.items()})


def test_a_photographs_skin_has_its_own(default_pipeline):
    codes = FaceLatents.sample(4)
    person = Person(default_pipeline.template.verts, codes, atlas=torch.full((1, 3, 8, 8), 0.5), hair="short01")
    pipe = default_pipeline.with_person(person)
    worn = pipe(latents=codes).hair[0].cards
    assert {HAIR_PARTS[k] for k in worn.part.unique().tolist()} == {"hair", "lashes"}
    asked = pipe(latents=codes, hair="auto+goatee").hair[0]
    assert asked.style.startswith("short01+goatee")
