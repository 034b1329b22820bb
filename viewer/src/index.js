// Where the viewer starts: as an anywidget module, or in a page of its own.
import { NotebookLink, PageLink } from "./link.js";
import { Viewer } from "./viewer.js";

export default {
  render({ model, el }) {
    const viewer = new Viewer(new NotebookLink(model), el);
    return () => viewer.close();
  },
};

async function startPage(el) {
  el.dataset.started = "";
  const text = (id) => document.getElementById(id).textContent;
  const packed = Uint8Array.from(atob(text("facekit-data").trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const block = new Uint8Array(await new Response(stream).arrayBuffer());
  new Viewer(new PageLink(JSON.parse(text("facekit-state")), block), el);
}

const page = document.getElementById("facekit-page");
if (page && !("started" in page.dataset)) startPage(page);
