/** Logits to named scores. */
import { ModelError } from "./errors.js";
import type { ProblemType } from "./manifest.js";

/** A class and its score: a probability, or a regression's value. */
export interface Label {
  name: string;
  score: number;
}

/** Probabilities, shifted by the maximum so that nothing overflows. */
export function softmax(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const largest = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

/** The labels of one row of logits, best first. */
export function labels(logits: ArrayLike<number>, names: readonly string[], problem: ProblemType): Label[] {
  if (logits.length !== names.length) {
    throw new ModelError(`edgepack.json names ${names.length} labels, the model ${logits.length}`, { code: "bundle" });
  }
  const found = scores(logits, problem);
  return best(found, names.length).map((i) => ({ name: names[i] as string, score: found[i] as number }));
}

/** The places of the `top` largest values, largest first. */
export function best(values: Float64Array, top: number): number[] {
  const order = Array.from(values.keys()).sort((a, b) => (values[b] as number) - (values[a] as number));
  return order.slice(0, top);
}

function scores(logits: ArrayLike<number>, problem: ProblemType): Float64Array {
  if (problem === "regression") return Float64Array.from(logits);
  if (problem === "multi_label_classification") return Float64Array.from(logits, (x) => 1 / (1 + Math.exp(-x)));
  return softmax(logits);
}
