"""Hair follows heads and lids: default styles, placement, and an unchanged head."""

from __future__ import annotations

import pickle

import pytest
import torch

from facekit.errors import InputError
from facekit.geometry.normals import vertex_normals
from facekit.latents import FaceLatents
from facekit.models.hair import Outfit
from facekit.models.hair_choice import choose_hair, style_weights
from facekit.traits import age_share


@pytest.fixture(scope="module")
def face(default_pipeline):
    return default_pipeline(seed=15, hair="short02")


def lashes(face):
    return face.hair[0].verts[face.hair[0].cards.lash]


def test_styles_have_names_and_none_is_none(default_pipeline):
    assert default_pipeline.hair_styles[0] == "bald" and len(default_pipeline.hair_styles) >= 6
    bare = default_pipeline(seed=15, hair=None)
    assert bare.hair == () and not default_pipeline(seed=15, hair="bald").hair[0].cards.on_scalp.any()
    with pytest.raises(InputError, match="short02"):
        default_pipeline(seed=15, hair="mohawk")
    with pytest.raises(InputError, match="goatee"):
        default_pipeline(seed=15, hair="auto+mutton")


def test_the_head_is_the_same_with_hair(default_pipeline, face):
    bare = default_pipeline(seed=15, hair=None)
    assert torch.equal(face.verts, bare.verts) and torch.equal(face.texture, bare.texture)
    assert len(face.hair) == 1 and face.without_hair().hair == ()


def test_identity_alone_decides(default_pipeline):
    codes = FaceLatents.sample(0, count=200)
    pipe, styles = default_pipeline, default_pipeline.hair_styles
    traits = pipe.composer.micro.projections(pipe.to_model_codes(codes).identity)
    names = choose_hair(traits, styles)
    older = pipe.composer.micro.projections(pipe.to_model_codes(codes[100:].with_traits(age=40)).identity)
    kept = [(a, b) for a, b in zip(names[100:], choose_hair(older, styles), strict=True) if "receding01" not in (a, b)]
    assert len(kept) > 90 and sum(a == b for a, b in kept) > 0.8 * len(kept), "styles outlast years, but for hair lost"
    assert names[:8] == [
        default_pipeline(seed=k).hair[0].style.split("+")[0] for k in range(8)
    ]  # seeds and batches agree
    assert "bob02" not in names, "it hides an eye"
    assert len(set(names)) >= 6 and max(names.count(n) for n in set(names)) < 50
    traits = pipe.composer.micro.projections(FaceLatents.sample(0, count=1600).identity)
    names, manly = choose_hair(traits, styles), traits["masculinity"] > 0.8
    tied = torch.tensor([n in ("ponytail01", "long01", "bob02") for n in names])
    assert tied[~manly].float().mean() > 2 * tied[manly].float().mean()


@pytest.fixture(scope="module")
def women(default_pipeline):
    """Traits of 400 women."""
    traits = default_pipeline.composer.micro.projections(FaceLatents.sample(0, count=1600).identity)
    chosen = (traits["masculinity"] < -0.52).nonzero()[:400, 0]
    assert len(chosen) == 400
    return {name: values[chosen] for name, values in traits.items()}


def test_women_wear_all_kinds_of_hair(default_pipeline, women):
    names = choose_hair(women, default_pipeline.hair_styles)
    for name in ("side01", "wavy01", "bob03", "bun01", "long01", "mid01", "ponytail01", "short02"):
        assert names.count(name) >= 8, name
    assert max(names.count(name) for name in names) < 0.25 * len(names)
    young, old = (
        choose_hair(women | {"age": torch.full((400,), age)}, default_pipeline.hair_styles) for age in (-2.0, 2.0)
    )
    for name, more in (("long01", young), ("side01", young), ("short02", old), ("bob03", old), ("bun01", old)):
        less = old if more is young else young
        assert more.count(name) > less.count(name), name


def test_men_wear_none_of_womens_styles(default_pipeline, women):
    names = choose_hair(women | {"masculinity": torch.full((400,), 2.0)}, default_pipeline.hair_styles)
    assert not {"side01", "wavy01", "bob03", "bun01", "mid01"} & set(names)


def test_hair_recedes_with_mens_years_where_no_painted_one_would_show(default_pipeline, women):
    styles = default_pipeline.hair_styles
    men, share = women | {"masculinity": torch.full((400,), 2.0)}, []
    for age in (-2.0, 0.0, 2.0):
        names = choose_hair(men | {"age": torch.full((400,), age)}, styles)
        receding = men["hair_strength"][[name == "receding01" for name in names]].tolist()
        assert all(strength <= 0 for strength in receding)
        share.append(len(receding) / 400)
    assert share[0] == 0 < share[1] < share[2] < 0.35
    assert "receding01" not in choose_hair(women | {"age": torch.full((400,), 2.0)}, styles)


def test_men_with_tight_curls_often_crop_them(default_pipeline, women):
    styles = default_pipeline.hair_styles
    dark = women | {"masculinity": torch.full((400,), 2.0), "melanin": torch.full((400,), 2.0)}
    light, men = dark | {"melanin": torch.full((400,), -2.0)}, choose_hair(dark, styles)
    assert men.count("cropped01") > 1.4 * choose_hair(light, styles).count("cropped01") > 0
    hers = choose_hair(dark | {"masculinity": torch.full((400,), -2.0)}, styles)
    assert hers.count("afro01") > men.count("afro01") > 0 and hers.count("cropped01") < 8


def hidden(pipe, seed: int, style: str) -> int:
    """Count points on cards that lie before an iris or within a few millimetres of it, seen from the front."""
    worn = pipe(seed=seed, hair=style, detail=False)
    cards = worn.hair[0].cards
    corner = worn.hair[0].verts[cards.faces][cards.on_scalp[cards.faces].all(1)]
    share = torch.rand(24, 1, 3, generator=torch.Generator().manual_seed(0)) ** 2
    points = (corner[None] * (share / share.sum(-1, keepdim=True))[..., None]).sum(2).reshape(-1, 3)
    landmarks, count = worn.verts[0, worn.mesh.landmarks], 0
    for eye in (landmarks[36:42].mean(0), landmarks[42:48].mean(0)):
        count += int(((points[:, 2] > eye[2]) & ((points - eye)[:, :2].norm(dim=1) < 9.0)).sum())
    return count


def test_eyes_are_free(default_pipeline):
    for style in ("side01", "wavy01", "bob03", "bun01"):
        assert not any(hidden(default_pipeline, seed, style) for seed in (4002, 4009, 4029)), style
    assert hidden(default_pipeline, 4001, "bob02") > 0, "it hides an eye"


def test_styles_share_a_strand_texture(default_pipeline):
    wardrobe, lashes = default_pipeline.wardrobe, default_pipeline.wardrobe.lashes[0]
    for style, other in (("wavy01", "long01"), ("bun01", "ponytail01")):
        one, two = (wardrobe.cards(Outfit(name, lashes)) for name in (style, other))
        assert torch.equal(one.strands, two.strands) and len(one.verts) != len(two.verts)
        assert len(one.verts) - int(one.lash.sum()) <= 3000


def test_hair_stays_out_of_the_skin(default_pipeline):
    for seed, expression in ((3, "brow_raiser"), (19, "grin")):
        worn = default_pipeline(seed=seed, expression=expression, hair="short04")
        hair, verts = worn.hair[0], worn.verts[0]
        points = hair.verts[hair.cards.on_scalp]
        normals = vertex_normals(worn.verts, worn.mesh.faces)[0]
        skin = (worn.mesh.parts == 0) | (worn.mesh.parts == 6)
        distance, near = torch.cdist(points, verts[skin]).min(1)
        height = ((points - verts[skin][near]) * normals[skin][near]).sum(1)
        assert (height[distance < 20] < 0.5).float().mean() < 0.01


def test_lashes_follow_closing_lids(default_pipeline):
    open_, shut = (default_pipeline(seed=0, expression=e, hair="bald") for e in ("neutral", "eye_closed"))
    # The upper lids' lashes are those that hang higher.
    upper = lashes(open_)[:, 1] > lashes(open_)[:, 1].mean()
    fall = (lashes(open_) - lashes(shut))[:, 1]
    assert fall[upper].mean() > 4.0 and fall[~upper].mean().abs() < 2.5
    lids = shut.verts[0, shut.mesh.parts == 2]
    assert torch.cdist(lashes(shut), lids).amin(1).max() < 12.0


def test_batches_pick_and_travel(default_pipeline):
    pair = default_pipeline(latents=FaceLatents.sample(2, count=2))
    assert len(pair.hair) == 2 and torch.equal(pair[1].hair[0].verts, pair.hair[1].verts)
    assert torch.equal(pair.to("cpu").hair[0].verts, pair.hair[0].verts)
    back = pickle.loads(pickle.dumps(pair[0]))  # noqa: S301
    assert back.hair[0].style == pair.hair[0].style


def test_a_person_from_outside_has_none_of_the_codes_hair(default_pipeline):
    from facekit.person import Person

    codes = FaceLatents.sample(4)
    person = default_pipeline.with_person(Person(default_pipeline.template.verts, codes))
    assert person(latents=codes).hair == ()
    assert person(latents=codes, hair="short01").hair[0].style.startswith("short01")


def test_the_cap_lies_on_the_scalp(face):
    cards, landmarks = face.hair[0].cards, face.mesh.landmarks
    assert cards.cap[landmarks[17:]].max() < 0.05  # brows, nose, eyes and mouth are bare
    crown = face.verts[0, :, 1].argmax()
    assert cards.cap[crown] > 0.9
    capped = face.hair[0].capped(face.mesh)
    assert capped.shape == face.texture.shape and not torch.equal(capped, face.texture)


def test_styles_are_worn_as_often_as_their_weights_say(default_pipeline):
    identity = FaceLatents.sample(0, count=4000).identity
    traits, styles = default_pipeline.composer.micro.projections(identity), default_pipeline.hair_styles
    man, dark = (torch.special.ndtr(traits[name]).tolist() for name in ("masculinity", "melanin"))
    age = age_share(traits["age"]).tolist()
    likely = dict.fromkeys(styles, 0.0)
    for k in range(len(identity)):
        weights = style_weights(man[k], age[k], dark[k], styles)
        for name, weight in weights.items():
            likely[name] += weight / sum(weights.values())
    names = choose_hair(traits, styles)
    for name, mean in likely.items():
        assert abs(names.count(name) - mean) <= 4 * mean**0.5, name
