/** The wrapper's own call. */
import { TokenClassification } from "../src/token_classification.js";
import { BUNDLE, check } from "./places.js";
import type { Tests } from "./tests.js";

const TEXT = "Ada  Lovelace lived in Lóndon 🙂.";

export const tests: Tests = {
  "entities are parts of the text": async () => {
    const model = await TokenClassification.load({ bundle: BUNDLE });
    const [found = []] = await model.tag([TEXT]);
    check(found.every(({ text, start, end }) => text === TEXT.slice(start, end) && end > start), JSON.stringify(found));
    check(found.every(({ start }, i) => i === 0 || start >= (found[i - 1]?.start ?? 0)), JSON.stringify(found));
    model.close();
  },
};
