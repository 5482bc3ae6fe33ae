/** The side that computes: answers a page's calls, in a worker or in the same thread. */
import { aborted, ModelError, sent } from "./errors.js";
import { Files } from "./files.js";
import { present } from "./manifest.js";
import type { Asked, Call, Told } from "./remote.js";
import type { Served, Tasks } from "./served.js";
import { type Device, runtime } from "./session.js";

export interface Port {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

/** What a page wants opened. */
export interface Wanted {
  bundle: string;
  device: Device;
  threads: number;
  keep: boolean;
}

/** What a page is told of an opened model. */
export interface Opened {
  facts: unknown;
  kept: boolean;
}

export function serve(port: Port, tasks: Tasks): void {
  const running = new Map<number, AbortController>();
  let served: Served | null = null;
  let turn: Promise<unknown> = Promise.resolve();
  const tell = (message: Told): void => port.postMessage(message);

  async function open(wanted: Wanted, each: (piece: unknown) => void, signal: AbortSignal): Promise<Opened> {
    const files = await Files.open(wanted.bundle, Object.keys(tasks), wanted.keep, each, signal);
    const task = present(tasks[files.manifest.task], "known task");
    const models = Object.values(files.manifest.models).flatMap((model) => model.files);
    const beside = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"].filter((name) => files.has(name));
    const [ready, read] = await Promise.all([runtime(wanted.device, wanted.threads), files.read([...models, ...beside])]);
    if (signal.aborted) throw aborted();
    served = await task(files.manifest, read, ready);
    return { facts: served.facts, kept: await files.kept() };
  }

  async function answer({ id, method, args }: Call, signal: AbortSignal): Promise<void> {
    const each = (piece: unknown): void => tell({ id, piece });
    try {
      if (signal.aborted) throw aborted();
      if (method === "open") return tell({ id, value: await open(args[0] as Wanted, each, signal) });
      const chosen = served?.methods[method];
      if (!chosen) throw new ModelError(`there is no ${method}`, { code: "closed" });
      tell({ id, value: await chosen(args as never, each, signal) });
    } catch (error) {
      tell({ id, error: sent(error) });
    } finally {
      running.delete(id);
    }
  }

  port.onmessage = ({ data }) => {
    const asked = data as Asked;
    if ("abort" in asked) return running.get(asked.id)?.abort();
    const controller = new AbortController();
    running.set(asked.id, controller);
    turn = turn.then(() => answer(asked, controller.signal)); // a session computes one thing at a time
  };
}
