/** Texts to vectors, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only, type Similarity } from "./runtime/manifest.js";
import { chosen, type PromptOptions } from "./runtime/prompts.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { TextInput } from "./runtime/text.js";

interface Facts {
  prompts: Record<string, string>;
  similarity: Similarity;
}

/** @model@: vectors of @width@ numbers, of texts of up to @max_length@ tokens; longer ones are cut. */
export class TextEmbedding {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<TextEmbedding> {
    return new TextEmbedding(await load<Facts>(options, { "text-embedding": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The texts that the model was trained to find in front of others, by name. */
  get prompts(): Record<string, string> {
    return this.loaded.facts.prompts;
  }

  /** A vector of @width@ numbers for each text. */
  embed(texts: readonly string[], options: PromptOptions = {}): Promise<Float32Array[]> {
    const { promptName = null, prompt = null, signal } = options;
    return this.loaded.remote.call("embed", [texts, promptName, prompt], signal);
  }

  /** How alike two vectors are, larger for more alike, as the model's authors measure it. */
  similarity(a: Float32Array, b: Float32Array): number {
    return similarity(a, b, this.loaded.facts.similarity);
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
  const { output, similarity } = answerOf(manifest, "embedding");

  type Asked = [texts: string[], name: string | null, own: string | null];
  async function embed([texts, name, own]: Asked, _: unknown, signal: AbortSignal): Promise<Float32Array[]> {
    const prompt = chosen(text.facts, name, own);
    const encoded = texts.map((one) => text.encode(one, prompt));
    return inBatches(encoded, ({ ids }) => ids.length, async (batch) => {
      const vectors = await floats(await session.run(text.feeds(batch)), output);
      return batch.map((_, i) => row(vectors, i));
    }, signal);
  }

  const feeds = (example: string) => text.feeds([text.encode(example, chosen(text.facts, null, null))]);
  return {
    facts: { prompts: text.facts.prompts, similarity: similarity ?? "cosine" },
    methods: { embed },
    parts: { model: { session, feeds } },
  };
}

function similarity(a: Float32Array, b: Float32Array, by: Similarity): number {
  const sum = (of: (x: number, y: number) => number) => a.reduce((total, x, i) => total + of(x, b[i] as number), 0);
  const dot = sum((x, y) => x * y);
  if (by === "dot") return dot;
  if (by === "manhattan") return -sum((x, y) => Math.abs(x - y));
  if (by === "euclidean") return -Math.sqrt(sum((x, y) => (x - y) ** 2));
  return dot / Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y));
}
