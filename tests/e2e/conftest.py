"""JupyterLab with this environment's kernel, and a viewer in a real browser as a user has it.

Skipped, with the reason, where Playwright, JupyterLab or a Chromium is missing.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from tests.viz.viewer.browser import chromium

# Counts the graphics contexts that viewers hold, whatever charts do: those that were given back are lost.
COUNT_CONTEXTS = """
window.facekitContexts = [];
const original = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const context = original.call(this, kind, ...rest);
  if (context && /webgl/.test(kind) && !window.facekitContexts.includes(context)) window.facekitContexts.push(context);
  return context;
};
window.facekitLive = () => window.facekitContexts.filter(
  (context) => context.canvas.classList.contains("face") && !context.isContextLost()).length;
"""


@pytest.fixture(scope="module")
def browser():
    """Chromium, closed at the module's end, since Playwright's event loop excludes others."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of JupyterLab on a folder, and the folder."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: pip install jupyterlab")
    pytest.importorskip("anywidget", reason="anywidget is not installed: pip install anywidget")
    folder, state = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")
    options = {
        "ServerApp.root_dir": folder,
        "ServerApp.port": 0,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,
    }
    settings = state / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"fetchNews": "false", "checkForUpdates": false}')  # or it asks, in front of the notebook
    homes = {f"JUPYTER_{name}_DIR": str(state / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    homes["JUPYTERLAB_SETTINGS_DIR"] = str(state / "settings")
    environment = {**os.environ, **homes, "PYTHONPATH": str(ROOT), "MPLBACKEND": ""}
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    log = (state / "log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        yield _address(server, state), folder
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:  # it waits for kernels, which may not answer on a busy machine
            server.kill()
            server.wait()
        log.close()


def _address(server: subprocess.Popen, state: Path) -> str:
    for _ in range(240):
        time.sleep(0.25)
        assert server.poll() is None, (state / "log").read_text()[-2000:]
        for found in (state / "runtime").glob("jpserver-*.json"):
            address = found.read_text().split('"url": "')[1].split('"')[0]
            try:
                urllib.request.urlopen(f"{address}api", timeout=5).close()
            except urllib.error.URLError:
                continue
            return address
    raise AssertionError((state / "log").read_text()[-2000:])


class View:
    """One viewer in a page, with a user's actions and a probe of its state."""

    def __init__(self, host) -> None:
        self.host, self.page = host, host.page

    @property
    def state(self) -> dict:
        return self.host.evaluate("host => host.facekit.state")

    def wait(self, condition: str, timeout: float = 90_000) -> None:
        """Wait until a JavaScript expression of ``state`` and ``host`` is true."""
        code = f"host => {{ const state = host.facekit?.state; return Boolean({condition}); }}"
        end = time.monotonic() + timeout / 1000
        while not self.host.evaluate(code):
            assert time.monotonic() < end, f"{condition} did not come true; state: {self.state}"
            self.page.wait_for_timeout(50)

    def ready(self) -> View:
        self.host.wait_for(state="attached", timeout=60_000)
        self.wait("host.dataset.state === 'ready'")
        self.host.scroll_into_view_if_needed()
        self.wait("state.frames > 0 && !state.busy")
        return self

    def control(self, name: str):
        return self.host.locator(f'[data-control="{name}"]')

    def picture(self) -> np.ndarray:
        """Return a screenshot of the face, (H, W, 3) float."""
        self.page.wait_for_timeout(150)
        shot = self.host.locator("canvas.face").screenshot()
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.float32)

    def drag(self, name: str, start: float, stop: float, steps: int = 5) -> None:
        """Drag a slider's knob between two fractions of its length; the mouse button is still down on return."""
        control = self.control(name)
        control.scroll_into_view_if_needed()
        box = control.bounding_box()
        y = box["y"] + box["height"] / 2
        places = [box["x"] + 8 + share * (box["width"] - 16) for share in np.linspace(start, stop, steps)]
        self.page.mouse.move(places[0], y)
        self.page.mouse.down()
        for x in places[1:]:
            self.page.mouse.move(x, y)
            self.page.wait_for_timeout(30)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the fraction of pixels that differ visibly."""
    return float((np.abs(a - b).max(axis=2) > 12).mean())
