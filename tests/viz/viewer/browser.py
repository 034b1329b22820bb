"""A real browser for tests of the viewer: the system's Chromium without a window, with WebGL in software."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

import pytest

FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium(*more: str) -> Iterator:
    """A browser of playwright's; skips the test where there is no playwright or no Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if path is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, *more])
        yield browser
        browser.close()


#: Asks for one sample a pixel: in software four take four times as long, half a second a frame.
ONE_SAMPLE = """
{ const get = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, options, ...rest) {
    return get.call(this, kind, { ...options, antialias: false }, ...rest);
  }; }"""


def window(browser, smooth: bool = False, **options):
    """A context of the browser, whose canvases have one sample a pixel unless they are to be ``smooth``."""
    context = browser.new_context(**options)
    if not smooth:
        context.add_init_script(ONE_SAMPLE)
    return context


#: A stand-in for anywidget's model, with its side of the wire in ``sent`` and ``saves``.
MODEL = """
class Model {
  constructor(state) { Object.assign(this, { state, sent: [], saves: [], dirty: {}, listeners: [] }); }
  get(name) { return this.state[name]; }
  set(name, value) {
    this.state[name] = this.dirty[name] = value;
    this.fire(`change:${name}`);
  }
  save_changes() { this.saves.push(this.dirty); this.dirty = {}; }
  send(content) { this.sent.push(content); }
  on(event, callback) { this.listeners.push([event, callback]); }
  off(event, callback) { this.listeners = this.listeners.filter(([e, c]) => e !== event || c !== callback); }
  fire(event, ...values) { for (const [e, callback] of [...this.listeners]) if (e === event) callback(...values); }
}
const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
"""

#: Starts the module on a stand-in model: ``[source, state, head]`` with the head in base64.
START = (
    "async ([source, state, head]) => {"
    + MODEL
    + """
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const module = (await import(url)).default;
  window.model = new Model({ ...state, _head: bytes(head) });
  window.bytes = bytes;
  window.start = () => {
    const el = document.createElement("div");
    document.body.append(el);
    const close = module.render({ model, el });
    return { el, close, host: el.querySelector(".facekit-viewer") };
  };
  window.view = start();
  await view.host.facekit.ready;
}"""
)
