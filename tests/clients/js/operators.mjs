// Runs models of one operator in the build of onnxruntime-web that transformers.js takes (see benchmarks/web_operators.py).
import * as ort from "onnxruntime-web/webgpu";

const ARRAYS = { float32: Float32Array, float16: Uint16Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array,
  int8: Int8Array, bool: Uint8Array, float64: Float64Array };

// {answers: an object of {failed} or {difference} for each model}; the difference is relative to the largest value.
export default async function operators(t, model, request) {
  const answers = [];
  for (const name of request.models) answers.push(await one(`/models/${model}/${name}`).catch(failed));
  return { version: t.env.version, answers };
}

function failed(error) {
  return { failed: String(error?.message ?? error) };
}

async function one(place) {
  const { inputs, outputs } = await (await fetch(`${place}.json`)).json();
  const graph = new Uint8Array(await (await fetch(`${place}.onnx`)).arrayBuffer());
  const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] });
  const feeds = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, tensor(value)]));
  const found = await session.run(feeds);
  await session.release();
  return { difference: Math.max(0, ...Object.entries(outputs).map(([name, value]) => apart(found[name], value))) };
}

function tensor({ dtype, dims, data }) {
  const values = dtype === "int64" ? data.map(BigInt) : data;
  return new ort.Tensor(dtype, ARRAYS[dtype].from(values), dims);
}

function apart(made, { dims, data }) {
  if (made.dims.join() !== dims.join()) return Infinity;
  const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  return data.reduce((most, value, i) => Math.max(most, Math.abs(value - Number(made.data[i]))), 0) / largest;
}
