// node node.mjs MODULES BUNDLE REQUEST: what transformers.js in Node.js answers, as JSON. MODULES holds node_modules.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import answers from "./answers.mjs";

const [modules, bundle, request] = process.argv.slice(2);
const package_ = path.resolve(modules, "node_modules/@huggingface/transformers/dist/transformers.node.mjs");
const t = await import(pathToFileURL(package_));
t.env.allowRemoteModels = false;
t.env.localModelPath = path.dirname(path.resolve(bundle));
let found;
try {
  found = await answers(t, path.basename(path.resolve(bundle)), JSON.parse(fs.readFileSync(request, "utf-8")));
} catch (error) {
  found = { error: String(error?.message ?? error) };
}
process.stdout.write(JSON.stringify(found) + "\n", () => process.exit(found.error ? 1 : 0));
