in vec3 along;
in float openness;
in float fuzz;
in float lash;
out vec3 vPlace;
out vec3 vNormal;
out vec3 vAlong;
out vec2 vUv;
out float vOpenness;
out float vFuzz;
out float vLash;

void main() {
  vec4 place = modelViewMatrix * vec4(position, 1.0);
  vPlace = place.xyz;
  vNormal = normalMatrix * normal;
  vAlong = normalMatrix * along;
  vUv = uv;
  vOpenness = openness;
  vFuzz = fuzz;
  vLash = lash;
  gl_Position = projectionMatrix * place;
}
