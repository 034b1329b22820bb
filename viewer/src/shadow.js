// The key light's soft shadow, as facekit.render.shadows has it: a depth map from where the light stands (Williams
// 1978), filtered over a spiral disc (Reeves et al. 1987) in skin.frag.glsl.
import {
  DepthTexture,
  DoubleSide,
  LessEqualCompare,
  LinearFilter,
  Matrix4,
  MeshBasicMaterial,
  OrthographicCamera,
  UnsignedIntType,
  Vector3,
  WebGLRenderTarget,
} from "three";

const SIZE = 768;
// The penumbra is as wide as a blocker this far away throws it, mm.
const BLOCKER = 14;
// From clip space to what a texture is looked up by.
const TO_TEXTURE = new Matrix4().set(0.5, 0, 0, 0.5, 0, 0.5, 0, 0.5, 0, 0, 0.5, 0.5, 0, 0, 0, 1);

export class Shadow {
  constructor(uniforms) {
    const depth = new DepthTexture(SIZE, SIZE, UnsignedIntType);
    depth.compareFunction = LessEqualCompare;
    depth.minFilter = depth.magFilter = LinearFilter;
    this.target = new WebGLRenderTarget(SIZE, SIZE, { depthTexture: depth });
    this.material = new MeshBasicMaterial({ side: DoubleSide, colorWrite: false });
    this.camera = new OrthographicCamera();
    this.middle = new Vector3();
    this.radius = 1;
    this.uniforms = uniforms;
    uniforms.shadowMap.value = depth;
  }

  // Holds all of a head and its hair with positions (x, y, z, …), however they turn.
  around(...parts) {
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    for (const positions of parts) {
      for (let i = 0; i < positions.length; i++) {
        low[i % 3] = Math.min(low[i % 3], positions[i]);
        high[i % 3] = Math.max(high[i % 3], positions[i]);
      }
    }
    this.middle.set(...low.map((value, k) => (value + high[k]) / 2));
    this.radius = 1.15 * new Vector3(...low).distanceTo(this.middle);
  }

  // Draws the map; the light stands around the camera, which has to be up to date. Without a light, too: what is
  // bound to the shader's sampler must be a map.
  draw(renderer, scene, camera) {
    const { lampDirection, lampGloss, lampCount, unlit, shadowed, shadowMatrix, shadowSize } = this.uniforms;
    shadowed.value = lampCount.value > 0 && !unlit.value;
    const { radius } = this;
    const toward = lampDirection.value[0].clone().transformDirection(camera.matrixWorld);
    Object.assign(this.camera, { left: -radius, right: radius, top: radius, bottom: -radius, near: 0, far: 2 * radius });
    this.camera.position.copy(this.middle).addScaledVector(toward, radius);
    this.camera.lookAt(this.middle);
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
    shadowMatrix.value
      .multiplyMatrices(TO_TEXTURE, this.camera.projectionMatrix)
      .multiply(this.camera.matrixWorldInverse)
      .multiply(camera.matrixWorld);
    // In parts of the map's width: a millimetre, a texel and the filter's radius.
    const millimetre = 0.5 / radius;
    const reach = BLOCKER * Math.tan((lampGloss.value[0].y * Math.PI) / 180);
    shadowSize.value.set(millimetre, 1 / SIZE, reach * millimetre);
    scene.overrideMaterial = this.material;
    renderer.setRenderTarget(this.target);
    renderer.clear();
    renderer.render(scene, this.camera);
    renderer.setRenderTarget(null);
    scene.overrideMaterial = null;
  }

  dispose() {
    this.target.depthTexture.dispose();
    this.target.dispose();
    this.material.dispose();
  }
}
