// What moves: the pose, the sweep, and when to draw.
import { Fade } from "./fade.js";
import { keyOf } from "./mix.js";

const SWEEP = 4200; // ms there and back
const TINT = 1.2; // a posed texture counts for no more than that

export class Motion {
  constructor(viewer) {
    this.viewer = viewer;
    this.fade = new Fade();
    this.frames = 0;
    this.playing = false;
    this.posed = true;
  }

  // [track, intensity] of the pose: the blend's own keyframes where they are there, else the sum of its parts.
  parts() {
    const { tracks, state } = this.viewer;
    const { mix, intensity } = state;
    const exact = tracks.get(keyOf(mix));
    if (exact) return [[exact, intensity]];
    const known = mix.filter(({ name }) => tracks.has(name));
    return known.map(({ name, weight }) => [tracks.get(name), weight * intensity]);
  }

  repose() {
    this.posed = false;
    this.redraw();
    this.viewer.fetcher.wake();
  }

  redraw() {
    if (this.frame || !this.viewer.stage) return;
    this.frame = requestAnimationFrame((time) => this.#draw(time));
  }

  #draw(time) {
    const { viewer } = this;
    this.frame = 0;
    if (viewer.host.dataset.state !== "ready") return;
    if (this.playing) this.#step(time);
    if (viewer.clip?.playing) viewer.clip.step(time);
    if (!this.posed) this.pose();
    const gliding = viewer.stage.draw();
    this.frames += 1;
    if (gliding || this.playing || viewer.clip?.playing || !this.posed) this.redraw();
  }

  // Poses at once; `whole` cuts a passage short.
  pose(whole = false) {
    const { viewer, fade } = this;
    if (whole) fade.stop();
    const parts = fade.apply(this.parts(), performance.now());
    const { rig, state, header } = viewer;
    const moved = rig && state.weights.some((weight) => weight !== 0);
    this.cost = viewer.face.pose(
      parts,
      state.view === "tension",
      Boolean(header.detail),
      moved ? rig : null,
      state.weights,
    );
    this.posed = !fade.running;
    if (!viewer.stage) return;
    viewer.stage.update();
    viewer.stage.turnHead(state.head);
    const tints = parts
      .filter(([track]) => track.texture)
      .map(([track, intensity, factor]) => [track.texture, Math.min(intensity, TINT) * factor]);
    if (!tints.length && !this.tinted) return;
    this.tinted = tints.length > 0;
    const wanted = (this.wanted = {});
    viewer.stage.setPosed(tints).then(() => this.wanted === wanted && this.redraw());
  }

  play() {
    const { state, header, transport } = this.viewer;
    this.playing = true;
    // Starts where the slider stands.
    const share = Math.min(state.intensity / header.maxIntensity, 1);
    this.phase = (Math.acos(1 - 2 * share) / (2 * Math.PI)) * SWEEP;
    this.before = null;
    transport.playing(true);
    this.redraw();
  }

  // Where the sweep was paused by its button, the intensity stays and Python hears of it.
  pause(keep = false) {
    if (!this.playing) return;
    const { viewer } = this;
    this.playing = false;
    viewer.transport.playing(false);
    if (keep) viewer.set("intensity", Math.round(viewer.state.intensity * 100) / 100, true);
    this.repose();
  }

  #step(time) {
    const { state, header, transport } = this.viewer;
    this.phase += this.before === null ? 0 : Math.min(time - this.before, 100);
    this.before = time;
    state.intensity = (0.5 - 0.5 * Math.cos((2 * Math.PI * this.phase) / SWEEP)) * header.maxIntensity;
    transport.slider.show(state.intensity);
    this.posed = false;
  }

  close() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.frame = 1; // nothing is drawn any more
  }
}
