/** The wrapper's own call. */
import { TextEmbedding } from "../src/text_embedding.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "alike texts are nearer": async () => {
    const model = await TextEmbedding.load({ bundle: BUNDLE });
    const [one, same, far] = await model.embed(["A cat sleeps.", "A cat sleeps.", "Interest rates rose again."]);
    if (!one || !same || !far) throw new Error("a vector is missing");
    check(model.similarity(one, same) > model.similarity(one, far), "they are not");
    check(one.every(Number.isFinite), "a number is none");
    const aborting = model.embed(["A text."], { signal: AbortSignal.abort() });
    check((await failure(aborting)).code === "aborted", "it was not aborted");
    model.close();
  },
  "a prompt is one of the model's own": async () => {
    const model = await TextEmbedding.load({ bundle: BUNDLE });
    for (const name of Object.keys(model.prompts)) await model.embed(["A text."], { promptName: name });
    for (const wrong of [{ promptName: "none such" }, { promptName: "toString" }, { promptName: "a", prompt: "b" }]) {
      check((await failure(model.embed(["A text."], wrong))).code === "input", "the prompt was taken");
    }
    model.close();
  },
};
