// What transformers.js answers, from raw input on. The same code runs in Node.js (node.mjs) and in a page (page.html).

const TASKS = {
  "text-embedding": "feature-extraction",
  "text-generation": "text-generation",
  "text-classification": "text-classification",
  "token-classification": "token-classification",
  "question-answering": "question-answering",
  "fill-mask": "fill-mask",
  "image-classification": "image-classification",
  "audio-classification": "audio-classification",
  "image-embedding": "image-feature-extraction",
};

// `request`: {task, inputs, options, call}. `inputs` go to the pipeline one by one, so that none changes another's answer;
// with `batch` all at once. An image's input is a path or an address, a sound's a list of samples.
export default async function answers(t, model, request) {
  if (request.task === "zero-shot-image-classification") return await vectors(t, model, request);
  if (request.continued) return await continued(t, model, request);
  const pipe = await t.pipeline(TASKS[request.task], model, request.options ?? {});
  if (request.padding_side) pipe.tokenizer.padding_side = request.padding_side;
  const inputs = request.batch ? [request.inputs] : request.inputs;
  const found = [];
  for (const input of inputs) {
    const given = request.task === "audio-classification" ? Float32Array.from(input) : input;
    found.push(plain(await pipe(...(request.task === "question-answering" ? input : [given]), request.call ?? {})));
  }
  const ids = request.ids ? request.inputs.map((text) => plain(pipe.tokenizer(text).input_ids)) : undefined;
  const pixels = request.pixels ? await seen(t, pipe, request.inputs) : undefined;
  return { version: t.env.version, answers: found, ids, pixels };
}

// The vectors of CLIP's two encoders: of `texts`, and of the images in `inputs`.
async function vectors(t, model, request) {
  const tokenizer = await t.AutoTokenizer.from_pretrained(model);
  const processor = await t.AutoProcessor.from_pretrained(model);
  const text = await t.CLIPTextModelWithProjection.from_pretrained(model, request.options ?? {});
  const vision = await t.CLIPVisionModelWithProjection.from_pretrained(model, request.options ?? {});
  const [texts, images] = [[], []];
  for (const one of request.texts) texts.push(plain((await text(tokenizer([one], { truncation: true }))).text_embeds));
  for (const input of request.inputs) {
    images.push(plain((await vision(await processor(await t.RawImage.read(input)))).image_embeds));
  }
  return { version: t.env.version, texts, images };
}

// The ids that greedily follow rows of `continued.ids`, of one length; where `continued.mask` is 0 there is nothing.
async function continued(t, model, { continued: { ids, mask, tokens } }) {
  const opened = await t.AutoModelForCausalLM.from_pretrained(model);
  const tensor = (rows) => new t.Tensor("int64", BigInt64Array.from(rows.flat().map(BigInt)), [rows.length, rows[0].length]);
  const made = await opened.generate({ inputs: tensor(ids), attention_mask: tensor(mask), max_new_tokens: tokens,
    do_sample: false, eos_token_id: null });
  return { version: t.env.version, rows: made.slice(null, [ids[0].length, null]).tolist().map((row) => row.map(Number)),
    inputs: Object.values(opened.sessions)[0].inputNames };
}

// What the processor makes of images.
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
