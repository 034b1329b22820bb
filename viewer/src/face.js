// The moving mesh: blends components, then normals weighted by area. All in typed arrays that are made once.

export class Face {
  // `arrays` of a head: verts, faces, copies, uv, ao, parts; see facekit/viz/viewer/tracks.py.
  constructor(header, arrays) {
    const [vertices, entries] = header.counts;
    this.vertices = vertices;
    this.entries = entries;
    this.rest = arrays.verts;
    this.index = arrays.faces;
    this.copies = arrays.copies;
    this.uv = new Float32Array(entries * 2);
    for (let i = 0; i < this.uv.length; i++) this.uv[i] = arrays.uv[i] / 65535;
    this.positions = new Float32Array(entries * 3);
    this.normals = new Float32Array(entries * 3);
    // Tension, and how far skin is compressed and stretched.
    this.strain = new Float32Array(entries * 3);
    this.corners = this.#corners();
    this.edges = null;
    this.#spread(this.rest, this.positions, 3);
    this.#normals();
  }

  // Vertices of the triangles' corners, as offsets into arrays of three: entries past the vertices are seam copies.
  #corners() {
    const corners = new Uint32Array(this.index.length);
    for (let i = 0; i < corners.length; i++) {
      const entry = this.index[i];
      corners[i] = 3 * (entry < this.vertices ? entry : this.copies[entry - this.vertices]);
    }
    return corners;
  }

  // Per-vertex values of a part table as bytes, for entries.
  perEntry(values, width, table) {
    const spread = new Uint8Array(this.entries * width);
    for (let i = 0; i < this.entries; i++) {
      const vertex = i < this.vertices ? i : this.copies[i - this.vertices];
      for (let c = 0; c < width; c++) spread[i * width + c] = table ? table[values[vertex]][c] : values[vertex];
    }
    return spread;
  }

  // Poses the face: `parts` are [track, intensity, factor], and movements add up; `rig` and its `weights` come on top.
  // Returns milliseconds.
  pose(parts, withTension, withDetail, rig = null, weights = null) {
    const start = performance.now();
    const pairs = [];
    for (const [track, intensity, factor] of parts) track.collect("position", intensity, pairs, factor);
    blend(this.rest, pairs, this.positions, this.vertices * 3);
    rig?.move(weights, this.positions);
    const blended = performance.now();
    this.#normals();
    this.#spread(this.positions, this.positions, 3);
    const done = performance.now();
    if (withTension) this.#weights(parts, "tension", 0, -Infinity, Infinity, rig, weights);
    if (withDetail) {
      this.#weights(parts, "compress", 1, 0, 1, rig, weights);
      this.#weights(parts, "stretch", 2, 0, 1, rig, weights);
    }
    return { blend: blended - start, normals: done - blended, weights: performance.now() - done };
  }

  #weights(parts, name, slot, low, high, rig, weights) {
    const pairs = [];
    for (const [track, intensity, factor] of parts) track.collect(name, intensity, pairs, factor);
    this.scratch ??= new Float32Array(this.vertices);
    this.zeros ??= new Float32Array(this.vertices);
    const { scratch, strain, vertices, copies } = this;
    blend(this.zeros, pairs, scratch, vertices);
    rig?.addStrain(name, weights, scratch);
    for (let i = 0, o = slot; i < vertices; i++, o += 3) strain[o] = Math.min(Math.max(scratch[i], low), high);
    for (let i = 0, o = vertices * 3 + slot; i < copies.length; i++, o += 3) strain[o] = strain[copies[i] * 3 + slot];
  }

  #spread(from, to, width) {
    const { vertices, copies } = this;
    if (from !== to) to.set(from);
    for (let i = 0, o = vertices * width; i < copies.length; i++) {
      for (let c = 0, v = copies[i] * width; c < width; c++) to[o++] = to[v + c];
    }
  }

  #normals() {
    const { positions: p, normals: n, corners, vertices } = this;
    n.fill(0);
    for (let f = 0; f < corners.length; f += 3) {
      const a = corners[f];
      const b = corners[f + 1];
      const c = corners[f + 2];
      const ax = p[a];
      const ay = p[a + 1];
      const az = p[a + 2];
      const ux = p[b] - ax;
      const uy = p[b + 1] - ay;
      const uz = p[b + 2] - az;
      const vx = p[c] - ax;
      const vy = p[c + 1] - ay;
      const vz = p[c + 2] - az;
      const x = uy * vz - uz * vy;
      const y = uz * vx - ux * vz;
      const z = ux * vy - uy * vx;
      n[a] += x;
      n[a + 1] += y;
      n[a + 2] += z;
      n[b] += x;
      n[b + 1] += y;
      n[b + 2] += z;
      n[c] += x;
      n[c + 1] += y;
      n[c + 2] += z;
    }
    for (let i = 0, end = vertices * 3; i < end; i += 3) {
      const length = Math.sqrt(n[i] * n[i] + n[i + 1] * n[i + 1] + n[i + 2] * n[i + 2]) || 1;
      n[i] /= length;
      n[i + 1] /= length;
      n[i + 2] /= length;
    }
    this.#spread(n, n, 3);
  }

  // Both ends of every edge, once: for the wireframe.
  wires() {
    if (this.edges) return this.edges;
    const seen = new Set();
    const ends = [];
    for (let f = 0; f < this.index.length; f += 3) {
      for (let k = 0; k < 3; k++) {
        const i = this.index[f + k];
        const j = this.index[f + ((k + 1) % 3)];
        const a = this.corners[f + k] / 3;
        const b = this.corners[f + ((k + 1) % 3)] / 3;
        const key = Math.min(a, b) * this.vertices + Math.max(a, b);
        if (!seen.has(key)) {
          seen.add(key);
          ends.push(i, j);
        }
      }
    }
    this.edges = this.entries <= 65535 ? new Uint16Array(ends) : new Uint32Array(ends);
    return this.edges;
  }
}

// out = base + sum of factor * component, four components a pass: each pass reads and writes the sum once.
export function blend(base, pairs, out, count) {
  let from = base;
  let k = 0;
  for (; k + 4 <= pairs.length; k += 4, from = out) {
    const [[a, p], [b, q], [c, r], [d, s]] = pairs.slice(k, k + 4);
    quad(from, a, b, c, d, p, q, r, s, out, count);
  }
  for (; k < pairs.length; k++, from = out) single(from, pairs[k][0], pairs[k][1], out, count);
  if (from === base) for (let i = 0; i < count; i++) out[i] = base[i];
}

function quad(from, a, b, c, d, p, q, r, s, out, count) {
  for (let i = 0; i < count; i++) out[i] = from[i] + p * a[i] + q * b[i] + r * c[i] + s * d[i];
}

function single(from, a, p, out, count) {
  for (let i = 0; i < count; i++) out[i] = from[i] + p * a[i];
}
