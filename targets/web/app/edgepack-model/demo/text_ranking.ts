import { TextRanking } from "../src/index.js";
import type { Demo } from "./demo.js";

/** The lines after the first, a query, by how well they answer it. */
export const demo: Demo = {
  example: "When does the shop open?\nWe open at nine.\nThe bus stops here.\nBread is sold out.",
  image: false,
  async open(options) {
    const model = await TextRanking.load(options);
    return async ({ lines: [query = "", ...passages], signal }, show) => {
      const ranked = await model.rank(query, passages, { signal });
      show(ranked.map(({ score, text }) => `${score.toFixed(3)} ${text}`).join("\n"));
    };
  },
};
