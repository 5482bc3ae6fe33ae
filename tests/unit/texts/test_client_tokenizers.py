"""The class that gives pairs token types in transformers.js leaves the tokenizer what it is in transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from edgepack import client_tokenizers

from .conftest import BERT_NAMES, ROBERTA_NAMES, byte_level, save_bert, save_tokenizer, unigram, wordpiece

pytestmark = pytest.mark.filterwarnings("ignore")
PLAIN = "PreTrainedTokenizerFast"
INPUTS = ("input_ids", "token_type_ids", "attention_mask")
TEXTS = ["A Cat sleeps, naïvely.", "", "rain [MASK] fell on <mask> 日本 </s>"]
PAIRS = [("A Cat sleeps, naïvely.", "  Interest rates"), ("", "rain"), ("fell <mask>", "[MASK] on Paris")]


def like_bert(tokenizer: Tokenizer, first: str = "<s>", last: str = "</s>", second: int = 1) -> Tokenizer:
    ids = [(token, int(tokenizer.token_to_id(token))) for token in (first, last)]
    pair = f"{first} $A {last} $B:{second} {last}:{second}"
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", pair=pair, special_tokens=ids)
    return tokenizer


def words() -> Tokenizer:
    """Without a normalizer."""
    listed = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "A", "Cat", "sleeps", "rain", "fell", "on", "Paris"]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(listed)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(listed[:4])
    return like_bert(made, "[CLS]", "[SEP]")


WORDS = {name: text for name, text in BERT_NAMES.items() if name != "mask_token"}
KINDS: dict[str, tuple[Callable[[], Tokenizer], dict[str, str]]] = {
    "wordpiece": (wordpiece, BERT_NAMES),
    "cased": (lambda: wordpiece(lower=False), BERT_NAMES),
    "words": (words, WORDS),
    "byte level": (lambda: like_bert(byte_level()), ROBERTA_NAMES),
    "unigram": (lambda: like_bert(unigram()), ROBERTA_NAMES),
}


def made_of(folder: Path) -> list[Any]:
    """What transformers makes of texts and pairs."""
    opened = transformers.AutoTokenizer.from_pretrained(folder)
    found = [opened(text, return_token_type_ids=True) for text in TEXTS]
    found += [opened(*pair, return_token_type_ids=True) for pair in PAIRS]
    return [[entry[name] for name in INPUTS] for entry in found]


def class_of(folder: Path) -> str:
    return str(json.loads((folder / "tokenizer_config.json").read_text())["tokenizer_class"])


@pytest.mark.parametrize("model_type", ["bert", "electra", "deberta-v2", "roformer", "albert", "convbert"])
@pytest.mark.parametrize("kind", KINDS)
def test_transformers_opens_the_same_tokenizer(kind: str, model_type: str, tmp_path: Path) -> None:
    make, names = KINDS[kind]
    save_tokenizer(make(), tmp_path, tokenizer_class=PLAIN, **names)
    before = made_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    assert client_tokenizers.write(tmp_path, INPUTS) == ()
    assert class_of(tmp_path) == "ConvBertTokenizer"
    assert made_of(tmp_path) == before


def test_nothing_changes_where_types_are_made_or_there_are_none(tmp_path: Path) -> None:
    known, plain, roberta = tmp_path / "known", tmp_path / "plain", tmp_path / "roberta"
    known.mkdir()
    save_bert(known)
    save_tokenizer(wordpiece(), plain, tokenizer_class=PLAIN, **BERT_NAMES)
    save_tokenizer(byte_level(), roberta, tokenizer_class=PLAIN, **ROBERTA_NAMES)
    for folder, inputs in ((known, INPUTS), (plain, ["input_ids"]), (roberta, INPUTS)):
        before = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert client_tokenizers.write(folder, inputs) == ()
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_another_template_is_told(tmp_path: Path) -> None:
    save_tokenizer(like_bert(byte_level(), second=2), tmp_path, tokenizer_class=PLAIN, **ROBERTA_NAMES)
    (told,) = client_tokenizers.write(tmp_path, INPUTS)
    assert "return_token_type_ids" in told
    assert class_of(tmp_path) == PLAIN
