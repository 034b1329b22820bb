"""An animated GLB plays in three.js, in a real browser, and in Blender, if they are installed."""

from __future__ import annotations

import functools
import importlib.util
import json
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import facekit
from tests import ROOT
from tests.viz.viewer.browser import chromium

THREE = ROOT / "viewer" / "node_modules" / "three"
#: Seconds of the sample motion with its blink, and in the middle of its smile.
BLINK, SMILE = 0.5, 4.2

pytestmark = pytest.mark.slow

PAGE = """<canvas id="canvas" width="256" height="256"></canvas>
<script type="importmap">
{"imports": {"three": "./three/build/three.module.js", "three/addons/": "./three/examples/jsm/"}}
</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
const renderer = new THREE.WebGLRenderer({ canvas, preserveDrawingBuffer: true });
const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(20, 1, 0.01, 10);
camera.position.set(0, 0, 0.95);
scene.add(new THREE.HemisphereLight(0xffffff, 0x888888, 4));
const file = await new GLTFLoader().loadAsync("talk.glb");
scene.add(file.scene);
const mixer = new THREE.AnimationMixer(file.scene);
mixer.clipAction(file.animations[0]).play();
let mesh;
file.scene.traverse((node) => { if (node.isMesh) mesh = node; });
window.at = (time) => {
  mixer.setTime(time);
  renderer.render(scene, camera);
  const weights = Object.entries(mesh.morphTargetDictionary).map(([n, k]) => [n, mesh.morphTargetInfluences[k]]);
  return { weights: Object.fromEntries(weights), seconds: file.animations[0].duration, picture: canvas.toDataURL() };
};
window.ready = true;
</script>
"""

BLENDER = """
import json, sys
import bpy
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[1])
keys = next(o.data.shape_keys for o in bpy.data.objects if o.type == "MESH" and o.data.shape_keys)
found = []
for second in map(float, sys.argv[2:]):
    bpy.context.scene.frame_set(round(second * bpy.context.scene.render.fps))
    found.append({block.name: block.value for block in keys.key_blocks[1:]})
print("FOUND" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def talk(default_pipeline, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("glb")
    face = default_pipeline(seed=16, expression="neutral", intensity=0.0)
    return facekit.Motion.sample().save(folder / "talk.glb", face)


@pytest.fixture
def address(talk) -> Iterator[str]:
    """The folder of that file as a site, with three.js and a page that shows it."""
    if not (THREE / "examples" / "jsm" / "loaders" / "GLTFLoader.js").is_file():
        pytest.skip("three.js is not installed: npm install in viewer/")
    (talk.parent / "index.html").write_text(PAGE, encoding="utf-8")
    if not (talk.parent / "three").exists():
        (talk.parent / "three").symlink_to(THREE)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(talk.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


def check(blink: dict[str, float], smile: dict[str, float]) -> None:
    assert set(blink) == set(smile) == set(facekit.BLENDSHAPES)
    motion = facekit.Motion.sample()
    for shown, second in ((blink, BLINK), (smile, SMILE)):
        frame = motion.blendshapes[round(second * motion.fps)].tolist()
        for name, weight in zip(facekit.BLENDSHAPES, frame, strict=True):
            assert math.isclose(shown[name], weight, abs_tol=0.02), (name, second)


def test_three_js_plays_it(address):
    with chromium() as browser:
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_function("window.ready", timeout=120_000)
        blink, smile = (page.evaluate(f"at({second})") for second in (BLINK, SMILE))
        assert not errors
    check(blink["weights"], smile["weights"])
    assert abs(blink["seconds"] - 299 / 30) < 1e-3
    assert blink["picture"] != smile["picture"]


def test_blender_plays_it(talk):
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("Blender is not installed as a Python module: pip install bpy")
    code = [sys.executable, "-c", BLENDER, str(talk), f"{BLINK}", f"{SMILE}"]
    done = subprocess.run(code, capture_output=True, text=True, cwd=talk.parent)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND")), None)
    assert line, done.stderr[-500:]
    blink, smile = json.loads(line.removeprefix("FOUND"))
    check(blink, smile)
