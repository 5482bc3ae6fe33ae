import { ImageClassification } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The labels of a picture. */
export const demo: Demo = {
  example: "",
  image: true,
  async open(options) {
    const model = await ImageClassification.load(options);
    return async ({ image, signal }, show) => {
      const [found = []] = image ? await model.classify([image], { signal }) : [];
      show(found.slice(0, 5).map(({ name, score }) => `${score.toFixed(3)}  ${name}`).join("\n"));
    };
  },
};
