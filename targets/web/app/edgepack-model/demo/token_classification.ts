import { TokenClassification } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The named spans of each line. */
export const demo: Demo = {
  example: "Ada Lovelace lived in London.",
  image: false,
  async open(options) {
    const model = await TokenClassification.load(options);
    return async ({ lines, signal }, show) => {
      const found = (await model.tag(lines, { signal })).flat();
      show(found.map(({ label, text, score }) => `${label}: ${text} ${score.toFixed(3)}`).join("\n"));
    };
  },
};
