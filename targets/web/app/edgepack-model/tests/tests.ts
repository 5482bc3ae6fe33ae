/** Every test by its name; the same run in Node.js (node.ts) and in a browser (chromium.ts). */
import * as bundle from "./bundle.js";
import * as golden from "./golden.js";
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

export type Tests = Record<string, () => Promise<void>>;

export const tests: Tests = {
  ...bundle.tests,
  ...golden.tests,
  // edgepack:if text-embedding
  ...textEmbedding.tests,
  // edgepack:end
  // edgepack:if sparse-embedding
  ...sparseEmbedding.tests,
  // edgepack:end
  // edgepack:if text-generation
  ...textGeneration.tests,
  // edgepack:end
  // edgepack:if text-classification
  ...textClassification.tests,
  // edgepack:end
  // edgepack:if text-ranking
  ...textRanking.tests,
  // edgepack:end
  // edgepack:if token-classification
  ...tokenClassification.tests,
  // edgepack:end
  // edgepack:if question-answering
  ...questionAnswering.tests,
  // edgepack:end
  // edgepack:if fill-mask
  ...fillMask.tests,
  // edgepack:end
  // edgepack:if image-classification
  ...imageClassification.tests,
  // edgepack:end
  // edgepack:if image-embedding
  ...imageEmbedding.tests,
  // edgepack:end
  // edgepack:if zero-shot-image-classification
  ...zeroShot.tests,
  // edgepack:end
};
