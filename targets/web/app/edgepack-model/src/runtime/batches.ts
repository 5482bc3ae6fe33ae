/** Many examples in batches of similar length, the results in the order in which they were given. */
import { aborted } from "./errors.js";

const BATCH = 8;

export async function inBatches<E, R>(
  examples: readonly E[],
  length: (example: E) => number,
  step: (batch: E[]) => Promise<R[]>,
  signal: AbortSignal,
): Promise<R[]> {
  const order = examples.map((_, i) => i).sort((a, b) => length(examples[a] as E) - length(examples[b] as E));
  const results: R[] = [];
  for (let start = 0; start < order.length; start += BATCH) {
    await new Promise((resolve) => setTimeout(resolve)); // lets an abort come in
    if (signal.aborted) throw aborted();
    const chosen = order.slice(start, start + BATCH);
    const made = await step(chosen.map((i) => examples[i] as E));
    chosen.forEach((i, j) => (results[i] = made[j] as R));
  }
  return results;
}
