// Bundles src/ with three.js into the one module that the package ships. The same sources give the same bytes.
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = process.argv[2] ?? join(here, "../facekit/viz/viewer/static/viewer.js");
const three = JSON.parse(await readFile(join(here, "node_modules/three/package.json"), "utf8"));

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/index.js"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  loader: { ".css": "text", ".glsl": "text" },
  banner: { js: `/* facekit viewer (MIT) with three.js ${three.version} (MIT, see three.LICENSE) */` },
  write: false,
});
const [file] = result.outputFiles;
await writeFile(target, file.contents);
await copyFile(join(here, "node_modules/three/LICENSE"), join(dirname(target), "three.LICENSE"));
console.log(`${(file.contents.length / 1000).toFixed(0)} kB`);
