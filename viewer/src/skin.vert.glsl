in vec4 material;
in float ao;
in vec3 strain;
out vec3 vPlace;
centroid out vec3 vNormal;
out vec2 vUv;
centroid out vec4 vMaterial;
centroid out float vAo;
centroid out vec3 vStrain;

void main() {
  vec4 place = modelViewMatrix * vec4(position, 1.0);
  vPlace = place.xyz;
  vNormal = normalMatrix * normal;
  vUv = uv;
  vMaterial = material;
  vAo = ao;
  vStrain = strain;
  gl_Position = projectionMatrix * place;
}
