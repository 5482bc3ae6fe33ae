/** A question and a context to the span that answers it, by @bundle@. */
import { aborted } from "./runtime/errors.js";
import { softmax } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { offsets } from "./runtime/offsets.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { type Encoded, TextInput } from "./runtime/text.js";

/** `context.slice(start, end)` with its probability; an empty text of an empty context. */
export interface Answer {
  text: string;
  start: number;
  end: number;
  score: number;
}

/** @model@: contexts of more than @max_length@ tokens are read in windows. */
export class QuestionAnswering {
  private constructor(private readonly loaded: Loaded<null>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<QuestionAnswering> {
    return new QuestionAnswering(await load<null>(options, { "question-answering": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The span of `context` that most likely answers. */
  answer(question: string, context: string, options: { signal?: AbortSignal } = {}): Promise<Answer> {
    return this.loaded.remote.call("answer", [question, context], options.signal);
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
  const longest = answerOf(manifest, "span").max_answer_length;
  const stride = Math.min(text.facts.stride ?? 0, Math.floor(text.facts.max_length / 2));

  async function answer([question, context]: [string, string], _: unknown, signal: AbortSignal): Promise<Answer> {
    const places = offsets(context, text.ids(context), text.tokenizer);
    let found: Answer = { text: "", start: 0, end: 0, score: 0 };
    for (const window of text.windows(question, context, stride)) {
      await new Promise((resolve) => setTimeout(resolve)); // lets an abort come in
      if (signal.aborted) throw aborted();
      const { first, last, score } = await best(window);
      const start = places[window.places[first]?.index ?? 0]?.[0] ?? 0;
      const end = places[window.places[last]?.index ?? 0]?.[1] ?? 0;
      if (score > found.score) found = { text: context.slice(start, end), start, end, score };
    }
    return found;
  }

  /** Start and end probabilities multiplied over allowed spans, as BERT's authors do (Devlin et al. 2019). */
  async function best(window: Encoded): Promise<{ first: number; last: number; score: number }> {
    const outputs = await session.run(text.feeds([window]));
    const [start, end] = await Promise.all(["start_logits", "end_logits"].map(async (name) =>
      probabilities(row(await floats(outputs, name), 0), window)));
    let found = { first: 0, last: 0, score: 0 };
    start?.forEach((one, first) => {
      for (let last = first; last < Math.min(first + longest, window.ids.length); last++) {
        const score = one * (end?.[last] ?? 0);
        if (score > found.score) found = { first, last, score };
      }
    });
    return found;
  }

  const feeds = ([question, context]: [string, string]) =>
    text.feeds(text.windows(question, context, stride).slice(0, 1));
  return { facts: null, methods: { answer }, parts: { model: { session, feeds } } };
}

/** Softmax over the context's tokens and the first, [CLS], which stands for "no answer" and is none here. */
function probabilities(logits: Float32Array, window: Encoded): Float64Array {
  const inside = window.places.map((place) => place?.part === 1);
  const masked = logits.map((value, i) => (inside[i] || i === 0 ? value : -10000));
  return softmax(masked).map((value, i) => (inside[i] ? value : 0));
}
