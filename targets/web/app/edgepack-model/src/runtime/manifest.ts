/** The part of edgepack.json that this module reads. */
import { ModelError } from "./errors.js";

export interface FileEntry {
  bytes: number;
  sha256: string;
}

export interface TensorFacts {
  name: string;
  dtype: string;
  shape: (number | string)[];
}

export interface Submodel {
  file: string;
  files: string[];
  inputs: TensorFacts[];
  golden: { file: string; output: string; least_cosine: number } | null;
}

export interface TextFacts {
  inputs: string[];
  max_length: number;
  pad_id: number;
  pad_type_id: number;
  padding_side: "left" | "right";
  truncation_side: "left" | "right";
  stride?: number | null;
  prompts: Record<string, string>;
  default_prompt?: string | null;
  include_prompt: boolean;
  /** False where the model takes no pair of texts. */
  pairs?: boolean | null;
}

export type Resampling = "nearest" | "lanczos" | "bilinear" | "bicubic" | "box" | "hamming";

export type Step =
  | { op: "resize"; resample: Resampling; height: number; width: number }
  | {
      op: "resize_shortest_edge";
      resample: Resampling;
      shortest_edge: number;
      longest_edge?: number | null;
      multiple_of?: number | null;
    }
  | { op: "resize_within"; resample: Resampling; max_height: number; max_width: number }
  | { op: "center_crop"; height: number; width: number; odd?: "torchvision" | null }
  | { op: "center_crop_ratio"; height_ratio: number; width_ratio: number }
  | { op: "reverse_channels" }
  | { op: "rescale"; factor: number; offset: number }
  | { op: "normalize"; mean: number[]; std: number[] };

export interface ImageFacts {
  input: string;
  channels: 1 | 3;
  size: { height: number; width: number };
  alpha: "drop" | "refuse" | "white";
  steps: Step[];
}

export interface GenerationFacts {
  max_length: number;
  vocabulary: number;
  eos_ids: number[];
  repetition_penalty: number;
}

export type Similarity = "cosine" | "dot" | "euclidean" | "manhattan";
export type ProblemType = "regression" | "single_label_classification" | "multi_label_classification";

export type AnswerFacts =
  | { kind: "embedding"; output: string; width?: number | null; similarity?: Similarity | null }
  | { kind: "classes"; labels: string[]; problem_type: ProblemType }
  | { kind: "entities"; labels: string[] }
  | { kind: "span"; max_answer_length: number }
  | { kind: "mask"; mask_token: string; mask_id: number }
  | { kind: "match"; text_output: string; image_output: string; width: number; scale: number; template: string };

export interface Manifest {
  schema: number;
  name: string;
  task: string;
  files: Record<string, FileEntry>;
  models: Record<string, Submodel>;
  processing: {
    text?: TextFacts | null;
    image?: ImageFacts | null;
    generation?: GenerationFacts | null;
    answer?: AnswerFacts | null;
  };
}

/** Reads edgepack.json of a bundle that is for one of `tasks`. */
export function readManifest(text: string, tasks: readonly string[]): Manifest {
  let manifest: Manifest;
  try {
    manifest = JSON.parse(text) as Manifest;
  } catch {
    throw new ModelError("edgepack.json is not JSON: is the bundle's address right?", { code: "bundle" });
  }
  if (manifest.schema !== 2) throw new ModelError("edgepack.json is of another version", { code: "bundle" });
  if (!tasks.includes(manifest.task)) {
    throw new ModelError(`the bundle is for ${manifest.task}, and this code for ${tasks.join(", ")}`, { code: "bundle" });
  }
  return manifest;
}

/** The submodel of a bundle that has one. */
export function only(manifest: Manifest): Submodel {
  return named(manifest, "model");
}

export function named(manifest: Manifest, name: string): Submodel {
  return present(manifest.models[name], `the submodel ${name}`);
}

/** `answer`, where it is of `kind`. */
export function answerOf<K extends AnswerFacts["kind"]>(manifest: Manifest, kind: K): Extract<AnswerFacts, { kind: K }> {
  const answer = manifest.processing.answer;
  if (answer?.kind !== kind) throw new ModelError(`edgepack.json has no answer of the kind ${kind}`, { code: "bundle" });
  return answer as Extract<AnswerFacts, { kind: K }>;
}

export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new ModelError(`edgepack.json has no ${what}`, { code: "bundle" });
  return value;
}
