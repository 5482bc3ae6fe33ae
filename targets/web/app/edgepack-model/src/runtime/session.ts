/** One submodel, opened by onnxruntime-web. */
import type { InferenceSession, Tensor, TypedTensor } from "onnxruntime-web/wasm";
import { ModelError } from "./errors.js";
import type { Submodel } from "./manifest.js";

export type { Tensor };
export type Feeds = Record<string, Tensor>;
export type Device = "wasm" | "webgpu";
type Ort = typeof import("onnxruntime-web/wasm");

export interface Runtime {
  ort: Ort;
  device: Device;
}

/** Loads onnxruntime-web for a device; `threads` is 1 on pages that are not cross-origin isolated. */
export async function runtime(device: Device, threads: number): Promise<Runtime> {
  const ort = device === "webgpu" ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  return { ort: ort as Ort, device };
}

export class Session {
  private constructor(private readonly session: InferenceSession) {}

  static async open(submodel: Submodel, files: Map<string, Uint8Array>, { ort, device }: Runtime): Promise<Session> {
    const graph = files.get(submodel.file);
    if (!graph) throw new ModelError(`${submodel.file} was not read`, { code: "bundle" });
    const externalData = submodel.files.flatMap((name) => {
      const data = name === submodel.file ? undefined : files.get(name);
      return data ? [{ path: name.split("/").pop() ?? name, data }] : [];
    });
    return new Session(await ort.InferenceSession.create(graph, { executionProviders: [device], externalData }));
  }

  get inputs(): readonly string[] {
    return this.session.inputNames;
  }

  async run(feeds: Feeds): Promise<Record<string, Tensor>> {
    return this.session.run(feeds);
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

/** The values of a float32 output. */
export async function floats(outputs: Record<string, Tensor>, name: string): Promise<TypedTensor<"float32">> {
  const tensor = outputs[name];
  if (tensor?.type !== "float32") throw new ModelError(`the model gave no ${name} in float32`, { code: "bundle" });
  return tensor as TypedTensor<"float32">;
}

/** Row `index` of a batch: a copy. */
export function row(tensor: TypedTensor<"float32">, index: number): Float32Array {
  const size = tensor.data.length / (tensor.dims[0] ?? 1);
  return tensor.data.slice(index * size, (index + 1) * size);
}
