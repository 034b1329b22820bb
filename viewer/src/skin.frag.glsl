// The shading of facekit.render (shading.py), in view space; see there for the sources of its parts.
in vec3 vPlace;
centroid in vec3 vNormal; // centroid: at silhouettes the others would lie outside their triangle
in vec2 vUv;
centroid in vec4 vMaterial;
centroid in float vAo;
centroid in vec3 vStrain;
out vec4 colour;

uniform sampler2D albedo;
uniform sampler2D posed[3];
uniform vec3 posedWeight;
uniform sampler2D slopeStatic;
uniform sampler2D slopeCompressed;
uniform sampler2D slopeStretched;
uniform vec3 slopeRange;
uniform float strength;
uniform int mode; // 0 texture, 1 clay, 2 wireframe, 3 tension
uniform bool unlit;
uniform vec3 sky;
uniform vec3 ground;
uniform vec3 lampDirection[4];
uniform vec3 lampColour[4];
uniform vec2 lampGloss[4]; // gloss, half angle in degrees
uniform int lampCount;
uniform bool shadowed;
uniform highp sampler2DShadow shadowMap;
uniform mat4 shadowMatrix; // from view space to the map
uniform vec3 shadowSize; // a millimetre, a texel, the filter's radius, in parts of the map
uniform vec3 middle; // of the head, world space
uniform vec3 wrap;
uniform vec3 clay;
uniform vec4 clayMaterial;
uniform float tensionRange;

// Tilts a normal by how steeply the surface rises along u and v; no tangents needed (Mikkelsen, *Surface gradient-based
// bump mapping framework*, 2020).
vec3 tilted(vec3 n, vec2 slope) {
  vec3 sx = dFdx(vPlace);
  vec3 sy = dFdy(vPlace);
  float hx = dot(slope, dFdx(vUv));
  float hy = dot(slope, dFdy(vUv));
  vec3 r1 = cross(sy, n);
  vec3 r2 = cross(n, sx);
  float det = dot(sx, r1);
  vec3 gradient = sign(det) * (hx * r1 + hy * r2);
  return normalize(abs(det) * n - gradient);
}

vec2 slopes(sampler2D map) {
  return texture(map, vUv).rg * (255.0 / 127.0) - 128.0 / 127.0;
}

vec3 heat(float t) {
  vec3 stretched = vec3(0.145, 0.42, 0.72);
  vec3 rest = vec3(0.90, 0.89, 0.87);
  vec3 compressed = vec3(0.80, 0.25, 0.13);
  float s = clamp(t / tensionRange, -1.0, 1.0);
  return toLinear(s < 0.0 ? mix(rest, stretched, pow(-s, 0.8)) : mix(rest, compressed, pow(s, 0.8)));
}

// How much of the first light arrives, by taps on a spiral that is turned from pixel to pixel.
float arrives(vec3 n) {
  const int TAPS = 16;
  float cosine = dot(n, lampDirection[0]);
  if (!shadowed || cosine < -wrap.x) return 1.0;
  float off = 1.5 * shadowSize.y / shadowSize.x + 1.2 * (1.0 - clamp(cosine, 0.0, 1.0));
  vec3 start = (shadowMatrix * vec4(vPlace + off * n, 1.0)).xyz;
  float slope = sqrt(1.0 - pow(clamp(cosine, 0.05, 1.0), 2.0)) / clamp(cosine, 0.25, 1.0);
  float angle = 6.2831853 * fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715))));
  float total = 0.0;
  for (int k = 0; k < TAPS; k++) {
    float radius = shadowSize.z * sqrt((float(k) + 0.5) / float(TAPS));
    float way = angle + 2.39996323 * float(k);
    // Along the disc the surface itself comes nearer to the light.
    float limit = start.z - 0.6 * shadowSize.y - 0.8 * slope * radius;
    total += texture(shadowMap, vec3(start.xy + radius * vec2(cos(way), sin(way)), limit));
  }
  return total / float(TAPS);
}

void main() {
  vec3 base = toLinear(clay);
  vec4 material = clayMaterial;
  if (mode == 0) {
    base = texture(albedo, vUv).rgb;
    vec3 neutral = base;
    if (posedWeight.x != 0.0) base += posedWeight.x * (texture(posed[0], vUv).rgb - neutral);
    if (posedWeight.y != 0.0) base += posedWeight.y * (texture(posed[1], vUv).rgb - neutral);
    if (posedWeight.z != 0.0) base += posedWeight.z * (texture(posed[2], vUv).rgb - neutral);
    base = clamp(base, 0.0, 1.0);
    material = vMaterial;
    if (unlit) {
      colour = vec4(toSrgb(base), 1.0);
      return;
    }
  } else if (mode == 3) {
    base = heat(vStrain.x);
  }
  vec3 n = normalize(vNormal);
  vec3 v = normalize(-vPlace);
  // Inside the bust; smooth normals at silhouettes may lean away a little.
  if (dot(n, v) < -0.35) n = -n;
  vec3 plain = n;
  if (strength > 0.0 && mode != 2) {
    vec2 slope = slopeRange.x * slopes(slopeStatic) + vStrain.y * slopeRange.y * slopes(slopeCompressed) +
                 vStrain.z * slopeRange.z * slopes(slopeStretched);
    n = tilted(n, strength * slope);
  }
  float arriving = lampCount > 0 && mode != 2 ? arrives(plain) : 1.0;
  float roughness = material.x;
  float reflectance = material.y;
  float scatter = material.z;
  float coat = material.w;
  float occlusion = vAo;
  float openness = occlusion * occlusion;
  vec3 up = (viewMatrix * vec4(0.0, 1.0, 0.0, 0.0)).xyz;
  vec3 ambient = unlit ? vec3(0.9) : 0.5 * (sky + ground) + 0.5 * (sky - ground) * dot(n, up);
  float facing = clamp(dot(n, v), 1e-3, 1.0);
  vec3 diffuse = ambient * (occlusion + base * 0.55 * (1.0 - occlusion) * occlusion);
  vec3 outward = normalize(vPlace - (viewMatrix * vec4(middle, 1.0)).xyz);
  // Dull skin does not glint at grazing angles, nor what mirrors the head itself.
  float grazing = min(50.0 * reflectance, 1.0);
  float fresnel = grazing * pow(1.0 - facing, 5.0);
  fresnel *= smoothstep(-0.40, 0.45, 2.0 * facing * dot(outward, n) - dot(outward, v));
  vec3 gleam = ambient * (reflectance + (0.35 - 0.3 * roughness) * fresnel) * openness;
  float aperture = 2.0 * openness + 0.25 * occlusion - 1.0;
  float alpha = roughness * roughness;
  float spread = alpha * alpha;
  float k = 0.5 * alpha;
  vec3 wrapped = scatter * wrap;
  for (int i = 0; i < 4; i++) {
    if (i >= lampCount) break;
    vec3 l = lampDirection[i];
    float cosine = dot(n, l);
    float lit = max(cosine, 0.0);
    float reach = clamp(lit + aperture, 0.0, 1.0);
    vec3 soft = max((cosine + wrapped) / (1.0 + wrapped), 0.0);
    soft += 2.0 * wrapped * soft * (soft - 1.0);
    // The head keeps the other lamps from what faces them on its far side.
    float share = i == 0 ? arriving : smoothstep(-0.55, -0.15, dot(outward, l));
    // A cast shadow's edge, too, lets red through before green and blue.
    diffuse += soft * reach * pow(vec3(share), 1.0 - 0.6 * wrapped) * lampColour[i];
    reach *= share;
    float between = max(dot(v, l), -0.999);
    float scale = inversesqrt(2.0 + 2.0 * between);
    float h = min((lit + facing) * scale, 1.0);
    float seen = (1.0 + between) * scale;
    float peak = h * h * (spread - 1.0) + 1.0;
    float f = reflectance + (grazing - reflectance) * exp2((-5.55473 * seen - 6.98316) * seen);
    float hidden = (facing * (1.0 - k) + k) * (lit * (1.0 - k) + k);
    gleam += reach * lit * f * spread * 0.25 / (peak * peak * hidden) * lampColour[i] * lampGloss[i].x;
  }
  if (coat > 0.01 && lampCount > 0) {
    // Wet eyes mirror the key light's box, by a cornea that is more curved than the mesh.
    float size = radians(lampGloss[0].y);
    vec3 bent = normalize(1.4 * n - 0.4 * facing * v);
    float t = smoothstep(cos(0.8 * size), cos(0.55 * size), dot(reflect(-v, bent), lampDirection[0]));
    gleam += 0.85 * t * coat * clamp((occlusion - 0.12) / 0.12, 0.0, 1.0) * lampColour[0];
  }
  colour = vec4(toSrgb(tone(gleam + base * diffuse)), 1.0);
}
