// Files that the page makes by itself, of the face as it stands: for when there is no Python to make exact ones.

const MM = 1000;

// Offers bytes or a Blob as a file.
export function offer(data, name, type) {
  const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// Binary glTF 2.0 in metres: the resting face with its normals, UVs and texture, and a morph target for each of
// `targets`, [{name, positions, normals, strands, weight}] as the face has them when it wears that alone. Hair, {uv, index,
// normals, picture}, is a second primitive, cut where coverage is thin as Python's is; its places are `strands`.
export async function glb(rest, targets, face, texture, hair) {
  const builder = new Builder();
  const attributes = {
    POSITION: builder.vectors(rest.positions.map((value) => value / MM), true),
    NORMAL: builder.vectors(rest.normals),
    TEXCOORD_0: builder.accessor(face.uv, 5126, face.entries, "VEC2", 34962),
  };
  const primitive = {
    attributes,
    indices: builder.indices(face.index),
    material: 0,
  };
  const mesh = { name: "face", primitives: [primitive] };
  if (targets.length) {
    primitive.targets = targets.map(({ positions, normals }) => ({
      POSITION: builder.sparse(difference(positions, rest.positions, 1 / MM), POSITION_LEAST, true),
      NORMAL: builder.sparse(difference(normals, rest.normals, 1), NORMAL_LEAST),
    }));
    mesh.weights = targets.map(({ weight }) => weight);
    mesh.extras = { targetNames: targets.map(({ name }) => name) };
  }
  const materials = [{ name: "face", ...surface(0.6), doubleSided: true }];
  if (texture) {
    const bytes = new Uint8Array(await texture.arrayBuffer());
    materials[0].pbrMetallicRoughness.baseColorTexture = builder.texture("albedo", bytes, texture.type);
  }
  if (hair) {
    const strands = {
      attributes: {
        POSITION: builder.vectors(rest.strands.map((value) => value / MM), true),
        NORMAL: builder.vectors(hair.normals),
        TEXCOORD_0: builder.accessor(hair.uv, 5126, hair.uv.length / 2, "VEC2", 34962),
      },
      indices: builder.indices(hair.index),
      material: 1,
    };
    if (targets.length) {
      const still = new Float32Array(rest.strands.length);
      strands.targets = targets.map((target) => ({
        POSITION: builder.sparse(difference(target.strands, rest.strands, 1 / MM), STRAND_LEAST, true),
        NORMAL: builder.sparse(still, NORMAL_LEAST), // cards hardly turn
      }));
    }
    mesh.primitives.push(strands);
    materials.push({ name: "hair", ...surface(0.55), doubleSided: true, alphaMode: "BLEND" });
    materials[1].pbrMetallicRoughness.baseColorTexture = builder.texture("hair", hair.picture, "image/png");
  }
  return builder.pack({
    // By the copies facekit finds its own order of vertices again, see facekit/io/glb_read.py.
    asset: { version: "2.0", generator: "facekit viewer", extras: { seamCopies: [...face.copies] } },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ name: "face", mesh: 0 }],
    meshes: [mesh],
    materials,
    ...builder.pictures(),
  });
}

function surface(roughnessFactor) {
  return { pbrMetallicRoughness: { metallicFactor: 0, roughnessFactor } };
}

// Below these, metres and parts of a unit normal, a target's entry is left out: nobody sees it.
const POSITION_LEAST = 2e-6;
const STRAND_LEAST = 1.2e-4;
const NORMAL_LEAST = 2e-3;

function difference(a, b, scale) {
  const out = new Float32Array(a.length);
  for (let i = 0; i < a.length; i++) out[i] = (a[i] - b[i]) * scale;
  return out;
}

// Collects the binary chunk with its accessors and views.
class Builder {
  constructor() {
    this.parts = [];
    this.views = [];
    this.accessors = [];
    this.images = [];
    this.size = 0;
  }

  // Returns what a material says of a picture.
  texture(name, data, mimeType) {
    this.images.push({ name, bufferView: this.view(data), mimeType });
    return { index: this.images.length - 1 };
  }

  pictures() {
    if (!this.images.length) return {};
    const samplers = [{ magFilter: 9729, minFilter: 9987, wrapS: 33071, wrapT: 33071 }];
    return { images: this.images, samplers, textures: this.images.map((_, source) => ({ sampler: 0, source })) };
  }

  indices(data) {
    return this.accessor(data, data instanceof Uint32Array ? 5125 : 5123, data.length, "SCALAR", 34963);
  }

  view(data, target) {
    this.views.push({ buffer: 0, byteOffset: this.size, byteLength: data.byteLength, ...(target && { target }) });
    const pad = -data.byteLength & 3;
    this.parts.push(data, new Uint8Array(pad));
    this.size += data.byteLength + pad;
    return this.views.length - 1;
  }

  #push(accessor) {
    this.accessors.push(accessor);
    return this.accessors.length - 1;
  }

  accessor(data, componentType, count, type, target) {
    return this.#push({ bufferView: this.view(data, target), componentType, count, type });
  }

  vectors(data, bounded = false) {
    const bounds = bounded ? limits(data) : {};
    const bufferView = this.view(data, 34962);
    return this.#push({ bufferView, componentType: 5126, count: data.length / 3, type: "VEC3", ...bounds });
  }

  // Vectors that are zero where nothing exceeds `least`.
  sparse(data, least, bounded = false) {
    const moved = [];
    for (let i = 0; i < data.length; i += 3) {
      if (Math.max(Math.abs(data[i]), Math.abs(data[i + 1]), Math.abs(data[i + 2])) > least) moved.push(i / 3);
    }
    if (!moved.length) moved.push(0); // an empty sparse accessor is not allowed
    const kept = new Float32Array(data.length);
    const values = new Float32Array(moved.length * 3);
    moved.forEach((vertex, k) => {
      for (let c = 0; c < 3; c++) kept[3 * vertex + c] = values[3 * k + c] = data[3 * vertex + c];
    });
    const wide = data.length / 3 > 65535;
    const indices = wide ? Uint32Array.from(moved) : Uint16Array.from(moved);
    return this.#push({
      componentType: 5126,
      count: data.length / 3,
      type: "VEC3",
      ...(bounded ? limits(kept) : {}),
      sparse: {
        count: moved.length,
        indices: { bufferView: this.view(indices), componentType: wide ? 5125 : 5123 },
        values: { bufferView: this.view(values) },
      },
    });
  }

  pack(json) {
    const { accessors, views: bufferViews, size } = this;
    const whole = { ...json, accessors, bufferViews, buffers: [{ byteLength: size }] };
    const text = new TextEncoder().encode(JSON.stringify(whole));
    const padded = new Uint8Array((text.length + 3) & ~3).fill(32);
    padded.set(text);
    const total = 12 + 8 + padded.length + 8 + size;
    const head = new Uint32Array([0x46546c67, 2, total, padded.length, 0x4e4f534a]);
    const parts = [head, padded, new Uint32Array([size, 0x004e4942]), ...this.parts];
    return new Blob(parts, { type: "model/gltf-binary" });
  }
}

function limits(data) {
  const min = [Infinity, Infinity, Infinity];
  const max = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < data.length; i++) {
    min[i % 3] = Math.min(min[i % 3], data[i]);
    max[i % 3] = Math.max(max[i % 3], data[i]);
  }
  return { min, max };
}

// The OBJ with its MTL and texture; the topology's own vertices, seams as UVs of their own. Hair, {positions, corners, uv,
// index, picture, coverage}, is a second object with a second material.
export async function objZip(face, texture, stem, hair) {
  const suffix = texture?.type === "image/png" ? "png" : "jpg";
  // The head of facekit's own files: so they are read again as such, the head alone.
  const lines = [
    "# facekit",
    "# units: millimetres; axes: +X subject's left, +Y up, +Z out of the face; UV origin bottom-left",
    `# counts: ${face.vertices} vertices ${face.uv.length / 2} uvs ${face.index.length / 3} triangles`,
    ...(texture ? [`mtllib ${stem}.mtl`] : []),
    "o face",
  ];
  const vertices = face.vertices * 3;
  lines.push(...object(face.positions.subarray(0, vertices), face, [0, 0], texture ? ["usemtl face"] : []));
  if (texture && hair) {
    lines.push("o hair", ...object(hair.positions, hair, [face.vertices, face.uv.length / 2], ["usemtl hair"]));
  }
  const encode = (value) => new TextEncoder().encode(value);
  const files = [[`${stem}.obj`, encode(`${lines.join("\n")}\n`)]];
  if (texture) {
    const material = (name, maps) => `newmtl ${name}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\n${maps}\n`;
    const strands = `map_Kd ${stem}_hair.png\nmap_d ${stem}_hair_coverage.png`;
    const skin = material("face", `map_Kd ${stem}.${suffix}`);
    files.push([`${stem}.mtl`, encode(skin + (hair ? material("hair", strands) : ""))]);
    files.push([`${stem}.${suffix}`, new Uint8Array(await texture.arrayBuffer())]);
    if (hair) files.push([`${stem}_hair.png`, hair.picture], [`${stem}_hair_coverage.png`, hair.coverage]);
  }
  return zip(files);
}

// Lines of vertices, UVs and triangles, which are numbered from `vertex` and `chart` on.
function object(p, { uv, index, corners }, [vertex, chart], use) {
  const lines = [];
  for (let i = 0; i < p.length; i += 3) lines.push(`v ${p[i].toFixed(4)} ${p[i + 1].toFixed(4)} ${p[i + 2].toFixed(4)}`);
  for (let i = 0; i < uv.length; i += 2) lines.push(`vt ${uv[i].toFixed(6)} ${(1 - uv[i + 1]).toFixed(6)}`);
  lines.push(...use);
  for (let f = 0; f < index.length; f += 3) {
    const corner = (k) => `${vertex + corners[f + k] / 3 + 1}/${chart + index[f + k] + 1}`;
    lines.push(`f ${corner(0)} ${corner(1)} ${corner(2)}`);
  }
  return lines;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

export function crc(data) {
  let value = ~0;
  for (let i = 0; i < data.length; i++) value = TABLE[(value ^ data[i]) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

// A zip that stores: [name, bytes] pairs, dated 1980.
export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, data] of files) {
    const title = new TextEncoder().encode(name);
    // Version, flags, method, time, date, CRC, two sizes, two lengths: the same in both places.
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    common.setUint16(8, 0x21, true);
    common.setUint32(10, crc(data), true);
    common.setUint32(14, data.length, true);
    common.setUint32(18, data.length, true);
    common.setUint16(22, title.length, true);
    const local = Uint32Array.of(0x04034b50);
    const entry = new DataView(new ArrayBuffer(14));
    entry.setUint32(10, offset, true);
    directory.push(Uint32Array.of(0x02014b50), Uint16Array.of(20), common, entry, title);
    parts.push(local, common, title, data);
    offset += 30 + title.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, size, true);
  end.setUint32(16, offset, true);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
