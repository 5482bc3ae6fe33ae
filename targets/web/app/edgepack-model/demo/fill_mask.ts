import { FillMask } from "../src/index.js";
import type { Demo } from "./demo.js";

/** What fits where ___ stands. */
export const demo: Demo = {
  example: "Paris is the ___ of France.",
  image: false,
  async open(options) {
    const model = await FillMask.load(options);
    return async ({ lines, signal }, show) => {
      const found = (await model.fill(lines.map((line) => line.replace("___", model.mask)), { signal })).flat();
      show(found.map(({ text, score }) => `${score.toFixed(3)}  ${text}`).join("\n"));
    };
  },
};
