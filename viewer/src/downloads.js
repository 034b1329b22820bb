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

// Binary glTF 2.0: one primitive with normals, UVs and the texture, in metres.
export async function glb(face, texture) {
  const positions = face.positions.map((value) => value / MM);
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  positions.forEach((value, i) => {
    low[i % 3] = Math.min(low[i % 3], value);
    high[i % 3] = Math.max(high[i % 3], value);
  });
  const parts = [];
  const views = [];
  let size = 0;
  const view = (data, target) => {
    views.push({ buffer: 0, byteOffset: size, byteLength: data.byteLength, ...(target && { target }) });
    const pad = -data.byteLength & 3;
    parts.push(data, new Uint8Array(pad));
    size += data.byteLength + pad;
    return views.length - 1;
  };
  const wide = face.index instanceof Uint32Array;
  const accessors = [
    { bufferView: view(positions, 34962), componentType: 5126, count: face.entries, type: "VEC3", min: low, max: high },
    { bufferView: view(face.normals, 34962), componentType: 5126, count: face.entries, type: "VEC3" },
    { bufferView: view(face.uv, 34962), componentType: 5126, count: face.entries, type: "VEC2" },
    {
      bufferView: view(face.index, 34963),
      componentType: wide ? 5125 : 5123,
      count: face.index.length,
      type: "SCALAR",
    },
  ];
  const surface = { metallicFactor: 0, roughnessFactor: 0.6 };
  const pictures = {};
  if (texture) {
    const bufferView = view(new Uint8Array(await texture.arrayBuffer()));
    surface.baseColorTexture = { index: 0 };
    pictures.images = [{ name: "albedo", bufferView, mimeType: texture.type }];
    pictures.samplers = [{ magFilter: 9729, minFilter: 9987, wrapS: 33071, wrapT: 33071 }];
    pictures.textures = [{ sampler: 0, source: 0 }];
  }
  const json = {
    asset: { version: "2.0", generator: "facekit viewer" },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ name: "face", mesh: 0 }],
    meshes: [
      {
        name: "face",
        primitives: [{ attributes: { POSITION: 0, NORMAL: 1, TEXCOORD_0: 2 }, indices: 3, material: 0 }],
      },
    ],
    materials: [{ name: "face", pbrMetallicRoughness: surface, doubleSided: true }],
    ...pictures,
    accessors,
    bufferViews: views,
    buffers: [{ byteLength: size }],
  };
  let text = new TextEncoder().encode(JSON.stringify(json));
  const padded = new Uint8Array((text.length + 3) & ~3).fill(32);
  padded.set(text);
  text = padded;
  const head = new Uint32Array([0x46546c67, 2, 12 + 8 + text.length + 8 + size, text.length, 0x4e4f534a]);
  return new Blob([head, text, new Uint32Array([size, 0x004e4942]), ...parts], { type: "model/gltf-binary" });
}

// The OBJ with its MTL and texture; the topology's own vertices, seams as UVs of their own.
export async function objZip(face, texture, stem) {
  const suffix = texture?.type === "image/png" ? "png" : "jpg";
  const lines = ["# facekit viewer, millimetres", ...(texture ? [`mtllib ${stem}.mtl`] : []), "o face"];
  const { positions: p, uv, index, corners } = face;
  for (let i = 0; i < face.vertices * 3; i += 3) {
    lines.push(`v ${p[i].toFixed(4)} ${p[i + 1].toFixed(4)} ${p[i + 2].toFixed(4)}`);
  }
  for (let i = 0; i < uv.length; i += 2) lines.push(`vt ${uv[i].toFixed(6)} ${(1 - uv[i + 1]).toFixed(6)}`);
  if (texture) lines.push("usemtl face");
  for (let f = 0; f < index.length; f += 3) {
    const corner = (k) => `${corners[f + k] / 3 + 1}/${index[f + k] + 1}`;
    lines.push(`f ${corner(0)} ${corner(1)} ${corner(2)}`);
  }
  const encode = (value) => new TextEncoder().encode(value);
  const files = [[`${stem}.obj`, encode(`${lines.join("\n")}\n`)]];
  if (texture) {
    const material = `newmtl face\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\nmap_Kd ${stem}.${suffix}\n`;
    files.push([`${stem}.mtl`, encode(material)]);
    files.push([`${stem}.${suffix}`, new Uint8Array(await texture.arrayBuffer())]);
  }
  return zip(files);
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(data) {
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
