/** The tasks that this module computes, by the name that a bundle has for them. */
import type { Tasks } from "./runtime/served.js";
// edgepack:if text-embedding
import * as textEmbedding from "./text_embedding.js";
// edgepack:end
// edgepack:if sparse-embedding
import * as sparseEmbedding from "./sparse_embedding.js";
// edgepack:end
// edgepack:if text-generation
import * as textGeneration from "./text_generation.js";
// edgepack:end
// edgepack:if text-classification
import * as textClassification from "./text_classification.js";
// edgepack:end
// edgepack:if text-ranking
import * as textRanking from "./text_ranking.js";
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

export const TASKS: Tasks = {
  // edgepack:if text-embedding
  "text-embedding": textEmbedding.open,
  // edgepack:end
  // edgepack:if sparse-embedding
  "sparse-embedding": sparseEmbedding.open,
  // edgepack:end
  // edgepack:if text-generation
  "text-generation": textGeneration.open,
  // edgepack:end
  // edgepack:if text-classification
  "text-classification": textClassification.open,
  // edgepack:end
  // edgepack:if text-ranking
  "text-ranking": textRanking.open,
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
