// Where the viewer starts: as an anywidget module, or in a page of its own.
import { NotebookLink, PageLink } from "./link.js";
import { Viewer } from "./viewer.js";

export default {
  render({ model, el }) {
    const viewer = new Viewer(new NotebookLink(model), el);
    return () => viewer.close();
  },
};

// Bytes that a page carries as compressed text.
async function inflated(id) {
  const element = document.getElementById(id);
  if (!element) return null;
  const packed = Uint8Array.from(atob(element.textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function startPage(el) {
  el.dataset.started = "";
  const state = JSON.parse(document.getElementById("facekit-state").textContent);
  new Viewer(new PageLink(state, await inflated("facekit-data"), await inflated("facekit-motion")), el);
}

const page = document.getElementById("facekit-page");
if (page && !("started" in page.dataset)) startPage(page);
