/** Pictures for the tests, of the size that the bundle's model takes. */
import type { Pixels } from "../src/runtime/image.js";
import { BUNDLE } from "./places.js";

/** A grey one that grows brighter to the right, with 1, 3 or 4 channels. */
export async function picture(channels: 1 | 3 | 4 = 3): Promise<Required<Pixels>> {
  const { processing } = await (await fetch(new URL("edgepack.json", BUNDLE))).json();
  const { height, width } = processing.image.size as { height: number; width: number };
  const data = new Uint8Array(height * width * channels);
  data.forEach((_, i) => (data[i] = channels === 4 && i % 4 === 3 ? 255 : (Math.floor(i / channels) % width) * (200 / width)));
  return { data, height, width, channels };
}

/** The same as a file, in browsers alone. */
export async function file(): Promise<Blob> {
  const { data, height, width } = await picture(4);
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
