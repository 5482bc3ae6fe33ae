import { ZeroShotImageClassification } from "../src/index.js";
import type { Demo } from "./demo.js";

/** Which line fits a picture best. */
export const demo: Demo = {
  example: "a cat\na dog\na landscape",
  image: true,
  async open(options) {
    const model = await ZeroShotImageClassification.load(options);
    return async ({ image, lines, signal }, show) => {
      const [found = []] = image ? await model.classify([image], lines, { signal }) : [];
      show(found.map(({ name, score }) => `${score.toFixed(3)}  ${name}`).join("\n"));
    };
  },
};
