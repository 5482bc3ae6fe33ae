/** The page's side of a worker: calls with an answer, calls that give one piece after another, and their abort. */
import { aborted, ModelError, type SentError } from "./errors.js";
import type { Port } from "./serve.js";

/** What the page says. */
export interface Call {
  id: number;
  method: string;
  args: unknown[];
}

export type Asked = Call | { id: number; abort: true };

/** What the worker says. */
export type Told =
  | { id: number; piece: unknown }
  | { id: number; value: unknown }
  | { id: number; error: SentError };

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: ModelError) => void;
  each: (piece: never) => void;
}

export class Remote {
  #next = 0;
  #closed: ModelError | null = null;
  readonly #waiting = new Map<number, Waiting>();

  constructor(private readonly port: Port, private readonly end: () => void) {
    port.onmessage = ({ data }) => this.#told(data as Told);
  }

  /** Calls a method of the worker; `each` is given its pieces. Rejects with ModelError. */
  call<T>(method: string, args: unknown[], signal?: AbortSignal, each: (piece: never) => void = () => {}): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closed);
    if (signal?.aborted) return Promise.reject(aborted());
    const id = this.#next++;
    return new Promise<unknown>((resolve, reject) => {
      const stop = (): void => {
        this.#send({ id, abort: true });
        this.#waiting.delete(id);
        reject(aborted());
      };
      signal?.addEventListener("abort", stop, { once: true });
      const left = (): void => signal?.removeEventListener("abort", stop);
      this.#waiting.set(id, {
        resolve: (value) => (left(), resolve(value)),
        reject: (error) => (left(), reject(error)),
        each,
      });
      this.#send({ id, method, args });
    }) as Promise<T>;
  }

  /** The pieces of a call, as they come; leaving the loop aborts it. */
  async *stream<T>(method: string, args: unknown[], signal?: AbortSignal): AsyncGenerator<T, void, undefined> {
    const pieces: T[] = [];
    const left = new AbortController();
    const both = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
    let wake: () => void = () => {};
    let done = false;
    let failed: unknown = null;
    this.call(method, args, both, (piece: T) => (pieces.push(piece), wake()))
      .catch((error: unknown) => (failed = error))
      .finally(() => ((done = true), wake()));
    try {
      while (true) {
        while (pieces.length) yield pieces.shift() as T;
        if (failed) throw failed;
        if (done) return;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      left.abort();
    }
  }

  /** Ends the worker; what still runs is rejected. */
  close(reason = new ModelError("the model is closed", { code: "closed" })): void {
    if (this.#closed) return;
    this.#closed = reason;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
    this.end();
  }

  #send(message: Asked): void {
    this.port.postMessage(message);
  }

  #told(message: Told): void {
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return; // it was aborted meanwhile
    if ("piece" in message) return waiting.each(message.piece as never);
    this.#waiting.delete(message.id);
    if ("error" in message) waiting.reject(new ModelError(message.error.message, message.error.failure));
    else waiting.resolve(message.value);
  }
}
