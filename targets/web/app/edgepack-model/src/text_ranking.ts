/** A query and passages to scores, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { labels } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import { type Example, TextInput } from "./runtime/text.js";

/** A passage: its place in the list that was given, its text, and its score, larger for a better answer. */
export interface Ranked {
  index: number;
  score: number;
  text: string;
}

/** @model@: a score for a query with each passage; pairs of more than @max_length@ tokens are cut. */
export class TextRanking {
  private constructor(private readonly loaded: Loaded<null>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<TextRanking> {
    return new TextRanking(await load<null>(options, { "text-ranking": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The `topK` best passages (by default all) with their scores, best first; of equal ones the earlier comes first. */
  async rank(query: string, passages: readonly string[], options: { topK?: number; signal?: AbortSignal } = {}): Promise<Ranked[]> {
    const scores = await this.predict(passages.map((passage) => [query, passage]), options);
    const ranked = passages.map((text, index) => ({ index, score: scores[index] as number, text }));
    return ranked.sort((a, b) => b.score - a.score).slice(0, options.topK ?? ranked.length);
  }

  /** The score of each pair of a query and a passage. */
  predict(pairs: readonly (readonly [string, string])[], options: { signal?: AbortSignal } = {}): Promise<number[]> {
    return this.loaded.remote.call("predict", [pairs], options.signal);
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
  const classes = answerOf(manifest, "classes");

  async function predict([pairs]: [Example[]], _: unknown, signal: AbortSignal): Promise<number[]> {
    const encoded = pairs.map((one) => text.encode(one));
    return inBatches(encoded, ({ ids }) => ids.length, async (batch) => {
      const logits = await floats(await session.run(text.feeds(batch)), "logits");
      return batch.map((_, i) => labels(row(logits, i), classes.labels, classes.problem_type)[0]?.score as number);
    }, signal);
  }

  const feeds = (example: Example) => text.feeds([text.encode(example)]);
  return { facts: null, methods: { predict }, parts: { model: { session, feeds } } };
}
