// The tab with ARKit's 52 shapes: grouped sliders, a search, mirrored pairs that move together, gaze and head.
import { GazePad, gazeOf, gazeWeights } from "./gaze.js";
import { button, h, slider } from "./dom.js";

const GROUPS = [
  ["Brows", /^brow/],
  ["Eyes", /^eye/],
  ["Jaw", /^jaw/],
  ["Mouth", /^mouth/],
  ["Cheeks and nose", /^(cheek|nose)/],
  ["Tongue", /^tongue/],
];
const HEAD = ["Turn", "Nod", "Tilt"];
const FURTHEST = 40; // degrees
const EMPTY = "No shape has this in its name.";

// jawOpen as people read it.
const spaced = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
const mirrored = (name) =>
  name.endsWith("Left") ? name.slice(0, -4) + "Right" : name.endsWith("Right") ? name.slice(0, -5) + "Left" : null;
// Looking to one side is one eye's In and the other's Out.
const partner = (name) => (/^eyeLook(In|Out)/.test(name) ? null : mirrored(name));

const shapeRow = (label, title, { input, output }) => h("div", { class: "shape" }, h("span", { title }, label), input, output);

export class RigPanel {
  // `act` has weights(changes, settled), head(angles, settled), follow(on) and resetRig().
  constructor(act, names) {
    const { words } = act;
    this.act = act;
    this.sliders = new Map();
    this.search = h("input", {
      type: "search",
      placeholder: words("Search 52 shapes"),
      "aria-label": words("Search the shapes"),
      "data-control": "rig-search",
      oninput: () => this.#filter(),
    });
    this.reset = button({ label: words("Reset"), kind: "", click: () => act.resetRig(), id: "rig-reset" });
    this.linked = h("input", { type: "checkbox", "data-control": "rig-link" });
    this.linked.checked = true;
    this.follow = h("input", {
      type: "checkbox",
      "data-control": "rig-follow",
      onchange: () => act.follow(this.follow.checked),
    });
    this.pad = new GazePad((x, y, settled) => act.weights(gazeWeights(x, y), settled));
    this.head = HEAD.map((label, k) =>
      slider({
        label,
        min: -FURTHEST,
        max: FURTHEST,
        step: 1,
        value: 0,
        digits: 0,
        live: (value) => this.#turn(k, value, false),
        settled: (value) => this.#turn(k, value, true),
        id: `head-${label.toLowerCase()}`,
      }),
    );
    this.groups = GROUPS.map(([title, pattern]) => this.#group(title, names.filter((name) => pattern.test(name))));
    this.empty = h("p", { class: "caption", hidden: true }, words(EMPTY));
    const turns = HEAD.map((label, k) => shapeRow(words(label), label, this.head[k]));
    const [brows, eyes, ...others] = this.groups.map(({ details }) => details);
    this.element = h(
      "div",
      { class: "rig" },
      h("div", { class: "row" }, this.search, this.reset),
      h("label", { class: "check" }, this.linked, h("span", {}, words("Left and right move together"))),
      this.empty,
      brows,
      eyes,
      h("details", {}, h("summary", {}, words("Head")), ...turns),
      ...others,
    );
  }

  #group(title, names) {
    const rows = names.map((name) => {
      const control = slider({
        label: spaced(name),
        min: 0,
        max: 1,
        step: 0.01,
        value: 0,
        live: (value) => this.#change(name, value, false),
        settled: (value) => this.#change(name, value, true),
        id: `shape-${name}`,
      });
      this.sliders.set(name, control);
      return { name, row: shapeRow(spaced(name), name, control) };
    });
    const extra =
      title === "Eyes"
        ? h(
            "div",
            { class: "row gaze" },
            this.pad.element,
            h("label", { class: "check" }, this.follow, h("span", {}, this.act.words("Follow the pointer"))),
          )
        : null;
    const open = title === "Eyes" || title === "Jaw";
    const details = h("details", { open }, h("summary", {}, this.act.words(title)), extra, ...rows.map(({ row }) => row));
    return { rows, details };
  }

  #change(name, value, settled) {
    const changes = { [name]: value };
    const other = this.linked.checked ? partner(name) : null;
    if (other && this.sliders.has(other)) changes[other] = value;
    this.act.weights(changes, settled);
  }

  #turn(k, value, settled) {
    this.angles = this.angles.map((angle, j) => (j === k ? value : angle));
    this.act.head(this.angles, settled);
  }

  #filter() {
    const wanted = this.search.value.trim().toLowerCase().replaceAll(" ", "");
    let found = 0;
    for (const { rows, details } of this.groups) {
      let here = 0;
      for (const { name, row } of rows) {
        row.hidden = Boolean(wanted) && !name.toLowerCase().includes(wanted);
        here += !row.hidden;
      }
      details.hidden = Boolean(wanted) && !here;
      if (wanted && here) details.open = true;
      found += here;
    }
    this.empty.hidden = found > 0;
  }

  // `weight` looks a weight up by its name.
  show(weight, angles) {
    this.angles = [...angles];
    for (const [name, control] of this.sliders) control.show(weight(name));
    this.head.forEach((control, k) => control.show(angles[k]));
    this.pad.show(gazeOf(weight));
  }
}
