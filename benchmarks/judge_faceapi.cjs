// Age, sex and expression of faces by face-api's networks, for judges.py: the folder is its argument, names of PNGs come line
// by line; prints the faces found by name, each {age, gender, expressions}, as JSON.
// Needs in NODE_PATH: @vladmandic/face-api, which brings its weights, @tensorflow/tfjs, @tensorflow/tfjs-backend-wasm, pngjs.

const fs = require("fs");
const path = require("path");
const { PNG } = require("pngjs");
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");

const faces = path.dirname(require.resolve("@vladmandic/face-api/package.json"));
const api = require(path.join(faces, "dist", "face-api.node-wasm.js"));

function tensorOf(file) {
  const png = PNG.sync.read(fs.readFileSync(file));
  return tf.tidy(() => tf.tensor3d(new Uint8Array(png.data), [png.height, png.width, 4], "int32").slice([0, 0, 0], [-1, -1, 3]));
}

async function main(folder) {
  wasm.setWasmPaths(path.dirname(require.resolve("@tensorflow/tfjs-backend-wasm")) + "/");
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  const { ssdMobilenetv1, faceLandmark68Net, faceExpressionNet, ageGenderNet } = api.nets;
  for (const net of [ssdMobilenetv1, faceLandmark68Net, faceExpressionNet, ageGenderNet]) {
    await net.loadFromDisk(path.join(faces, "model"));
  }
  const found = {};
  for (const name of fs.readFileSync(0, "utf8").split("\n").filter(Boolean)) {
    const picture = tensorOf(path.join(folder, name));
    const seen = await api.detectAllFaces(picture, new api.SsdMobilenetv1Options()).withFaceLandmarks().withFaceExpressions().withAgeAndGender();
    picture.dispose();
    found[name] = seen.map(({ age, gender, expressions }) => ({ age, gender, expressions: { ...expressions } }));
  }
  console.log(JSON.stringify(found));
}

main(process.argv[2]).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
