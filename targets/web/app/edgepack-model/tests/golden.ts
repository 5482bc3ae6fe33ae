/** What ships still answers as the original did, from raw inputs on. */
import { Files } from "../src/runtime/files.js";
// edgepack:if image
import { pixels } from "../src/runtime/image.js";
// edgepack:end
import type { Manifest } from "../src/runtime/manifest.js";
import { floats, runtime } from "../src/runtime/session.js";
import type { Part, Served } from "../src/runtime/served.js";
import { TASKS } from "../src/tasks.js";
import { BUNDLE, bytes, check, INPUTS } from "./places.js";
import { example, numbers, safetensors, type Stored } from "./safetensors.js";
import type { Tests } from "./tests.js";

const APART = 1e-5; // that values may be: resizing is exact, and what follows is float32's arithmetic

let opened: Promise<{ manifest: Manifest; served: Served }> | null = null;

export function model(): Promise<{ manifest: Manifest; served: Served }> {
  return (opened ??= open());
}

async function open(): Promise<{ manifest: Manifest; served: Served }> {
  const files = await Files.open(BUNDLE.href, Object.keys(TASKS), false, () => {}, new AbortController().signal);
  const { manifest } = files;
  const beside = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"].filter((name) => files.has(name));
  const read = await files.read([...Object.values(manifest.models).flatMap((one) => one.files), ...beside]);
  const task = TASKS[manifest.task];
  if (!task) throw new Error(`no task ${manifest.task}`);
  return { manifest, served: await task(manifest, read, await runtime("wasm", 1)) };
}

export const tests: Tests = {
  "golden vectors": async () => {
    const { manifest, served } = await model();
    let compared = 0;
    for (const [name, { golden }] of Object.entries(manifest.models)) {
      const file = golden && (await bytes(new URL(golden.file, BUNDLE)));
      if (!golden || !file) continue;
      const stored = safetensors(file);
      const part = served.parts[name] as Part;
      for (const number of numbers(stored)) {
        const feeds = part.feeds(example(stored, number) as never);
        same(feeds, inputs(stored, number), `${name}, ${number}`);
        const found = (await floats(await part.session.run(feeds), golden.output)).data;
        const wanted = stored[`${number}.output.${golden.output}`]?.data as Float32Array;
        const alike = cosine(found.subarray(-wanted.length), wanted);
        check(alike >= golden.least_cosine, `${name}, ${number}: cosine ${alike}, at least ${golden.least_cosine} is wanted`);
        compared++;
      }
    }
    check(compared > 0, "the bundle has no golden vectors");
  },

  "inputs that go wrong first": async () => {
    const { manifest, served } = await model();
    const file = await bytes(INPUTS);
    if (!file) throw new Error("golden_inputs.safetensors is not here");
    const stored = safetensors(file);
    const wrong: string[] = [];
    for (const number of numbers(stored)) {
      const kind = stored[`${number}.text`] ? "text_model" : "vision_model";
      const part = served.parts[kind in manifest.models ? kind : "model"] as Part;
      let given = example(stored, number);
      // edgepack:if image
      const file = stored[`${number}.file`];
      if (file && typeof createImageBitmap === "undefined") continue; // Node.js decodes no images
      if (file) given = await pixels(new Blob([file.data as Uint8Array<ArrayBuffer>]));
      // edgepack:end
      try {
        same(part.feeds(given as never), inputs(stored, number), `input ${number}`);
      } catch (error) {
        wrong.push(`${JSON.stringify(given).slice(0, 120)}: ${error}`);
      }
    }
    check(!wrong.length, wrong.join("\n"));
  },
};

function inputs(stored: Record<string, Stored>, number: string): Record<string, Stored> {
  const named = Object.entries(stored).filter(([name]) => name.startsWith(`${number}.input.`));
  return Object.fromEntries(named.map(([name, value]) => [name.slice(`${number}.input.`.length), value]));
}

/** Ids must be equal; pixels but for what float32 rounds. */
function same(feeds: ReturnType<Part["feeds"]>, wanted: Record<string, Stored>, place: string): void {
  check(Object.keys(wanted).length > 0, `${place}: nothing to compare with`);
  for (const [name, { shape, data }] of Object.entries(wanted)) {
    if (!(name in feeds)) continue; // such as an empty cache of keys and values
    const found = feeds[name]?.data as ArrayLike<number | bigint>;
    check(feeds[name]?.dims.join() === shape.join(), `${place}: ${name} is [${feeds[name]?.dims}], not [${shape}]: ${shown(found)}, not ${shown(data)}`);
    const apart = Array.from(data as ArrayLike<number | bigint>).findIndex((value, i) =>
      typeof value === "bigint" ? value !== found[i] : Math.abs(value - Number(found[i])) > APART);
    check(apart < 0, `${place}: ${name} differs from ${apart} on: ${found[apart]}, not ${data[apart]}`);
  }
}

function shown(values: ArrayLike<number | bigint>): string {
  return Array.from(values).slice(0, 20).join(" ");
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, one, other] = [0, 0, 0];
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    dot += x * y;
    one += x * x;
    other += y * y;
  }
  return dot / Math.sqrt(one * other);
}
