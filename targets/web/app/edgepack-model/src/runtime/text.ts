/** Texts to token ids, as tokenizer.json and the manifest's `processing.text` say. */
import { Tokenizer } from "@huggingface/tokenizers";
import { ModelError } from "./errors.js";
import { type Manifest, present, type TextFacts } from "./manifest.js";
import type { Feeds, Runtime } from "./session.js";
import type { BundleFiles } from "./served.js";

/** A text, or two of a pair. */
export type Example = string | readonly [string, string];

/** The tokens of an example, as the model takes them. */
export interface Encoded {
  ids: number[];
  types: number[];
  /** Of each token the text that it is of (0 or 1) and its place among that text's tokens; null of special ones. */
  places: ({ part: number; index: number } | null)[];
}

/** The special tokens around the tokens of one text, or of two. */
interface Frame {
  special: number[][]; // before, between and after
  specialTypes: number[][];
  types: number[]; // of each text
}

export class TextInput {
  readonly #single: Frame;
  #pair: Frame | null = null;

  constructor(
    readonly tokenizer: Tokenizer,
    readonly facts: TextFacts,
    private readonly runtime: Runtime,
  ) {
    this.#single = frame(tokenizer, false);
  }

  static open(manifest: Manifest, files: BundleFiles, runtime: Runtime): TextInput {
    return new TextInput(tokenizer(files), present(manifest.processing.text, "processing.text"), runtime);
  }

  /** The token ids of a text, without special ones. */
  ids(text: string): number[] {
    return this.tokenizer.encode(wellFormed(text), { add_special_tokens: false }).ids;
  }

  /** An example's tokens, cut to the model's length; `prompt` goes before the first text. */
  encode(example: Example, prompt = ""): Encoded {
    const texts = typeof example === "string" ? [example] : [...example];
    if (texts.length > 1 && this.facts.pairs === false) {
      throw new ModelError("this model takes a text, not a pair: it knows one kind of texts alone", { code: "input" });
    }
    const parts = texts.map((text, index) => this.ids(index ? text : prompt + text));
    const room = this.facts.max_length - this.#frame(parts.length).special.flat().length;
    const left = this.facts.truncation_side === "left";
    const lengths = cut(parts.map((part) => part.length), Math.max(room, 0));
    return this.framed(parts, parts.map((part, i) => {
      const start = left ? part.length - (lengths[i] ?? 0) : 0;
      return [start, start + (lengths[i] ?? 0)];
    }));
  }

  /** A question with each window of a context that is too long for one. */
  windows(question: string, context: string, stride: number): Encoded[] {
    const parts = [this.ids(question), this.ids(context)];
    const [asked, given] = [parts[0]?.length ?? 0, parts[1]?.length ?? 0];
    const room = this.facts.max_length - asked - this.#frame(2).special.flat().length;
    if (room < 2) {
      const message = `the question has ${asked} tokens; the model takes ${this.facts.max_length}, with the context`;
      throw new ModelError(message, { code: "too-long", tokens: asked, limit: this.facts.max_length });
    }
    const windows: Encoded[] = [];
    for (let start = 0; ; start += room - Math.min(stride, room - 1)) {
      const end = Math.min(start + room, given);
      windows.push(this.framed(parts, [[0, asked], [start, end]]));
      if (end === given) return windows;
    }
  }

  /** Int64 [batch, longest], padded. */
  feeds(batch: readonly Encoded[]): Feeds {
    const { facts } = this;
    const longest = Math.max(...batch.map(({ ids }) => ids.length));
    const padded = (rows: number[][], value: number): BigInt64Array => {
      const made = new BigInt64Array(batch.length * longest).fill(BigInt(value));
      rows.forEach((row, i) => {
        const start = i * longest + (facts.padding_side === "left" ? longest - row.length : 0);
        row.forEach((id, j) => (made[start + j] = BigInt(id)));
      });
      return made;
    };
    const arrays: Record<string, () => BigInt64Array> = {
      input_ids: () => padded(batch.map(({ ids }) => ids), facts.pad_id),
      attention_mask: () => padded(batch.map(({ ids }) => ids.map(() => 1)), 0),
      token_type_ids: () => padded(batch.map(({ types }) => types), facts.pad_type_id),
    };
    return Object.fromEntries(facts.inputs.map((name) => {
      const make = present(arrays[name], `way to make ${name}`);
      return [name, new this.runtime.ort.Tensor("int64", make(), [batch.length, longest])];
    }));
  }

  #frame(texts: number): Frame {
    return texts === 1 ? this.#single : (this.#pair ??= frame(this.tokenizer, true));
  }

  /** Spans of the tokens of one or two texts, between the special ones. */
  private framed(parts: number[][], spans: number[][]): Encoded {
    const { special, specialTypes, types } = this.#frame(parts.length);
    const made: Encoded = { ids: [], types: [], places: [] };
    special.forEach((ids, i) => {
      made.ids.push(...ids);
      made.types.push(...(specialTypes[i] ?? []));
      made.places.push(...ids.map(() => null));
      const [start = 0, end = 0] = spans[i] ?? [];
      for (let index = start; index < end; index++) {
        made.ids.push(parts[i]?.[index] ?? 0);
        made.types.push(types[i] ?? 0);
        made.places.push({ part: i, index });
      }
    });
    return made;
  }
}

export function tokenizer(files: BundleFiles): Tokenizer {
  const table = json(files, "tokenizer.json");
  if (!table) throw new ModelError("the bundle has no tokenizer.json", { code: "bundle" });
  return new Tokenizer(table, json(files, "tokenizer_config.json") ?? {});
}

export function json(files: BundleFiles, name: string): Record<string, unknown> | null {
  const bytes = files.get(name);
  return bytes ? (JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>) : null;
}

/** A text with lone surrogates, which have no UTF-8, replaced. */
export function wellFormed(text: string): string {
  if (typeof text !== "string") throw new ModelError(`a text is a string, not ${typeof text}`, { code: "input" });
  return text.replace(/\p{Surrogate}/gu, "?");
}

/** Lengths of texts that are cut to `room` tokens together, the longer one first. */
function cut(lengths: number[], room: number): number[] {
  const [first = 0, second] = lengths;
  if (second === undefined) return [Math.min(first, room)];
  if (first + second <= room) return lengths;
  const shorter = Math.min(first, second);
  const [less, more] =
    shorter > room - shorter ? [Math.floor(room / 2), Math.ceil(room / 2)] : [shorter, room - shorter];
  return first > second ? [more, less] : [less, more];
}

/** Finds out what a tokenizer puts around a text, or around two: it has no call that says so. */
function frame(words: Tokenizer, pair: boolean): Frame {
  const texts = pair ? ["a", "a"] : ["a"];
  const options = pair ? { text_pair: "a" } : {};
  const { ids, token_type_ids: types } = words.encode("a", { ...options, return_token_type_ids: true });
  const found: Frame = { special: [], specialTypes: [], types: [] };
  let at = 0;
  for (const text of texts) {
    const own = words.encode(text, { add_special_tokens: false }).ids;
    const start = ids.findIndex((_, i) => i >= at && own.every((id, j) => ids[i + j] === id));
    if (start < 0) throw new ModelError("tokenizer.json has an unknown kind of template", { code: "bundle" });
    found.special.push(ids.slice(at, start));
    found.specialTypes.push(types.slice(at, start));
    found.types.push(types[start] ?? 0);
    at = start + own.length;
  }
  found.special.push(ids.slice(at));
  found.specialTypes.push(types.slice(at));
  return found;
}
