/** Runs every test in a browser, and posts what became of each. */
import { tests } from "./tests.js";

const results: { name: string; error?: string }[] = [];
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    results.push({ name });
  } catch (error) {
    results.push({ name, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
await fetch("/", { method: "POST", body: JSON.stringify(results) });
