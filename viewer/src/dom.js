// Small pieces of the interface.

const SVG = "http://www.w3.org/2000/svg";

// An element with attributes (functions become listeners) and children.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const PATHS = {
  play: "M7 4.5v15l12-7.5z",
  pause: "M7 5h3.6v14H7zM13.4 5H17v14h-3.6z",
  reset: "M12 5a7 7 0 1 1-6.7 5h2.1A5 5 0 1 0 12 7v3L7.5 6 12 2z",
  close: "M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4L12 13.4 6.4 19 5 17.6 10.6 12 5 6.4z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  dice: "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zm0 2v14h14V5zm3 1.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3zm8 0a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3zm-4 4a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3zm-4 4a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3zm8 0a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3z",
  down: "M11 4h2v8.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4 3.3 3.3zM5 18h14v2H5z",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  return svg;
}

// mouth_left as people read it.
export const readable = (name) => name.replaceAll("_", " ");

// A slider with its label and value. `live` hears every step while it is dragged, `settled` when it is let go.
export function slider({ label, min, max, step, value, live, settled, digits = 2, id }) {
  const output = h("output", { class: "value" });
  const input = h("input", { type: "range", min, max, step, "aria-label": label, "data-control": id });
  const show = (number) => {
    input.value = number;
    input.style.setProperty("--fill", `${(100 * (number - min)) / (max - min)}%`);
    output.textContent = Number(number).toFixed(digits);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => {
    show(input.valueAsNumber);
    live?.(input.valueAsNumber);
  });
  input.addEventListener("change", () => settled?.(input.valueAsNumber));
  show(value);
  return { input, output, show };
}

// One of several choices: radio buttons that look like one bar.
export function choice({ label, name, options, value, chosen, words = (text) => text }) {
  const inputs = new Map();
  const items = options.map((option) => {
    const input = h("input", { type: "radio", name, value: option, onchange: () => chosen(option) });
    inputs.set(option, input);
    const text = words(readable(option));
    return h("label", { title: text }, input, h("span", {}, text));
  });
  const element = h(
    "fieldset",
    { class: "choice", "data-control": name.split("-").pop() },
    h("legend", {}, label),
    h("div", { class: "bar" }, ...items),
  );
  const show = (option) => {
    if (inputs.has(option)) inputs.get(option).checked = true;
  };
  show(value);
  return { element, show };
}

export function button({ label, title, glyph, click, kind = "", id, short }) {
  return h(
    "button",
    {
      type: "button",
      class: `button ${kind}`,
      title: title ?? label,
      "aria-label": short ? label : null,
      "data-control": id,
      onclick: click,
    },
    glyph ? icon(glyph) : null,
    short ? null : h("span", {}, label),
  );
}

// "dark" or "light" as the surrounding notebook has it, or null where it does not say.
export function hostTheme() {
  const { body, documentElement: root } = document;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "true" ? "light" : "dark";
  if (body.classList.contains("vscode-dark") || root.getAttribute("theme") === "dark") return "dark";
  if (body.classList.contains("vscode-light") || root.getAttribute("theme") === "light") return "light";
  return null;
}
