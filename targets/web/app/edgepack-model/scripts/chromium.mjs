// node scripts/chromium.mjs [PAGE] [FOLDER]: runs a page of tests in headless Chromium; CHROMIUM names another browser
// of its kind. The page posts [{name, error, told}].
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { serve } from "./serve.mjs";

const SECONDS = Number(process.env.SECONDS ?? 300);
const [page = "tests/chromium.html", folder] = process.argv.slice(2);
const profile = mkdtempSync(path.join(os.tmpdir(), "chromium-"));
const server = await serve(0, folder, finish);
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
  `--user-data-dir=${profile}`, `http://localhost:${server.address().port}/${page}`];
const name = process.env.CHROMIUM ?? "chromium";
const browser = spawn(name, flags, { stdio: "ignore", detached: true });
browser.once("error", (error) => { console.error(`${name}: ${error.message}`); process.exit(1); });
setTimeout(() => finish(JSON.stringify([{ name: "the page", error: `no answer in ${SECONDS} s` }])), SECONDS * 1000);

function finish(text) {
  const results = JSON.parse(text);
  for (const { name, error, told } of results) {
    console.log(`${error ? "not ok" : "ok"} - ${[name, error, told].filter(Boolean).join(": ")}`);
  }
  const failed = results.filter(({ error }) => error).length;
  console.log(`# tests ${results.length}, failed ${failed}`);
  browser.once("exit", () => {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    process.exit(failed || !results.length ? 1 : 0);
  });
  process.kill(-browser.pid); // with the processes that it started
}
