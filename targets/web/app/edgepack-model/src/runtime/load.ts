/** Starts the worker and has it open the bundle. */
import { ModelError } from "./errors.js";
import type { Progress } from "./files.js";
import { Remote } from "./remote.js";
import type { Opened, Port, Wanted } from "./serve.js";
import type { Tasks } from "./served.js";
import type { Device } from "./session.js";

export interface LoadOptions {
  /** The address of the bundle's folder; by default `bundle/` beside this module's `dist/`. */
  bundle?: string | URL;
  /** Told while the files come: from the network, or from where an earlier visit left them. */
  onProgress?: (progress: Progress) => void;
  /** Aborts the loading. */
  signal?: AbortSignal;
  /** Threads of WebAssembly, 1 on pages that are not cross-origin isolated; by default half of the cores, at most 4. */
  threads?: number;
  /** What computes; by default "wasm". */
  device?: Device;
  /** Whether files are kept in Cache Storage for the next visit; by default true. */
  keep?: boolean;
  /** Whether a worker computes, so that the page stays responsive; by default true on pages. */
  worker?: boolean;
}

/** An opened model, on the page's side. */
export interface Loaded<Facts> {
  remote: Remote;
  facts: Facts;
  /** Whether the next visit finds the files in Cache Storage: false where there was no room, or none was allowed. */
  kept: boolean;
}

/** Opens the bundle, in a worker or by `tasks` in this thread. Rejects with ModelError. */
export async function load<Facts>(options: LoadOptions, tasks: Tasks): Promise<Loaded<Facts>> {
  const remote = (options.worker ?? typeof document !== "undefined") ? inWorker() : await inThisThread(tasks);
  const base = new URL(options.bundle ?? new URL("../bundle/", import.meta.url), globalThis.location?.href).href;
  const wanted: Wanted = {
    bundle: base.endsWith("/") ? base : `${base}/`,
    device: options.device ?? "wasm",
    threads: globalThis.crossOriginIsolated ? (options.threads ?? threads()) : 1,
    keep: options.keep ?? true,
  };
  try {
    const opened = await remote.call<Opened>("open", [wanted], options.signal, options.onProgress);
    return { remote, facts: opened.facts as Facts, kept: opened.kept };
  } catch (error) {
    remote.close();
    throw error;
  }
}

function inWorker(): Remote {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const remote = new Remote(worker, () => worker.terminate());
  worker.onerror = ({ message }) =>
    remote.close(new ModelError(message || "the worker could not be started", { code: "runtime" }));
  return remote;
}

async function inThisThread(tasks: Tasks): Promise<Remote> {
  const { serve } = await import("./serve.js");
  const { port1, port2 } = new MessageChannel();
  serve(port2 as Port, tasks);
  return new Remote(port1 as Port, () => port1.close());
}

function threads(): number {
  return Math.min(4, Math.ceil((navigator.hardwareConcurrency || 1) / 2));
}
