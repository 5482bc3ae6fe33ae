// Bundles the module, its worker, the tests and the demo into dist/, which any server can hand out as it is.
import { copyFile, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const home = path.resolve(import.meta.dirname, "..");
const dist = path.join(home, "dist");
const options = {
  absWorkingDir: home,
  bundle: true,
  format: "esm",
  target: "es2022",
  sourcemap: true,
  splitting: true,
  outdir: dist,
  logLevel: "warning",
};

await rm(dist, { recursive: true, force: true });
const browser = { "index": "src/index.ts", "worker": "src/worker.ts", "demo/demo": "demo/demo.ts", "tests/chromium": "tests/chromium.ts" };
await build({ ...options, entryPoints: browser, minify: true });
await build({ ...options, entryPoints: { "tests/node": "tests/node.ts" }, splitting: false, platform: "node", packages: "external" });

// WebAssembly is fetched from beside the code that asks for it
const ort = path.dirname(fileURLToPath(import.meta.resolve("onnxruntime-web/wasm")));
for (const name of ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm"]) {
  await copyFile(path.join(ort, name), path.join(dist, name));
}
