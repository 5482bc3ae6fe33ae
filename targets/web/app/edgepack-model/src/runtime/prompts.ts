/** The texts that a model was trained to find in front of others. */
import { ModelError } from "./errors.js";
import type { TextFacts } from "./manifest.js";

/** What is put in front of texts; without either it is the model's own choice. */
export interface PromptOptions {
  /** One of the model's `prompts`. */
  promptName?: string;
  /** A text of your own, "" for none. */
  prompt?: string;
  signal?: AbortSignal;
}

/** The prompt of that `name`, the `own` text, or the model's choice. */
export function chosen(facts: TextFacts, name: string | null, own: string | null): string {
  if (name !== null && own !== null) {
    throw new ModelError("a prompt is given by its name or as a text, not both", { code: "input" });
  }
  if (own && !facts.include_prompt) {
    throw new ModelError("this model leaves prompts out of its vectors, which the bundle cannot do", { code: "input" });
  }
  const asked = name ?? facts.default_prompt ?? null;
  if (own !== null || asked === null) return own ?? "";
  const found = Object.hasOwn(facts.prompts, asked) ? facts.prompts[asked] : undefined;
  if (found === undefined) throw new ModelError(`the model has no prompt ${asked}`, { code: "input" });
  return found;
}
