/** Images to labels of one's own, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { ModelError } from "./runtime/errors.js";
import { ImageInput, type ImageSource, type Pixels, pixels } from "./runtime/image.js";
import { type Label, labels } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, named } from "./runtime/manifest.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { TextInput } from "./runtime/text.js";

interface Facts {
  scale: number;
  template: string;
}

/** @model@: labels that fit images, and vectors of @width@ numbers of texts and images. */
export class ZeroShotImageClassification {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<ZeroShotImageClassification> {
    return new ZeroShotImageClassification(await load<Facts>(options, { "zero-shot-image-classification": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** How well each of `names` fits each image, best first: which of them fits best, not whether any does. */
  async classify(
    images: readonly ImageSource[],
    names: readonly string[],
    options: { template?: string; signal?: AbortSignal } = {},
  ): Promise<Label[][]> {
    const { scale, template } = { ...this.loaded.facts, ...options };
    if (!names.length) throw new ModelError("there are no labels to choose from", { code: "input" });
    const signal = options.signal ? { signal: options.signal } : {};
    const texts = await this.embedText(names.map((name) => template.replaceAll("{}", () => name)), signal);
    const vectors = await this.embedImage(images, signal);
    return vectors.map((vector) =>
      labels(texts.map((text) => scale * cosine(vector, text)), names, "single_label_classification"));
  }

  /** A vector of @width@ numbers for each text, not normalised. */
  embedText(texts: readonly string[], options: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    return this.loaded.remote.call("embedText", [texts], options.signal);
  }

  /** A vector of @width@ numbers for each image, not normalised. */
  async embedImage(images: readonly ImageSource[], options: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    const given = await Promise.all(images.map(pixels));
    return this.loaded.remote.call("embedImage", [given], options.signal);
  }

  /** Ends the worker and frees its memory. */
  close(): void {
    this.loaded.remote.close();
  }
}

/** Opens the bundle on the worker's side. */
export async function open(manifest: Manifest, files: BundleFiles, runtime: Runtime): Promise<Served> {
  const [textModel, visionModel] = await Promise.all(["text_model", "vision_model"].map((name) =>
    Session.open(named(manifest, name), files, runtime))) as [Session, Session];
  const text = TextInput.open(manifest, files, runtime);
  const image = ImageInput.open(manifest, runtime);
  const match = answerOf(manifest, "match");

  async function embedText([texts]: [string[]], _: unknown, signal: AbortSignal): Promise<Float32Array[]> {
    const encoded = texts.map((one) => text.encode(one));
    return inBatches(encoded, ({ ids }) => ids.length, async (batch) => {
      const vectors = await floats(await textModel.run(text.feeds(batch)), match.text_output);
      return batch.map((_, i) => row(vectors, i));
    }, signal);
  }

  async function embedImage([images]: [Pixels[]], _: unknown, signal: AbortSignal): Promise<Float32Array[]> {
    return inBatches(images, () => 1, async (batch) => {
      const vectors = await floats(await visionModel.run(image.feeds(batch)), match.image_output);
      return batch.map((_, i) => row(vectors, i));
    }, signal);
  }

  return {
    facts: { scale: match.scale, template: match.template },
    methods: { embedText, embedImage },
    parts: {
      text_model: { session: textModel, feeds: (example: string) => text.feeds([text.encode(example)]) },
      vision_model: { session: visionModel, feeds: (example: Pixels) => image.feeds([example]) },
    },
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  const sum = (of: (x: number, y: number) => number) => a.reduce((total, x, i) => total + of(x, b[i] as number), 0);
  const lengths = Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y));
  return lengths ? sum((x, y) => x * y) / lengths : 0;
}
