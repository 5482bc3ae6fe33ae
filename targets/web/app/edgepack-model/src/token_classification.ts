/** Texts to named spans, by @bundle@. */
import { inBatches } from "./runtime/batches.js";
import { best, softmax } from "./runtime/labels.js";
import { load, type Loaded, type LoadOptions } from "./runtime/load.js";
import { answerOf, type Manifest, only } from "./runtime/manifest.js";
import { offsets } from "./runtime/offsets.js";
import { floats, row, type Runtime, Session } from "./runtime/session.js";
import type { BundleFiles, Served } from "./runtime/served.js";
import { type Encoded, TextInput } from "./runtime/text.js";

/** A span of a text: `text.slice(start, end)` has the label with this mean probability. */
export interface Entity {
  label: string;
  text: string;
  start: number;
  end: number;
  score: number;
}

/** @model@: named spans of texts of up to @max_length@ tokens; longer ones are cut. */
export class TokenClassification {
  private constructor(private readonly loaded: Loaded<null>) {}

  /** Fetches, checks and opens the bundle. Rejects with ModelError, whose `failure` says what is wrong. */
  static async load(options: LoadOptions = {}): Promise<TokenClassification> {
    return new TokenClassification(await load<null>(options, { "token-classification": open }));
  }

  /** Whether the next visit finds the files in Cache Storage. */
  get kept(): boolean {
    return this.loaded.kept;
  }

  /** The entities of each text, in order. */
  tag(texts: readonly string[], options: { signal?: AbortSignal } = {}): Promise<Entity[][]> {
    return this.loaded.remote.call("tag", [texts], options.signal);
  }

  /** Ends the worker and frees its memory. */
  close(): void {
    this.loaded.remote.close();
  }
}

/** A token's place, its label and that label's probability. */
interface Tagged {
  start: number;
  end: number;
  name: string;
  score: number;
}

/** Opens the bundle on the worker's side. */
export async function open(manifest: Manifest, files: BundleFiles, runtime: Runtime): Promise<Served> {
  const session = await Session.open(only(manifest), files, runtime);
  const text = TextInput.open(manifest, files, runtime);
  const names = answerOf(manifest, "entities").labels;

  async function tag([texts]: [string[]], _: unknown, signal: AbortSignal): Promise<Entity[][]> {
    const given = texts.map((one) => ({ one, encoded: text.encode(one) }));
    return inBatches(given, ({ encoded }) => encoded.ids.length, async (batch) => {
      const logits = await floats(await session.run(text.feeds(batch.map(({ encoded }) => encoded))), "logits");
      const longest = Math.max(...batch.map(({ encoded }) => encoded.ids.length));
      return batch.map(({ one, encoded }, i) => {
        const skipped = text.facts.padding_side === "left" ? longest - encoded.ids.length : 0;
        return entities(one, tagged(one, encoded, row(logits, i).subarray(skipped * names.length)));
      });
    }, signal);
  }

  function tagged(one: string, encoded: Encoded, logits: Float32Array): Tagged[] {
    const spans = offsets(one, text.ids(one), text.tokenizer);
    return encoded.places.flatMap((place, token) => {
      if (!place) return [];
      const scores = softmax(logits.subarray(token * names.length, (token + 1) * names.length));
      const chosen = best(scores, 1)[0] ?? 0;
      const [start, end] = spans[place.index] ?? [0, 0];
      return [{ start, end, name: names[chosen] as string, score: scores[chosen] as number }];
    });
  }

  const feeds = (example: string) => text.feeds([text.encode(example)]);
  return { facts: null, methods: { tag }, parts: { model: { session, feeds } } };
}

/** Joins neighbouring tokens of one label; B- begins a new one (transformers' "simple"). */
function entities(text: string, tokens: readonly Tagged[]): Entity[] {
  const groups: { tag: string; label: string; tokens: Tagged[] }[] = [];
  for (const token of tokens) {
    const tag = token.name.replace(/^[BI]-/, "");
    const last = groups.at(-1);
    if (last?.tag === tag && !token.name.startsWith("B-")) last.tokens.push(token);
    else groups.push({ tag, label: token.name.replace(/^[^-]*-/, ""), tokens: [token] });
  }
  return groups.filter(({ label }) => label !== "O").map(({ label, tokens: own }) => {
    const [start, end] = [own[0]?.start ?? 0, own.at(-1)?.end ?? 0];
    const score = own.reduce((sum, token) => sum + token.score, 0) / own.length;
    return { label, text: text.slice(start, end), start, end, score };
  });
}
