// The material of the head: one shader for all views.
import { DoubleSide, GLSL3, Matrix4, ShaderMaterial, Vector2, Vector3, Vector4 } from "three";
import colour from "./colour.glsl";
import fragment from "./skin.frag.glsl";
import vertex from "./skin.vert.glsl";

const MODES = ["texture", "clay", "wireframe", "tension"];
// Tension at the ends of the colour scale: edges a fifth shorter, or longer.
export const TENSION_RANGE = 0.2;
const LAMPS = 4;

export function makeMaterial(stage, blank) {
  const vectors = (count, make) => Array.from({ length: count }, make);
  const material = new ShaderMaterial({
    glslVersion: GLSL3,
    vertexShader: vertex,
    fragmentShader: colour + fragment,
    side: DoubleSide,
    polygonOffsetFactor: 1,
    polygonOffsetUnits: 1,
    uniforms: {
      albedo: { value: blank },
      posed: { value: [blank, blank, blank] },
      posedWeight: { value: new Vector3() },
      slopeStatic: { value: blank },
      slopeCompressed: { value: blank },
      slopeStretched: { value: blank },
      slopeRange: { value: new Vector3() },
      strength: { value: 0 },
      mode: { value: 0 },
      unlit: { value: false },
      sky: { value: new Vector3() },
      ground: { value: new Vector3() },
      lampDirection: { value: vectors(LAMPS, () => new Vector3()) },
      lampColour: { value: vectors(LAMPS, () => new Vector3()) },
      lampGloss: { value: vectors(LAMPS, () => new Vector2()) },
      lampCount: { value: 0 },
      shadowed: { value: false },
      shadowMap: { value: null },
      shadowMatrix: { value: new Matrix4() },
      shadowSize: { value: new Vector3() },
      middle: { value: new Vector3() },
      wrap: { value: new Vector3(...stage.wrap) },
      clay: { value: new Vector3(...stage.clay.colour) },
      clayMaterial: { value: new Vector4(...stage.clay.material) },
      tensionRange: { value: TENSION_RANGE },
    },
  });
  return material;
}

export function setLight(material, light) {
  const { uniforms } = material;
  uniforms.sky.value.set(...light.sky);
  uniforms.ground.value.set(...light.ground);
  uniforms.unlit.value = light.unlit;
  uniforms.lampCount.value = Math.min(light.lamps.length, LAMPS);
  light.lamps.slice(0, LAMPS).forEach((lamp, i) => {
    uniforms.lampDirection.value[i].set(...lamp.direction);
    uniforms.lampColour.value[i].set(...lamp.colour);
    uniforms.lampGloss.value[i].set(lamp.gloss, lamp.size);
  });
}

export function setView(material, view, textured) {
  // Behind its wires only: at silhouettes the offset would let what is behind through.
  material.polygonOffset = view === "wireframe";
  material.uniforms.mode.value = view === "texture" && !textured ? 1 : MODES.indexOf(view);
}
