"""The tokenizer of a text model, as transformers and sentence-transformers open it: the reference for ours.

transformers 5 does more with a folder than read its tokenizer.json: a class may rebuild the normalizer from
tokenizer_config.json, settings add or remove special tokens, an old folder has a vocabulary alone. What it ends with is
asked of it, never worked out here.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import transformers
from tokenizers import normalizers

from edgepack.arrays import Feeds
from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.errors import ModelError, PreprocessingDiffers, UnsupportedModel
from edgepack.original import configs, pair_template, siglip_tokenizer, tokenizer_files
from edgepack.original.library import PretrainedTokenizer
from edgepack.records import Source
from edgepack.runtime.processing import Text
from edgepack.tasks import _reranking, _sentence_folder, _text, read_config

Texts = Sequence[str | tuple[str, str]]

# one of these holds the vocabulary; without any, transformers would make a tokenizer of a handful of tokens
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "tekken.json", "*.tiktoken")
UNBOUNDED = 100_000  # tokens: tokenizers without a length say 1e30
# what differs where the tokens do not, by the input that shows it
_PADDING = {"attention_mask": "padding_side", "input_ids": "pad_token", "token_type_ids": "token_type_ids"}
_AS_IT_IS = "PreTrainedTokenizerFast"  # the class that runs tokenizer.json and changes nothing, in transformers 4 and 5
_SHOWN = 60  # characters of a text in a message


def opened(folder: Path, task: str = "", *, fast: bool = True) -> PretrainedTokenizer:
    """Return the transformers tokenizer of a model folder, with what sentence-transformers changes in it where it is
    one, and for the ``task`` of a reranker over a language model.

    One that transformers runs in Python comes as the tokenizers library runs it, unless that is not asked for
    (``fast``). Raises ModelError, UnsupportedModel.
    """
    tokenizer = _of_sentences(folder) if _sentence_folder.is_one(folder) else _opened(folder, {})
    if fast and siglip_tokenizer.is_one(tokenizer):
        tokenizer = siglip_tokenizer.fast(tokenizer)
    if task == _sentence_folder.RANKING and _scores_words(folder):
        tokenizer.padding_side = "left"  # the last place is a word's
    return tokenizer


def _scores_words(folder: Path) -> bool:
    if _sentence_folder.is_one(folder):
        return _sentence_folder.read(folder).words is not None
    return _reranking.is_causal(read_config(folder / "config.json"))


def _of_sentences(folder: Path) -> PretrainedTokenizer:
    said = _sentence_folder.read(folder)
    arguments = dict(said.tokenizer)
    if said.max_length is not None:
        arguments.setdefault("model_max_length", said.max_length)
    tokenizer = _opened(folder / said.transformer, arguments)
    if "model_max_length" not in arguments:
        limit = getattr(configs.opened(folder / said.transformer), "max_position_embeddings", None)
        if limit is not None and limit != -1:  # -1 is XLNet's way to say none
            tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    if said.lower:
        _lower(tokenizer.backend_tokenizer)
    return tokenizer


def backend(tokenizer: PretrainedTokenizer) -> JsonDict:
    """Return the content of tokenizer.json for what ``tokenizer`` does, without truncation and padding."""
    content: JsonDict = json.loads(tokenizer.backend_tokenizer.to_str())
    return {**content, "truncation": None, "padding": None}


def encode(source: Source, text: Text, texts: Texts) -> Feeds:
    """Make what the model's own library feeds it for one batch: int64 [batch, longest], by the names of its inputs.

    The default prompt of a sentence-transformers folder comes first, as its encode() puts it; a question is paired with
    the first window of its context. Nothing of edgepack's runtime takes part.
    """
    folder, limit = source.origin, text.max_length
    tokenizer = _reference(folder, source.sha256, source.task)
    prompt = _prompt(folder)
    if text.frame is not None:
        rows = pair_template.encode(tokenizer, folder, texts, prompt, limit)
        made = tokenizer.pad({"input_ids": rows}, return_tensors="np")
    elif text.stride is not None:
        rows = [tokenizer(*pair, truncation="only_second", max_length=limit)["input_ids"] for pair in texts]
        types = [tokenizer(*pair, truncation="only_second", max_length=limit).get("token_type_ids") for pair in texts]
        made = tokenizer.pad(_without_none({"input_ids": rows, "token_type_ids": types}), return_tensors="np")
    else:
        first = [prompt + (each if isinstance(each, str) else each[0]) for each in texts]
        second = None if isinstance(texts[0], str) else [each[1] for each in texts]
        padding = "max_length" if text.fixed_length else True
        made = tokenizer(first, second, padding=padding, truncation=True, max_length=limit, return_tensors="np")
    return {name: np.asarray(made[name], np.int64) for name in text.inputs}


@functools.lru_cache(maxsize=1)  # the batches of one model come one after another
def _reference(folder: Path, sha256: str, task: str) -> PretrainedTokenizer:
    return opened(folder, task, fast=False)


def compare(texts: Texts, ours: Feeds, theirs: Feeds) -> None:
    """Hold one batch's feeds against those of ``encode``. Raises PreprocessingDiffers naming the likely setting."""
    if all(np.array_equal(ours[name], theirs[name]) for name in theirs):
        return
    rows = [
        [{name: array[row] for name, array in feeds.items()} for row in range(len(texts))] for feeds in (ours, theirs)
    ]
    reasons = {text: reason for text, a, b in zip(texts, *rows, strict=True) if (reason := _reason(a, b))}
    # another number of tokens pads the rest of the batch otherwise, too
    text, reason = max(reasons.items(), key=lambda entry: entry[1] not in _PADDING.values())
    shown = text if isinstance(text, str) else " | ".join(text)
    raise PreprocessingDiffers(
        f"the model's own tokenizer gives other tokens for {shown[:_SHOWN]!r}: {reason} differs",
        hint="save the tokenizer again: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
    )


def _reason(ours: JsonObject, theirs: JsonObject) -> str:
    """Return the setting that two encodings of one text most likely differ in; "" for equal ones."""
    a, b = (list(row["input_ids"][row["attention_mask"].astype(bool)]) for row in (ours, theirs))
    if a == b:
        named = [(name, what) for name, what in _PADDING.items() if name in theirs]
        differing = [what for name, what in named if not np.array_equal(ours[name], theirs[name])]
        return differing[0] if differing else ""
    short, long = sorted((a, b), key=len)
    if long[1:] == short:
        return "the token at the beginning (add_bos_token)"
    if long[:-1] == short:
        return "the token at the end (add_eos_token)"
    if len(long) > len(short) and (long[: len(short) - 1] == short[:-1] or long[1 - len(short) :] == short[1:]):
        return "the longest text (model_max_length, max_seq_length)"
    if len(long) == len(short) and long[0] == short[0] and long[-1] == short[-1] and len(set(a) ^ set(b)) > len(a) // 2:
        return "the end that is cut (truncation_side) or the normalizer (do_lower_case, strip_accents)"
    return "the normalizer or the pre-tokenizer (do_lower_case, add_prefix_space, tokenizer_class)"


def _without_none(columns: dict[str, list[Json]]) -> dict[str, list[Json]]:
    return {name: values for name, values in columns.items() if None not in values}


def _prompt(folder: Path) -> str:
    if not _sentence_folder.is_one(folder):
        return ""
    said = _sentence_folder.read(folder)
    return said.prompts[said.default_prompt] if said.default_prompt is not None else ""


def save(tokenizer: PretrainedTokenizer, settings: JsonDict, to: Path) -> None:
    """Write tokenizer.json and tokenizer_config.json, which transformers opens as what they were made from.

    ``to`` holds the model's config.json. Raises ModelError.
    """
    (to / "tokenizer.json").write_text(json.dumps(backend(tokenizer), ensure_ascii=False), "utf-8")
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    for kind in (settings.get("tokenizer_class"), _AS_IT_IS):
        named = {"tokenizer_class": kind} if kind else {}
        _write(to / "tokenizer_config.json", {**settings, **special, **named})
        if _same(tokenizer, to):
            return
    raise ModelError(
        f"the tokenizer, a {type(tokenizer).__name__}, does something that a tokenizer.json cannot express",
        hint="transformers itself reads its saved files differently: choose a model with a standard tokenizer",
    )


def _same(tokenizer: PretrainedTokenizer, to: Path) -> bool:
    """Return whether transformers opens ``to`` as the tokenizer that it was written from."""
    again = transformers.AutoTokenizer.from_pretrained(to, local_files_only=True, trust_remote_code=False)
    if not getattr(again, "is_fast", False):
        return False
    facts = ("padding_side", "truncation_side", "pad_token_id", "pad_token_type_id", "mask_token_id", "unk_token_id")
    same = all(getattr(again, name) == getattr(tokenizer, name) for name in facts)
    return same and backend(again) == backend(tokenizer)


def _opened(folder: Path, arguments: JsonObject) -> PretrainedTokenizer:
    tokenizer_files.check_pair(folder)
    if not any(match for pattern in _VOCABULARIES for match in folder.glob(pattern)):
        raise ModelError(
            f"{folder} has no tokenizer.json and no other vocabulary",
            hint=_text.WRITE_TOKENIZER.format(name="the original model", folder=folder.name),
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **arguments
        )
    except Exception as error:  # a tokenizer's own code, and the validation of config.json
        tokenizer_files.check(folder)
        if (folder / "config.json").is_file():
            configs.opened(folder)  # AutoTokenizer reads it too: the fault may be there
        raise ModelError(
            f"transformers cannot open the tokenizer of {folder}: {configs.line(error)}",
            hint="save it again with a version of transformers that opens it: "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        ) from error
    if not getattr(tokenizer, "is_fast", False) and not siglip_tokenizer.is_one(tokenizer):
        raise UnsupportedModel(
            f"{folder.name} has a {type(tokenizer).__name__}, which runs only in Python and has no tokenizer.json",
            hint="choose a model whose tokenizer the tokenizers library can run",
        )
    if tokenizer.split_special_tokens:
        raise UnsupportedModel(
            f"{folder.name} sets split_special_tokens, which a tokenizer.json cannot express",
            hint="remove it from tokenizer_config.json: special tokens in a text then keep their meaning",
        )
    _check_length(tokenizer, "sentence_bert" if "model_max_length" in arguments else "tokenizer")
    return tokenizer


def _check_length(tokenizer: PretrainedTokenizer, settings: str) -> None:
    """Raises ModelError for a longest text that is no number of tokens, or leaves none beside the special ones."""
    said, special = tokenizer.model_max_length, tokenizer.num_special_tokens_to_add()
    whole = isinstance(said, int) and not isinstance(said, bool) and said > special
    if said is not None and not whole and not (isinstance(said, float) and said >= UNBOUNDED):
        raise ModelError(
            f"{settings}_config.json sets model_max_length, the longest text, to {json.dumps(said)}",
            hint=f"give a whole number of tokens above {special}: as many are special ones",
        )


def _lower(fast: PretrainedTokenizer) -> None:
    """Put lower-casing first, unless the tokenizer does it, as sentence-transformers' do_lower_case asks."""
    own = fast.normalizer
    steps = [] if own is None else [own]
    if isinstance(own, normalizers.Sequence):
        steps = list(cast(Iterable[normalizers.Normalizer], own))
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        fast.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])


def _write(file: Path, content: JsonDict) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
