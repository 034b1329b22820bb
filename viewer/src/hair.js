// Hair and lashes: cards that hang on the head's vertices, see facekit/viz/viewer/hair.py for the data.
import { BufferAttribute, BufferGeometry, DoubleSide, GLSL3, Mesh, ShaderMaterial, Vector3 } from "three";
import colour from "./colour.glsl";
import fragment from "./hair.frag.glsl";
import vertex from "./hair.vert.glsl";
import { strandPictures } from "./strands.js";

const LIGHTS = ["unlit", "sky", "ground", "lampDirection", "lampColour", "lampGloss", "lampCount"];

export class Hair {
  // `face` carries it; what lights the skin lights the hair, too: the uniforms are the same objects.
  constructor(header, arrays, face, skin) {
    Object.assign(this, { header, face });
    this.count = header.count;
    this.rest = arrays["hair/verts"];
    this.copies = arrays["hair/copies"];
    this.hold = arrays["hair/hold"];
    this.share = arrays["hair/share"];
    this.lash = arrays["hair/lash"];
    this.strands = arrays["hair/strands"];
    this.ties = this.hold.length / this.count;
    this.entries = this.count + this.copies.length;
    this.positions = new Float32Array(this.entries * 3);
    this.positions.set(this.rest);
    this.roots = new Float32Array(this.count * 3);
    for (let i = 0; i < this.count; i++) this.#held(i, face.rest, this.roots, 3 * i);
    const geometry = new BufferGeometry();
    geometry.setIndex(new BufferAttribute(arrays["hair/faces"], 1));
    geometry.setAttribute("position", new BufferAttribute(this.positions, 3).setUsage(35048));
    geometry.setAttribute("normal", new BufferAttribute(this.#spread(arrays["hair/normals"], 3), 3, true));
    geometry.setAttribute("along", new BufferAttribute(this.#spread(arrays["hair/along"], 3), 3, true));
    geometry.setAttribute("openness", new BufferAttribute(this.#spread(arrays["hair/openness"], 1), 1, true));
    geometry.setAttribute("fuzz", new BufferAttribute(this.#spread(arrays["hair/fuzz"], 1), 1, true));
    geometry.setAttribute("lash", new BufferAttribute(this.#spread(this.lash, 1), 1));
    geometry.setAttribute("uv", new BufferAttribute(arrays["hair/uv"], 2, true));
    const shared = Object.fromEntries(LIGHTS.map((name) => [name, skin.uniforms[name]]));
    this.material = new ShaderMaterial({
      glslVersion: GLSL3,
      vertexShader: vertex,
      fragmentShader: colour + fragment,
      side: DoubleSide,
      defines: { WHOLE: true },
      uniforms: {
        ...shared,
        strands: { value: null },
        tint: { value: header.tint.map((colour) => new Vector3(...colour)) },
      },
    });
    // What covers wholly is drawn first, the rest blended over it: nothing behind hair is missing where its borders are.
    this.border = this.material.clone();
    Object.assign(this.border, { defines: {}, transparent: true, depthWrite: false, uniforms: this.material.uniforms });
    this.mesh = new Mesh(geometry, this.material);
    this.mesh.add(new Mesh(geometry, this.border));
    for (const mesh of [this.mesh, ...this.mesh.children]) mesh.frustumCulled = false;
    this.#copy();
  }

  // Bytes of vertices, for entries.
  #spread(values, width) {
    const out = new values.constructor(this.entries * width);
    out.set(values);
    this.copies.forEach((from, k) => {
      for (let c = 0; c < width; c++) out[(this.count + k) * width + c] = values[from * width + c];
    });
    return out;
  }

  // The place on the head that a card's vertex hangs on.
  #held(i, positions, out, o) {
    const { hold, share, ties } = this;
    let [x, y, z] = [0, 0, 0];
    for (let k = i * ties; k < (i + 1) * ties; k++) {
      const at = 3 * hold[k];
      const part = share[k] / 255;
      x += part * positions[at];
      y += part * positions[at + 1];
      z += part * positions[at + 2];
    }
    out[o] = x;
    out[o + 1] = y;
    out[o + 2] = z;
  }

  // Follows the head; lashes turn about the eyes' centres as the rims of the lids do.
  pose() {
    const { positions: p, rest, roots, lash, face, header } = this;
    const now = [0, 0, 0];
    for (let i = 0, o = 0; i < this.count; i++, o += 3) {
      this.#held(i, face.positions, now, 0);
      if (!lash[i]) {
        for (let c = 0; c < 3; c++) p[o + c] = rest[o + c] + now[c] - roots[o + c];
        continue;
      }
      const centre = header.centres[rest[o] > 0 ? 1 : 0];
      turned(centre, roots, now, rest, o, p);
    }
    this.#copy();
    this.mesh.geometry.attributes.position.needsUpdate = true;
  }

  // What files hold of it besides its places: floats for entries, and pictures in colour.
  async forFiles() {
    const { normal, uv } = this.mesh.geometry.attributes;
    const index = this.mesh.geometry.index.array;
    const corners = Uint32Array.from(index, (i) => 3 * (i < this.count ? i : this.copies[i - this.count]));
    const { colour, coverage } = await strandPictures(this.strands, this.header.tint, this.header.lashFrom);
    return {
      index,
      corners,
      uv: Float32Array.from(uv.array, (value) => value / 65535),
      normals: unit(normal.array),
      picture: colour,
      coverage,
    };
  }

  #copy() {
    const { positions: p, count } = this;
    this.copies.forEach((from, k) => {
      for (let c = 0; c < 3; c++) p[3 * (count + k) + c] = p[3 * from + c];
    });
  }

  dispose() {
    this.mesh.geometry.dispose();
    this.material.dispose();
    this.border.dispose();
  }
}

function unit(bytes) {
  const out = Float32Array.from(bytes);
  for (let i = 0; i < out.length; i += 3) {
    const length = Math.hypot(out[i], out[i + 1], out[i + 2]);
    for (let c = 0; c < 3; c++) out[i + c] = length ? out[i + c] / length : Number(c === 2);
  }
  return out;
}

// Turns the vertex at `o` of `rest` about a centre as its root turned, from roots[o] to `now` (Rodrigues' rotation).
function turned(centre, roots, now, rest, o, out) {
  const [cx, cy, cz] = centre;
  let [ax, ay, az] = [roots[o] - cx, roots[o + 1] - cy, roots[o + 2] - cz];
  let [bx, by, bz] = [now[0] - cx, now[1] - cy, now[2] - cz];
  const a = Math.hypot(ax, ay, az);
  const b = Math.hypot(bx, by, bz);
  [ax, ay, az, bx, by, bz] = [ax / a, ay / a, az / a, bx / b, by / b, bz / b];
  const [kx, ky, kz] = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
  const cos = ax * bx + ay * by + az * bz;
  const [x, y, z] = [rest[o] - cx, rest[o + 1] - cy, rest[o + 2] - cz];
  const along = (kx * x + ky * y + kz * z) / Math.max(1 + cos, 1e-3);
  const size = b / a;
  out[o] = cx + size * (x * cos + ky * z - kz * y + kx * along);
  out[o + 1] = cy + size * (y * cos + kz * x - kx * z + ky * along);
  out[o + 2] = cz + size * (z * cos + kx * y - ky * x + kz * along);
}
