/** The wrapper's own call. */
import { TextClassification } from "../src/text_classification.js";
import { BUNDLE, check } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "every label has a score, best first": async () => {
    const model = await TextClassification.load({ bundle: BUNDLE });
    for (const found of await model.classify(["A good day.", ["A bad day.", "It rained."]])) {
      check(found.map(({ name }) => name).sort().join() === [...model.labels].sort().join(), JSON.stringify(found));
      check(found.every(({ score }, i) => i === 0 || score <= (found[i - 1]?.score ?? 0)), JSON.stringify(found));
    }
    model.close();
  },
};
