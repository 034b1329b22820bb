// What the controls ask for, and what others change: Python, or widgets that are linked.
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
    // Another person: asked of Python through the trait, so that linked widgets and observers hear of it.
    seed(value) {
      link.set("seed", value);
      viewer.wish(value);
      link.save();
    },
    newFace: () => act.seed(Math.floor(Math.random() * LARGEST)),
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
  link.on("height", () => viewer.body.style.setProperty("--height", `${link.get("height")}px`));
  link.onBlock(() => viewer.newHead());
}
