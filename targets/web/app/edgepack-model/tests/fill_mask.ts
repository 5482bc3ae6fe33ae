/** The wrapper's own call. */
import { FillMask } from "../src/fill_mask.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "tokens for the mask come best first": async () => {
    const model = await FillMask.load({ bundle: BUNDLE });
    const [found = []] = await model.fill([`Paris is the ${model.mask} of France.`], { top: 3 });
    check(found.length === 3 && found.every(({ score }, i) => i === 0 || score <= (found[i - 1]?.score ?? 0)), JSON.stringify(found));
    check((await failure(model.fill(["No mask."]))).code === "input", "a text without a mask was taken");
    model.close();
  },
};
