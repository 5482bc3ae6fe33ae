"""The tokenizer class by which transformers.js makes token types: it goes by tokenizer_config.json's class alone.

Read in its releases 3.8.1 and 4.3.2. What it makes them of is the template in tokenizer.json, of whatever class.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from edgepack.documents import Json, JsonObject, read_object
from edgepack.errors import ModelError
from edgepack.runtime.text import tokenizer

_KEY = "tokenizer_class"
_TYPED = {
    f"{name}Tokenizer"
    for name in (
        "Albert", "Bert", "ConvBert", "Deberta", "DebertaV2", "Electra", "Herbert", "MobileBert", "RoFormer",
        "SqueezeBert", "XLM",
    )
}  # fmt: skip
# The one of them that transformers 4 and 5 open tokenizer.json by as it is, whatever the kind of its model; but for the
# template, which 5 takes to be BERT's, and for the normalizer, which 4 wants to be one and changes by three settings.
_OPENED_AS_IT_IS = "ConvBertTokenizer"
_NORMALIZER = {
    "do_lower_case": "lowercase", "strip_accents": "strip_accents", "tokenize_chinese_chars": "handle_chinese_chars",
}  # fmt: skip
_SPECIAL = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")  # which have defaults in that class


def write(folder: Path, inputs: Sequence[str]) -> tuple[str, ...]:
    """Name a class that gives pairs of texts their token types, in a bundle's ``folder`` for transformers.js.

    Returns what it cannot help, in sentences: another template than BERT's under a class without token types.
    """
    file, vocabulary = folder / "tokenizer_config.json", folder / "tokenizer.json"
    if "token_type_ids" not in inputs:
        return ()
    stated = read_object(file, ModelError) if file.is_file() else {}
    opened = tokenizer(folder)
    opened.no_padding()
    if str(stated.get(_KEY)).removesuffix("Fast") in _TYPED or not any(opened.encode("a", "a").type_ids):
        return ()
    if not _has_template_of_bert(opened, stated):
        return ("transformers.js makes no token types for pairs of texts: ask for return_token_type_ids.",)
    content = read_object(vocabulary, ModelError)
    if content.get("normalizer") is None:
        content["normalizer"] = {"type": "Sequence", "normalizers": []}
        vocabulary.write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    known = {name: content["normalizer"][key] for name, key in _NORMALIZER.items() if key in content["normalizer"]}
    named = {_KEY: _OPENED_AS_IT_IS, **known, **{name: stated.get(name) for name in _SPECIAL}}
    file.write_text(json.dumps({**stated, **named}, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return ()


def _has_template_of_bert(opened: Tokenizer, stated: JsonObject) -> bool:
    """Return whether a text stands between the CLS and SEP of tokenizer_config.json, and a second one before SEP,
    type 1.
    """
    first, last = (_id(opened, stated.get(name)) for name in ("cls_token", "sep_token"))
    text = opened.encode("a", add_special_tokens=False).ids
    alone, pair = opened.encode("a"), opened.encode("a", "a")
    types = [0] * (len(text) + 2) + [1] * (len(text) + 1)
    return (
        alone.ids == [first, *text, last]
        and not any(alone.type_ids)
        and (pair.ids, pair.type_ids) == ([first, *text, last, *text, last], types)
    )


def _id(opened: Tokenizer, stated: Json) -> int | None:
    content = stated.get("content") if isinstance(stated, dict) else stated
    return opened.token_to_id(content) if isinstance(content, str) else None
