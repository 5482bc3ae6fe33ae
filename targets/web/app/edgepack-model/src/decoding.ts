/** A language model's next logits, over a cache of keys and values that stays between answers. */
import type { Submodel } from "./runtime/manifest.js";
import { type Feeds, floats, type Runtime, type Session, type Tensor } from "./runtime/session.js";

const PAST = "past_key_values";
const CHUNK = 256; // tokens of a prompt that are computed at once; an abort is heard in between

export class Decoding {
  #ids: number[] = []; // whose keys and values are in the cache
  #past: Feeds = {};

  constructor(
    private readonly session: Session,
    private readonly submodel: Submodel,
    private readonly runtime: Runtime,
  ) {}

  /** The logits of the token after `ids`. What the cache holds of their beginning is not computed again. */
  async next(ids: readonly number[], between: () => Promise<void>): Promise<Float32Array> {
    const known = this.#ids.length < ids.length && this.#ids.every((id, i) => id === ids[i]);
    if (!known) [this.#ids, this.#past] = [[], {}];
    let logits: Float32Array = new Float32Array();
    while (this.#ids.length < ids.length) {
      await between();
      logits = await this.#step(ids.slice(this.#ids.length, this.#ids.length + CHUNK));
    }
    return logits;
  }

  /** The inputs of `ids` behind what is in the cache. */
  feeds(ids: readonly number[], past = 0): Feeds {
    const { Tensor } = this.runtime.ort;
    const length = past + ids.length;
    const whole = (values: readonly number[]): Tensor =>
      new Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const made: Feeds = {
      input_ids: whole(ids),
      attention_mask: whole(new Array<number>(length).fill(1)),
      position_ids: whole(ids.map((_, i) => past + i)),
      num_logits_to_keep: new Tensor("int64", [1n], []),
    };
    for (const { name, dtype, shape } of this.submodel.inputs) {
      if (!name.startsWith(PAST)) continue;
      const dims = [1, Number(shape[1]), 0, Number(shape[3])];
      made[name] = dtype === "float16" ? new Tensor("float16", new Uint16Array(), dims) : new Tensor("float32", [], dims);
    }
    return Object.fromEntries(this.submodel.inputs.map(({ name }) => [name, made[name] as Tensor]));
  }

  async #step(ids: readonly number[]): Promise<Float32Array> {
    const outputs = await this.session.run({ ...this.feeds(ids, this.#ids.length), ...this.#past });
    this.#ids = [...this.#ids, ...ids];
    for (const { name } of this.submodel.inputs) {
      if (name.startsWith(PAST)) this.#past[name] = outputs[name.replace(PAST, "present")] as Tensor;
    }
    const logits = await floats(outputs, "logits");
    return logits.data.slice(-(logits.dims[2] ?? 0));
  }
}
