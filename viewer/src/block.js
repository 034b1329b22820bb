// Blocks of bytes as facekit/viz/viewer/block.py packs them, and movements made of components.

const ARRAYS = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint32: Uint32Array,
  float32: Float32Array,
};

// Header and arrays of a block; pictures become Blobs.
export function unpack(source) {
  // A copy of our own: views need offsets that are multiples of their size, and the sender may reuse its memory.
  const bytes = new Uint8Array(source.buffer ?? source, source.byteOffset ?? 0, source.byteLength).slice();
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  if (header.format !== 1) throw new Error(`This viewer does not read data of format ${header.format}.`);
  const arrays = {};
  for (const [name, entry] of Object.entries(header.arrays)) {
    const start = 4 + length + entry.offset;
    const count = entry.shape.reduce((a, b) => a * b, 1);
    arrays[name] =
      entry.type === "picture"
        ? new Blob([bytes.subarray(start, start + count)], { type: entry.mime })
        : new ARRAYS[entry.type](bytes.buffer, start, count);
  }
  delete header.arrays;
  return { header, arrays };
}

// Keyframes of n numbers as R components: keyframe k is the sum of coefficients[k][r] * components[r].
class Series {
  constructor(name, entry, steps, arrays) {
    this.steps = steps;
    this.components = Array.from({ length: entry.components }, (_, r) => arrays[`${name}/${r}`]);
    this.coefficients = arrays[`${name}/coefficients`];
  }

  // Adds [component, factor] pairs for a place between keyframes: linear in between.
  collect(place, factor, pairs) {
    const count = this.components.length;
    const low = Math.min(Math.floor(place), this.steps - 2);
    const t = place - low;
    for (let r = 0; r < count; r++) {
      const a = this.coefficients[low * count + r];
      const b = this.coefficients[(low + 1) * count + r];
      const value = (a + (b - a) * t) * factor;
      if (value === 0) continue;
      // As floats from the first use on: a loop over one type of array runs several times as fast.
      if (!(this.components[r] instanceof Float32Array)) this.components[r] = Float32Array.from(this.components[r]);
      pairs.push([this.components[r], value]);
    }
  }
}

// How one expression, or one blend, moves the face.
export class Track {
  constructor(entry, arrays, maxIntensity) {
    this.key = entry.key;
    this.maxIntensity = maxIntensity;
    this.steps = entry.steps;
    this.texture = arrays[`${entry.key}/texture`] ?? null;
    this.series = {};
    for (const name of ["position", "tension", "compress", "stretch"]) {
      if (entry[name]) this.series[name] = new Series(`${entry.key}/${name}`, entry[name], entry.steps, arrays);
    }
  }

  collect(name, intensity, pairs, factor = 1) {
    const bounded = Math.min(Math.max(intensity, 0), this.maxIntensity);
    this.series[name]?.collect((bounded / this.maxIntensity) * (this.steps - 1), factor, pairs);
  }
}
