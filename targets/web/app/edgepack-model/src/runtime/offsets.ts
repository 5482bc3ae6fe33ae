/**
 * Where tokens stand in their text, which the tokenizer does not tell: each is looked for behind the one before, without
 * regard to what normalizers change (case, accents, white space). A token that is not found so, such as an unknown one,
 * has what lies between its neighbours.
 */
import type { Tokenizer } from "@huggingface/tokenizers";

/** From, up to: places of `text.slice`. */
export type Span = [number, number];

const FAR = 64; // letters that may lie between two tokens

/** The span in `text` of each token of `ids`, which are all of the text's. */
export function offsets(text: string, ids: readonly number[], words: Tokenizer): Span[] {
  const source = folded(text);
  const letters = source.map(({ letter }) => letter).join("");
  const places = source.flatMap(({ letter, span }) => Array.from({ length: letter.length }, () => span));
  let at = 0;
  const found = ids.map((id): Span | null => {
    const wanted = surface(id, words);
    const place = wanted ? letters.indexOf(wanted, at) : -1;
    if (place < 0 || place - at > FAR) return null;
    at = place + wanted.length;
    return [places[place]?.[0] ?? 0, places[at - 1]?.[1] ?? 0];
  });
  return found.map((span, i) => span ?? between(text, found, i));
}

/** The letters of a text as they are compared, each with its place. */
function folded(text: string): { letter: string; span: Span }[] {
  const found: { letter: string; span: Span }[] = [];
  let start = 0;
  for (const letter of text) {
    const span: Span = [start, (start += letter.length)];
    found.push({ letter: fold(letter), span });
  }
  return found;
}

function fold(text: string): string {
  return text.normalize("NFKD").toLowerCase().replace(/[\p{M}\p{Z}\p{C}\s]/gu, "");
}

/** What a token stands for in a text; "" where that is no text by itself, as of a part of a letter's bytes. */
function surface(id: number, words: Tokenizer): string {
  const text = words.decode([id], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  return text.includes("\ufffd") ? "" : fold(text.replace(/^##/, ""));
}

function between(text: string, found: readonly (Span | null)[], index: number): Span {
  const start = found.slice(0, index).reverse().find((span) => span !== null)?.[1] ?? 0;
  const end = found.slice(index).find((span) => span !== null)?.[0] ?? text.length;
  const trimmed = text.slice(start, end);
  const first = start + (trimmed.length - trimmed.trimStart().length);
  return [first, Math.max(first, start + trimmed.trimEnd().length)];
}
