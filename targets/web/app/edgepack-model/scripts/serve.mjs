// node scripts/serve.mjs [PORT]: hands out this folder, cross-origin isolated, so that WebAssembly may have threads.
import { createReadStream, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

const home = path.resolve(import.meta.dirname, "..");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".wasm": "application/wasm" };
export const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

// `posted` is given the body of each POST.
export function serve(port, posted = () => {}, headers = ISOLATED) {
  const server = http.createServer((request, reply) => {
    if (request.method === "POST") {
      const parts = [];
      request.on("data", (part) => parts.push(part)).on("end", () => (reply.end(), posted(Buffer.concat(parts).toString())));
      return;
    }
    const name = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const file = path.join(home, name);
    const status = file.startsWith(home + path.sep) && statSync(file, { throwIfNoEntry: false });
    if (!status || !status.isFile()) return reply.writeHead(404, headers).end();
    const type = TYPES[path.extname(file)] ?? "application/octet-stream";
    reply.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": status.size });
    createReadStream(file).pipe(reply);
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = await serve(Number(process.argv[2] ?? 8000));
  console.log(`http://localhost:${server.address().port}/demo/index.html`);
}
