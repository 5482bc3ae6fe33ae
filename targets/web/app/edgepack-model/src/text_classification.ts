/** Texts, or pairs of texts, to labels, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { type Label, labels } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { type Example, TextInput } from "./runtime/text.js";

interface Facts {
  labels: string[];
}

/** @model@: @labels@ labels of texts of up to @max_length@ tokens; longer ones are cut. */
export class TextClassification {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<TextClassification> {
    return new TextClassification(await load<Facts>(options, { "text-classification": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The names of all labels, in the model's order. */
  get labels(): string[] {
    return this.loaded.facts.labels;
  }

  /** The labels of each text, or of each pair of texts, with their scores, best first. */
  classify(texts: readonly Example[], options: { signal?: AbortSignal } = {}): Promise<Label[][]> {
    return this.loaded.remote.call("classify", [texts], options.signal);
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

  async function classify([texts]: [Example[]], _: unknown, signal: AbortSignal): Promise<Label[][]> {
    const encoded = texts.map((one) => text.encode(one));
    return inBatches(encoded, ({ ids }) => ids.length, async (batch) => {
      const logits = await floats(await session.run(text.feeds(batch)), "logits");
      return batch.map((_, i) => labels(row(logits, i), classes.labels, classes.problem_type));
    }, signal);
  }

  const feeds = (example: Example) => text.feeds([text.encode(example)]);
  return { facts: { labels: classes.labels }, methods: { classify }, parts: { model: { session, feeds } } };
}
