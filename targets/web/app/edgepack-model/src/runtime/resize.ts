/**
 * Resizing as Pillow does it, to the last bit: a separable filter, widened by the scale where the image shrinks, weights
 * in 22-bit fixed point and a rounding to bytes after each of two passes (Pillow 13's libImaging/Resample.c).
 */
import { ModelError } from "./errors.js";
import type { Resampling } from "./manifest.js";

/** Uint8 [height, width, channels]. */
export interface Bitmap {
  data: Uint8Array | Uint8ClampedArray;
  height: number;
  width: number;
  channels: number;
}

type Filter = Exclude<Resampling, "nearest">;

const UNIT = 2 ** 22;

export function resize(image: Bitmap, height: number, width: number, resample: Resampling): Bitmap {
  if (height < 1 || width < 1) {
    const message = `an image of ${image.height} x ${image.width} pixels would become ${height} x ${width}`;
    throw new ModelError(message, { code: "input" });
  }
  if (image.height === height && image.width === width) return image;
  if (resample === "nearest") return nearest(image, height, width);
  const [lostRows, lostColumns] = [image.height - height, image.width - width];
  const rowsFirst = lostRows > 0 && lostRows > 2 * lostColumns;
  if (rowsFirst) return columns(rows(image, height, resample), width, resample);
  return rows(columns(image, width, resample), height, resample);
}

function rows(image: Bitmap, height: number, resample: Filter): Bitmap {
  const lines = { outer: 1, size: image.height, inner: image.width * image.channels };
  return { ...image, height, data: filtered(image.data, lines, height, resample) };
}

function columns(image: Bitmap, width: number, resample: Filter): Bitmap {
  const lines = { outer: image.height, size: image.width, inner: image.channels };
  return { ...image, width, data: filtered(image.data, lines, width, resample) };
}

/** [outer, wanted, inner] of [outer, size, inner]; sums of whole numbers below 2^53 are exact. */
function filtered(
  data: Bitmap["data"],
  { outer, size, inner }: { outer: number; size: number; inner: number },
  wanted: number,
  resample: Filter,
): Bitmap["data"] {
  if (size === wanted) return data;
  const made = new Uint8ClampedArray(outer * wanted * inner);
  taps(size, wanted, resample).forEach(({ first, weights }, place) => {
    for (let o = 0; o < outer; o++) {
      const [from, to] = [(o * size + first) * inner, (o * wanted + place) * inner];
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let t = 0; t < weights.length; t++) sum += (weights[t] as number) * (data[from + t * inner + i] as number);
        made[to + i] = Math.floor(sum / UNIT + 0.5);
      }
    }
  });
  return made;
}

/** For each new pixel the first old one that counts, and how much it and the next do, in 2^-22. */
function taps(size: number, wanted: number, resample: Filter): { first: number; weights: number[] }[] {
  const { kernel, support } = FILTERS[resample];
  const scale = size / wanted;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: wanted }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support * stretch + 0.5), 0);
    const last = Math.min(Math.trunc(centre + support * stretch + 0.5), size);
    const raw = Array.from({ length: last - first }, (_, t) => kernel((first + t - centre + 0.5) * (1 / stretch)));
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    const weights = raw.map((weight) => {
      const part = (total === 0 ? weight : weight / total) * UNIT;
      return Math.trunc(part + (part < 0 ? -0.5 : 0.5));
    });
    return { first, weights };
  });
}

function nearest(image: Bitmap, height: number, width: number): Bitmap {
  const [down, across] = [places(image.height, height), places(image.width, width)];
  const { channels } = image;
  const data = new Uint8Array(height * width * channels);
  down.forEach((y, row) => across.forEach((x, column) => {
    const from = (y * image.width + x) * channels;
    data.set(image.data.subarray(from, from + channels), (row * width + column) * channels);
  }));
  return { data, height, width, channels };
}

/** The old pixel of each new one; summed up as Pillow does it, since ties hang on the last bit. */
function places(size: number, wanted: number): number[] {
  let at = size / wanted / 2;
  return Array.from({ length: wanted }, (_, i) => Math.trunc(i ? (at += size / wanted) : at));
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function bicubic(x: number): number {
  const a = -0.5;
  const far = Math.abs(x);
  if (far < 1) return ((a + 2) * far - (a + 3)) * far * far + 1;
  return far < 2 ? (((far - 5) * far + 8) * far - 4) * a : 0;
}

function hamming(x: number): number {
  const far = Math.abs(x);
  const window = Math.fround(0.54) + Math.fround(0.46) * Math.cos(far * Math.PI); // Pillow's constants are floats
  return far < 1 ? sinc(far) * window : 0;
}

const FILTERS: Record<Filter, { kernel: (x: number) => number; support: number }> = {
  lanczos: { kernel: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0), support: 3 },
  bilinear: { kernel: (x) => Math.max(1 - Math.abs(x), 0), support: 1 },
  bicubic: { kernel: bicubic, support: 2 },
  box: { kernel: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0), support: 0.5 },
  hamming: { kernel: hamming, support: 1 },
};
