// The controls beside the face. They tell `act` what was asked for, and show() what is.
import { button, choice, h, icon, readable, slider } from "./dom.js";
import { RigPanel } from "./rigpanel.js";

const MOST = 4; // expressions in one blend
let panels = 0;

export class Panel {
  // `act` has a function for everything that can be asked for; `state` is what to show first.
  constructor(act, state, expressions, { shapes, people, detail, textured }) {
    const { words } = act;
    this.act = act;
    this.expressions = expressions;
    const group = `facekit-${++panels}`;
    this.seed = h("input", {
      type: "number",
      min: 0,
      step: 1,
      inputmode: "numeric",
      "aria-label": words("Number of the face"),
      "data-control": "seed",
      onchange: () => {
        const { value, validity, valueAsNumber } = this.seed;
        if (value !== "" && validity.valid) act.seed(valueAsNumber);
        else act.badSeed();
      },
    });
    this.newFace = button({
      label: words("New face"),
      glyph: "dice",
      kind: "primary",
      click: () => act.newFace(),
      id: "new-face",
    });
    this.seed.disabled = !people;
    if (!people) this.#disable(this.newFace, words("Making another person needs Python: open the notebook"));
    this.rows = h("div", { class: "rows" });
    this.add = button({
      label: words("Mix in another"),
      glyph: "plus",
      kind: "quiet",
      click: () => this.#append(),
      id: "add-expression",
    });
    this.strength = slider({
      label: words("Detail strength"),
      min: 0,
      max: 2,
      step: 0.05,
      value: state.strength,
      live: (value) => act.strength(value, false),
      settled: (value) => act.strength(value, true),
      id: "detail",
    });
    if (!detail) this.#disable(this.strength.input, words("This model has no detail"));
    const views = ["texture", "clay", "wireframe", "tension"].filter((view) => textured || view !== "texture");
    this.view = choice({ words, label: words("View"), name: `${group}-view`, options: views, value: state.view, chosen: act.view });
    this.light = choice({
      words,
      label: words("Light"),
      name: `${group}-light`,
      options: ["studio", "daylight", "rim", "flat"],
      value: state.light,
      chosen: act.light,
    });
    this.background = choice({
      words,
      label: words("Background"),
      name: `${group}-background`,
      options: ["studio", "light", "dark", "none"],
      value: state.background,
      chosen: act.background,
    });
    const save = (label, title, format) =>
      button({
        label,
        title: words(title),
        glyph: "down",
        click: (event) => act.download(format, event.currentTarget),
        id: `save-${format}`,
      });
    const controls = h(
      "div",
      { class: "scroll" },
      h(
        "section",
        { "aria-label": "Who" },
        h("div", { class: "row who" }, h("span", { class: "caption" }, words("Face")), this.seed, this.newFace),
      ),
      shapes.length
        ? this.#tabs(group, shapes)
        : h("section", { "aria-label": "Expression" }, h("h2", {}, words("Expression")), this.rows, this.add),
      h(
        "section",
        { class: "look", "aria-label": "Look" },
        this.view.element,
        h(
          "div",
          { class: "field" },
          h("span", { class: "caption" }, words("Detail")),
          this.strength.input,
          this.strength.output,
        ),
        this.light.element,
        this.background.element,
      ),
    );
    this.element = h(
      "div",
      { class: "panel" },
      controls,
      h(
        "section",
        { "aria-label": "Download" },
        h("h2", {}, words("Download")),
        h(
          "div",
          { class: "row thirds" },
          save("GLB", "3D model with texture, for Blender and game engines", "glb"),
          save("OBJ", "OBJ with texture, in a zip", "obj"),
          save("PNG", "Picture of what is shown", "png"),
        ),
      ),
    );
    this.show(state);
  }

  // Two tabs: whole expressions, and the 52 shapes, which are made when they are first opened.
  #tabs(group, shapes) {
    this.tab = "expression";
    this.shapes = shapes;
    const pages = {
      expression: h("div", { class: "page", role: "tabpanel", id: `${group}-expression` }, this.rows, this.add),
      rig: h("div", { class: "page", role: "tabpanel", id: `${group}-rig`, hidden: true }),
    };
    const heads = Object.entries({ expression: this.act.words("Expression"), rig: this.act.words("Rig") }).map(([name, label]) => {
      const head = h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `${group}-tab-${name}`,
          "aria-controls": pages[name].id,
          "data-control": `tab-${name}`,
          onclick: () => this.act.tab(name),
          onkeydown: (event) => {
            if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
            const other = name === "rig" ? "expression" : "rig";
            this.act.tab(other);
            this.heads[other].focus();
          },
        },
        label,
      );
      pages[name].setAttribute("aria-labelledby", head.id);
      return [name, head];
    });
    this.heads = Object.fromEntries(heads);
    this.pages = pages;
    this.open("expression");
    return h(
      "section",
      { "aria-label": "Expression and rig" },
      h("div", { class: "tabs", role: "tablist" }, ...Object.values(this.heads)),
      pages.expression,
      pages.rig,
    );
  }

  open(tab) {
    this.tab = tab;
    for (const [name, head] of Object.entries(this.heads)) {
      head.setAttribute("aria-selected", name === tab);
      head.tabIndex = name === tab ? 0 : -1;
      this.pages[name].hidden = name !== tab;
    }
    if (tab === "rig" && !this.rig) {
      this.rig = new RigPanel(this.act, this.shapes);
      this.pages.rig.append(this.rig.element);
      if (this.shown) this.rig.show(...this.shown);
    }
  }

  // `weight` looks a shape's weight up by its name; `head` are the three angles.
  showRig(weight, head) {
    this.shown = [weight, head];
    if (this.tab === "rig") this.rig?.show(weight, head);
  }

  #disable(element, why) {
    element.disabled = true;
    element.title = why;
    element.setAttribute("aria-description", why);
  }

  // Nothing moves without graphics; files can be had all the same.
  disable() {
    for (const control of this.element.querySelectorAll(".scroll :is(input, select, button)")) control.disabled = true;
  }

  show(state) {
    if (document.activeElement !== this.seed || this.seed.getRootNode().activeElement !== this.seed) {
      this.seed.value = state.seed ?? "";
      this.seed.placeholder = state.seed == null ? this.act.words("own codes") : "";
    }
    this.view.show(state.view);
    this.light.show(state.light);
    this.background.show(state.background);
    this.strength.show(state.strength);
    this.#showMix(state.mix);
  }

  // Rows are kept where they can be: one of them may have the focus, or be under a finger.
  #showMix(mix) {
    this.mix = mix.map((part) => ({ ...part }));
    while (this.rows.children.length > mix.length) this.rows.lastChild.remove();
    while (this.rows.children.length < mix.length) this.rows.append(this.#row(this.rows.children.length));
    mix.forEach(({ name, weight }, k) => {
      const { picker, amount } = this.rows.children[k].parts;
      picker.value = name;
      amount.input.setAttribute("aria-label", `Weight of ${readable(name)}`);
      amount.show(weight);
      for (const option of picker.options) {
        option.disabled = mix.some((other, j) => j !== k && other.name === option.value);
      }
    });
    this.rows.classList.toggle("mixed", mix.length > 1);
    this.add.hidden = mix.length >= Math.min(MOST, this.expressions.filter((name) => name !== "neutral").length);
  }

  #row(k) {
    const picker = h(
      "select",
      {
        "aria-label": k ? `Expression ${k + 1}` : "Expression",
        "data-control": `expression-${k}`,
        onchange: () => this.#change(k, { name: picker.value }, true),
      },
      ...this.expressions.map((name) => h("option", { value: name }, this.act.words(readable(name)))),
    );
    const amount = slider({
      label: "Weight",
      min: 0,
      max: 1,
      step: 0.01,
      value: 1,
      live: (weight) => this.#change(k, { weight }, false),
      settled: (weight) => this.#change(k, { weight }, true),
      id: `weight-${k}`,
    });
    const remove = h(
      "button",
      {
        type: "button",
        class: "button icon",
        title: this.act.words("Take out of the blend"),
        "aria-label": this.act.words("Take out of the blend"),
        "data-control": `remove-${k}`,
      },
      icon("close"),
    );
    remove.addEventListener("click", () => {
      const mix = this.mix.filter((_, j) => j !== k);
      if (mix.length === 1) mix[0].weight = 1;
      this.act.mix(mix, true);
      this.rows.lastChild.parts.picker.focus();
    });
    const row = h(
      "div",
      { class: "mix" },
      h("div", { class: "row" }, picker, remove),
      h("div", { class: "field weight" }, h("span", { class: "caption" }, this.act.words("Weight")), amount.input, amount.output),
    );
    row.parts = { picker, amount };
    return row;
  }

  #change(k, change, settled) {
    Object.assign(this.mix[k], change);
    this.act.mix(
      this.mix.map((part) => ({ ...part })),
      settled,
    );
  }

  #append() {
    const free = this.expressions.find((name) => name !== "neutral" && !this.mix.some((part) => part.name === name));
    this.act.mix([...this.mix, { name: free, weight: 0.5 }], true);
    this.rows.lastChild.parts.picker.focus();
  }
}

// The bar under the face: play, and the intensity.
export class Transport {
  constructor(act, intensity, max) {
    const { words } = act;
    this.words = words;
    this.play = button({
      label: words("Play the sweep"),
      glyph: "play",
      kind: "round",
      click: () => act.play(),
      id: "play",
      short: true,
    });
    this.slider = slider({
      label: words("Intensity"),
      min: 0,
      max,
      step: 0.01,
      value: intensity,
      live: (value) => act.intensity(value, false),
      settled: (value) => act.intensity(value, true),
      id: "intensity",
    });
    const ticks = [
      [0, words("neutral")],
      [1, words("posed")],
      [max, `× ${max}`],
    ].map(([value, text]) =>
      h("span", { style: `--at:${value / max}`, onclick: () => act.intensity(value, true) }, text),
    );
    this.element = h(
      "div",
      { class: "transport" },
      this.play,
      h("span", { class: "caption" }, words("Intensity")),
      h("div", { class: "track" }, this.slider.input, h("div", { class: "ticks", "aria-hidden": "true" }, ...ticks)),
      this.slider.output,
    );
  }

  disable() {
    for (const control of this.element.querySelectorAll("input, button")) control.disabled = true;
  }

  playing(running) {
    const label = this.words(running ? "Pause the sweep" : "Play the sweep");
    this.play.replaceChildren(icon(running ? "pause" : "play"));
    this.play.title = label;
    this.play.setAttribute("aria-label", label);
    this.play.setAttribute("aria-pressed", running);
  }
}
