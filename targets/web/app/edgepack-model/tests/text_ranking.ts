/** The wrapper's own calls. */
import { TextRanking } from "../src/text_ranking.js";
import { BUNDLE, check } from "./places.js";
import type { Tests } from "./tests.js";

const QUERY = "Who wrote it?";
const PASSAGES = ["It rained.", "Ada wrote it.", "The bus is late."];

export const tests: Tests = {
  "passages come best first": async () => {
    const model = await TextRanking.load({ bundle: BUNDLE });
    const scores = await model.predict(PASSAGES.map((passage) => [QUERY, passage]));
    const ranked = await model.rank(QUERY, PASSAGES);
    check(ranked.map(({ score }) => score).join() === [...scores].sort((a, b) => b - a).join(), JSON.stringify(ranked));
    check(ranked.every(({ index, score, text }) => scores[index] === score && PASSAGES[index] === text), JSON.stringify(ranked));
    check(JSON.stringify(await model.rank(QUERY, PASSAGES, { topK: 1 })) === JSON.stringify(ranked.slice(0, 1)), "topK");
    model.close();
  },
};
