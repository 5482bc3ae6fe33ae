/** The page: fetches the model, shows how far that is, runs the example, and then what the visitor gives it. */
import { type LoadOptions, ModelError } from "../src/index.js";
// edgepack:if text-embedding
import { demo as textEmbedding } from "./text_embedding.js";
// edgepack:end
// edgepack:if sparse-embedding
import { demo as sparseEmbedding } from "./sparse_embedding.js";
// edgepack:end
// edgepack:if text-generation
import { demo as textGeneration } from "./text_generation.js";
// edgepack:end
// edgepack:if text-classification
import { demo as textClassification } from "./text_classification.js";
// edgepack:end
// edgepack:if text-ranking
import { demo as textRanking } from "./text_ranking.js";
// edgepack:end
// edgepack:if token-classification
import { demo as tokenClassification } from "./token_classification.js";
// edgepack:end
// edgepack:if question-answering
import { demo as questionAnswering } from "./question_answering.js";
// edgepack:end
// edgepack:if fill-mask
import { demo as fillMask } from "./fill_mask.js";
// edgepack:end
// edgepack:if image-classification
import { demo as imageClassification } from "./image_classification.js";
// edgepack:end
// edgepack:if image-embedding
import { demo as imageEmbedding } from "./image_embedding.js";
// edgepack:end
// edgepack:if zero-shot-image-classification
import { demo as zeroShot } from "./zero_shot_image_classification.js";
// edgepack:end

/** What the visitor gave. */
export interface Given {
  text: string;
  lines: string[];
  image: File | null;
  signal: AbortSignal;
}

/** A task's demo: `open` resolves to what answers, and shows the answer so far. */
export interface Demo {
  /** What the text box begins with, such as "a\nb"; "" where the task takes no text. */
  example: string;
  image: boolean;
  open(options: LoadOptions): Promise<(given: Given, show: (text: string) => void) => Promise<void>>;
}

const DEMOS: Demo[] = [
  // edgepack:if text-embedding
  textEmbedding,
  // edgepack:end
  // edgepack:if sparse-embedding
  sparseEmbedding,
  // edgepack:end
  // edgepack:if text-generation
  textGeneration,
  // edgepack:end
  // edgepack:if text-classification
  textClassification,
  // edgepack:end
  // edgepack:if text-ranking
  textRanking,
  // edgepack:end
  // edgepack:if token-classification
  tokenClassification,
  // edgepack:end
  // edgepack:if question-answering
  questionAnswering,
  // edgepack:end
  // edgepack:if fill-mask
  fillMask,
  // edgepack:end
  // edgepack:if image-classification
  imageClassification,
  // edgepack:end
  // edgepack:if image-embedding
  imageEmbedding,
  // edgepack:end
  // edgepack:if zero-shot-image-classification
  zeroShot,
  // edgepack:end
];
const demo = DEMOS[0] as Demo;

function element<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const [text, image] = [element<HTMLTextAreaElement>("text"), element<HTMLInputElement>("image")];
const [run, stop] = [element<HTMLButtonElement>("run"), element<HTMLButtonElement>("stop")];
const [answer, told] = [element("answer"), element("told")];
let controller = new AbortController();

function show(found: string): void {
  answer.textContent = found;
}

function tell(error: unknown): void {
  if (!(error instanceof ModelError)) throw error;
  if (error.code !== "aborted") told.textContent = `${error.code}: ${error.message}`;
}

text.value = demo.example;
text.hidden = !demo.example;
image.hidden = !demo.image;
stop.addEventListener("click", () => controller.abort());

try {
  const answered = await demo.open({
    bundle: new URL("../bundle/", location.href),
    onProgress: ({ loaded, total }) => (element<HTMLProgressElement>("progress").value = loaded / total),
  });
  element("progress").hidden = true;
  const ask = async (): Promise<void> => {
    controller = new AbortController();
    [run.disabled, stop.disabled] = [true, false];
    const lines = text.value.split("\n").filter((line) => line.trim());
    const given = { text: text.value, lines, image: image.files?.[0] ?? null, signal: controller.signal };
    await answered(given, show).catch(tell);
    [run.disabled, stop.disabled] = [false, true];
  };
  element("form").addEventListener("submit", (event) => (event.preventDefault(), void ask()));
  if (!demo.image) await ask();
  run.disabled = false;
  const threads = crossOriginIsolated ? "" : " This page is not cross-origin isolated: one thread computes.";
  told.textContent ||= `Ready ${(performance.now() / 1000).toFixed(1)} s after the page began.${threads}`;
} catch (error) {
  tell(error);
}
