// Expressions and blends, as the trait has them and as lists.

// "smile" or {smile: 0.6, anger: 0.4} as [{name, weight}].
export function partsOf(expression) {
  if (typeof expression === "string") return [{ name: expression, weight: 1 }];
  const parts = Object.entries(expression ?? {}).map(([name, weight]) => ({ name, weight }));
  return parts.length ? parts : [{ name: "neutral", weight: 1 }];
}

// The inverse; one expression at full weight is its name.
export function expressionOf(parts) {
  if (parts.length === 1 && parts[0].weight === 1) return parts[0].name;
  return Object.fromEntries(parts.map(({ name, weight }) => [name, weight]));
}

// One name for a blend, the same as mix_key() of facekit/viz/viewer/tracks.py.
export function keyOf(parts) {
  const known = parts
    .map(({ name, weight }) => [name, Number(weight.toFixed(3))])
    .filter(([, weight]) => weight)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  if (!known.length) return "neutral";
  if (known.length === 1 && known[0][1] === 1) return known[0][0];
  return known.map(([name, weight]) => `${name}:${weight}`).join("+");
}
