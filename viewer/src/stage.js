// What is drawn: the head before a camera that one can turn. Draws only when something changed.
import {
  BufferAttribute,
  BufferGeometry,
  DataTexture,
  LineBasicMaterial,
  LineSegments,
  LinearFilter,
  LinearMipmapLinearFilter,
  Mesh,
  NoColorSpace,
  PerspectiveCamera,
  SRGBColorSpace,
  Scene,
  Spherical,
  Texture,
  Vector3,
  WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { Hair } from "./hair.js";
import { makeMaterial, setLight, setView } from "./material.js";
import { Shadow } from "./shadow.js";

const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const TURN = 0.09;
const NECK = [0, -70, -30]; // mm, what the head turns about

export class Stage {
  // Throws where there is no WebGL.
  constructor(canvas, stage, redraw) {
    this.canvas = canvas;
    this.description = stage;
    this.redraw = redraw;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true, powerPreference: "high-performance" });
    this.renderer.setClearColor(0, 0);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(stage.camera.fov, 1, 20, 8000);
    this.camera.layers.enable(1);
    this.blank = new DataTexture(new Uint8Array([128, 128, 128, 255]), 1, 1);
    this.blank.needsUpdate = true;
    this.material = makeMaterial(stage, this.blank);
    this.shadow = new Shadow(this.material.uniforms);
    this.lines = new LineBasicMaterial({ color: 0x20242c, transparent: true, opacity: 0.42 });
    this.textures = new Map();
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, {
      enableDamping: !STILL.matches,
      dampingFactor: 0.12,
      minDistance: 160,
      maxDistance: 2400,
      rotateSpeed: 0.75,
      zoomSpeed: 0.7,
      enableZoom: false, // a page must scroll under the wheel until the face was clicked
    });
    this.onFocus = () => (this.controls.enableZoom = true);
    this.onBlur = () => (this.controls.enableZoom = false);
    this.onPinch = (event) => {
      if (event.ctrlKey) this.controls.enableZoom = true;
    };
    this.onTouch = (event) => {
      if (event.pointerType === "touch") this.controls.enableZoom = true;
    };
    canvas.addEventListener("focus", this.onFocus);
    canvas.addEventListener("blur", this.onBlur);
    canvas.addEventListener("wheel", this.onPinch, { capture: true, passive: true });
    canvas.addEventListener("pointerdown", this.onTouch, { capture: true });
    this.controls.addEventListener("change", redraw);
    this.resetCamera();
  }

  // Shows a Face; its arrays are drawn from as they stand at every update().
  async setFace(face, arrays, detail, hair) {
    this.dropFace();
    const { material: table } = this.#tables();
    const geometry = new BufferGeometry();
    const moving = (array, size) => new BufferAttribute(array, size).setUsage(35048); // gl.DYNAMIC_DRAW
    geometry.setIndex(new BufferAttribute(face.index, 1));
    geometry.setAttribute("position", moving(face.positions, 3));
    geometry.setAttribute("normal", moving(face.normals, 3));
    geometry.setAttribute("strain", moving(face.strain, 3));
    geometry.setAttribute("uv", new BufferAttribute(face.uv, 2));
    const rows = face.perEntry(arrays.parts, 4, table);
    // Skin that shines less is rougher, too; see facekit.render.shading.sheen.
    face.perEntry(arrays.sheen, 1).forEach((share, i) => {
      rows[4 * i] += this.description.rougher * (255 - share);
      rows[4 * i + 1] *= share / 255;
    });
    geometry.setAttribute("material", new BufferAttribute(rows, 4, true));
    geometry.setAttribute("ao", new BufferAttribute(face.perEntry(arrays.ao, 1), 1, true));
    this.face = face;
    this.geometry = geometry;
    this.mesh = new Mesh(geometry, this.material);
    this.mesh.frustumCulled = false;
    this.scene.add(this.mesh);
    const { uniforms } = this.material;
    this.textured = Boolean(arrays.texture);
    this.detailed = Boolean(detail);
    const jobs = [];
    const load = (blob, uniform, space) => {
      if (blob) jobs.push(this.texture(blob, space).then((texture) => (uniforms[uniform].value = texture)));
    };
    load(arrays.texture, "albedo", SRGBColorSpace);
    if (detail) {
      load(arrays["detail/static"], "slopeStatic", NoColorSpace);
      load(arrays["detail/compressed"], "slopeCompressed", NoColorSpace);
      load(arrays["detail/stretched"], "slopeStretched", NoColorSpace);
      uniforms.slopeRange.value.set(detail.ranges.static, detail.ranges.compressed, detail.ranges.stretched);
    }
    if (hair) {
      this.hair = new Hair(hair, arrays, face, this.material);
      this.scene.add(this.hair.mesh);
      jobs.push(
        this.texture(arrays["hair/strands"], NoColorSpace).then((t) => (this.hair.material.uniforms.strands.value = t)),
      );
    }
    uniforms.middle.value.set(...mean(face.positions));
    this.shadow.around(face.positions, this.hair?.positions ?? []);
    await Promise.all(jobs);
  }

  #tables() {
    return { material: this.description.materials.map((row) => row.map((value) => Math.round(value * 255))) };
  }

  // A texture of a picture; the same Blob gives the same texture.
  texture(blob, space = SRGBColorSpace) {
    if (!this.textures.has(blob)) this.textures.set(blob, this.#decode(blob, space));
    return this.textures.get(blob);
  }

  async #decode(blob, space) {
    const bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
    const texture = new Texture(bitmap);
    texture.flipY = false;
    texture.colorSpace = space;
    texture.minFilter = LinearMipmapLinearFilter;
    texture.magFilter = LinearFilter;
    texture.anisotropy = Math.min(8, this.renderer.capabilities.getMaxAnisotropy());
    texture.needsUpdate = true;
    return texture;
  }

  // Albedos of posed faces with weights; they add to the neutral one's.
  async setPosed(entries) {
    const strongest = entries.sort((a, b) => b[1] - a[1]).slice(0, 3);
    const textures = await Promise.all(strongest.map(([blob]) => this.texture(blob)));
    const { posed, posedWeight } = this.material.uniforms;
    posed.value = [0, 1, 2].map((k) => textures[k] ?? this.blank);
    posedWeight.value.set(...[0, 1, 2].map((k) => strongest[k]?.[1] ?? 0));
  }

  // Turns the head about the root of the neck: degrees to the image's right, up, and over to the image's left.
  turnHead([turn, nod, tilt]) {
    if (!this.mesh) return;
    const radians = Math.PI / 180;
    for (const object of [this.mesh, this.wires, this.hair?.mesh]) {
      if (!object) continue;
      object.rotation.set(-nod * radians, turn * radians, tilt * radians, "YXZ");
      object.position.set(...NECK).sub(new Vector3(...NECK).applyEuler(object.rotation));
    }
  }

  update() {
    this.hair?.pose();
    for (const name of ["position", "normal", "strain"]) this.geometry.attributes[name].needsUpdate = true;
  }

  setLook({ view, light, strength }) {
    setView(this.material, view, this.textured);
    setLight(this.material, this.description.lights[light] ?? Object.values(this.description.lights)[0]);
    this.material.uniforms.strength.value = this.detailed ? strength : 0;
    if (view === "wireframe" && !this.wires) {
      const geometry = new BufferGeometry();
      geometry.setAttribute("position", this.geometry.attributes.position);
      geometry.setIndex(new BufferAttribute(this.face.wires(), 1));
      this.wires = new LineSegments(geometry, this.lines);
      this.wires.frustumCulled = false;
      this.wires.layers.set(1); // they throw no shadow
      this.scene.add(this.wires);
    }
    if (this.wires) this.wires.visible = view === "wireframe";
    // Hair would hide what the other views are for.
    if (this.hair) this.hair.mesh.visible = view === "texture" && this.textured;
  }

  resetCamera() {
    const { target, distance } = this.description.camera;
    this.controls.target.set(...target);
    this.camera.position.set(target[0], target[1], target[2] + distance / Math.min(1, this.fit ?? 1));
    this.controls.update();
    this.redraw();
  }

  // One of the usual views; the distance stays.
  preset(name) {
    const { target } = this.controls;
    const arm = new Spherical().setFromVector3(this.camera.position.clone().sub(target));
    const [azimuth, elevation] = { Front: [0, 0], "Three-quarter": [38, 4], Side: [90, 0] }[name];
    arm.theta = (azimuth * Math.PI) / 180;
    arm.phi = Math.PI / 2 - (elevation * Math.PI) / 180;
    this.camera.position.copy(new Vector3().setFromSpherical(arm).add(target));
    this.controls.update();
    this.redraw();
  }

  // Turns around the target by steps, for the keyboard; zooms by a factor.
  turn(across, upward, zoom = 1) {
    const { target } = this.controls;
    const arm = new Spherical().setFromVector3(this.camera.position.clone().sub(target));
    arm.theta += across * TURN;
    arm.phi = Math.min(Math.max(arm.phi + upward * TURN, 0.2), Math.PI - 0.2);
    arm.radius = Math.min(Math.max(arm.radius * zoom, this.controls.minDistance), this.controls.maxDistance);
    this.camera.position.copy(new Vector3().setFromSpherical(arm).add(target));
    this.controls.update();
    this.redraw();
  }

  resize(width, height) {
    const before = this.fit ?? 1;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio || 1, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    // Taller than wide: step back, so that the head's width fits.
    this.fit = Math.min(1, this.camera.aspect / 0.82);
    const { target } = this.controls;
    this.camera.position
      .sub(target)
      .multiplyScalar(before / this.fit)
      .add(target);
    this.camera.updateProjectionMatrix();
    this.redraw();
  }

  // Draws; returns whether the camera still glides.
  draw() {
    const gliding = this.controls.update();
    this.camera.updateMatrixWorld();
    this.shadow.draw(this.renderer, this.scene, this.camera);
    this.renderer.render(this.scene, this.camera);
    return gliding && this.controls.enableDamping;
  }

  dropFace() {
    for (const object of [this.mesh, this.wires]) {
      if (!object) continue;
      this.scene.remove(object);
      object.geometry.dispose();
    }
    if (this.hair) this.scene.remove(this.hair.mesh);
    this.hair?.dispose();
    this.mesh = this.wires = this.hair = null;
    for (const texture of this.textures.values()) {
      texture.then(
        (loaded) => {
          loaded.image.close?.();
          loaded.dispose();
        },
        () => {},
      );
    }
    this.textures.clear();
    const { uniforms } = this.material;
    for (const name of ["albedo", "slopeStatic", "slopeCompressed", "slopeStretched"])
      uniforms[name].value = this.blank;
    uniforms.posed.value = [this.blank, this.blank, this.blank];
    uniforms.posedWeight.value.set(0, 0, 0);
  }

  dispose() {
    const { canvas } = this;
    canvas.removeEventListener("focus", this.onFocus);
    canvas.removeEventListener("blur", this.onBlur);
    canvas.removeEventListener("wheel", this.onPinch, { capture: true });
    canvas.removeEventListener("pointerdown", this.onTouch, { capture: true });
    this.controls.dispose();
    this.dropFace();
    this.shadow.dispose();
    this.blank.dispose();
    this.material.dispose();
    this.lines.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }
}

// The mean of points x, y, z, …
function mean(positions) {
  const sum = [0, 0, 0];
  positions.forEach((value, i) => (sum[i % 3] += value));
  return sum.map((value) => (3 * value) / positions.length);
}
