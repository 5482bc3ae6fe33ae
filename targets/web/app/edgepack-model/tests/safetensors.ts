/** Reads safetensors: a header in JSON, and numbers. */

export interface Stored {
  dtype: string;
  shape: number[];
  data: Uint8Array | Float32Array | BigInt64Array;
}

const TYPES: Record<string, (bytes: ArrayBuffer) => Stored["data"]> = {
  U8: (bytes) => new Uint8Array(bytes),
  F32: (bytes) => new Float32Array(bytes),
  I64: (bytes) => new BigInt64Array(bytes),
};

export function safetensors(file: Uint8Array): Record<string, Stored> {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const named = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return Object.fromEntries(named.map(([name, { dtype, shape, data_offsets: [start, end] }]) => {
    const read = TYPES[dtype];
    if (!read) throw new Error(`${name} has the type ${dtype}`);
    return [name, { dtype, shape, data: read(file.slice(8 + length + start, 8 + length + end).buffer as ArrayBuffer) }];
  }));
}

/** The text, the pair or the conversation that is stored as JSON, or the image. */
export function example(stored: Record<string, Stored>, number: string): unknown {
  const text = stored[`${number}.text`] ?? stored[`${number}.messages`];
  if (text) return JSON.parse(new TextDecoder().decode(text.data as Uint8Array));
  const image = stored[`${number}.image`];
  if (!image) return null;
  const [height = 0, width = 0, channels = 1] = image.shape;
  return { data: image.data as Uint8Array, height, width, channels };
}

/** The numbers of the examples. */
export function numbers(stored: Record<string, Stored>): string[] {
  const names = Object.keys(stored).flatMap((name) => /^(\d+)\.(text|messages|image|file)$/.exec(name)?.[1] ?? []);
  return [...new Set(names)].sort((a, b) => Number(a) - Number(b));
}
