// A pad that aims the eyes: drag the dot, or let the gaze follow the pointer over the face.
import { h } from "./dom.js";

const SIZE = 108;
const SHAPES = { left: ["eyeLookOutLeft", "eyeLookInRight"], right: ["eyeLookInLeft", "eyeLookOutRight"] };
const UPWARD = { up: ["eyeLookUpLeft", "eyeLookUpRight"], down: ["eyeLookDownLeft", "eyeLookDownRight"] };

// Weights of the eye shapes for a gaze: x to the image's right, which is the subject's left, and y up, -1 to 1.
export function gazeWeights(x, y) {
  const weights = {};
  const set = (names, value) => names.forEach((name) => (weights[name] = Math.min(Math.max(value, 0), 1)));
  set(SHAPES.left, x);
  set(SHAPES.right, -x);
  set(UPWARD.up, y);
  set(UPWARD.down, -y);
  return weights;
}

// The gaze that weights stand for; `weight` looks one up by name.
export function gazeOf(weight) {
  const mean = (names) => names.reduce((sum, name) => sum + weight(name), 0) / names.length;
  return [mean(SHAPES.left) - mean(SHAPES.right), mean(UPWARD.up) - mean(UPWARD.down)];
}

export class GazePad {
  // `aim` hears (x, y, settled).
  constructor(aim) {
    this.dot = h("i", { class: "dot" });
    this.element = h(
      "div",
      {
        class: "pad",
        tabindex: 0,
        role: "slider",
        "aria-label": "Gaze: arrow keys move it, 0 looks ahead",
        "aria-valuetext": "ahead",
        "aria-valuenow": 0,
        "data-control": "gaze",
        style: `--size:${SIZE}px`,
      },
      this.dot,
    );
    const at = (event) => {
      const box = this.element.getBoundingClientRect();
      return [(2 * (event.clientX - box.left)) / box.width - 1, 1 - (2 * (event.clientY - box.top)) / box.height];
    };
    const clipped = ([x, y]) => [Math.min(Math.max(x, -1), 1), Math.min(Math.max(y, -1), 1)];
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      aim(...clipped(at(event)), false);
    });
    this.element.addEventListener("pointermove", (event) => event.buttons && aim(...clipped(at(event)), false));
    this.element.addEventListener("pointerup", (event) => aim(...clipped(at(event)), true));
    this.element.addEventListener("dblclick", () => aim(0, 0, true));
    this.element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (event.key === "0" || event.key === "Home") aim(0, 0, true);
      else if (step) aim(...clipped([this.gaze[0] + step[0], this.gaze[1] + step[1]]), true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.show([0, 0]);
  }

  show(gaze) {
    this.gaze = gaze;
    const [x, y] = gaze;
    this.dot.style.left = `${50 + 50 * x}%`;
    this.dot.style.top = `${50 - 50 * y}%`;
    const words = [y > 0.05 ? "up" : y < -0.05 ? "down" : "", x > 0.05 ? "to the right" : x < -0.05 ? "to the left" : ""];
    this.element.setAttribute("aria-valuetext", words.filter(Boolean).join(", ") || "ahead");
  }
}
