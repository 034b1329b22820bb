"""A cluster of three machines writes the same bytes as one process, even if one of them fails."""

from __future__ import annotations

import json
import threading
import time

import pytest

from facekit.generate.job import generate_pictures
from facekit.generate.recipe import Recipe

RECIPE = Recipe(size=32, detail=False, labels=("mask",))
COUNT, SHARD = 18, 1


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 200 * 2**20}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(2):
        made.add_node(**node)
    yield made
    ray.shutdown()
    made.shutdown()


def digest_of(place) -> str:
    return json.loads((place / "manifest.json").read_text())["digest"]


@pytest.mark.slow
def test_a_machine_that_dies_at_a_third_changes_no_byte(cluster, tmp_path):
    assert generate_pictures(RECIPE, tmp_path / "one", COUNT, seed=2, shard=SHARD).complete
    killed = []

    def kill() -> None:
        while len(list((tmp_path / "many").glob("faces-*.tar"))) < COUNT // 3:
            time.sleep(0.02)
        cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
        killed.append(len(list((tmp_path / "many").glob("faces-*.tar"))))

    threading.Thread(target=kill, daemon=True).start()
    options = {"engine": "ray", "address": cluster.address}
    assert generate_pictures(RECIPE, tmp_path / "many", COUNT, seed=2, shard=SHARD, **options).complete
    assert killed and killed[0] < COUNT, "it died while there was work left"
    assert digest_of(tmp_path / "many") == digest_of(tmp_path / "one")
