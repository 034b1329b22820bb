// ARKit's 52 shapes of one head: movements that add up, pairs that need a shape of their own, and eyes that turn.
// The layout is that of rig_entries() in facekit/viz/viewer/rig.py.

export class Rig {
  constructor(header, arrays) {
    Object.assign(this, header);
    this.index = new Map(this.names.map((name, k) => [name, k]));
    this.moves = new Sparse(arrays, "rig/move", 3, header.step);
    this.strain = new Map(header.strain.map((name) => [name, new Sparse(arrays, `rig/${name}`, 1, header.strainStep)]));
    this.eyes = header.eyes.map((eye, k) => ({ ...eye, vertices: arrays[`rig/eye/${k}`] }));
    this.resting = new Float32Array(this.names.length);
  }

  // Weights as they count: lips close no further than the jaw has opened them.
  #effective(weights) {
    const counted = Float32Array.from(weights);
    const { close, jaw } = this.limits;
    counted[close] = Math.min(counted[close], counted[jaw]);
    return counted;
  }

  // Adds the movement to positions, three numbers a vertex.
  move(weights, positions) {
    const counted = this.#effective(weights);
    this.#each(counted, (row, weight) => this.moves.add(row, weight, positions));
    for (const eye of this.eyes) this.#turn(eye, counted, positions);
  }

  // Adds what the shapes do to tension, compression or stretching, a number a vertex.
  addStrain(name, weights, values) {
    const strain = this.strain.get(name);
    if (strain) this.#each(this.#effective(weights), (row, weight) => strain.add(row, weight, values));
  }

  #each(weights, add) {
    const { names, pairs } = this;
    for (let k = 0; k < names.length; k++) if (weights[k]) add(k, weights[k]);
    for (let k = 0; k < pairs.length; k++) {
      const product = weights[pairs[k][0]] * weights[pairs[k][1]];
      if (product) add(names.length + k, product);
    }
  }

  // Turns an eyeball about its centre: across about +Y first, then up.
  #turn({ centre, vertices, look }, weights, positions) {
    const across = ((weights[look.left] - weights[look.right]) * this.gaze[0] * Math.PI) / 180;
    const up = ((weights[look.up] - weights[look.down]) * this.gaze[1] * Math.PI) / 180;
    if (!across && !up) return;
    const [ca, sa, cb, sb] = [Math.cos(across), Math.sin(across), Math.cos(up), Math.sin(up)];
    for (const vertex of vertices) {
      const o = 3 * vertex;
      const x = positions[o] - centre[0];
      const y = positions[o + 1] - centre[1];
      const z = positions[o + 2] - centre[2];
      const lifted = cb * z - sb * y;
      positions[o] = centre[0] + ca * x + sa * lifted;
      positions[o + 1] = centre[1] + cb * y + sb * z;
      positions[o + 2] = centre[2] + ca * lifted - sa * x;
    }
  }
}

// Rows of sparse values: row k has the vertices from start[k] on, `width` whole steps for each.
class Sparse {
  constructor(arrays, name, width, step) {
    this.vertex = arrays[`${name}/vertex`];
    this.start = arrays[`${name}/start`];
    this.value = arrays[`${name}/value`];
    this.width = width;
    this.step = step;
  }

  add(row, weight, out) {
    const { vertex, value, width } = this;
    const factor = weight * this.step;
    for (let i = this.start[row], end = this.start[row + 1]; i < end; i++) {
      const to = vertex[i] * width;
      const from = i * width;
      for (let c = 0; c < width; c++) out[to + c] += factor * value[from + c];
    }
  }
}

// A recorded performance: weights and head angles a frame.
export class Clip {
  constructor(header, arrays) {
    this.fps = header.fps;
    this.frames = header.frames;
    this.weights = arrays["motion/weights"];
    this.head = arrays["motion/head"];
    this.count = this.weights.length / this.frames;
  }

  get seconds() {
    return Math.max(this.frames - 1, 1) / this.fps;
  }

  // Weights (written into `weights`) and head angles at a time in seconds, linear between frames.
  at(time, weights) {
    const place = Math.min(Math.max(time * this.fps, 0), this.frames - 1);
    const low = Math.min(Math.floor(place), Math.max(this.frames - 2, 0));
    const high = Math.min(low + 1, this.frames - 1);
    const t = place - low;
    const mixed = (array, width, k, scale) =>
      (array[low * width + k] * (1 - t) + array[high * width + k] * t) * scale;
    for (let k = 0; k < this.count; k++) weights[k] = mixed(this.weights, this.count, k, 1 / 255);
    return [0, 1, 2].map((k) => mixed(this.head, 3, k, 1));
  }
}
