"""A text to its continuation: decoder-only language models, and chats with those that were trained for them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgepack.arrays import Array, Feeds, Outputs, Rows, Run, TaskModel
from edgepack.decoders import describe
from edgepack.documents import JsonDict, JsonObject, read_object
from edgepack.errors import ModelError, UnsupportedModel, UsageError
from edgepack.metrics import tasks as metrics
from edgepack.runtime import graphs
from edgepack.runtime.processing import Generation, Processing, State
from edgepack.tasks import _supported, _text, read_config

NAME = "text-generation"
TITLE = "a text to its continuation"
ROUTE = "builder"
AUTO_CLASS = "AutoModelForCausalLM"
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("kl", "top1")
INPUTS = ("text",)
COLUMNS = ("text",)
PAIRS: Mapping[str, tuple[str, ...]] = {}
METRICS = {"perplexity": metrics.perplexity}

_USUAL = 4096  # tokens of context where none is asked for: a longer cache takes more memory than many a model
_SHORT = 256  # tokens of context that --fit does not go below
_LEAST = 8
_GREEDY = 32  # tokens
# Windows of edgepack's texts: each takes the whole model's arithmetic, and release suites bring texts of their own.
_ENOUGH = {"calibration": 2, "agreement": 1}
_WINDOW = 512  # tokens that perplexity is measured with, at most the context; half of each window is new

_MOST_ENDS, _LARGEST_ID = 10_000, (1 << 31) - 1  # of a bundle's manifest
_ENDS = 'write it as a number, or a list of them, into generation_config.json: "eos_token_id": 2'


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the model's context and the sizes of its cache. Raises ModelError: no tokenizer, or another model's."""
    decoder = describe(config)
    _check_tokenizer(folder, decoder.vocabulary)
    made = Generation(
        max_length=decoder.longest,
        rotary_reach=decoder.context if decoder.context < decoder.longest else None,
        layers=decoder.layers,
        kv_heads=decoder.kv_heads,
        head_dim=decoder.cached_head,
        states=tuple(State(name=name, shape=shape) for name, shape in decoder.states().items())
        if decoder.own
        else None,
        vocabulary=decoder.vocabulary,
        eos_ids=tuple(eos_ids(folder, config)),
        repetition_penalty=repetition_penalty(folder, config),
    )
    return Processing(generation=made)


def sized(processing: Processing, context: int | None) -> Processing:
    """Return ``processing`` for ``context`` tokens at most, prompt and answer together.

    Raises UsageError beyond the model's own length, and beyond the length up to which its rotary embedding is the same
    for every text: a bundle has one set of angles.
    """
    whole = processing.section(Generation)
    longest, reach = whole.max_length, _reach(whole)
    asked = min(_USUAL, reach) if context is None else context
    if reach < asked <= longest:
        raise UsageError(
            f"a context of {asked:,} tokens: this model's longrope has other rotary angles for texts of more than "
            f"{reach:,} tokens, and a bundle has one set of angles",
            hint=f"--context {reach}",
        )
    if context is not None and not _LEAST <= context <= longest:
        raise UsageError(
            f"a context of {context:,} tokens: the model was made for {min(_LEAST, longest):,} to {longest:,}",
            hint=f"--context {longest}",
        )
    return replace(processing, generation=replace(whole, max_length=asked, rotary_reach=None))


def limited(processing: Processing, lengths: Sequence[int]) -> Processing:
    """Return ``processing`` as it is: a prompt is processed in parts of these lengths.

    Raises UsageError beyond the context.
    """
    longest = processing.section(Generation).max_length
    if lengths and not 1 <= lengths[0] <= lengths[-1] <= longest:
        raise UsageError(
            f"{lengths[-1]:,} tokens at once: the bundle takes 1 to {longest:,} in all", hint="--lengths 1,64"
        )
    return processing


def contexts(processing: Processing) -> list[int | None]:
    """Return the longest length that one bundle can have, and halves of it."""
    longest = _reach(processing.section(Generation))
    return [longest >> step for step in range(longest.bit_length()) if longest >> step >= min(_SHORT, longest)]


def _reach(whole: Generation) -> int:
    """Return the tokens up to which the rotary embedding is the same for every text."""
    return whole.max_length if whole.rotary_reach is None else whole.rotary_reach


# What a model's generation settings can ask of generate that changes greedy answers too, and what changes nothing.
_CHANGING: JsonDict = {
    "bad_words_ids": None, "begin_suppress_tokens": None, "diversity_penalty": 0.0, "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0, "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None, "forced_decoder_ids": None, "forced_eos_token_id": None, "guidance_scale": 1.0,
    "constraints": None, "force_words_ids": None, "max_time": None, "min_length": 0, "min_new_tokens": 0,
    "no_repeat_ngram_size": 0, "num_beams": 1, "penalty_alpha": None, "sequence_bias": None, "stop_strings": None,
    "suppress_tokens": None, "token_healing": False, "watermarking_config": None,
}  # fmt: skip


def repetition_penalty(folder: Path, config: JsonObject) -> float:
    """Return the penalty that answers begin with, as transformers' generate takes it; 1 where none is set.

    Raises UnsupportedModel for what else would change greedy answers, ModelError for a penalty that is none.
    """
    place, said = generation_settings(folder, config)
    for key, neutral in _CHANGING.items():
        if said.get(key) not in (None, neutral, [], {}):
            raise UnsupportedModel(
                f"{place} sets {key} = {json.dumps(said[key])[:60]}, which transformers' generate applies "
                "and a bundle's does not",
                hint="take it out of a copy of the folder, if answers without it are what you want",
            )
    penalty = said.get("repetition_penalty")
    if penalty is None:
        return 1.0
    if isinstance(penalty, bool) or not isinstance(penalty, int | float) or not 0 < penalty < math.inf:
        raise ModelError(f"{place}: a repetition_penalty of {penalty!r}", hint="it must be above 0")
    return float(penalty)


def eos_ids(folder: Path, config: JsonObject) -> list[int]:
    """Return the tokens that transformers' ``generate`` ends a text at. Raises ModelError."""
    found = generation_settings(folder, config)[1].get("eos_token_id")
    listed = found if isinstance(found, list) else [found]
    if not all(token is None or (isinstance(token, int) and not isinstance(token, bool)) for token in listed):
        raise ModelError(
            f"{folder.name}: eos_token_id is {found!r}, which is not a token id or a list of them", hint=_ENDS
        )
    ids = [int(token) for token in listed if token is not None and token >= 0]  # none has a number below 0
    if len(ids) > _MOST_ENDS or max(ids, default=0) > _LARGEST_ID:
        raise ModelError(f"{folder.name}: eos_token_id is {str(found)[:60]}, which is out of range", hint=_ENDS)
    return ids


def generation_settings(folder: Path, config: JsonObject) -> tuple[str, JsonDict]:
    """Return the file that transformers' generate takes its settings from, and its content.

    A generation_config.json says all of it, nothing too; without one config.json does (which models saved before
    2023 have), and where that leaves a setting open its text_config.
    """
    file = folder / "generation_config.json"
    if file.is_file():
        return file.name, read_config(file)
    stated = {key: value for key, value in config.items() if value is not None}
    return "config.json", {**(config.get("text_config") or {}), **stated}


def examples(processing: Processing) -> list[str]:
    """Return two texts of our sentences: one calibrates, the other measures."""
    sentences = _text.sentences()
    return ["\n".join(sentences[0::2]), "\n".join(sentences[1::2])]


def inputs(rows: Rows) -> list[str]:
    """Return a data set's texts, for calibration and agreement."""
    return [str(row["text"]) for row in rows]


def batches(model: TaskModel, examples: Sequence[str], *, use: str = "") -> list[Feeds]:
    """Return windows of the texts, one at a time: their logits are large. A few of edgepack's own do for a ``use``."""
    feeds = model.feeds(examples)
    count = len(feeds["input_ids"])
    return [
        {name: array[row : row + 1] if len(array) == count else array for name, array in feeds.items()}
        for row in range(min(count, _ENOUGH.get(use, count)))
    ]


def golden(model: TaskModel, examples: Sequence[str]) -> list[tuple[str, Feeds]]:
    """Return one sentence, asking for the last token's logits alone, as a device will."""
    sentence = examples[0].partition("\n")[0]
    return [(sentence, {name: array for name, array in model.feeds([sentence]).items() if name != graphs.FIRST})]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of each token."""
    return list(outputs["logits"].reshape(-1, outputs["logits"].shape[-1]))


def greedy(original: Run, model: TaskModel, feeds: Sequence[Feeds]) -> Array:
    """Return how many tokens of the model's greedy continuation are the original's too, float64 [prompts], at most 32.

    The first half of each window is the prompt. Until the two part, the original's own continuation is the same
    text, so one look at it tells where they do.
    """
    lengths = []
    for feed in feeds:
        prompt = [int(token) for token in feed["input_ids"][0]]
        prompt = prompt[: max(min(len(prompt) // 2, model.max_length - _GREEDY), 1)]
        made = model.continued(prompt, _GREEDY)
        whole = np.array([[*prompt, *made]], np.int64)
        logits = original({"input_ids": whole, graphs.FIRST: np.array([len(prompt) - 1])})["logits"][0]
        same = logits[: len(made)].argmax(axis=-1) == made
        lengths.append(float(len(made) if same.all() else same.argmin()))
    return np.array(lengths)


TRIALS = {"greedy": greedy}


def predict(model: TaskModel, rows: Rows) -> list[float]:
    """Return the negative log likelihood of every token but the first ones, nats."""
    length = min(_WINDOW, model.max_length)
    found = [model.negative_log_likelihoods(text, length=length, stride=max(length // 2, 1)) for text in inputs(rows)]
    return [float(value) for value in np.concatenate(found)]


def references(rows: Rows, model: TaskModel) -> list[None]:
    """Return None for each: the text is its own truth."""
    return []


def _check_tokenizer(folder: Path, vocabulary: int) -> None:
    """Check that the tokenizer's own ids lie within the model's; tokens that were added to it may lie beyond.

    Those are placeholders, such as gemma 3's for an image, that no text but one with their name in it leads to; the
    runtime refuses such a text, where transformers ends in an IndexError. Raises ModelError.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(
            f"{folder} has no tokenizer.json", hint=_text.WRITE_TOKENIZER.format(name=folder.name, folder=folder.name)
        )
    try:
        tokens = read_object(file, ModelError)
        pieces = tokens["model"]["vocab"]
        added = {int(entry["id"]) for entry in tokens.get("added_tokens", [])}
        ids = pieces.values() if isinstance(pieces, dict) else range(len(pieces))
        last = max((token for token in ids if token not in added), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{file} is not a tokenizer that can be read",
            hint="copy it again, or save it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        ) from error
    if last >= vocabulary:
        raise ModelError(
            f"the tokenizer of {folder.name} has the id {last:,}; the model has {vocabulary:,} tokens",
            hint="the tokenizer and the weights belong to different models",
        )
