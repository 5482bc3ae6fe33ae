/** Images to values, by the steps of the manifest's `processing.image`. */
import { ModelError } from "./errors.js";
import { type ImageFacts, type Manifest, present, type Step } from "./manifest.js";
import { type Bitmap, resize } from "./resize.js";
import type { Feeds, Runtime } from "./session.js";

/** Pixels as they are: uint8 [height, width, channels], grey (1), red, green, blue (3), or with alpha (4). */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  height: number;
  width: number;
  /** 4 of an ImageData, which does not say it. */
  channels?: number;
}

/** An image's file (a Blob or File of JPEG, PNG, WebP …), an ImageData, or pixels. */
export type ImageSource = Blob | ImageData | Pixels;

/** Values of one colour after another, float32 [channels, height, width] as the model takes them. */
type Values = Float32Array;

export class ImageInput {
  constructor(private readonly facts: ImageFacts, private readonly runtime: Runtime) {}

  static open(manifest: Manifest, runtime: Runtime): ImageInput {
    return new ImageInput(present(manifest.processing.image, "processing.image"), runtime);
  }

  /** Float32 [images, channels, height, width]. */
  feeds(images: readonly Pixels[]): Feeds {
    const { input, channels, size } = this.facts;
    const each = channels * size.height * size.width;
    const data = new Float32Array(images.length * each);
    images.forEach((image, i) => data.set(this.values(image), i * each));
    return { [input]: new this.runtime.ort.Tensor("float32", data, [images.length, channels, size.height, size.width]) };
  }

  private values(image: Pixels): Values {
    const { channels, alpha, size, steps } = this.facts;
    const sized = steps.filter(changesSize).reduce(placed, coloured(checked(image), channels, alpha));
    if (sized.height !== size.height || sized.width !== size.width) {
      const message =
        `an image of ${image.height} x ${image.width} pixels (height x width) becomes ${sized.height} x ${sized.width}; ` +
        `the model takes ${size.height} x ${size.width}: resize it first`;
      throw new ModelError(message, { code: "input" });
    }
    return steps.reduce((values, step) => computed(values, step, channels), planes(sized));
  }
}

/** The pixels of an image. A file is turned upright as its EXIF says, and its alpha is dropped. */
export async function pixels(source: ImageSource): Promise<Pixels> {
  if (!(source instanceof Blob)) return { channels: 4, ...plain(source) };
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(source, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new ModelError("the file is no image that this browser reads", { code: "input" });
  }
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  if (!context) throw new ModelError("this browser gives no canvas to read an image with", { code: "runtime" });
  context.drawImage(bitmap, 0, 0);
  const { data, height, width } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const transparent = data.some((value, i) => i % 4 === 3 && value < 255);
  const values = (transparent && straight(bitmap)) || data;
  bitmap.close();
  return { data: values.filter((_, i) => i % 4 < 3), height, width, channels: 3 };
}

/** The values of a transparent image, whose colours a canvas mixes with its alpha; null where there is no WebGL. */
function straight(bitmap: ImageBitmap): Uint8Array | null {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl");
  if (!gl || Math.max(bitmap.width, bitmap.height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return null;
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) return null;
  const values = new Uint8Array(4 * bitmap.width * bitmap.height);
  gl.readPixels(0, 0, bitmap.width, bitmap.height, gl.RGBA, gl.UNSIGNED_BYTE, values);
  return values;
}

/** An ImageData has its values in its prototype, which neither a copy nor a message takes along. */
function plain({ data, height, width, ...rest }: ImageData | Pixels): Pixels {
  const channels = (rest as { channels?: number }).channels;
  return channels === undefined ? { data, height, width } : { data, height, width, channels };
}

function checked({ data, height, width, channels = 4 }: Pixels): Bitmap {
  const known = [1, 3, 4].includes(channels) && height > 0 && width > 0;
  if (known && data.length === height * width * channels) return { data, height, width, channels };
  const message = `${data.length} values are no image of ${height} x ${width} pixels and ${channels} channels`;
  throw new ModelError(message, { code: "input" });
}

/** Grey is repeated for a model of colours; colours become luma (ITU-R 601) for one of grey. */
function coloured(image: Bitmap, channels: 1 | 3, alpha: ImageFacts["alpha"]): Bitmap {
  const opaque = image.channels === 4 ? withoutAlpha(image, alpha) : image;
  if (opaque.channels === channels) return opaque;
  const { data, height, width } = opaque;
  const made = new Uint8Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    if (channels === 3) made.fill(data[i] as number, i * 3, i * 3 + 3);
    else {
      const [red, green, blue] = data.subarray(i * 3, i * 3 + 3) as unknown as [number, number, number];
      made[i] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
    }
  }
  return { data: made, height, width, channels };
}

/** An opaque image loses its alpha; what becomes of another's, the manifest says. */
function withoutAlpha({ data, height, width }: Bitmap, alpha: ImageFacts["alpha"]): Bitmap {
  const made = new Uint8Array(height * width * 3);
  for (let i = 0; i < height * width; i++) {
    const opacity = (data[i * 4 + 3] as number) / 255;
    if (opacity < 1 && alpha === "refuse") {
      const message = "the image is transparent, and the model does not say what becomes of that: make it opaque first";
      throw new ModelError(message, { code: "input" });
    }
    for (let c = 0; c < 3; c++) {
      const value = data[i * 4 + c] as number;
      made[i * 3 + c] = alpha === "white" ? halfToEven(opacity * value + (1 - opacity) * 255) : value;
    }
  }
  return { data: made, height, width, channels: 3 };
}

function changesSize({ op }: Step): boolean {
  return op.startsWith("resize") || op.startsWith("center_crop");
}

function placed(image: Bitmap, step: Step): Bitmap {
  const { height, width } = image;
  const [short, long] = [Math.min(height, width), Math.max(height, width)];
  switch (step.op) {
    case "resize":
      return resize(image, step.height, step.width, step.resample);
    case "resize_within": {
      const scale = Math.min(step.max_height / height, step.max_width / width);
      return resize(image, Math.trunc(height * scale), Math.trunc(width * scale), step.resample);
    }
    case "resize_shortest_edge": {
      const [near, far] = edges(short, long, step);
      return height <= width ? resize(image, near, far, step.resample) : resize(image, far, near, step.resample);
    }
    case "center_crop":
      return crop(image, step.height, step.width, step.odd === "torchvision");
    case "center_crop_ratio":
      return crop(image, Math.trunc(step.height_ratio * short), Math.trunc(step.width_ratio * short));
    default:
      return image;
  }
}

/** The shorter and the longer side after a resize by the shorter one. */
function edges(short: number, long: number, step: Extract<Step, { op: "resize_shortest_edge" }>): [number, number] {
  let near = step.shortest_edge;
  let far = Math.trunc((near * long) / short);
  if (step.longest_edge && (long / short) * near > step.longest_edge) {
    const exact = (step.longest_edge * short) / long;
    near = halfToEven(exact);
    far = near === short ? long : Math.trunc((exact * long) / short);
  }
  const unit = step.multiple_of ?? 1;
  return [Math.ceil(near / unit) * unit, Math.ceil(far / unit) * unit];
}

/** The centre; what lies outside of the image is black. Half a pixel of an odd margin is rounded down, or by torchvision. */
function crop(image: Bitmap, height: number, width: number, torchvision = false): Bitmap {
  const { channels } = image;
  const data = new Uint8Array(height * width * channels);
  const [top, left] = [start(image.height, height, torchvision), start(image.width, width, torchvision)];
  for (let y = Math.max(-top, 0); y < Math.min(height, image.height - top); y++) {
    const from = ((y + top) * image.width + Math.max(left, 0)) * channels;
    const count = Math.min(width, image.width) * channels;
    data.set(image.data.subarray(from, from + count), (y * width + Math.max(-left, 0)) * channels);
  }
  return { data, height, width, channels };
}

/** Where a centre crop begins: before the image where that is too short. */
function start(size: number, wanted: number, torchvision: boolean): number {
  const half = (size - wanted) / 2;
  if (!torchvision) return Math.floor(half);
  return half >= 0 ? halfToEven(half) : Math.ceil(half);
}

function planes({ data, height, width, channels }: Bitmap): Values {
  const made = new Float32Array(data.length);
  const size = height * width;
  for (let i = 0; i < size; i++) for (let c = 0; c < channels; c++) made[c * size + i] = data[i * channels + c] as number;
  return made;
}

function computed(values: Values, step: Step, channels: number): Values {
  const size = values.length / channels;
  switch (step.op) {
    case "reverse_channels": {
      const made = new Float32Array(values.length);
      for (let c = 0; c < channels; c++) made.set(values.subarray(c * size, (c + 1) * size), (channels - 1 - c) * size);
      return made;
    }
    case "rescale":
      return values.map((value) => Math.fround(value * step.factor) + Math.fround(step.offset));
    case "normalize":
      return values.map((value, i) => {
        const channel = Math.floor(i / size);
        return Math.fround(value - Math.fround(step.mean[channel] ?? 0)) / Math.fround(step.std[channel] ?? 1);
      });
    default:
      return values;
  }
}

function halfToEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}
