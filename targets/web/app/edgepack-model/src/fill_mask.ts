/** A text with a mask to the tokens that fit there, by @bundle@. */
import { aborted, ModelError } from "./runtime/errors.js";
import { best, softmax } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { TextInput } from "./runtime/text.js";

/** A token for the mask, its probability, and the text that the tokens make with it. */
export interface Filled {
  token: string;
  score: number;
  text: string;
}

interface Facts {
  mask: string;
}

/** @model@: texts of up to @max_length@ tokens, with the mask in them. */
export class FillMask {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<FillMask> {
    return new FillMask(await load<Facts>(options, { "fill-mask": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** How the mask is written in a text. */
  get mask(): string {
    return this.loaded.facts.mask;
  }

  /** The `top` (default 5) tokens for the first mask of each text, best first. */
  fill(texts: readonly string[], options: { top?: number; signal?: AbortSignal } = {}): Promise<Filled[][]> {
    return this.loaded.remote.call("fill", [texts, options.top ?? 5], options.signal);
  }

  /** Ends the worker and frees its memory. */
  close(): void {
    this.loaded.remote.close();
  }
}

/** Opens the bundle on the worker's side. */
export async function open(manifest: Manifest, files: BundleFiles, runtime: Runtime): Promise<Served> {
  const session = await Session.open(only(manifest), files, runtime);
  const text = TextInput.open(manifest, files, runtime);
  const mask = answerOf(manifest, "mask");

  async function fill([texts, top]: [string[], number], _: unknown, signal: AbortSignal): Promise<Filled[][]> {
    const found: Filled[][] = [];
    for (const one of texts) {
      await new Promise((resolve) => setTimeout(resolve)); // lets an abort come in
      if (signal.aborted) throw aborted();
      found.push(await filled(text.encode(one).ids, top));
    }
    return found;
  }

  async function filled(ids: number[], top: number): Promise<Filled[]> {
    const at = ids.indexOf(mask.mask_id);
    if (at < 0) throw new ModelError(`the text has no ${mask.mask_token}`, { code: "input" });
    const encoded = { ids, types: ids.map(() => 0), places: [] };
    const logits = row(await floats(await session.run(text.feeds([encoded])), "logits"), 0);
    const width = logits.length / ids.length;
    const scores = softmax(logits.subarray(at * width, (at + 1) * width));
    const single = ids.lastIndexOf(mask.mask_id) === at; // of several masks the others stay
    return best(scores, top).map((id) => ({
      token: decoded([id], false),
      score: scores[id] as number,
      text: decoded(ids.map((own, i) => (i === at ? id : own)), single),
    }));
  }

  function decoded(ids: number[], plain: boolean): string {
    return text.tokenizer.decode(ids, { skip_special_tokens: plain, clean_up_tokenization_spaces: false });
  }

  const feeds = (example: string) => text.feeds([text.encode(example)]);
  return { facts: { mask: mask.mask_token }, methods: { fill }, parts: { model: { session, feeds } } };
}
