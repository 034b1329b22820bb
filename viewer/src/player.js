// The bar that plays a motion: weights and head angles over time, on the rig.
import { button, h, icon, slider } from "./dom.js";
import { Clip } from "./rig.js";

const SHOW_EVERY = 100; // ms between two looks of the sliders

export class Player {
  constructor(viewer, { header, arrays }) {
    this.viewer = viewer;
    this.clip = new Clip(header, arrays);
    this.time = 0;
    this.playing = false;
    this.shown = 0;
    this.play = button({ label: viewer.words("Play the motion"), glyph: "play", kind: "round", click: () => this.toggle(), id: "play-motion", short: true });
    this.slider = slider({
      label: viewer.words("Time, seconds"),
      min: 0,
      max: this.clip.seconds,
      step: 1 / this.clip.fps,
      value: 0,
      live: (value) => {
        this.pause();
        this.seek(value);
      },
      settled: () => this.settle(),
      id: "time",
    });
    this.element = h(
      "div",
      { class: "transport motion" },
      this.play,
      h("div", { class: "track" }, this.slider.input),
      this.slider.output,
    );
  }

  toggle() {
    if (this.playing) {
      this.pause();
      this.settle();
      return;
    }
    this.viewer.motion.pause();
    if (this.time >= this.clip.seconds - 1e-3) this.time = 0;
    this.playing = true;
    this.before = null;
    this.#mark();
    this.viewer.motion.redraw();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.#mark();
  }

  // Goes on by the time since the last frame, and stands still at the end.
  step(now) {
    const passed = this.before === null ? 0 : Math.min(now - this.before, 100);
    this.before = now;
    this.seek(this.time + passed / 1000, now);
    if (this.time >= this.clip.seconds) {
      this.pause();
      this.settle();
    }
  }

  seek(time, now = Infinity) {
    const { viewer } = this;
    this.time = Math.min(Math.max(time, 0), this.clip.seconds);
    viewer.state.head = this.clip.at(this.time, viewer.state.weights);
    viewer.motion.repose();
    // Fifty sliders are not redrawn with every frame.
    if (now - this.shown < SHOW_EVERY) return;
    this.shown = now === Infinity ? 0 : now;
    this.slider.show(this.time);
    viewer.showRig();
  }

  // Python hears where the motion stands.
  settle() {
    const { link } = this.viewer;
    this.viewer.showRig();
    this.slider.show(this.time);
    link.set("blendshapes", this.viewer.shapes());
    link.set("head", [...this.viewer.state.head]);
    link.save();
  }

  #mark() {
    const label = this.viewer.words(this.playing ? "Pause the motion" : "Play the motion");
    this.play.replaceChildren(icon(this.playing ? "pause" : "play"));
    this.play.title = label;
    this.play.setAttribute("aria-label", label);
    this.play.setAttribute("aria-pressed", this.playing);
  }

  remove() {
    this.pause();
    this.element.remove();
  }
}
