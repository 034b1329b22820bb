// What the controls ask for, and what others change: Python, or widgets that are linked.
import { gazeWeights } from "./gaze.js";
import { expressionOf, keyOf, partsOf } from "./mix.js";

const TURNS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  "+": [0, 0, 0.9],
  "=": [0, 0, 0.9],
  "-": [0, 0, 1.11],
};
const LARGEST = 100000; // seeds of new faces stay readable

// Functions for the controls. `settled` is false while a slider is dragged: then Python hears nothing.
export function actionsOf(viewer) {
  const { link, motion, state } = viewer;
  const act = {
    words: viewer.words,
    intensity(value, settled) {
      motion.pause();
      viewer.set("intensity", value, settled);
      motion.repose();
    },
    mix(mix, settled) {
      state.mix = mix;
      link.set("expression", expressionOf(mix));
      viewer.panel.show(state);
      viewer.fetcher.settle(settled);
      if (settled) link.save();
      motion.repose();
    },
    strength: (value, settled) => viewer.set("strength", value, settled),
    view: (value) => viewer.set("view", value, true),
    light: (value) => viewer.set("light", value, true),
    background: (value) => viewer.set("background", value, true),
    // What is no number of a face is refused where one sees it.
    badSeed() {
      viewer.hint(viewer.words("A face has a whole number of 0 or more."));
      viewer.panel.show(state);
    },
    look: (name) => viewer.stage?.preset(name),
    // Scrolling over a face that was not clicked moves the page: say why.
    scrolled() {
      if (!viewer.stage?.controls.enableZoom) viewer.hint(viewer.words("Click the face first: then scrolling comes closer."));
    },
    // Another person: asked of Python through the trait, so that linked widgets and observers hear of it.
    seed(value) {
      link.set("seed", value);
      viewer.wish(value);
      link.save();
    },
    newFace: () => act.seed(Math.floor(Math.random() * LARGEST)),
    // Of the 52 shapes some change: {name: weight}.
    weights(changes, settled) {
      viewer.clip?.pause();
      const { shapes } = viewer.header;
      for (const [name, value] of Object.entries(changes)) state.weights[shapes.indexOf(name)] = value;
      viewer.showRig();
      link.set("blendshapes", viewer.shapes());
      if (settled) link.save();
      motion.repose();
    },
    head(angles, settled) {
      viewer.clip?.pause();
      state.head = [...angles];
      viewer.showRig();
      link.set("head", state.head);
      if (settled) link.save();
      motion.repose();
    },
    resetRig() {
      state.weights.fill(0);
      act.head([0, 0, 0], false);
      act.weights({}, true);
    },
    follow(on) {
      viewer.following = on;
    },
    // The pointer moved over the face, -1 to 1 across and up: the eyes follow where that is wanted.
    point(x, y) {
      if (viewer.following && viewer.rig) act.weights(gazeWeights(x, y), false);
    },
    tab(name) {
      viewer.panel.open(name);
      viewer.fetcher.wake();
    },
    play: () => (motion.playing ? motion.pause(true) : motion.play()),
    download: (format, source) => viewer.download(format, source),
    reset: () => viewer.stage?.resetCamera(),
    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || !viewer.stage) return;
      if (TURNS[event.key]) viewer.stage.turn(...TURNS[event.key]);
      else if (event.key === "0" || event.key === "Home") act.reset();
      else if (event.key === " ") act.play();
      else return;
      event.preventDefault();
    },
  };
  return act;
}

export function listen(viewer) {
  const { link, motion, state } = viewer;
  link.on("intensity", () => {
    const value = link.get("intensity");
    if (Math.abs(value - state.intensity) < 1e-9) return;
    motion.pause();
    state.intensity = value;
    viewer.show();
    motion.repose();
  });
  link.on("expression", () => {
    const mix = partsOf(link.get("expression"));
    if (keyOf(mix) === keyOf(state.mix)) return;
    state.mix = mix;
    viewer.show();
    viewer.fetcher.settle(true);
    motion.repose();
  });
  link.on("seed", () => link.get("seed") !== state.seed && viewer.wish(link.get("seed")));
  for (const name of ["view", "light", "background", "strength"]) {
    const trait = name === "strength" ? "detail_strength" : name;
    link.on(trait, () => {
      if (state[name] === link.get(trait)) return;
      state[name] = link.get(trait);
      viewer.show();
    });
  }
  link.on("blendshapes", () => {
    const named = link.get("blendshapes") ?? {};
    if (JSON.stringify(named) === JSON.stringify(viewer.shapes())) return;
    viewer.setWeights(named);
    viewer.showRig();
    motion.repose();
  });
  link.on("head", () => {
    const angles = link.get("head") ?? [0, 0, 0];
    if (angles.every((angle, k) => angle === state.head[k])) return;
    state.head = [...angles];
    viewer.showRig();
    motion.repose();
  });
  link.on("_motion", () => viewer.setClip());
  link.on("height", () => viewer.body.style.setProperty("--height", `${link.get("height")}px`));
  link.onBlock(() => viewer.newHead());
}
