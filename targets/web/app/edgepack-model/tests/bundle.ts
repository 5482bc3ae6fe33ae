/** Files are checked, kept and refused as they should be. */
import type { Failure } from "../src/runtime/errors.js";
import { load, type LoadOptions } from "../src/runtime/load.js";
import { TASKS } from "../src/tasks.js";
import { BUNDLE, check, failure } from "./places.js";
import type { Tests } from "./tests.js";

const OPTIONS: LoadOptions = { bundle: BUNDLE, keep: false, worker: false };

/** Runs with a server that answers as `change` says; null leaves it as it is. */
async function served(change: (name: string) => Response | null, run: () => Promise<void>): Promise<void> {
  const fetched = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const name = String(input instanceof Request ? input.url : input).slice(BUNDLE.href.length);
    return change(name) ?? fetched(input, init);
  };
  try {
    await run();
  } finally {
    globalThis.fetch = fetched;
  }
}

async function refused(options: LoadOptions = OPTIONS): Promise<Failure> {
  return (await failure(load(options, TASKS))).failure;
}

/** The bytes of a file with the last one changed. */
async function damaged(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(await (await fetch(new URL(name, BUNDLE))).arrayBuffer());
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes;
}

async function modelFile(): Promise<string> {
  const manifest = await (await fetch(new URL("edgepack.json", BUNDLE))).json();
  return (Object.values(manifest.models) as { files: string[] }[])[0]?.files[0] ?? "";
}

export const tests: Tests = {
  "a damaged model is refused": async () => {
    const name = await modelFile();
    const bytes = await damaged(name);
    await served((asked) => (asked === name ? new Response(bytes) : null), async () => {
      const found = await refused();
      check(found.code === "mismatch" && found.files.includes(name), JSON.stringify(found));
    });
  },

  // edgepack:if text generation
  "another tokenizer is found, and both files are named": async () => {
    const bytes = await damaged("tokenizer.json");
    await served((asked) => (asked === "tokenizer.json" ? new Response(bytes) : null), async () => {
      const error = await failure(load(OPTIONS, TASKS));
      check(error.message.includes(`tokenizer.json and ${await modelFile()} do not belong together`), error.message);
    });
  },
  // edgepack:end

  "a file that is not there": async () => {
    const name = await modelFile();
    await served((asked) => (asked === name ? new Response(null, { status: 404 }) : null), async () => {
      const found = await refused();
      check(found.code === "not-found" && found.file === name && found.status === 404, JSON.stringify(found));
    });
  },

  "a file that breaks off": async () => {
    const name = await modelFile();
    const broken = (): Response => new Response(new ReadableStream({ pull: (to) => to.error(new TypeError("gone")) }));
    await served((asked) => (asked === name ? broken() : null), async () => {
      const found = await refused();
      check(found.code === "network" && found.file === name, JSON.stringify(found));
    });
  },

  "a page in the place of a manifest": async () => {
    await served((asked) => (asked === "edgepack.json" ? new Response("<!doctype html>") : null), async () => {
      check((await refused()).code === "bundle", "it was taken");
    });
  },

  "loading can be aborted, and tells how far it is": async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const onProgress = ({ loaded, total }: { loaded: number; total: number }): void => {
      seen.push(loaded / total);
      controller.abort();
    };
    const found = await refused({ ...OPTIONS, onProgress, signal: controller.signal });
    check(found.code === "aborted", JSON.stringify(found));
    check(seen.length > 0 && seen.every((part) => part > 0 && part <= 1), String(seen));
  },

  "a closed model refuses": async () => {
    const { remote } = await load(OPTIONS, TASKS);
    remote.close();
    check((await failure(remote.call("anything", []))).code === "closed", "it was taken");
  },

  ...(typeof caches === "undefined" ? {} : inBrowsers()),
};

function inBrowsers(): Tests {
  const options: LoadOptions = { ...OPTIONS, keep: true };
  return {
    "the second visit takes the files from Cache Storage": async () => {
      const first = await load(options, TASKS);
      first.remote.close();
      check(first.kept, "they are not kept");
      const asked: string[] = [];
      await served((name) => (asked.push(name), null), async () => (await load(options, TASKS)).remote.close());
      check(asked.join() === "edgepack.json", `asked for ${asked}`);
    },

    "without a network the kept files serve": async () => {
      await served(() => Response.error(), async () => {
        globalThis.fetch = () => Promise.reject(new TypeError("offline"));
        (await load(options, TASKS)).remote.close();
      });
    },

    "what was damaged in Cache Storage is fetched again": async () => {
      const cache = await caches.open("edgepack-model");
      const request = (await cache.keys()).find(({ url }) => url.includes("sha256"));
      if (!request) throw new Error("nothing is kept");
      await cache.put(request, new Response("x"));
      (await load(options, TASKS)).remote.close();
      check(((await (await cache.match(request))?.arrayBuffer())?.byteLength ?? 0) > 1, "it is still damaged");
    },

    "without room the model runs from memory": async () => {
      await caches.delete("edgepack-model");
      const put = Cache.prototype.put;
      Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
      try {
        const { kept, remote } = await load(options, TASKS);
        remote.close();
        check(!kept, "it says that the files are kept");
      } finally {
        Cache.prototype.put = put;
      }
    },

    "the page is cross-origin isolated": async () => check(crossOriginIsolated, "threads are not allowed here"),
  };
}
