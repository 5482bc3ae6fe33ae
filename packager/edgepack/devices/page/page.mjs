// The side of a browser: asks the host for requests, one after another, and answers them with onnxruntime-web.
// Arrays travel as {array: [numpy's name of the type, shape, base64 of little endian bytes]}.
import * as ort from "onnxruntime-web/webgpu"; // the build that transformers.js takes

const TYPES = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array,
  int8: Int8Array, bool: Uint8Array, float16: Uint16Array };
// A module with one function of one SIMD instruction (i8x16.splat), as wasm-feature-detect has it.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const STABLE = 0.05; // medians of the two halves of the warm-up agree this well
const LONGEST_WARMUP = { runs: 50, seconds: 3 };
const sessions = {}; // by name
let work; // what is timed
let cache; // keys and values of a language model
let tokenizer; // of transformers.js

const asked = { facts, open, run, step, prepare, warm, time, tokenize };

async function facts() {
  const adapter = await navigator.gpu?.requestAdapter();
  const { vendor, architecture, description } = adapter?.info ?? {};
  return {
    agent: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    threads: crossOriginIsolated && typeof SharedArrayBuffer !== "undefined",
    simd: WebAssembly.validate(Uint8Array.from(SIMD)),
    webgpu: adapter ? [vendor, architecture, description].filter(Boolean).join(" ") : "",
    version: ort.env.versions.web ?? ort.env.versions.common,
  };
}

// `kept` are the outputs that become the next run's inputs: they stay where they are computed.
async function open({ name, model, beside, threads, provider, kept }) {
  ort.env.wasm.numThreads = threads;
  const started = performance.now();
  const options = { executionProviders: [provider], externalData: beside.map((file) => ({ path: file.split("/").pop(), data: file })) };
  if (provider === "webgpu" && kept.length) options.preferredOutputLocation = Object.fromEntries(kept.map((output) => [output, "gpu-buffer"]));
  sessions[name] = await ort.InferenceSession.create(model, options);
  return (performance.now() - started) / 1000;
}

async function run({ name, feeds, outputs }) {
  const made = await sessions[name].run(tensors(feeds), outputs ?? sessions[name].outputNames);
  return Object.fromEntries(Object.entries(made).map(([key, tensor]) => [key, written(tensor)]));
}

// A language model's next tokens after `length` cached ones; logits of the last.
async function step({ name, feeds, carry, length }) {
  const before = length ? await shortened(cache, length) : {};
  const made = await sessions[name].run({ ...tensors(feeds), ...before });
  dispose(before);
  cache = carried(made, carry);
  return written(made.logits);
}

// What is timed: a run of `feeds`, with the keys and values that a run of `before` leaves.
async function prepare({ name, feeds, before, carry }) {
  const kept = before ? carried(await sessions[name].run(tensors(before)), carry) : {};
  const given = { ...tensors(feeds), ...kept };
  work = async () => dispose(await sessions[name].run(given));
}

async function warm() {
  const first = await timed();
  const times = first < LONGEST_WARMUP.seconds ? [] : [first];
  while (times.length < LONGEST_WARMUP.runs && sum(times) < LONGEST_WARMUP.seconds) {
    times.push(await timed());
    const half = times.length >> 1;
    if (half >= 5 && Math.abs(median(times.slice(half)) - median(times.slice(0, half))) <= STABLE * median(times.slice(0, half))) break;
  }
  return { first, warmup: first < LONGEST_WARMUP.seconds ? times.length : 0 };
}

async function time({ runs, seconds, longest }) {
  const times = [];
  const started = performance.now();
  for (;;) {
    times.push(await timed());
    const taken = (performance.now() - started) / 1000;
    if ((longest !== null && taken >= longest) || (times.length >= runs && taken >= seconds)) return times;
  }
}

async function timed() {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

// The ids that transformers.js makes of texts, each with its other inputs: what an app's page does.
async function tokenize({ texts }) {
  const t = await import("@huggingface/transformers");
  t.env.allowRemoteModels = false;
  t.env.allowLocalModels = true;
  t.env.localModelPath = new URL(".", location.href).pathname;
  tokenizer ??= await t.AutoTokenizer.from_pretrained("bundle");
  const [text, pair] = texts;
  const made = tokenizer(text, { text_pair: pair ?? null, truncation: true });
  return Object.fromEntries(Object.entries(made).map(([key, tensor]) => [key, written(tensor)]));
}

function tensors(feeds) {
  return Object.fromEntries(Object.entries(feeds).map(([key, { array: [type, shape, text] }]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return [key, new ort.Tensor(type, new TYPES[type](bytes.buffer), shape)];
  }));
}

function written({ type, dims, data }) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const parts = [];
  for (let start = 0; start < bytes.length; start += 32768) parts.push(String.fromCharCode(...bytes.subarray(start, start + 32768)));
  return { array: [type, dims, btoa(parts.join(""))] };
}

function carried(made, carry) {
  return Object.fromEntries(Object.entries(carry).map(([from, to]) => [to, made[from]]));
}

// The first `length` places of keys and values [batch, heads, places, size].
async function shortened(kept, length) {
  const found = {};
  for (const [key, tensor] of Object.entries(kept)) {
    const [batch, heads, places, size] = tensor.dims;
    found[key] = tensor;
    if (places === length) continue;
    const whole = await tensor.getData(true);
    const data = new whole.constructor(batch * heads * length * size);
    for (let head = 0; head < batch * heads; head++) {
      data.set(whole.subarray(head * places * size, (head * places + length) * size), head * length * size);
    }
    found[key] = new ort.Tensor(tensor.type, data, [batch, heads, length, size]);
  }
  return found;
}

// Sets the memory of a graphics processor free; the other is collected.
function dispose(named) {
  for (const tensor of Object.values(named)) if (tensor.location === "gpu-buffer") tensor.dispose();
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

ort.env.wasm.wasmPaths = new URL("modules/onnxruntime-web/dist/", location.href).href;
ort.env.logLevel = "error";
new Worker("alive.mjs", { type: "module" });
let answer = {};
for (;;) {
  const reply = await fetch("next", { method: "POST", body: JSON.stringify(answer) });
  if (!reply.ok) break;
  const { ask, ...given } = await reply.json();
  try {
    answer = { result: (await asked[ask](given)) ?? null };
  } catch (error) {
    answer = { error: String(error?.message ?? error).slice(0, 2000) };
  }
}
