// The viewer: ties data, stage and controls together.
import { actionsOf, listen } from "./actions.js";
import { Track, unpack } from "./block.js";
import { button, h } from "./dom.js";
import { glb, objZip, offer } from "./downloads.js";
import { Face } from "./face.js";
import { Fetcher } from "./fetcher.js";
import { partsOf } from "./mix.js";
import { Motion } from "./motion.js";
import { Panel, Transport } from "./panel.js";
import { Player } from "./player.js";
import { probe } from "./probe.js";
import { Rig } from "./rig.js";
import { makeCanvas, makeShell } from "./shell.js";
import { paint, snapshot } from "./snapshot.js";
import { Stage } from "./stage.js";
import { wordsOf } from "./words.js";

export class Viewer {
  constructor(link, el) {
    this.link = link;
    this.words = wordsOf(link.get("lang"));
    this.tracks = new Map();
    this.state = {
      mix: partsOf(link.get("expression")),
      intensity: link.get("intensity"),
      seed: link.get("seed"),
      view: link.get("view"),
      light: link.get("light"),
      background: link.get("background"),
      strength: link.get("detail_strength"),
      weights: new Float32Array(52),
      head: [...(link.get("head") ?? [0, 0, 0])],
    };
    this.motion = new Motion(this);
    this.fetcher = new Fetcher(this);
    this.act = actionsOf(this);
    Object.assign(this, makeShell(el, link.get("height"), this.act));
    this.canvas = this.scene.querySelector(".face");
    listen(this);
    const block = link.block();
    if (!block) this.say(this.words("Waiting for Python …"), true);
    this.ready = block ? this.#load(block) : Promise.resolve();
    this.host.facekit = probe(this);
  }

  // Takes a head with its first expressions and shows it.
  async #load(block) {
    const data = unpack(block);
    const { header, arrays } = data;
    this.header = header;
    this.tracks.clear();
    this.rig = null;
    this.motion.fade.stop();
    this.fetcher.forget();
    this.#add(data);
    this.poster = arrays.poster;
    this.texture = arrays.texture ?? null;
    if (this.poster) {
      URL.revokeObjectURL(this.still.src);
      this.still.src = URL.createObjectURL(this.poster);
    }
    this.face = new Face(header, arrays);
    this.#controls();
    try {
      if (!this.stage) this.#makeStage();
    } catch (error) {
      this.#withoutGraphics(error);
      return;
    }
    await this.stage.setFace(this.face, arrays, header.detail, header.hair);
    if (this.closed) return;
    this.host.dataset.state = "ready";
    this.host.dataset.seed = header.seed ?? "";
    this.say("");
    this.look();
    this.motion.repose();
  }

  #add({ header, arrays }) {
    for (const entry of header.tracks ?? [])
      this.tracks.set(entry.key, new Track(entry, arrays, this.header.maxIntensity));
    if (header.rig) this.rig = new Rig(header.rig, arrays);
  }

  #makeStage() {
    this.stage = new Stage(this.canvas, this.header.stage, () => this.motion.redraw());
    this.resizer = new ResizeObserver(() => this.#resize());
    this.resizer.observe(this.scene);
    this.#resize();
    this.canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      if (!this.closed) this.#lost();
    });
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.scene;
    if (!width || !height) return;
    this.stage.resize(width, height);
    Object.assign(this.backdrop, { width, height });
    this.#paint();
    // Setting a size empties the canvas: draw at once, or it blinks.
    if (this.host.dataset.state === "ready") this.stage.draw();
  }

  #paint() {
    const { width, height } = this.backdrop;
    const context = this.backdrop.getContext("2d");
    context.clearRect(0, 0, width, height);
    paint(context, this.state.background, width, height);
  }

  #withoutGraphics(error) {
    console.info("facekit: no WebGL", error);
    this.host.dataset.state = "still";
    this.panel.disable();
    this.transport.disable();
    this.say(
      this.words("This browser shows no 3D graphics (WebGL is off or missing), so this is a still picture."),
    );
  }

  // Browsers take contexts away when a page holds too many.
  #lost() {
    this.host.dataset.state = "still";
    this.say(this.words("The browser took the graphics away."));
    this.note.append(button({ label: this.words("Show it again"), kind: "quiet", click: () => this.#restore(), id: "restore" }));
  }

  async #restore() {
    this.stage.dispose();
    this.resizer.disconnect();
    this.stage = null;
    const canvas = makeCanvas(this.act);
    this.canvas.replaceWith(canvas);
    this.canvas = canvas;
    await this.#load(this.link.block());
  }

  #controls() {
    const { header, state, act } = this;
    if (this.panel) {
      this.show();
      return;
    }
    this.setWeights(this.link.get("blendshapes") ?? {});
    this.panel = new Panel(act, state, header.expressions, {
      shapes: header.shapes ?? [],
      people: this.link.people,
      detail: Boolean(header.detail),
      textured: Boolean(this.texture),
    });
    this.transport = new Transport(act, state.intensity, header.maxIntensity);
    this.body.append(this.transport.element, this.panel.element);
    this.setClip();
  }

  // Whether the 52 shapes are wanted: their tab is open, some are set, or a motion plays.
  get rigWanted() {
    return Boolean(this.header?.shapes) && (this.panel.tab === "rig" || this.clip || this.state.weights.some(Boolean));
  }

  // Weights from {name: weight}; shapes that are not named rest.
  setWeights(named) {
    const { shapes = [] } = this.header ?? {};
    shapes.forEach((name, k) => (this.state.weights[k] = named[name] ?? 0));
  }

  // The shapes that do not rest, {name: weight}.
  shapes() {
    const named = {};
    (this.header.shapes ?? []).forEach((name, k) => {
      if (this.state.weights[k]) named[name] = Math.round(this.state.weights[k] * 1000) / 1000;
    });
    return named;
  }

  // The motion that Python sent, or none.
  setClip() {
    const data = this.link.motion();
    this.clip?.remove();
    this.clip = data && this.header?.shapes ? new Player(this, unpack(data)) : null;
    if (this.clip) {
      this.transport.element.after(this.clip.element);
      this.fetcher.wake();
    }
  }

  // Another person is wanted; the head comes with the widget's state.
  wish(seed) {
    this.state.seed = seed;
    this.panel?.show(this.state);
    if (!this.header || !this.link.people) return;
    if (seed === this.header.seed) this.fetcher.arrived();
    else this.fetcher.person(seed);
  }

  // A head that is not the one last asked for is late: the right one is on its way.
  newHead() {
    const block = this.link.block();
    if (!block || this.closed) return;
    const { header } = unpack(block);
    if (this.header && (header.seed !== this.link.get("seed") || header.person === this.header.person)) return;
    this.state.seed = header.seed;
    this.fetcher.arrived();
    this.ready = this.#load(block);
  }

  // A block of expressions that was asked for.
  take(data) {
    this.#add(unpack(data));
    this.motion.repose();
  }

  // Changes a setting here and in linked widgets; Python hears when it is `settled`.
  set(name, value, settled) {
    this.state[name] = value;
    this.link.set(name === "strength" ? "detail_strength" : name, value);
    if (settled) this.link.save();
    this.show();
  }

  // Brings the controls and the look in line with the state.
  show() {
    if (!this.panel) return;
    this.panel.show(this.state);
    this.showRig();
    this.transport.slider.show(this.state.intensity);
    this.look();
  }

  showRig() {
    const { weights, head } = this.state;
    const places = new Map((this.header.shapes ?? []).map((name, k) => [name, k]));
    this.panel?.showRig((name) => weights[places.get(name)] ?? 0, head);
  }

  look() {
    const { state } = this;
    if (this.body.dataset.background !== state.background) {
      this.body.dataset.background = state.background;
      this.#paint();
    }
    this.legend.hidden = state.view !== "tension";
    if (!this.stage?.face) return;
    this.stage.setLook(state);
    if (state.view === "tension") this.motion.posed = false;
    this.motion.redraw();
  }

  // A word that goes away by itself, unless something more important is said.
  hint(text) {
    if (!this.note.hidden && this.note.dataset.kind !== "hint") return;
    this.say(text);
    this.note.dataset.kind = "hint";
    clearTimeout(this.hinted);
    this.hinted = setTimeout(() => this.note.dataset.kind === "hint" && this.say(""), 2600);
  }

  say(text, busy = false) {
    delete this.note.dataset.kind;
    this.note.replaceChildren(...(busy ? [h("i", { class: "spinner" })] : []), text);
    this.note.hidden = !text;
    this.host.toggleAttribute("data-busy", busy);
  }

  // From Python where there is one: exact, and the GLB with all its shape keys. Else of the face as it stands here.
  async download(format, source) {
    const stem = this.#stem();
    if (format === "png") {
      offer(await snapshot(this), `${stem}.png`, "image/png");
      return;
    }
    source.disabled = true;
    try {
      let data = this.link.alive ? await this.fetcher.file(format, stem) : null;
      if (!data) {
        data = await (format === "glb" ? this.#glb() : this.#obj(stem));
      }
      if (format === "glb") offer(data, `${stem}.glb`, "model/gltf-binary");
      else offer(data, `${stem}_obj.zip`, "application/zip");
    } finally {
      source.disabled = false;
    }
  }

  async #obj(stem) {
    const { hair } = this.stage;
    this.motion.pose(true);
    hair?.pose();
    const strands = hair && { ...(await hair.forFiles()), positions: hair.positions.slice(0, 3 * hair.count) };
    return objZip(this.face, this.texture, stem, strands);
  }

  // The resting face with the expressions and shapes that are here as morph targets, set to what it wears.
  async #glb() {
    const { face, state, rig, header } = this;
    const { hair } = this.stage;
    const rests = new Float32Array(state.weights.length);
    const shaped = (parts, weights) => {
      face.pose(parts, false, false, weights && rig, weights ?? rests);
      hair?.pose();
      return { positions: face.positions.slice(), normals: face.normals.slice(), strands: hair?.positions.slice() };
    };
    const rest = shaped([]);
    const worn = new Map(state.mix.map(({ name, weight }) => [name, weight * state.intensity]));
    const targets = header.expressions
      .filter((name) => name !== "neutral" && this.tracks.has(name))
      .map((name) => ({ name, ...shaped([[this.tracks.get(name), 1, 1]]), weight: worn.get(name) ?? 0 }));
    rig?.names.forEach((name, k) => {
      targets.push({ name, ...shaped([], rests.map((_, j) => Number(j === k))), weight: state.weights[k] });
    });
    this.motion.pose(true);
    return glb(rest, targets, face, this.texture, hair && (await hair.forFiles()));
  }

  #stem() {
    const { mix, seed } = this.state;
    return ["face", seed, ...mix.map(({ name }) => name)].filter((part) => part != null).join("_");
  }

  close() {
    this.closed = true;
    clearTimeout(this.hinted);
    this.themes.disconnect();
    this.motion.close();
    this.resizer?.disconnect();
    this.link.close();
    this.fetcher.close();
    this.stage?.dispose();
    this.stage = null;
    URL.revokeObjectURL(this.still.src);
    this.host.remove();
  }
}
