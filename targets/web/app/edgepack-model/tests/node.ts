/** Runs every test in Node.js, where files are read from the disk in place of a server. */
import { readFile } from "node:fs/promises";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { tests } from "./tests.js";

const fromNetwork = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.protocol !== "file:") return fromNetwork(input, init);
  init?.signal?.throwIfAborted();
  url.search = "";
  return readFile(fileURLToPath(url)).then((bytes) => new Response(bytes), () => new Response(null, { status: 404 }));
};

for (const [name, run] of Object.entries(tests)) test(name, run);
