/** The wrapper's own call. */
import { SparseEmbedding } from "../src/sparse_embedding.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "the largest numbers are kept": async () => {
    const model = await SparseEmbedding.load({ bundle: BUNDLE });
    const [whole] = await model.embed(["A cat sleeps."]);
    const [short] = await model.embed(["A cat sleeps."], { maxActiveDims: 3 });
    if (!whole || !short) throw new Error("a vector is missing");
    check(short.indices.every((index) => whole.indices.includes(index)), "another number was kept");
    check(whole.indices.every((index, i) => !i || index > (whole.indices[i - 1] as number)), "they are not ascending");
    check(whole.values.every((value) => value > 0), "a number is zero");
    const largest = [...whole.values].sort((a, b) => b - a).slice(0, 3);
    const weights = await model.weights(short);
    check(weights.every(([token, weight], i) => token.length > 0 && weight === largest[i]), "a weight is another");
    const squares = largest.reduce((total, value) => total + value * value, 0);
    check(Math.abs(model.similarity(whole, short) - squares) < 1e-4 * squares, "the product is another");
    check((await failure(model.embed(["A cat."], { maxActiveDims: 0 }))).code === "input", "0 was taken");
    model.close();
  },
  "a prompt is one of the model's own": async () => {
    const model = await SparseEmbedding.load({ bundle: BUNDLE });
    for (const name of Object.keys(model.prompts)) await model.embed(["A text."], { promptName: name });
    for (const wrong of [{ promptName: "none such" }, { promptName: "toString" }, { promptName: "a", prompt: "b" }]) {
      check((await failure(model.embed(["A text."], wrong))).code === "input", "the prompt was taken");
    }
    model.close();
  },
};
