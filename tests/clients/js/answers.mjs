// What transformers.js answers, from raw input on. The same code runs in Node.js (node.mjs) and in a page (page.html).

const TASKS = {
  "text-embedding": "feature-extraction",
  "text-generation": "text-generation",
  "text-classification": "text-classification",
  "token-classification": "token-classification",
  "question-answering": "question-answering",
  "fill-mask": "fill-mask",
  "image-classification": "image-classification",
  "image-embedding": "image-feature-extraction",
};

// `request`: {task, inputs, options, call}. `inputs` go to the pipeline one by one, so that none changes another's answer;
// with `batch` all at once. A picture's input is a path or an address.
export default async function answers(t, model, request) {
  const pipe = await t.pipeline(TASKS[request.task], model, request.options ?? {});
  if (request.padding_side) pipe.tokenizer.padding_side = request.padding_side;
  const inputs = request.batch ? [request.inputs] : request.inputs;
  const found = [];
  for (const input of inputs) {
    found.push(plain(await pipe(...(request.task === "question-answering" ? input : [input]), request.call ?? {})));
  }
  const ids = request.ids ? request.inputs.map((text) => plain(pipe.tokenizer(text).input_ids)) : undefined;
  const pixels = request.pixels ? await seen(t, pipe, request.inputs) : undefined;
  return { version: t.env.version, answers: found, ids, pixels };
}

// What the processor makes of pictures.
async function seen(t, pipe, inputs) {
  const found = [];
  for (const input of inputs) {
    const { pixel_values } = await pipe.processor(await t.RawImage.read(input));
    found.push(plain(pixel_values));
  }
  return found;
}

// Tensors as {dims, data} of numbers.
function plain(value) {
  if (value?.dims && value?.data) return { dims: value.dims, data: Array.from(value.data, Number) };
  if (Array.isArray(value)) return value.map(plain);
  return value;
}
