// node scripts/serve.mjs [PORT] [FOLDER]: hands out a folder, by default this one, cross-origin isolated, so that
// WebAssembly may have threads.
import { createReadStream, statSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { pathToFileURL } from "node:url";

const HERE = path.resolve(import.meta.dirname, "..");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json", ".wasm": "application/wasm" };
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

// `posted` is given the body of each POST.
export function serve(port, folder = HERE, posted = () => {}) {
  const home = path.resolve(folder);
  const server = http.createServer((request, reply) => {
    if (request.method === "POST") {
      const parts = [];
      request.on("data", (part) => parts.push(part)).on("end", () => (reply.end(), posted(Buffer.concat(parts).toString())));
      return;
    }
    const file = path.join(home, decoded(request.url).replace(/\/$/, "/index.html"));
    const status = file.startsWith(home + path.sep) && statSync(file, { throwIfNoEntry: false });
    if (!status || !status.isFile()) return reply.writeHead(404, ISOLATED).end();
    const type = TYPES[path.extname(file)] ?? "application/octet-stream";
    reply.writeHead(200, { ...ISOLATED, "Content-Type": type, "Content-Length": status.size });
    createReadStream(file).pipe(reply);
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

// The path of an address; of one that is none, a path where nothing is.
function decoded(url) {
  try {
    const name = decodeURIComponent(new URL(url, "http://localhost").pathname);
    return name.includes("\0") ? "/none" : name;
  } catch {
    return "/none";
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [port = 8000, folder] = process.argv.slice(2);
  const server = await serve(Number(port), folder);
  console.log(`http://localhost:${server.address().port}/${folder ? "" : "demo/"}`);
}
