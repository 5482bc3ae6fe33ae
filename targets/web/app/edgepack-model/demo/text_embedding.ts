import { TextEmbedding } from "../src/index.js";
import type { Demo } from "./demo.js";

/** Which of the other lines are like the first. */
export const demo: Demo = {
  example: "A cat sleeps on the sofa.\nA kitten is napping on the couch.\nInterest rates rose again.",
  image: false,
  async open(options) {
    const model = await TextEmbedding.load(options);
    return async ({ lines, signal }, show) => {
      const [first, ...others] = await model.embed(lines, { signal });
      if (!first) return;
      const alike = others.map((vector, i) => ({ line: lines[i + 1], score: model.similarity(first, vector) }));
      show(alike.sort((a, b) => b.score - a.score).map(({ line, score }) => `${score.toFixed(3)}  ${line}`).join("\n"));
    };
  },
};
