// The elements that are there before any data.
import { button, h, hostTheme } from "./dom.js";
import { TENSION_RANGE } from "./material.js";
import style from "./style.css";

const WINDOW = "max(460px, calc(100dvh - 104px))"; // a page of its own: what its title and last line leave
const HELP = "The face in 3D. Arrow keys turn it, plus and minus zoom, 0 resets the camera, space plays the sweep.";

// Fills `el`; `act` hears keys on the face and the wish to reset the camera.
export function makeShell(el, height, act) {
  const host = h("div", { class: "facekit-viewer", "data-state": "loading", "data-lm-suppress-shortcuts": "true" });
  // Notebooks have shortcuts on plain letters and arrows.
  host.addEventListener("keydown", (event) => event.stopPropagation());
  const root = host.attachShadow({ mode: "open" });
  const backdrop = h("canvas", { "aria-hidden": "true" });
  const still = h("img", { class: "still", alt: "The face, as a picture" });
  const note = h("div", { class: "note", role: "status", "aria-live": "polite", hidden: true });
  const end = `${Math.round(TENSION_RANGE * 100)} %`;
  const legend = h(
    "div",
    { class: "legend", hidden: true },
    h("span", {}, `${end} ${act.words("stretched")}`),
    h("i", {}),
    h("span", {}, `${end} ${act.words("compressed")}`),
  );
  const reset = button({
    label: act.words("Reset the camera"),
    glyph: "reset",
    kind: "icon float",
    click: act.reset,
    id: "reset",
    short: true,
  });
  const presets = h(
    "div",
    { class: "presets" },
    ...["Front", "Three-quarter", "Side"].map((name) =>
      button({ label: act.words(name), click: () => act.look(name), kind: "float", id: `view-${name.toLowerCase()}` }),
    ),
  );
  const scene = h("div", { class: "scene" }, backdrop, still, makeCanvas(act), reset, presets, legend, note);
  const body = h("div", { class: "viewer", style: `--height:${height ? `${height}px` : WINDOW}` }, scene);
  root.append(h("style", {}, style), body);
  el.append(host);
  return { host, root, body, scene, backdrop, still, note, legend, themes: followTheme(body) };
}

// Takes the notebook's theme, now and whenever it changes; returns what to disconnect.
function followTheme(body) {
  const take = () => {
    const theme = hostTheme();
    if (theme) body.dataset.theme = theme;
    else delete body.dataset.theme;
  };
  const observer = new MutationObserver(take);
  for (const target of [document.body, document.documentElement]) {
    observer.observe(target, { attributes: true, attributeFilter: ["class", "theme", "data-jp-theme-light"] });
  }
  take();
  return observer;
}

// A canvas that has lost its context never gets a good one again: there may be a second.
export function makeCanvas(act) {
  return h("canvas", {
    class: "face",
    tabindex: 0,
    role: "application",
    "aria-label": HELP,
    onkeydown: act.key,
    ondblclick: act.reset,
    onwheel: act.scrolled,
    onpointermove: (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      act.point((2 * event.offsetX) / box.width - 1, 1 - (2 * event.offsetY) / box.height);
    },
  });
}
