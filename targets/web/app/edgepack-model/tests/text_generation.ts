/** The wrapper's own call. */
import { TextGeneration, type GenerateOptions } from "../src/text_generation.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

const PROMPT = "Once upon a time";

async function text(model: TextGeneration, options: GenerateOptions): Promise<string> {
  let made = "";
  for await (const piece of model.generate(PROMPT, options)) made += piece;
  return made;
}

export const tests: Tests = {
  "the likeliest text is the same again, and ends before a stop text": async () => {
    const model = await TextGeneration.load({ bundle: BUNDLE });
    const made = await text(model, { maxTokens: 8 });
    check(made.length > 1, made);
    check((await text(model, { maxTokens: 8 })) === made, "it is not");
    check((await text(model, { maxTokens: 8, stop: [made.slice(1)] })) === made.slice(0, 1), "it went on");
    const drawn = { maxTokens: 8, temperature: 0.8, topK: 40, topP: 0.9, seed: 3 };
    check((await text(model, drawn)) === (await text(model, drawn)), "a seed gives another text");
    model.close();
  },

  "an answer can be left, and aborted": async () => {
    const model = await TextGeneration.load({ bundle: BUNDLE });
    for await (const piece of model.generate(PROMPT)) if (piece) break;
    const controller = new AbortController();
    const aborting = (async () => {
      for await (const piece of model.generate(PROMPT, { signal: controller.signal })) if (piece) controller.abort();
    })();
    check((await failure(aborting)).code === "aborted", "it was not aborted");
    check((await text(model, { maxTokens: 2 })).length > 0, "nothing came behind that");
    model.close();
  },

  "a prompt that is too long is refused": async () => {
    const model = await TextGeneration.load({ bundle: BUNDLE });
    const error = await failure(model.generate("word ".repeat(200_000)).next());
    check(error.failure.code === "too-long" && error.failure.tokens > error.failure.limit, error.message);
    if (!model.chats) check((await failure(model.generate([{ role: "user", content: "Hello" }]).next())).code === "input", "it chats");
    model.close();
  },
};
