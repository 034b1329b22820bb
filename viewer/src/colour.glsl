// Colours as facekit.color and facekit.render.shading have them; stands before every fragment shader.
vec3 toSrgb(vec3 c) {
  return mix(12.92 * c, 1.055 * pow(max(c, 0.0031308), vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
}

vec3 toLinear(vec3 c) {
  return mix(c / 12.92, pow((max(c, 0.04045) + 0.055) / 1.055, vec3(2.4)), step(0.04045, c));
}

// A film's shoulder: the identity up to 0.62, then bending smoothly toward 1.
vec3 tone(vec3 c) {
  return clamp(c, 0.0, 0.62) + 0.38 * (1.0 - exp(-max(c - 0.62, 0.0) / 0.38));
}
