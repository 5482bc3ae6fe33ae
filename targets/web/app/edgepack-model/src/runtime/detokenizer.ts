/** Text that comes a token at a time: only what no later token changes, and never a part of a stop text. */
import type { Tokenizer } from "@huggingface/tokenizers";

const BROKEN = "\ufffd"; // what decoders write for bytes that are no letter, or none yet
const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;
const CONTEXT = 4; // tokens that tell what comes before a piece: a space, or the first bytes of a letter

export class Detokenizer {
  readonly #special: ReadonlySet<number>;
  #ids: number[];
  #given: number;

  constructor(private readonly words: Tokenizer, prompt: readonly number[]) {
    const added = [...words.get_added_tokens_decoder()];
    this.#special = new Set(added.filter(([, token]) => token.special).map(([id]) => id));
    const seen = prompt.filter((id) => this.#shows(id));
    let start = Math.max(seen.length - CONTEXT, 0);
    while (start > 0 && this.#isByte(seen[start] as number)) start--;
    this.#ids = seen.slice(start);
    this.#given = this.#decoded().length;
  }

  /** The text that is certain with one more token, often "". */
  add(token: number): string {
    if (!this.#shows(token)) return "";
    this.#ids.push(token);
    if (this.#isByte(token)) return "";
    const piece = certain(this.#decoded()).slice(this.#given);
    if (piece) {
      this.#ids = this.#ids.slice(-CONTEXT);
      this.#given = certain(this.#decoded()).length;
    }
    return piece;
  }

  /** What was held back, when no token follows. */
  rest(): string {
    return this.#decoded().slice(this.#given);
  }

  #shows(token: number): boolean {
    return !this.#special.has(token) && this.words.id_to_token(token) !== undefined;
  }

  #isByte(token: number): boolean {
    return BYTE.test(this.words.id_to_token(token) ?? "");
  }

  #decoded(): string {
    if (!this.#ids.length) return "";
    return this.words.decode(this.#ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  }
}

function certain(text: string): string {
  return text.endsWith(BROKEN) ? text.slice(0, -1) : text; // incomplete bytes make one of them
}

/** Ends a text before the first of `stops`; a possible beginning of one is held back. */
export class Stops {
  found = false;
  #held = "";

  constructor(private readonly stops: readonly string[]) {}

  add(piece: string): string {
    const text = this.#held + piece;
    const ends = this.stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
    this.found = ends.length > 0;
    const safe = this.found ? Math.min(...ends) : text.length - Math.max(0, ...this.stops.map((stop) => overlap(text, stop)));
    this.#held = this.found ? "" : text.slice(safe);
    return text.slice(0, safe);
  }

  rest(): string {
    return this.#held;
  }
}

/** How many letters at the end of `text` begin `stop`. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(stop.length - 1, text.length); n > 0; n--) if (text.endsWith(stop.slice(0, n))) return n;
  return 0;
}
