"""Folders without modules.json, to vectors: those that sentence-transformers makes of them, or a refusal."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from edgepack.errors import ModelError, UnsupportedModel
from edgepack.runtime.processing import Embedding
from edgepack.tasks import text_embedding

from .conftest import BERT_NAMES, HIDDEN, TEXTS, edit, read, save_tokenizer, sizes, wordpiece

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import SentenceTransformer

pytestmark = pytest.mark.filterwarnings("ignore")
LONG = [*TEXTS, "fish and birds " * 60]
SMALL: dict[str, Any] = {"n_layer": 2, "n_head": 4}


def plain(folder: Path, kind: str, config: str, *, side: str = "right", longest: int = 64, **options: Any) -> Path:
    tokenizer = wordpiece()
    names = {**BERT_NAMES, "tokenizer_class": "PreTrainedTokenizerFast"}
    save_tokenizer(tokenizer, folder, model_max_length=longest, padding_side=side, **names)
    torch.manual_seed(3)
    own = {"pad_token_id": 0, **({"vocab_size": tokenizer.get_vocab_size()} if "n_layer" in options else {})}
    bert = sizes(tokenizer.get_vocab_size()) if "n_layer" not in options else {}
    getattr(transformers, kind)(getattr(transformers, config)(**bert, **own, **options)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("kind", "config", "options"),
    [
        ("Qwen3ForCausalLM", "Qwen3Config", {"num_key_value_heads": 2, "head_dim": 12}),
        ("Qwen3ForCausalLM", "Qwen3Config", {"num_key_value_heads": 2, "head_dim": 12, "is_causal": False}),
        ("Qwen3Model", "Qwen3Config", {"num_key_value_heads": 2, "head_dim": 12}),
        ("LlamaModel", "LlamaConfig", {"num_key_value_heads": 2, "longest": 500}),  # of 64 positions
        ("GPT2Model", "GPT2Config", {"n_embd": HIDDEN, "n_positions": 64, **SMALL}),
        ("GPT2LMHeadModel", "GPT2Config", {"n_embd": HIDDEN, "n_positions": 64, **SMALL}),
        ("XLNetModel", "XLNetConfig", {"d_model": HIDDEN, "d_inner": 64, **SMALL}),
    ],
)
def test_as_sentence_transformers_takes_them(
    tmp_path: Path, side: str, kind: str, config: str, options: dict[str, Any]
) -> None:
    folder = plain(tmp_path, kind, config, side=side, **options)
    ours = read(folder, "text-embedding")
    true = SentenceTransformer(str(folder), device="cpu").encode(LONG)
    np.testing.assert_allclose(ours.model.embed(LONG), true, atol=1e-5)
    assert ours.processing.section(Embedding).width == HIDDEN
    assert set(ours.text.prompts) == {"query", "document"}


def test_what_is_refused(tmp_path: Path) -> None:
    folder = plain(tmp_path, "Qwen3ForCausalLM", "Qwen3Config", num_key_value_heads=2, head_dim=12)
    edit(folder / "tokenizer_config.json", chat_template="{{ messages[0].content }}")
    with pytest.raises(UnsupportedModel, match="chat template"):
        read(folder, "text-embedding")
    with pytest.raises(ModelError, match="states no hidden size"):
        text_embedding._hidden({"model_type": "new"})
