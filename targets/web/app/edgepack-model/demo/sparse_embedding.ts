import { SparseEmbedding } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The tokens that each line is about. */
export const demo: Demo = {
  example: "A cat sleeps on the sofa.\nInterest rates rose again.",
  image: false,
  async open(options) {
    const model = await SparseEmbedding.load(options);
    return async ({ lines, signal }, show) => {
      const vectors = await model.embed(lines, { maxActiveDims: 8, signal });
      const weights = await Promise.all(vectors.map((vector) => model.weights(vector)));
      const told = weights.map((found) => found.map(([token, weight]) => `${token} ${weight.toFixed(2)}`).join("  "));
      show(told.map((one, i) => `${lines[i]}\n  ${one}`).join("\n"));
    };
  },
};
