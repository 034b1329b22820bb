"""From upstream's files to the cache: every fault is reported, nothing is executed, and updates are atomic."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facekit import convert, weights
from facekit.convert import datafiles, sources
from facekit.convert import published as conversion
from facekit.convert import template as facts
from facekit.errors import FacekitError, FileError, InputError, WeightsError
from facekit.files import readers
from facekit.models.config import ShapeConfig, TextureConfig
from facekit.models.shape import ShapeModel
from facekit.models.texture import TextureModel
from facekit.template import Template
from facekit.weights import manifest
from tests.convert import published
from tests.convert.published import DECODER, NAME, TEXTURE
from tests.convert.test_checkpoints import payloads
from tests.convert.test_datafiles import UPSTREAM, needs_upstream


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """Checkpoints as a zip, and the data folder."""
    return published.build(tmp_path_factory.mktemp("upstream"))


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The same with the checkpoints as a folder."""
    return published.build(tmp_path_factory.mktemp("unpacked"), zipped=False)


@pytest.fixture
def small_cache(upstream, cache, monkeypatch):
    """The cache; the manifest's record is that of the stand-in, its data files' hashes as if published."""
    published.pretend(upstream, monkeypatch, cache)
    known = {NAME: published.record_of(upstream, hashes=True), "default": weights.record("default")}
    monkeypatch.setattr(manifest, "models", lambda: known)
    return cache


def converted(cache):
    """Return hashes of the converted files by role; fails unless the cached model is complete, without other files."""
    weights.verify(NAME)
    files = json.loads((cache / NAME / "record.json").read_text())["files"]
    assert {p.name for p in (cache / NAME).iterdir()} == {
        "record.json",
        "verified.json",
        *(f["name"] for f in files.values()),
    }
    assert not any((cache / "importing").iterdir())
    return {role: entry["sha256"] for role, entry in files.items()}


def contents(folder):
    return {p: hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()}


# -- what is converted ------------------------------------------------------------------------------------------------


def test_everything_arrives(upstream, small_cache):
    folder = convert.import_files(NAME, upstream.checkpoints, upstream.data)
    assert folder == small_cache / NAME
    assert converted(small_cache).keys() == {"template", "shape", "texture", "identities", "base"}

    shape = readers.load_tensors(weights.verified(NAME, "shape"))
    assert torch.equal(shape["decoder.fc2.0.weight"], upstream.states[DECODER]["fc2.0.weight"])
    readers.load_into(ShapeModel(ShapeConfig(**upstream.config["shape"])), shape, "shape")
    texture = readers.load_tensors(weights.verified(NAME, "texture"))
    assert texture.keys() == {name.removeprefix("module.") for name in upstream.states[TEXTURE]}
    readers.load_into(TextureModel(TextureConfig(**upstream.config["texture"])), texture, "texture")
    assert torch.equal(readers.load_arrays(weights.verified(NAME, "identities"))["identities"], upstream.identities)

    template = Template.load(weights.verified(NAME, "template"))
    verts, faces, uvs, faces_uvs = published.head(upstream.config["shape"]["vertices"])
    assert torch.allclose(template.verts, verts, atol=1e-6)
    assert torch.allclose(template.uvs, uvs, atol=1e-6)
    assert torch.equal(template.faces, faces)
    assert torch.equal(template.faces_uvs, faces_uvs)
    assert template.verts.dtype == template.uvs.dtype == template.ao.dtype == torch.float32
    assert len(template.parts) == len(template.ao) == len(verts)

    base = np.asarray(Image.open(weights.verified(NAME, "base")))
    assert np.array_equal(base, np.load(upstream.data / "base_tex.npy")[..., ::-1]), "upstream stores BGR"


def test_tile_lies_where_upstream_pastes_it(upstream, small_cache):
    convert.import_files(NAME, upstream.checkpoints, upstream.data)
    u0, v0, u1, v1 = Template.load(weights.verified(NAME, "template")).tile_rect
    assert (u0 * 1024, u1 * 1024) == (204, 820)
    assert ((1 - v1) * 1024, (1 - v0) * 1024) == (51, 667)


def test_sources_are_noted(upstream, small_cache, capsys):
    convert.import_files(NAME, upstream.checkpoints, upstream.data)
    noted = json.loads((small_cache / NAME / "record.json").read_text())["sources"]
    digest = hashlib.sha256(upstream.checkpoints.read_bytes()).hexdigest()
    assert noted["checkpoints"] == {
        "name": "checkpoints.zip",
        "size": upstream.checkpoints.stat().st_size,
        "sha256": digest,
    }
    assert {"template_mesh", "faces", "identities", "base_texture", DECODER, TEXTURE} < noted.keys()
    assert sources.remembered(NAME) == {"checkpoints": digest}
    assert "not verified against a published hash" in capsys.readouterr().err


def test_first_load_need_not_hash(upstream, small_cache, monkeypatch):
    convert.import_files(NAME, upstream.checkpoints, upstream.data)
    monkeypatch.setattr(weights.store, "sha256_of", lambda path: pytest.fail(f"{path} was hashed"))
    weights.verified(NAME, "shape")


def test_zip_folder_and_old_format_give_the_same(upstream, unpacked, small_cache, tmp_path):
    convert.import_files(NAME, upstream.checkpoints, upstream.data)
    first = converted(small_cache)
    old = published.build(tmp_path / "old", zipped=False, legacy=True)
    content = published.zip_folder(unpacked.checkpoints / "ae", tmp_path / "ae.zip")
    with zipfile.ZipFile(content, "a") as flat:  # without the folder checkpoints/ around it
        for part in ("gan3d", "texture_models"):
            for path in (unpacked.checkpoints / part).rglob("*"):
                flat.write(path, path.relative_to(unpacked.checkpoints))
    data = published.zip_folder(upstream.data, tmp_path / "data.zip")
    for checkpoints, files in (
        (unpacked.checkpoints, upstream.data),
        (unpacked.checkpoints.parent, upstream.data),
        (old.checkpoints, upstream.data),
        (content, upstream.data),
        (str(upstream.checkpoints), str(data)),
    ):
        convert.remove(NAME)
        convert.import_files(NAME, checkpoints, files)
        assert converted(small_cache) == first, checkpoints


@needs_upstream
def test_upstreams_own_data_fit_the_manifest(tmp_path, monkeypatch):
    """Everything except the networks is upstream's: hashes, mesh and derived data."""
    config = {**published.SMALL, "shape": {**published.SMALL["shape"], "vertices": 26317}}
    record = dataclasses.replace(weights.record(NAME), config=config)
    monkeypatch.setattr(manifest, "models", lambda: {NAME: record})
    for path, state in published.state_dicts(config).items():
        (tmp_path / "checkpoints" / path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, tmp_path / "checkpoints" / path)
    convert.import_files(NAME, tmp_path / "checkpoints", UPSTREAM)
    template = Template.load(weights.verified(NAME, "template"))
    assert (len(template.verts), len(template.uvs), len(template.faces)) == (26317, 26404, 52261)
    assert template.landmarks.tolist() == list(facts.LANDMARKS)


# -- where files are found --------------------------------------------------------------------------------------------


def spread(data, folder):
    """The data files as upstream's repository has them."""
    (folder / "data").mkdir(parents=True)
    (folder / "texture_model/assets/texture_processing").mkdir(parents=True)
    for path in data.iterdir():
        place = "texture_model/assets/texture_processing" if path.name == "base_tex.npy" else "data"
        shutil.copy(path, folder / place)
    return folder


def test_data_are_found_in_upstreams_repository(upstream, unpacked, small_cache, tmp_path):
    repository = spread(upstream.data, tmp_path / "3DFaceCAM-main")
    (repository / "train.py").write_text("")
    convert.import_files(NAME, upstream.checkpoints, upstream.data)
    first = converted(small_cache)
    archive = published.zip_folder(repository, tmp_path / "repository.zip")
    shutil.copytree(unpacked.checkpoints, repository / "checkpoints")
    for checkpoints, data in (
        (upstream.checkpoints, repository),
        (upstream.checkpoints, repository / "data"),
        (upstream.checkpoints, archive),
        (repository, None),
        (repository / "checkpoints", None),
    ):
        convert.remove(NAME)
        convert.import_files(NAME, checkpoints, data)
        assert converted(small_cache) == first, (checkpoints, data)


def test_data_are_found_beside_and_in_the_zip(upstream, small_cache, tmp_path):
    alone = shutil.copy(upstream.checkpoints, tmp_path / "checkpoints.zip")
    with pytest.raises(FileError, match=r"template_mesh\.obj, face_v\.npy, zid_dictionary\.pkl, base_tex\.npy in"):
        convert.import_files(NAME, alone)
    for path in upstream.data.iterdir():
        shutil.copy(path, tmp_path)
    convert.import_files(NAME, alone)
    first = converted(small_cache)
    convert.remove(NAME)
    (tmp_path / "elsewhere").mkdir()
    whole = shutil.move(alone, tmp_path / "elsewhere" / "all.zip")
    with zipfile.ZipFile(whole, "a") as archive:
        for path in upstream.data.iterdir():
            archive.write(path, f"checkpoints/{path.name}")
    convert.import_files(NAME, whole)
    assert converted(small_cache) == first


def test_missing_files_are_listed(upstream, unpacked, small_cache, tmp_path):
    with pytest.raises(FileError, match="ae/Decoder/2000, gan3d.*142000_g.model below"):
        convert.import_files(NAME, upstream.data, upstream.data)
    shutil.copytree(upstream.data, tmp_path / "data")
    (tmp_path / "data" / "base_tex.npy").unlink()
    with pytest.raises(FileError, match=r"(?s)data files base_tex\.npy in .*\n\d\. run: facekit weights import"):
        convert.import_files(NAME, shutil.copy(upstream.checkpoints, tmp_path), tmp_path / "data")
    with pytest.raises(FileError, match="nowhere, which is not there"):
        convert.import_files(NAME, unpacked.checkpoints, tmp_path / "nowhere")


def test_several_of_a_name_must_agree(upstream, unpacked, small_cache, tmp_path):
    shutil.copytree(unpacked.checkpoints, tmp_path / "a" / "checkpoints")
    shutil.copytree(unpacked.checkpoints, tmp_path / "a" / "copy")
    convert.import_files(NAME, tmp_path / "a", upstream.data)
    first = converted(small_cache)
    torch.save({}, tmp_path / "a" / "copy" / DECODER)
    with pytest.raises(FileError, match="different ones: checkpoints/ae/Decoder/2000, copy/ae/Decoder/2000"):
        convert.import_files(NAME, tmp_path / "a", upstream.data)
    shutil.copytree(upstream.data, tmp_path / "data" / "b")
    (tmp_path / "data" / "a").mkdir()
    (tmp_path / "data" / "a" / "face_v.npy").write_bytes(b"another; the published one is known by its hash")
    convert.import_files(NAME, unpacked.checkpoints, tmp_path / "data")
    assert converted(small_cache) == first


# -- what is refused --------------------------------------------------------------------------------------------------


def test_embedded_model_is_not_imported(upstream, tmp_path):
    with pytest.raises(InputError, match="converted from published files, got 'default'"):
        convert.import_files("default", upstream.checkpoints, upstream.data)


@pytest.mark.parametrize("file", ["template_mesh.obj", "face_v.npy", "zid_dictionary.pkl", "base_tex.npy"])
def test_data_with_another_hash_are_refused(upstream, small_cache, tmp_path, file):
    shutil.copytree(upstream.data, tmp_path / "data")
    altered = bytearray((upstream.data / file).read_bytes())
    altered[len(altered) // 2] ^= 1
    (tmp_path / "data" / file).write_bytes(altered)
    with pytest.raises(WeightsError, match=rf"{file} with the published sha256 .*, got .*data/{file} with"):
        convert.import_files(NAME, upstream.checkpoints, tmp_path / "data")
    assert not weights.ready(NAME)


def test_other_zip_than_the_first_is_refused(upstream, unpacked, small_cache, tmp_path):
    convert.import_files(NAME, upstream.checkpoints, upstream.data)
    before = contents(small_cache)
    other = published.build(tmp_path, seed=5).checkpoints
    with pytest.raises(WeightsError, match="of the first download or import.*facekit weights remove 3dfacecam"):
        convert.import_files(NAME, other, upstream.data)
    assert contents(small_cache) == before


def test_mesh_and_triangles_must_agree(upstream, small_cache, tmp_path, monkeypatch):
    record = published.record_of(upstream)
    shutil.copytree(upstream.data, tmp_path / "data")
    np.save(tmp_path / "data" / "face_v.npy", np.load(upstream.data / "face_v.npy")[:, ::-1])
    with pytest.raises(WeightsError, match="triangles of template_mesh.obj"):
        convert.import_files(NAME, upstream.checkpoints, tmp_path / "data", record=record)
    config = {**upstream.config, "shape": {**upstream.config["shape"], "vertices": 883}}
    wrong = dataclasses.replace(record, config=config)
    with pytest.raises(WeightsError, match=r"shape decoder.*fc2.0.bias is \(2652,\) instead of \(2649,\)"):
        convert.import_files(NAME, upstream.checkpoints, upstream.data, record=wrong)


def test_full_disk_is_told(upstream, small_cache, monkeypatch):
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 0))
    with pytest.raises(FileError, match="full disk"):
        convert.import_files(NAME, upstream.checkpoints, upstream.data)


# -- 200 damaged inputs -----------------------------------------------------------------------------------------------


def flip(data, random, count=1):
    data = bytearray(data)
    for place in random.integers(len(data), size=count):
        data[place] ^= 1 << random.integers(8)
    return bytes(data)


def cut(data, random):
    return data[: random.integers(len(data))]


def spoil_zip(case):
    place = case.folder / "checkpoints.zip"
    data = case.upstream.checkpoints.read_bytes()
    place.write_bytes(cut(data, case.random) if case.random.random() < 0.3 else flip(data, case.random))
    return place, case.upstream.data


def spoil_member(case):
    """A checkpoint, cut or flipped, in a zip that is whole, or in a folder."""
    victim = case.random.choice(list(case.upstream.states))
    data = (case.unpacked.checkpoints / victim).read_bytes()
    spoilt = cut(data, case.random) if case.random.random() < 0.3 else flip(data, case.random)
    return case.with_member(victim, spoilt), case.upstream.data


def spoil_data(case):
    victim = case.random.choice(sorted(p.name for p in case.upstream.data.iterdir()))
    folder = case.folder / "data"
    shutil.copytree(case.upstream.data, folder)
    data = (folder / victim).read_bytes()
    (folder / victim).write_bytes(cut(data, case.random) if case.random.random() < 0.5 else flip(data, case.random))
    return case.upstream.checkpoints, folder


def rename(case):
    if case.random.random() < 0.5:
        victim = case.random.choice(list(case.upstream.states))
        return case.with_member(victim, None), case.upstream.data
    folder = case.folder / "data"
    shutil.copytree(case.upstream.data, folder)
    victim = case.random.choice(sorted(folder.iterdir()))
    victim.rename(victim.with_name("other" + victim.suffix))
    return shutil.copy(case.upstream.checkpoints, case.folder), folder  # away from the whole data files


def misshape(case):
    victim = case.random.choice(list(case.upstream.states))
    state = dict(case.upstream.states[victim])
    name = case.random.choice(list(state))
    value = state[name]
    way = case.random.integers(9)
    if way == 0:
        del state[name]
    elif way == 1:
        state["extra"] = value
    elif way == 2:
        state[name + "_"] = state.pop(name)
    else:
        state[name] = [
            value[..., :-1],
            value.unsqueeze(0),
            value.double(),
            value.half(),
            torch.full_like(value, float("nan")),
            value.to_sparse(),
        ][way - 3]
    path = case.folder / "member"
    torch.save(state, path)
    return case.with_member(victim, path.read_bytes()), case.upstream.data


def hostile_pickle(case):
    """A payload among the tensors of a checkpoint, in either format."""
    victim = case.random.choice(list(case.upstream.states))
    payload = payloads(case.marker)[case.random.integers(6)]
    path = case.folder / "member"
    state = {**case.upstream.states[victim], "payload": payload} if case.random.random() < 0.5 else payload
    torch.save(state, path, _use_new_zipfile_serialization=case.random.random() < 0.5)
    return case.with_member(victim, path.read_bytes()), case.upstream.data


def hostile_zip(case):
    """A member that would be written elsewhere, be executed, or fill the disk."""
    place = shutil.copy(case.upstream.checkpoints, case.folder / "checkpoints.zip")
    names = ["../marker", f"{case.marker}", "marker.exe", "checkpoints/marker.py", "C:/marker", "..\\marker", "link"]
    member = zipfile.ZipInfo(str(case.random.choice([*names, "checkpoints/ae/Decoder/1"])))
    content, member.compress_type = b"x", zipfile.ZIP_DEFLATED
    if member.filename == "link":
        member.create_system, member.external_attr, content = 3, 0o120777 << 16, str(case.marker).encode()
    elif member.filename.endswith("/1"):
        content = bytes(8 << 20)
    with zipfile.ZipFile(place, "a") as archive:
        archive.writestr(member, content)
    return place, case.upstream.data


class Case:
    """One damaged input: a folder to write it to, a seed."""

    def __init__(self, seed, upstream, unpacked, folder):
        self.random, self.upstream, self.unpacked = np.random.default_rng(seed), upstream, unpacked
        self.folder, self.marker = folder / f"{seed}", folder / "marker"
        self.folder.mkdir()

    def with_member(self, victim, content):
        """A zip in which one checkpoint has this content, or another name for None; every other time a folder."""
        members = {name: (self.unpacked.checkpoints / name).read_bytes() for name in self.upstream.states}
        if content is None:
            members[victim + "x"] = members.pop(victim)
        else:
            members[victim] = content
        if self.random.random() < 0.5:
            for name, data in members.items():
                (self.folder / "checkpoints" / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / "checkpoints" / name).write_bytes(data)
            return self.folder / "checkpoints"
        with zipfile.ZipFile(self.folder / "member.zip", "w") as archive:
            for name, data in members.items():
                archive.writestr(f"checkpoints/{name}", data)
        return self.folder / "member.zip"


KINDS = [spoil_zip, spoil_member, spoil_member, spoil_data, rename, misshape, hostile_pickle, hostile_zip]


def test_two_hundred_damaged_inputs(upstream, unpacked, small_cache, tmp_path):
    convert.import_files(NAME, unpacked.checkpoints, upstream.data)
    whole, before = converted(small_cache), contents(small_cache / NAME)
    refused = collections.Counter()
    for seed in range(200):
        kind = KINDS[seed % len(KINDS)]
        case = Case(seed, upstream, unpacked, tmp_path)
        checkpoints, data = kind(case)
        try:
            convert.import_files(NAME, checkpoints, data)
        except FacekitError as error:
            assert len(str(error)) < 5000, seed
            refused[kind.__name__] += 1
            assert contents(small_cache / NAME) == before, seed
        else:  # it hit what carries nothing, such as a date in the zip
            assert kind in (spoil_zip, spoil_member), seed
            assert converted(small_cache) == whole, seed
            before = contents(small_cache / NAME)
        assert not case.marker.exists(), seed
        assert not list(tmp_path.glob("**/marker*")), seed
        assert not any((small_cache / "importing").iterdir()), seed
        (small_cache / "remembered.json").unlink(missing_ok=True)  # else it would be the hash that refuses every zip
        shutil.rmtree(case.folder)
    assert sum(refused.values()) > 180, refused
    assert converted(small_cache) == whole


# -- kill -9 ----------------------------------------------------------------------------------------------------------


def import_in_child(checkpoints, data, cache, die_at, people=datafiles.IDENTITIES):
    """Import in a separate process that is killed at its ``die_at``-th access to the cache (0: never)."""
    os.environ["FACEKIT_CACHE"] = str(cache)
    record = dataclasses.replace(
        weights.record(NAME),
        config=published.SMALL,
        sources={
            role: dataclasses.replace(s, size=None, sha256=None) for role, s in weights.record(NAME).sources.items()
        },
    )
    manifest.models = lambda: {NAME: record}
    datafiles.IDENTITIES = people
    facts.describe = published.describe
    touches = 0

    def hook(event, arguments):
        nonlocal touches
        changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (changes or writes) and str(arguments[0]).startswith(str(cache)):
            touches += 1
            if touches == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if die_at:
        sys.addaudithook(hook)
    convert.import_files(NAME, checkpoints, data)


@pytest.fixture(scope="module")
def processes():
    """Processes that start with torch loaded and no threads."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("needs processes that can be forked")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.convert.test_published", "facekit.convert.published", "safetensors.torch"])
    return context


#: Identities of models that are imported over and over, most of whose reading is theirs.
FEW = 30


def two_models(cache, tmp_path):
    """Two models to import in turn, with the hashes of their converted files."""
    known = []
    for seed in (0, 1):
        other = published.build(tmp_path / f"model{seed}", zipped=False, seed=seed, people=FEW)
        record = published.record_of(other)
        convert.import_files(NAME, other.checkpoints, other.data, record=record)
        known.append((other, converted(cache)))
    assert not known[0][1].items() & known[1][1].items() - {("template", known[0][1]["template"])}
    return known


@pytest.mark.slow
@pytest.mark.parametrize("moments", ["every other", "random"])
def test_killed_imports_leave_the_old_or_the_new(small_cache, tmp_path, processes, monkeypatch, moments):
    monkeypatch.setattr(datafiles, "IDENTITIES", FEW)
    models = two_models(small_cache, tmp_path)
    random = np.random.default_rng(0)
    current, seen = models[1][1], collections.Counter()
    for step in range(1, 51, 2 if moments == "every other" else 3):
        other, new = models[0] if current == models[1][1] else models[1]
        died = step if moments == "every other" else 0
        process = processes.Process(
            target=import_in_child, args=(other.checkpoints, other.data, small_cache, died, FEW)
        )
        process.start()
        if moments == "random":
            process.join(random.uniform(0.1, 1.0))
            process.kill()
        process.join()
        weights.verify(NAME)
        files = json.loads((small_cache / NAME / "record.json").read_text())["files"]
        found = {role: entry["sha256"] for role, entry in files.items()}
        assert found in (current, new), step
        seen["new" if found == new else "old"] += 1
        current = found
        if process.exitcode == 0 and moments == "every other":
            break  # it was past its last step
    assert seen["old"] > 5, seen
    assert moments == "random" or seen["new"] > 2, seen
    other, new = models[0]
    convert.import_files(NAME, other.checkpoints, other.data, record=published.record_of(other))
    assert converted(small_cache) == new, "nothing of the killed runs is left"


def test_import_that_is_killed_first_leaves_no_model(upstream, unpacked, small_cache, processes):
    for step in (1, 4, 8, 12, 16):
        process = processes.Process(
            target=import_in_child, args=(unpacked.checkpoints, upstream.data, small_cache, step)
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, step
        assert not weights.ready(NAME), step
    convert.import_files(NAME, unpacked.checkpoints, upstream.data)
    converted(small_cache)


def test_path_of_the_cache_is_the_users(upstream, small_cache):
    folder = convert.import_files(NAME, Path(os.path.relpath(upstream.checkpoints)), upstream.data)
    assert folder.is_relative_to(small_cache)
    assert conversion.RECORD in {p.name for p in folder.iterdir()}
