/** The wrapper's own call. */
import { ImageEmbedding } from "../src/image_embedding.js";
import { picture } from "./pictures.js";
import { BUNDLE, check } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "each image has a vector": async () => {
    const model = await ImageEmbedding.load({ bundle: BUNDLE });
    const [one, same] = await model.embed([await picture(1), await picture(3)]);
    if (!one || !same) throw new Error("a vector is missing");
    check(one.length > 0 && one.every((value, i) => Math.abs(value - (same[i] as number)) < 1e-4), "they differ");
    model.close();
  },
};
