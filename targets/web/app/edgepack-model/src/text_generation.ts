/** A text, or a conversation, to what comes next, by @bundle@. */
import { Template } from "@huggingface/jinja";
import type { Tokenizer } from "@huggingface/tokenizers";
import { Decoding } from "./decoding.js";
import { Detokenizer, Stops } from "./runtime/detokenizer.js";
import { aborted, ModelError } from "./runtime/errors.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { type GenerationFacts, type Manifest, only, present } from "./runtime/manifest.js";
import { Sampler, type Sampling } from "./sampling.js";
import { type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { json, tokenizer, wellFormed } from "./runtime/text.js";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface GenerateOptions extends Sampling {
  /** The most tokens of the answer; by default 256. */
  maxTokens?: number;
  /** Texts before which the answer ends. */
  stop?: readonly string[];
  /** Aborts the answer; leaving the loop does so too. */
  signal?: AbortSignal;
}

interface Facts {
  chats: boolean;
}

/** @model@: texts of at most @max_length@ tokens, prompt and answer together. */
export class TextGeneration {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<TextGeneration> {
    return new TextGeneration(await load<Facts>(options, { "text-generation": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** Whether conversations are answered: the model has a chat template. */
  get chats(): boolean {
    return this.loaded.facts.chats;
  }

  /** Pieces of the text that follows: a text is continued, messages are answered. Throws ModelError. */
  generate(
    prompt: string | readonly Message[],
    { signal, ...options }: GenerateOptions = {},
  ): AsyncGenerator<string, void, undefined> {
    return this.loaded.remote.stream("generate", [prompt, options], signal);
  }

  /** Ends the worker and frees its memory. */
  close(): void {
    this.loaded.remote.close();
  }
}

type Prompt = string | Message[];
type Options = Omit<GenerateOptions, "signal">;

/** Opens the bundle on the worker's side. */
export async function open(manifest: Manifest, files: BundleFiles, runtime: Runtime): Promise<Served> {
  const facts = present(manifest.processing.generation, "processing.generation");
  const session = await Session.open(only(manifest), files, runtime);
  const decoding = new Decoding(session, only(manifest), runtime);
  const words = tokenizer(files);
  const render = chatTemplate(files);

  function tokens(prompt: Prompt): number[] {
    if (typeof prompt === "string") return words.encode(wellFormed(prompt)).ids;
    return words.encode(wellFormed(render(prompt)), { add_special_tokens: false }).ids;
  }

  async function generate([prompt, options]: [Prompt, Options], each: (piece: string) => void, signal: AbortSignal): Promise<void> {
    const ids = fitting(tokens(prompt), facts);
    const sampler = new Sampler(options, facts.repetition_penalty, ids);
    const text = new Answer(words, ids, options.stop ?? []);
    const longest = Math.min(facts.max_length, ids.length + (options.maxTokens ?? 256));
    while (ids.length < longest && !text.stopped) {
      const logits = await decoding.next(ids, () => heard(signal));
      const token = sampler.choose(logits.subarray(0, facts.vocabulary));
      if (facts.eos_ids.includes(token)) break;
      ids.push(token);
      const piece = text.add(token);
      if (piece) each(piece);
    }
    const rest = text.rest();
    if (rest) each(rest);
  }

  const feeds = (example: Prompt) => decoding.feeds(tokens(example));
  return { facts: { chats: chatText(files) !== null }, methods: { generate }, parts: { model: { session, feeds } } };
}

/** Lets messages come in. */
async function heard(signal: AbortSignal): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  if (signal.aborted) throw aborted();
}

/** The text of an answer so far, up to where a stop text begins. */
class Answer {
  readonly #text: Detokenizer;
  readonly #stops: Stops;

  constructor(words: Tokenizer, prompt: readonly number[], stops: readonly string[]) {
    this.#text = new Detokenizer(words, prompt);
    this.#stops = new Stops(stops);
  }

  get stopped(): boolean {
    return this.#stops.found;
  }

  add(token: number): string {
    return this.#stops.add(this.#text.add(token));
  }

  rest(): string {
    return this.stopped ? "" : this.#stops.add(this.#text.rest()) + this.#stops.rest();
  }
}

function fitting(ids: number[], { max_length, vocabulary }: GenerationFacts): number[] {
  if (!ids.length) throw new ModelError("the prompt is empty", { code: "input" });
  if (ids.some((id) => id >= vocabulary)) {
    throw new ModelError("the text holds a token that the model has no embedding for", { code: "input" });
  }
  if (ids.length <= max_length) return ids;
  const message = `the prompt has ${ids.length} tokens; the model takes ${max_length}`;
  throw new ModelError(message, { code: "too-long", tokens: ids.length, limit: max_length });
}

/** Makes one text of a conversation, up to where the assistant answers. */
function chatTemplate(files: BundleFiles): (messages: Message[]) => string {
  const text = chatText(files);
  if (text === null) {
    return () => {
      throw new ModelError("the model has no chat template: give it a text to continue", { code: "input" });
    };
  }
  const template = new Template(text);
  const config = json(files, "tokenizer_config.json") ?? {};
  const named = Object.entries(config).filter(([name]) => name.endsWith("_token"));
  const special = Object.fromEntries(named.map(([name, token]) => [name, (token as { content?: string })?.content ?? token]));
  return (messages) => {
    try {
      return template.render({ ...special, messages, tools: null, documents: null, add_generation_prompt: true });
    } catch (error) {
      throw new ModelError(`the chat template refuses this: ${error instanceof Error ? error.message : error}`, { code: "input" });
    }
  };
}

function chatText(files: BundleFiles): string | null {
  const file = files.get("chat_template.jinja");
  if (file) return new TextDecoder().decode(file);
  const stated = json(files, "tokenizer_config.json")?.chat_template;
  const named = Array.isArray(stated) ? stated.find(({ name }) => name === "default")?.template : stated;
  return typeof named === "string" ? named : null;
}
