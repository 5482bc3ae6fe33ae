/** The wrapper's own call. */
import { QuestionAnswering } from "../src/question_answering.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

const CONTEXT = "Ada Lovelace lived in London.";

export const tests: Tests = {
  "an answer is a part of the context": async () => {
    const model = await QuestionAnswering.load({ bundle: BUNDLE });
    for (const context of [CONTEXT, CONTEXT.repeat(100)]) {
      const { text, start, end, score } = await model.answer("Where did she live?", context);
      check(text === context.slice(start, end) && text.length > 0, text);
      check(score > 0 && score <= 1, String(score));
    }
    const long = await failure(model.answer("Where did she live? ".repeat(500), CONTEXT));
    check(long.failure.code === "too-long" && long.failure.tokens > long.failure.limit / 2, long.message);
    model.close();
  },
};
