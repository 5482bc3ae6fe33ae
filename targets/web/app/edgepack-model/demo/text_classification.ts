import { TextClassification } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The labels of each line. */
export const demo: Demo = {
  example: "What a good day.\nWhat a bad day.",
  image: false,
  async open(options) {
    const model = await TextClassification.load(options);
    return async ({ lines, signal }, show) => {
      const found = await model.classify(lines, { signal });
      const told = found.map((labels) => labels.slice(0, 3).map(({ name, score }) => `${name} ${score.toFixed(3)}`).join(", "));
      show(told.map((labels, i) => `${lines[i]}: ${labels}`).join("\n"));
    };
  },
};
