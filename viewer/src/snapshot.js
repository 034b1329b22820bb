// The picture of what is shown, with its background.

const ROLL = { middle: [0.8, 0.81, 0.825], edge: [0.46, 0.475, 0.5] };
const PLAIN = { light: "#f7f7f5", dark: "#17181b" };

export async function snapshot(viewer) {
  const { canvas, stage, state } = viewer;
  const page = document.createElement("canvas");
  page.width = canvas.width;
  page.height = canvas.height;
  const context = page.getContext("2d");
  if (!stage) {
    const picture = await createImageBitmap(viewer.poster);
    page.width = picture.width;
    page.height = picture.height;
    context.drawImage(picture, 0, 0);
  } else {
    paint(context, state.background, page.width, page.height);
    // The drawing buffer is only there in the task that drew it.
    stage.draw();
    context.drawImage(canvas, 0, 0);
  }
  return new Promise((resolve) => page.toBlob(resolve, "image/png"));
}

// A lit paper roll as in facekit.render, a plain colour, or nothing.
export function paint(context, background, width, height) {
  if (background === "none") return;
  if (background !== "studio") {
    context.fillStyle = PLAIN[background];
    context.fillRect(0, 0, width, height);
    return;
  }
  const pixels = context.createImageData(width, height);
  const across = Float32Array.from({ length: width }, (_, x) =>
    Math.exp(-1.35 * ((((x + 0.5) / width - 0.5) * (width / height)) / 0.8) ** 2),
  );
  for (let y = 0, o = 0; y < height; y++) {
    const down = Math.exp(-1.35 * (((y + 0.5) / height - 0.4) / 0.86) ** 2);
    for (let x = 0; x < width; x++, o += 4) {
      const glow = across[x] * down;
      for (let c = 0; c < 3; c++) {
        // Ordered noise of half a step hides the bands of so smooth a ramp.
        const noise = ((x * 0.7549 + y * 0.5698) % 1) - 0.5;
        pixels.data[o + c] = 255 * (ROLL.edge[c] + (ROLL.middle[c] - ROLL.edge[c]) * glow) + noise;
      }
      pixels.data[o + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
}
