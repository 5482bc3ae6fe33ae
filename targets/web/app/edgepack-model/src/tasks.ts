/** The tasks that this module computes, by the name that a bundle has for them. */
import type { Manifest } from "./manifest.js";
import type { Feeds, Runtime, Session } from "./session.js";
// edgepack:if text-embedding
import * as textEmbedding from "./text_embedding.js";
// edgepack:end
// edgepack:if text-generation
import * as textGeneration from "./text_generation.js";
// edgepack:end
// edgepack:if text-classification
import * as textClassification from "./text_classification.js";
// edgepack:end
// edgepack:if token-classification
import * as tokenClassification from "./token_classification.js";
// edgepack:end
// edgepack:if question-answering
import * as questionAnswering from "./question_answering.js";
// edgepack:end
// edgepack:if fill-mask
import * as fillMask from "./fill_mask.js";
// edgepack:end
// edgepack:if image-classification
import * as imageClassification from "./image_classification.js";
// edgepack:end
// edgepack:if image-embedding
import * as imageEmbedding from "./image_embedding.js";
// edgepack:end
// edgepack:if zero-shot-image-classification
import * as zeroShot from "./zero_shot_image_classification.js";
// edgepack:end

/** A method of an opened model, called from the page; `each` sends it a piece. */
export type Method = (args: never, each: (piece: unknown) => void, signal: AbortSignal) => Promise<unknown>;

/** An opened model on its worker's side. */
export interface Served {
  /** What the page is told of it once. */
  facts: unknown;
  methods: Record<string, Method>;
  /** The submodels by name, for the golden tests. */
  parts: Record<string, Part>;
}

/** A submodel, and how one example becomes its inputs. */
export interface Part {
  session: Session;
  feeds(example: never): Feeds;
}

export type BundleFiles = Map<string, Uint8Array<ArrayBuffer>>;
export type Open = (manifest: Manifest, files: BundleFiles, runtime: Runtime) => Promise<Served>;

export const TASKS: Record<string, Open> = {
  // edgepack:if text-embedding
  "text-embedding": textEmbedding.open,
  // edgepack:end
  // edgepack:if text-generation
  "text-generation": textGeneration.open,
  // edgepack:end
  // edgepack:if text-classification
  "text-classification": textClassification.open,
  // edgepack:end
  // edgepack:if token-classification
  "token-classification": tokenClassification.open,
  // edgepack:end
  // edgepack:if question-answering
  "question-answering": questionAnswering.open,
  // edgepack:end
  // edgepack:if fill-mask
  "fill-mask": fillMask.open,
  // edgepack:end
  // edgepack:if image-classification
  "image-classification": imageClassification.open,
  // edgepack:end
  // edgepack:if image-embedding
  "image-embedding": imageEmbedding.open,
  // edgepack:end
  // edgepack:if zero-shot-image-classification
  "zero-shot-image-classification": zeroShot.open,
  // edgepack:end
};
