import { ImageEmbedding } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The vector of a picture. */
export const demo: Demo = {
  example: "",
  image: true,
  async open(options) {
    const model = await ImageEmbedding.load(options);
    return async ({ image, signal }, show) => {
      const [vector] = image ? await model.embed([image], { signal }) : [];
      if (vector) show(`${vector.length} numbers: ${Array.from(vector.slice(0, 8), (x) => x.toFixed(3)).join(", ")} …`);
    };
  },
};
