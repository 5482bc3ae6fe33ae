import { QuestionAnswering } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The first line asks, the others are read. */
export const demo: Demo = {
  example: "Where did Ada live?\nAda Lovelace wrote the first program. She lived in London.",
  image: false,
  async open(options) {
    const model = await QuestionAnswering.load(options);
    return async ({ lines: [question = "", ...context], signal }, show) => {
      const { text, score } = await model.answer(question, context.join("\n"), { signal });
      show(`${text} ${score.toFixed(3)}`);
    };
  },
};
