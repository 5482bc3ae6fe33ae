// node chromium.mjs MODULES BUNDLE REQUEST [SCRIPT]: what transformers.js in headless Chromium answers, as JSON.
// MODULES holds node_modules. SCRIPT (default answers.mjs) lies beside this file; CHROMIUM names another browser.
// Paths in a request's `inputs` are served to the page as files.
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";

const [modules, bundle, requestFile, script = "answers.mjs"] = process.argv.slice(2);
const SECONDS = Number(process.env.SECONDS ?? 180);
const TYPES = { ".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript", ".json": "application/json",
  ".wasm": "application/wasm", ".png": "image/png" };
const here = import.meta.dirname;
const request = JSON.parse(fs.readFileSync(requestFile, "utf-8"));
const given = (request.inputs ?? []).map((input) => (typeof input === "string" && fs.existsSync(input) ? input : null));
request.inputs = request.inputs?.map((input, i) => (given[i] ? `/inputs/${i}${path.extname(input)}` : input));

const places = { "/js/": here, "/node_modules/": path.resolve(modules, "node_modules"), "/models/bundle/": path.resolve(bundle) };

function file(url) {
  if (url.startsWith("/inputs/")) return given[parseInt(url.slice("/inputs/".length))];
  const [start, folder] = Object.entries(places).find(([start]) => url.startsWith(start)) ?? [];
  const found = start && path.join(folder, url.slice(start.length));
  return found?.startsWith(folder + path.sep) && fs.statSync(found, { throwIfNoEntry: false })?.isFile() ? found : null;
}

const profile = fs.mkdtempSync(path.join(os.tmpdir(), "chromium-"));
let browser;
function finish(text) {
  const child = browser;
  browser = undefined;
  if (!child) return;
  process.stdout.write(text + "\n"); // the whole of it: fs.writeSync stops where a pipe is full
  child.once("exit", () => {
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    process.exit(JSON.parse(text).error ? 1 : 0);
  });
  process.kill(-child.pid); // with the processes that it started
}

const server = http.createServer((message, reply) => {
  const url = decodeURIComponent(new URL(message.url, "http://localhost").pathname);
  // a page of its own origin may share memory between threads
  const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
  if (url === "/done") {
    const parts = [];
    message.on("data", (part) => parts.push(part)).on("end", () => {
      reply.end();
      finish(Buffer.concat(parts).toString());
    });
    return;
  }
  if (url === "/request") return reply.writeHead(200, headers).end(JSON.stringify({ request, script }));
  const found = file(url);
  if (!found) return reply.writeHead(404, headers).end();
  headers["Content-Type"] = TYPES[path.extname(found)] ?? "application/octet-stream";
  headers["Content-Length"] = fs.statSync(found).size;
  reply.writeHead(200, headers);
  message.method === "HEAD" ? reply.end() : fs.createReadStream(found).pipe(reply);
});

server.listen(0, "127.0.0.1", () => {
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    `--user-data-dir=${profile}`, `http://127.0.0.1:${server.address().port}/js/page.html`];
  const name = process.env.CHROMIUM ?? "chromium";
  browser = spawn(name, flags, { stdio: "ignore", detached: true });
  browser.once("error", (error) => { console.log(JSON.stringify({ error: `${name}: ${error.message}` })); process.exit(1); });
});
setTimeout(() => finish(JSON.stringify({ error: `no answer in ${SECONDS} s` })), SECONDS * 1000);
