/** Lets `fetch` read files from the disk in Node.js, where there is no server. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const fromNetwork = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.protocol !== "file:") return fromNetwork(input, init);
  init?.signal?.throwIfAborted();
  url.search = "";
  return readFile(fileURLToPath(url)).then((bytes) => new Response(bytes), () => new Response(null, { status: 404 }));
};
