/** Images to labels, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { ImageInput, type ImageSource, type Pixels, pixels } from "./runtime/image.js";
import { type Label, labels } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";

interface Facts {
  labels: string[];
}

/** @model@: @labels@ labels of images, which become @image_width@ x @image_height@ pixels. */
export class ImageClassification {
  private constructor(private readonly loaded: Loaded<Facts>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<ImageClassification> {
    return new ImageClassification(await load<Facts>(options, { "image-classification": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The names of all labels, in the model's order. */
  get labels(): string[] {
    return this.loaded.facts.labels;
  }

  /** The labels of each image with their scores, best first. */
  async classify(images: readonly ImageSource[], options: { signal?: AbortSignal } = {}): Promise<Label[][]> {
    const given = await Promise.all(images.map(pixels));
    return this.loaded.remote.call("classify", [given], options.signal);
  }

  /** Ends the worker and frees its memory. */
  close(): void {
    this.loaded.remote.close();
  }
}

/** Opens the bundle on the worker's side. */
export async function open(manifest: Manifest, files: BundleFiles, runtime: Runtime): Promise<Served> {
  const session = await Session.open(only(manifest), files, runtime);
  const image = ImageInput.open(manifest, runtime);
  const classes = answerOf(manifest, "classes");

  async function classify([images]: [Pixels[]], _: unknown, signal: AbortSignal): Promise<Label[][]> {
    return inBatches(images, () => 1, async (batch) => {
      const logits = await floats(await session.run(image.feeds(batch)), "logits");
      return batch.map((_, i) => labels(row(logits, i), classes.labels, classes.problem_type));
    }, signal);
  }

  const feeds = (example: Pixels) => image.feeds([example]);
  return { facts: { labels: classes.labels }, methods: { classify }, parts: { model: { session, feeds } } };
}
