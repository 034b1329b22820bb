// For tests and benchmarks: host.facekit.
import { keyOf } from "./mix.js";

export function probe(viewer) {
  return {
    get ready() {
      return viewer.ready;
    },
    get state() {
      const { state, header, motion, link, host, tracks } = viewer;
      return {
        ...state,
        weights: undefined,
        key: keyOf(state.mix),
        shown: header?.seed ?? null,
        tracks: [...tracks.keys()],
        frames: motion.frames,
        cost: motion.cost,
        playing: motion.playing,
        moving: !motion.posed,
        alive: link.alive,
        tab: viewer.panel?.tab ?? null,
        rig: Boolean(viewer.rig),
        shapes: header ? viewer.shapes() : {},
        time: viewer.clip?.time ?? null,
        busy: host.hasAttribute("data-busy"),
        note: viewer.note.textContent,
      };
    },
    measure: (frames) => measure(viewer, frames),
  };
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

// How long a frame's work in JavaScript takes, medians in ms: blending, normals, weights of tension and detail.
function measure({ face, header, state, motion }, frames = 120) {
  const costs = { blend: [], normals: [], weights: [], total: [] };
  const before = state.intensity;
  for (let k = 0; k < frames; k++) {
    state.intensity = (header.maxIntensity * k) / (frames - 1);
    const cost = face.pose(motion.parts(), true, Boolean(header.detail));
    costs.total.push(cost.blend + cost.normals);
    for (const name of ["blend", "normals", "weights"]) costs[name].push(cost[name]);
  }
  state.intensity = before;
  motion.repose();
  const result = { vertices: face.vertices };
  for (const [name, values] of Object.entries(costs)) result[name] = median(values);
  return result;
}
