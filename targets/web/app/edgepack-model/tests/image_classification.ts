/** The wrapper's own call. */
import { ImageClassification } from "../src/image_classification.js";
import { file, picture } from "./pictures.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

export const tests: Tests = {
  "every label has a score, best first, whatever the image comes as": async () => {
    const model = await ImageClassification.load({ bundle: BUNDLE });
    const given = [await picture(1), await picture(3), await picture(4)];
    const files = typeof OffscreenCanvas === "undefined" ? [] : [await file()];
    const answers = await model.classify([...given, ...files]);
    check(answers.length === given.length + files.length, String(answers.length));
    for (const found of answers) {
      check(found.map(({ name }) => name).sort().join() === [...model.labels].sort().join(), JSON.stringify(found));
      check(found.every(({ score }, i) => i === 0 || score <= (found[i - 1]?.score ?? 0)), JSON.stringify(found));
      check(Math.abs((found[0]?.score ?? 0) - (answers[0]?.[0]?.score ?? 1)) < 1e-4, "the same picture has other scores");
    }
    model.close();
  },

  "what is no image is refused": async () => {
    const model = await ImageClassification.load({ bundle: BUNDLE });
    const short = { data: new Uint8Array(5), height: 2, width: 2, channels: 3 };
    check((await failure(model.classify([short]))).code === "input", "it was taken");
    if (typeof OffscreenCanvas !== "undefined") {
      check((await failure(model.classify([new Blob(["no image"])]))).code === "input", "the file was taken");
    }
    model.close();
  },
};
