/** Texts to sparse vectors, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { ModelError } from "./runtime/errors.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { chosen, type PromptOptions } from "./runtime/prompts.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { TextInput } from "./runtime/text.js";

/** The numbers of a vector that are not zero, and their places, ascending. */
export interface SparseVector {
  indices: Uint32Array;
  values: Float32Array;
}

export interface SparseOptions extends PromptOptions {
  /** How many numbers of a vector are kept, the largest; by default all. */
  maxActiveDims?: number;
}

interface Facts {
  prompts: Record<string, string>;
}

/** @model@: vectors over its vocabulary, most of whose numbers are zero, of texts of up to @max_length@ tokens; longer ones are cut. */
export class SparseEmbedding {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<SparseEmbedding> {
    return new SparseEmbedding(await load<Facts>(options, { "sparse-embedding": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The texts that the model was trained to find in front of others, by name. */
  get prompts(): Record<string, string> {
    return this.loaded.facts.prompts;
  }

  /** A vector for each text. */
  embed(texts: readonly string[], options: SparseOptions = {}): Promise<SparseVector[]> {
    const { maxActiveDims = null, promptName = null, prompt = null, signal } = options;
    return this.loaded.remote.call("embed", [texts, maxActiveDims, promptName, prompt], signal);
  }

  /** The tokens of a vector with their weights, the heaviest first. */
  weights(vector: SparseVector): Promise<[token: string, weight: number][]> {
    return this.loaded.remote.call("weights", [vector]);
  }

  /** The dot product of two vectors, larger for texts about the same. */
  similarity(a: SparseVector, b: SparseVector): number {
    let [sum, i, j] = [0, 0, 0];
    while (i < a.indices.length && j < b.indices.length) {
      const apart = (a.indices[i] as number) - (b.indices[j] as number);
      if (apart === 0) sum += (a.values[i] as number) * (b.values[j] as number);
      if (apart <= 0) i++;
      if (apart >= 0) j++;
    }
    return sum;
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
  const { output } = answerOf(manifest, "embedding");

  type Asked = [texts: string[], most: number | null, name: string | null, own: string | null];
  async function embed([texts, most, name, own]: Asked, _: unknown, signal: AbortSignal): Promise<SparseVector[]> {
    if (most !== null && !(Number.isInteger(most) && most > 0)) {
      throw new ModelError(`maxActiveDims is a whole number above 0, not ${most}`, { code: "input" });
    }
    const prompt = chosen(text.facts, name, own);
    const encoded = texts.map((one) => text.encode(one, prompt));
    return inBatches(encoded, ({ ids }) => ids.length, async (batch) => {
      const vectors = await floats(await session.run(text.feeds(batch)), output);
      return batch.map((_, i) => sparse(row(vectors, i), most));
    }, signal);
  }

  async function weights([{ indices, values }]: [SparseVector]): Promise<[string, number][]> {
    const heaviest = [...values.keys()].sort((i, j) => (values[j] as number) - (values[i] as number));
    return heaviest.map((i) => {
      const index = indices[i] as number;
      return [text.tokenizer.id_to_token(index) ?? String(index), values[i] as number];
    });
  }

  const feeds = (example: string) => text.feeds([text.encode(example, chosen(text.facts, null, null))]);
  return {
    facts: { prompts: text.facts.prompts },
    methods: { embed, weights },
    parts: { model: { session, feeds } },
  };
}

/** What of a vector is not zero, its `most` largest numbers. */
function sparse(vector: Float32Array, most: number | null): SparseVector {
  const all = [...vector.keys()].filter((i) => vector[i] !== 0);
  const heaviest = all.sort((i, j) => (vector[j] as number) - (vector[i] as number)).slice(0, most ?? all.length);
  const indices = Uint32Array.from(heaviest).sort();
  return { indices, values: Float32Array.from(indices, (i) => vector[i] as number) };
}
