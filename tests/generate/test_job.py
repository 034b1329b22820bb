"""Sets in shards: the same bytes whoever makes them, gone on with, checked, read back."""

from __future__ import annotations

import hashlib
import json
import tarfile

import numpy as np
import pytest
import torch

from facekit.cli import main as cli
from facekit.data import FaceShards, FaceStream
from facekit.data.sets import load_clips
from facekit.errors import FileError, InputError
from facekit.forks import one_thread
from facekit.generate import LAYOUTS
from facekit.generate.exports import export
from facekit.generate.job import digest, generate_pictures, status
from facekit.generate.recipe import Recipe
from facekit.generate.sample import SampleMaker
from facekit.generate.shards import sidecars
from facekit.generate.storage import storage_of

RECIPE = Recipe(size=32, detail=False)
COUNT, SHARD = 7, 3


def make(place, **options):
    return generate_pictures(RECIPE, place, **{"count": COUNT, "seed": 2, "shard": SHARD, **options})


def digest_of(place) -> str:
    return json.loads(storage_of(place).read("manifest.json"))["digest"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    assert make(folder).complete
    return folder


def test_shards_are_as_the_sidecars_say(whole):
    shards = list(sidecars(storage_of(whole)))
    assert [(s.first, s.count) for s in shards] == [(0, 3), (3, 3), (6, 1)]
    for shard in shards:
        assert hashlib.sha256((whole / shard.tar).read_bytes()).hexdigest() == shard.sha256
        with tarfile.open(whole / shard.tar) as tar:
            assert {entry.mtime for entry in tar} == {0}
    assert digest(shards) == digest_of(whole)
    text = (whole / "README.md").read_text()
    assert "7 labelled faces" in text and "{" not in text.replace("x = K (R X + t)", "")
    assert (whole / "preview.jpg").is_file()


def test_a_torn_shard_is_found_and_made_again(whole, tmp_path):
    make(tmp_path)
    assert digest_of(tmp_path) == digest_of(whole)
    torn = tmp_path / "faces-00001.tar"
    data = bytearray(torn.read_bytes())
    data[3000] ^= 255
    torn.write_bytes(data)
    assert status(tmp_path).complete, "sizes agree"
    assert status(tmp_path, verify=True).broken == [1]
    (tmp_path / ".faces-00002.99999.part.tar").write_bytes(b"left by a run that was killed")
    assert make(tmp_path).complete
    assert status(tmp_path, verify=True).complete
    assert digest_of(tmp_path) == digest_of(whole)
    assert not list(tmp_path.glob(".*"))


def test_an_interrupt_leaves_whole_shards_alone(whole, tmp_path, monkeypatch):
    calls = 0
    honest = SampleMaker.__call__

    def interrupted(self, index):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return honest(self, index)

    monkeypatch.setattr(SampleMaker, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        make(tmp_path)
    assert sorted(p.name for p in tmp_path.glob("*.tar")) == ["faces-00000.tar"]
    found = status(tmp_path)
    assert (found.made, found.missing) == (3, [1, 2])
    monkeypatch.setattr(SampleMaker, "__call__", honest)
    assert make(tmp_path).complete
    assert digest_of(tmp_path) == digest_of(whole)


def test_a_sample_that_cannot_be_made_is_left_out_and_named(tmp_path, monkeypatch):
    honest, tried = SampleMaker.__call__, []

    def poisoned(self, index):
        if index == 4:
            tried.append(index)
            raise ValueError("poison")
        return honest(self, index)

    monkeypatch.setattr(SampleMaker, "__call__", poisoned)
    found = make(tmp_path)
    assert found.complete and found.made == COUNT - 1
    assert found.skipped == {4: "ValueError: poison"} and tried == [4, 4, 4]
    assert "- 4: ValueError: poison" in (tmp_path / "README.md").read_text()
    assert len(FaceShards(tmp_path)) == COUNT - 1


def test_sets_grow_and_are_not_mixed(whole, tmp_path):
    make(tmp_path, count=3)
    assert make(tmp_path).complete
    assert digest_of(tmp_path) == digest_of(whole)
    with pytest.raises(InputError, match="only be extended"):
        make(tmp_path, count=3)
    with pytest.raises(InputError, match="seed 3 in place of 2"):
        make(tmp_path, seed=3)
    with pytest.raises(InputError, match="recipe.size 64 in place of 32"):
        generate_pictures(Recipe(size=64, detail=False), tmp_path, COUNT, seed=2, shard=SHARD)
    with pytest.raises(FileError):
        status(tmp_path / "nowhere")


@pytest.mark.slow
def test_two_processes_make_the_same_bytes(whole, tmp_path):
    assert make(tmp_path, workers=2).complete
    assert digest_of(tmp_path) == digest_of(whole)


def test_threads_are_given_back(tmp_path):
    threads = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads


def test_read_back(whole):
    data = FaceShards(whole)
    assert len(data) == COUNT
    sample = data[-1]
    assert sample["key"] == "000000006" and sample["rgb"].shape == (3, 32, 32)
    assert sample["mask"].dtype == torch.int64 and sample["landmarks"].shape == (70, 2)
    with pytest.raises(IndexError):
        data[COUNT]
    assert "mask" not in FaceShards(whole, only=["rgb"])[0]
    loader = torch.utils.data.DataLoader(FaceStream(whole), batch_size=None, num_workers=2)
    assert sorted(s["key"] for s in loader) == [f"{k:09d}" for k in range(COUNT)]
    (clip,) = load_clips("generated", whole)
    assert len(clip) == COUNT and clip.landmarks.shape == (COUNT, 70, 2)
    assert np.array_equal(clip.picture(3), (255 * data[3]["rgb"] + 0.5).byte().permute(1, 2, 0).numpy())


def test_other_layouts(whole):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    paths = {form: export(whole, form) for form in LAYOUTS}
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(paths["parquet"])
    assert table.num_rows == COUNT and {"yaw", "jawOpen", "expression_smile"} <= set(table.column_names)
    coco = json.loads(paths["coco"].read_text())
    assert len(coco["annotations"]) == COUNT and len(coco["annotations"][0]["keypoints"]) == 210
    lines = (paths["imagefolder"] / "metadata.jsonl").read_text().splitlines()
    assert all((paths["imagefolder"] / json.loads(line)["file_name"]).is_file() for line in lines)
    points = (paths["facesynthetics"] / "000003_ldmks.txt").read_text().split()
    marks = FaceShards(whole)[3]["landmarks"]
    assert torch.allclose(torch.tensor([float(v) for v in points]).view(70, 2), marks - 0.5, atol=1e-3)
    with pytest.raises(InputError, match="layout"):
        export(whole, "voc")


def test_webdataset_reads_the_shards(whole):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    names = [str(whole / f"faces-{k:05d}.tar") for k in range(3)]
    found = list(wds.WebDataset(names, shardshuffle=False).decode("torchrgb"))
    assert [s["__key__"] for s in found] == [f"{k:09d}" for k in range(COUNT)]
    assert torch.equal(found[2]["rgb.png"], FaceShards(whole)[2]["rgb"])


def test_command(whole, capsys, tmp_path):
    assert cli.main(["generate", "--verify", str(whole)]) == 0
    assert f"{COUNT} of {COUNT} samples" in capsys.readouterr().out
    assert cli.main(["generate", "--count", "3"]) == 2
    assert cli.main(["generate", "wlid", "--count", "3", "--out", str(tmp_path)]) == 2
    assert cli.main(["generate", "wild", "--count", "3", "--out", str(tmp_path), "--also", "voc"]) == 2
    assert cli.main(["generate", "wild", "--count", "3", "--out", str(tmp_path), "--expression", "smile"]) == 2
    assert cli.main(["generate", "--count", "3", "--out", str(tmp_path), "--shard", "2"]) == 2
    assert cli.main(["generate", "--count", "3", "--out", str(tmp_path), "--workers", "0"]) == 2
    assert not list(tmp_path.iterdir())
