// The picture of hair and lashes for files: strands in their colours, coverage as alpha.
import { crc } from "./downloads.js";

// Under this coverage, of 255, a canvas no longer knows a pixel's grey: there it is the hair's own.
const KNOWN = 24;

// RGBA and coverage alone, as PNG bytes: {colour, coverage}. `strands` is the PNG of grey and coverage, `tint` the sRGB of
// hair and lashes, which begin at `lashFrom` of the picture's width.
export async function strandPictures(strands, tint, lashFrom) {
  const bitmap = await createImageBitmap(strands, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const coverage = new Uint8Array(width * height);
  const first = Math.round(lashFrom * width);
  for (let i = 0, o = 0; o < data.length; i++, o += 4) {
    const alpha = (coverage[i] = data[o + 3]);
    const grey = alpha < KNOWN ? 0.5 : data[o] / 255;
    const shine = 0.12 * Math.max(grey - 0.5, 0) ** 2;
    const own = tint[i % width < first ? 0 : 1];
    const contrast = 0.75 - 0.38 * Math.min(Math.max((Math.min(...own) - 0.34) / 0.4, 0), 1); // as in hair.frag.glsl
    for (let c = 0; c < 3; c++) data[o + c] = 255 * (own[c] * (1 + contrast * (2 * grey - 1)) + shine);
  }
  return { colour: await png(data, width, height, 6), coverage: await png(coverage, width, height, 0) };
}

// PNG of 8 bits: a canvas would forget the colours of what is clear, and edges would be dark then. `kind` is 0 for grey,
// 6 for RGBA.
async function png(pixels, width, height, kind) {
  const stride = pixels.length / height;
  const rows = new Uint8Array((stride + 1) * height);
  // Each row as what it differs from the one above (filter 2): strands run down.
  for (let y = 0; y < height; y++) {
    const o = y * (stride + 1);
    rows[o] = 2;
    for (let x = 0; x < stride; x++) rows[o + 1 + x] = pixels[y * stride + x] - (y ? pixels[(y - 1) * stride + x] : 0);
  }
  const packed = new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate")));
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, width);
  head.setUint32(4, height);
  head.setUint8(8, 8);
  head.setUint8(9, kind);
  const parts = [["IHDR", new Uint8Array(head.buffer)], ["IDAT", new Uint8Array(await packed.arrayBuffer())], ["IEND", []]];
  const chunks = parts.flatMap(([name, bytes]) => {
    const body = new Uint8Array(4 + bytes.length);
    body.set(new TextEncoder().encode(name));
    body.set(bytes, 4);
    const [length, sum] = [new DataView(new ArrayBuffer(4)), new DataView(new ArrayBuffer(4))];
    length.setUint32(0, bytes.length);
    sum.setUint32(0, crc(body));
    return [length, body, sum];
  });
  const blob = new Blob([Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), ...chunks]);
  return new Uint8Array(await blob.arrayBuffer());
}
