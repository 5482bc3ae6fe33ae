"""Rerankers over language models: the bundle's scores are sentence-transformers' own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.unit.texts.conftest import TEXTS, save_tokenizer, sizes, wordpiece

import edgepack
from edgepack.records import Bundle
from edgepack.tasks import _supported

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import CrossEncoder

pytestmark = pytest.mark.filterwarnings("ignore")
Build = Callable[..., tuple[Bundle, ...]]
TEMPLATE = (
    "judge: {% if messages[0].role == 'system' %}({{ messages[0].content }}){% else %}as usual{% endif %}"
    "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<end> of it"
)
QUERY = "Who sleeps?"
FAMILIES = [entry for entry in _supported.entries() if entry.task == "text-ranking" and "Causal" in entry.architecture]


def save(folder: Path, architecture: str) -> Path:
    plain = folder / "plain"
    tokenizer = wordpiece()
    tokenizer.add_tokens(["yes", "no"])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "tokenizer_class": "PreTrainedTokenizerFast"}
    save_tokenizer(tokenizer, plain, model_max_length=64, chat_template=TEMPLATE, **names)
    kind = getattr(transformers, architecture)
    torch.manual_seed(3)
    options: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 12, "pad_token_id": 0}
    kind(kind.config_class(**sizes(tokenizer.get_vocab_size()), **options)).save_pretrained(plain)
    return plain


def check(bundle: Path, folder: Path, tolerance: float, **asked: str) -> None:
    true = {
        each["corpus_id"]: each["score"] for each in CrossEncoder(str(folder), device="cpu").rank(QUERY, TEXTS, **asked)
    }
    ours = edgepack.load(bundle).rank(QUERY, TEXTS, **asked)
    assert {passage.index: passage.score for passage in ours} == pytest.approx(true, abs=tolerance)
    assert [passage.index for passage in ours] == list(true)


@pytest.mark.parametrize("entry", FAMILIES, ids=lambda entry: entry.model_type)
def test_scores(entry: _supported.Entry, tmp_path: Path, build: Build) -> None:
    folder = save(tmp_path, entry.architecture)
    bundle = build(folder, "rpi", recipes=("fp32",), task="text-ranking")[0]
    check(bundle.path, folder, 1e-5)
    check(bundle.path, folder, 1e-5, prompt="Is it so?")
    (head,) = [part for part in bundle.artifact.components if "head" in part.name]
    assert head.parameters < 3 * sizes(1)["hidden_size"]  # two words of the vocabulary
