/** How the next token is chosen: repetition penalty, temperature, top-k, top-p, in the order of transformers. */
import { ModelError } from "./runtime/errors.js";
import { best } from "./runtime/labels.js";

export interface Sampling {
  /** 0 (the default) takes the most likely token; larger is more varied. */
  temperature?: number;
  /** How many of the most likely tokens are left; 0 (the default): all. */
  topK?: number;
  /** The least probability that the tokens left have together, the most likely first; 1 (the default): all. */
  topP?: number;
  /** Divides the logits of tokens that were there already; by default the model's own. */
  repetitionPenalty?: number;
  /** The same seed gives the same text again. */
  seed?: number;
}

const COLD = 1e-5; // a temperature below is as good as none, and overflows

export class Sampler {
  readonly #random: () => number;
  readonly #seen: Set<number>;
  readonly #options: Required<Omit<Sampling, "seed">>;

  constructor({ seed, ...options }: Sampling, penalty: number, prompt: readonly number[]) {
    this.#options = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: penalty, ...options };
    const { temperature, topK, topP, repetitionPenalty } = this.#options;
    within("temperature", temperature >= 0);
    within("topK", Number.isInteger(topK) && topK >= 0);
    within("topP", topP > 0 && topP <= 1);
    within("repetitionPenalty", repetitionPenalty > 0);
    this.#random = mulberry32(seed ?? Math.floor(Math.random() * 2 ** 32));
    this.#seen = new Set(prompt);
  }

  /** The id of the next token, by the logits of the vocabulary. */
  choose(logits: Float32Array): number {
    const scores = this.#penalized(logits);
    const { temperature, topK } = this.#options;
    const token = temperature < COLD || topK === 1 ? largest(scores) : this.#drawn(scores);
    this.#seen.add(token);
    return token;
  }

  #penalized(logits: Float32Array): Float32Array {
    const penalty = this.#options.repetitionPenalty;
    if (penalty === 1) return logits;
    const scores = logits.slice();
    for (const id of this.#seen) {
      const score = scores[id] as number;
      scores[id] = score < 0 ? score * penalty : score / penalty;
    }
    return scores;
  }

  #drawn(scores: Float32Array): number {
    const { temperature, topK, topP } = this.#options;
    const top = scores[largest(scores)] as number;
    const weights = Float64Array.from(scores, (score) => Math.exp((score - top) / temperature));
    const tokens = best(weights, topK || weights.length);
    const total = tokens.reduce((sum, token) => sum + (weights[token] as number), 0);
    const left = nucleus(tokens, weights, topP * total);
    let rest = this.#random() * left.reduce((sum, token) => sum + (weights[token] as number), 0);
    return left.find((token) => (rest -= weights[token] as number) < 0) ?? (left.at(-1) as number);
  }
}

/** The first tokens that weigh `mass` together. */
function nucleus(tokens: readonly number[], weights: Float64Array, mass: number): readonly number[] {
  let reached = 0;
  const last = tokens.findIndex((token) => (reached += weights[token] as number) >= mass);
  return last < 0 ? tokens : tokens.slice(0, last + 1);
}

function largest(values: Float32Array): number {
  return values.reduce((found, value, i) => (value > (values[found] as number) ? i : found), 0);
}

function within(name: string, fine: boolean): void {
  if (!fine) throw new ModelError(`${name} is out of its range`, { code: "input" });
}

/** Numbers from 0 to 1 of a 32-bit generator (Tommy Ettinger's Mulberry32). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
