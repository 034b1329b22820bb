// Hair as facekit.render has it (hair.py): cards, what covers wholly and the rest, and Kajiya and Kay's light on strands.
in vec3 vPlace;
in vec3 vNormal;
in vec3 vAlong;
in vec2 vUv;
in float vOpenness;
in float vFuzz;
in float vLash;
out vec4 colour;

uniform sampler2D strands; // grey, and coverage in alpha
uniform vec3 tint[2]; // sRGB of hair and of lashes
uniform bool unlit;
uniform vec3 sky;
uniform vec3 ground;
uniform vec3 lampDirection[4];
uniform vec3 lampColour[4];
uniform vec2 lampGloss[4];
uniform int lampCount;

float lobe(vec3 along, vec3 n, vec3 halfway, float shift, float exponent) {
  float tilt = dot(normalize(along + n * shift), halfway);
  return pow(max(1.0 - tilt * tilt, 1e-6), 0.5 * exponent);
}

void main() {
  vec4 texel = texture(strands, vUv);
  vec3 v = normalize(-vPlace);
  vec3 n = normalize(vNormal);
  float slant = dot(n, v);
  if (vFuzz > 0.0) slant = 0.65 * (slant - clamp(slant, -vFuzz, 0.06));
  float facing = abs(slant) + 0.18 * (texel.r - 0.5); // edges fade strand by strand
  float cover = texel.a * max(smoothstep(0.02, 0.18, facing), vLash);
#ifdef WHOLE
  if (cover < 0.9) discard;
  cover = 1.0;
#else
  if (cover < 0.05 || cover >= 0.9) discard;
#endif
  float grey = texel.r;
  vec3 own = mix(tint[0], tint[1], vLash);
  float least = min(own.r, min(own.g, own.b));
  float contrast = 0.75 - 0.38 * clamp((least - 0.34) / 0.4, 0.0, 1.0); // grey and white hair scatters light inside
  vec3 base = clamp(own * (1.0 + contrast * (2.0 * grey - 1.0)) + 0.12 * pow(max(grey - 0.5, 0.0), 2.0), 0.0, 1.0);
  if (unlit) {
    colour = vec4(base, cover);
    return;
  }
  base = toLinear(base);
  if (dot(n, v) < -0.3) n = -n;
  vec3 along = normalize(vAlong - n * dot(vAlong, n) + 1e-5);
  vec3 up = (viewMatrix * vec4(0.0, 1.0, 0.0, 0.0)).xyz;
  vec3 soft = (0.5 * (sky + ground) + 0.5 * (sky - ground) * dot(n, up)) * vOpenness;
  vec3 shine = vec3(0.0);
  float dull = vOpenness * vOpenness * (0.35 + 0.65 * vOpenness) * (1.0 - 0.9 * vLash);
  for (int i = 0; i < 4; i++) {
    if (i >= lampCount) break;
    vec3 l = lampDirection[i];
    float lit = max((dot(n, l) + 0.35) / 1.35, 0.0);
    float leaning = dot(along, l);
    float body = 0.45 + 0.55 * sqrt(max(1.0 - leaning * leaning, 0.0));
    vec3 halfway = normalize(v + l);
    float peaks = 0.16 * lobe(along, n, halfway, -0.10, 60.0) + 0.18 * lobe(along, n, halfway, 0.14, 14.0);
    soft += lampColour[i] * lit * body * vOpenness;
    shine += lampColour[i] * peaks * lit * dull * lampGloss[i].x;
  }
  float streak = max(1.0 + 4.26 * contrast * (grey - 0.5), 0.0);
  float bright = max(base.r, max(base.g, base.b));
  colour = vec4(toSrgb(tone(base * soft + shine * streak * (0.35 + 1.2 * bright))), cover);
}
