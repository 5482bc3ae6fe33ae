/** Images to vectors, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { ImageInput, type ImageSource, type Pixels, pixels } from "./runtime/image.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";

/** @model@: vectors of images, which become @image_width@ x @image_height@ pixels. */
export class ImageEmbedding {
  private constructor(private readonly loaded: Loaded<null>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<ImageEmbedding> {
    return new ImageEmbedding(await load<null>(options, { "image-embedding": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** A vector for each image. */
  async embed(images: readonly ImageSource[], options: { signal?: AbortSignal } = {}): Promise<Float32Array[]> {
    const given = await Promise.all(images.map(pixels));
    return this.loaded.remote.call("embed", [given], options.signal);
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
  const { output } = answerOf(manifest, "embedding");

  async function embed([images]: [Pixels[]], _: unknown, signal: AbortSignal): Promise<Float32Array[]> {
    return inBatches(images, () => 1, async (batch) => {
      const vectors = await floats(await session.run(image.feeds(batch)), output);
      return batch.map((_, i) => row(vectors, i));
    }, signal);
  }

  const feeds = (example: Pixels) => image.feeds([example]);
  return { facts: null, methods: { embed }, parts: { model: { session, feeds } } };
}
