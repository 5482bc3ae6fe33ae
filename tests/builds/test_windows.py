"""Masks of a model's own pattern, which transformers maps over the positions, are in the graph as it makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

import edgepack
from edgepack.records import Bundle

TEXTS = ["paris", "the quick brown fox", "ada wrote the first program in london on a day of rain"]


def test_windows_that_look_both_ways(
    tiny: Callable[[str], Path], build: Callable[..., tuple[Bundle, ...]], tmp_path: Path
) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny("text-classification") / name).read_bytes())
    vocabulary = len(json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"])
    torch.manual_seed(0)
    config = transformers.Gemma3TextConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=48, head_dim=16, query_pre_attn_scalar=16, sliding_window=4, max_position_embeddings=80,
        layer_types=["sliding_attention", "full_attention"], use_bidirectional_attention=True, initializer_range=0.2,
        pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    model = transformers.Gemma3TextModel(config).eval()
    model.save_pretrained(tmp_path)
    bundle = build(tmp_path, "rpi", recipes=("fp32",), task="text-embedding")[0]
    encoded = transformers.AutoTokenizer.from_pretrained(tmp_path)(TEXTS, return_tensors="pt", padding=True)
    mask = encoded["attention_mask"]
    assert mask.sum(1).min() < 4 < mask.sum(1).max() / 2
    with torch.no_grad():
        states = model(input_ids=encoded["input_ids"], attention_mask=mask).last_hidden_state
    wanted = ((states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).numpy()
    loaded = edgepack.load(bundle.path)
    found = loaded._runs["model"](loaded.feeds(TEXTS))["sentence_embedding"]
    wanted, found = (value / np.linalg.norm(value, axis=1, keepdims=True) for value in (wanted, found))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
