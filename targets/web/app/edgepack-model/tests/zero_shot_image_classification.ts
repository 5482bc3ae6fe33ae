/** The wrapper's own call. */
import { ZeroShotImageClassification } from "../src/zero_shot_image_classification.js";
import { picture } from "./pictures.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "the scores of labels are probabilities": async () => {
    const model = await ZeroShotImageClassification.load({ bundle: BUNDLE });
    const [found = []] = await model.classify([await picture()], ["a cat", "a dog"]);
    check(found.length === 2 && Math.abs(found.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-6, JSON.stringify(found));
    check((await failure(model.classify([await picture()], []))).code === "input", "no labels were taken");
    model.close();
  },
};
