"""Source of a face: explicit, dropped by pickles and restored, and wrappers that count as one."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest
import torch

from facekit.conventions import EXPRESSIONS, MORPH_TARGETS
from facekit.errors import InputError
from facekit.face import FaceOutput
from facekit.latents import FaceLatents
from facekit.source import RigSource
from facekit.sweeps import sweep_intensity

MEGABYTE = 1e6


def through_pickle(face: FaceOutput) -> FaceOutput:
    """The face as another process receives it."""
    return pickle.loads(pickle.dumps(face))  # noqa: S301  # our own bytes


@pytest.fixture(scope="module")
def face(default_pipeline) -> FaceOutput:
    return default_pipeline(seed=3, expression="smile", detail_strength=0.5)


def test_a_face_names_its_source(face, default_pipeline):
    assert face.source is default_pipeline
    assert face.settings.detail is True and face.settings.detail_strength == 0.5


def test_no_part_prints_its_tensors(face, tiny_face):
    (hair,) = face.hair
    for part, named in ((hair, hair.style), (hair.cards, "triangles"), (face.detail, "0.5"), (tiny_face.rig(), "19")):
        assert named in repr(part) and len(repr(part)) < 160


def test_a_pickle_leaves_the_source_behind(face):
    assert len(pickle.dumps(face)) < 30 * MEGABYTE
    assert len(pickle.dumps((face.latents, face.settings, face.model))) < 10_000
    back = through_pickle(face)
    assert torch.equal(back.verts, face.verts) and torch.equal(back.texture, face.texture)
    assert back.metadata == face.metadata and back.settings == face.settings and back.can_rig


def test_one_face_of_a_sweep_takes_itself_along_only(default_pipeline):
    faces = sweep_intensity(default_pipeline, FaceLatents.sample(1), "anger", steps=4)
    assert len(pickle.dumps(faces[2])) < 30 * MEGABYTE
    back = through_pickle(faces[2])
    assert torch.equal(back.displacement, faces[2].displacement)


def test_the_first_use_finds_the_model_again(face):
    back = through_pickle(face)
    rig = back.rig()
    torch.testing.assert_close(rig.deltas, face.rig().deltas)
    assert back.source.name == "default"


def test_a_rig_is_made_once_and_is_no_part_of_a_pickle(tiny_face):
    assert tiny_face.rig() is tiny_face.rig()
    assert "_rig" not in through_pickle(tiny_face).__dict__


def test_a_source_is_handed_over(tiny_face, tiny_pipe):
    back = through_pickle(tiny_face)
    with pytest.raises(InputError, match="'tiny'.*reattach"):
        back.rig()
    again = back.reattach(tiny_pipe)
    assert again.source is tiny_pipe and again.rig().names == MORPH_TARGETS
    assert tiny_face.reattach().source is tiny_pipe


def test_a_model_of_another_topology_is_not_taken(tiny_face):
    stranger = through_pickle(dataclasses.replace(tiny_face, model="default"))
    with pytest.raises(InputError, match="234 vertices"):
        stranger.rig()


def test_a_face_without_a_source_says_so(tiny_face):
    lone = dataclasses.replace(tiny_face, source=None)
    assert not lone.can_rig and not through_pickle(lone).can_rig
    for call in (lone.rig, lone.reattach, lone.resolve_source):
        with pytest.raises(InputError, match="one without"):
            call()


def test_copies_keep_what_counts(tiny_face):
    assert torch.equal(copy.deepcopy(tiny_face).verts, tiny_face.verts)
    assert tiny_face.to("cpu").source is tiny_face.source
    assert tiny_face[0].source is tiny_face.source


class Wrapper:
    """Wrapper that forwards everything to a pipeline, like a logging or caching layer."""

    def __init__(self, inner) -> None:
        self.inner, self.asked = inner, []

    def __getattr__(self, name):
        self.asked.append(name)
        return getattr(self.inner, name)

    def __call__(self, **options):
        return dataclasses.replace(self.inner(**options), source=self)


def test_a_wrapper_is_a_source(default_pipeline):
    from facekit.viz.viewer.tracks import Subject, track_entries

    wrapper = Wrapper(default_pipeline)
    face = wrapper(latents=FaceLatents.sample(2))
    subject = Subject.of(face)
    assert subject.source is wrapper
    header, _ = track_entries(subject, "smile", 4)
    assert {"position", "tension", "compress", "stretch"} <= set(header)
    assert "keyframes" in wrapper.asked


def test_keyframes_are_the_faces_shapes(default_pipeline):
    codes = FaceLatents.sample(4)
    batch = FaceLatents.cat([codes.with_expression("smile", value) for value in (0.0, 0.7, 1.4)])
    frames = default_pipeline.keyframes(batch)
    faces = default_pipeline(latents=batch)
    torch.testing.assert_close(frames.verts, faces.verts, atol=2e-4, rtol=0)
    torch.testing.assert_close(frames.compress, faces.detail.compress, atol=5e-5, rtol=1e-3)
    torch.testing.assert_close(frames.tension, faces.detail.tension, atol=5e-5, rtol=1e-3)
    assert default_pipeline.keyframes(batch, detail="static").compress is None


def test_a_rig_as_a_source(tiny_face):
    rig = tiny_face.rig()
    source = RigSource(rig)
    assert source.expressions == EXPRESSIONS and source.single_person
    smiling = source(latents=tiny_face.latents, expression="smile", intensity=0.5)
    torch.testing.assert_close(smiling.verts, rig.neutral.verts + 0.5 * rig.deltas[:1])
    assert smiling.source is source
    frames = source.keyframes(FaceLatents.cat([smiling.latents, smiling.latents.with_expression("neutral", 0.0)]))
    assert frames.verts.shape[0] == 2 and float(frames.tension[1].abs().max()) == 0.0
    weights = source.rig(smiling.latents).weights
    assert float(weights[MORPH_TARGETS.index("smile")]) == 0.5


def test_a_rig_with_a_few_targets(tiny_face):
    rig = tiny_face.rig()
    few = dataclasses.replace(rig, names=("smile", "tongue_out"), deltas=rig.deltas[:2], weights=torch.zeros(2))
    source = RigSource(few)
    assert source.expressions == ("neutral", "smile")
    posed = source.decode(tiny_face.latents.with_expression({"smile": 1.0, "anger": 1.0}))
    torch.testing.assert_close(posed.verts, rig.neutral.verts + rig.deltas[:1])
