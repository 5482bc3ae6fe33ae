import { TextGeneration } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The text goes on, a piece at a time. */
export const demo: Demo = {
  example: "Once upon a time",
  image: false,
  async open(options) {
    const model = await TextGeneration.load(options);
    return async ({ text, signal }, show) => {
      let made = text;
      const prompt = model.chats ? [{ role: "user" as const, content: text }] : text;
      for await (const piece of model.generate(prompt, { maxTokens: 40, signal })) show((made += piece));
    };
  },
};
