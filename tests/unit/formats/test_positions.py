"""Positions that change with the length of a text are refused beyond the length up to which they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import edgepack
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.records import Bundle

Build = Callable[..., tuple[Bundle, ...]]
_LONG = {"rope_type": "longrope", "short_factor": [1.0] * 8, "long_factor": [4.0] * 8}


@pytest.fixture
def model(tmp_path: Path, tiny: Callable[[str], Path]) -> Callable[..., Path]:
    """``model(rope, max_position_embeddings)``: a random LLaMA that classifies, whose tokenizer takes 64 tokens."""

    def make(rope: dict[str, Any], positions: int, **settings: Any) -> Path:
        folder = tmp_path / f"model-{positions}"
        tokenizer = transformers.AutoTokenizer.from_pretrained(tiny("text-classification"))
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=positions,
            rope_parameters={"rope_theta": 10_000.0, **rope},
            num_labels=3,
            initializer_range=0.2,
            **{"pad_token_id": tokenizer.pad_token_id, **settings},
        )
        torch.manual_seed(3)
        transformers.LlamaForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize("target", ["rpi", "iphone"])
@pytest.mark.parametrize(
    ("rope", "trained"),
    [({"rope_type": "dynamic", "factor": 4.0}, 32), ({**_LONG, "original_max_position_embeddings": 16}, 16)],
)
def test_lengths_beyond_the_trained_one(
    build: Build, model: Callable[..., Path], rope: dict[str, Any], trained: int, target: str
) -> None:
    with pytest.raises(UnsupportedModel, match=f"texts of more than {trained} tokens") as refused:
        build(model(rope, 32), target)
    assert refused.value.hint == f"--context {trained}"


def test_within_the_trained_length_it_is_what_transformers_gives(build: Build, model: Callable[..., Path]) -> None:
    folder = model({"rope_type": "dynamic", "factor": 4.0}, 32)
    opened = edgepack.load(build(folder, "rpi", recipes=("fp32",), context=32)[0].path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for count in (1, 12, 40):
        text = "rain fell on paris " * count
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=32)
        theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
        with torch.no_grad():
            wanted = theirs(ids.input_ids, attention_mask=ids.attention_mask).logits.softmax(-1)[0].numpy()
        made = {label.name: label.score for label in opened.classify(text)}
        assert np.abs(np.array([made[f"LABEL_{i}"] for i in range(3)]) - wanted).max() < 1e-5


def test_attention_to_blocks(build: Build, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """A BigBird attends to all tokens of short texts alone, transformers says."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny("text-classification") / name).read_bytes())
    config = transformers.BigBirdConfig(
        vocab_size=200, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64, block_size=4, num_random_blocks=1,
    )  # fmt: skip
    transformers.BigBirdForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModel, match="leaves tokens out in texts of more than 28 tokens") as refused:
        build(tmp_path, "rpi")
    assert refused.value.hint == "--context 28"


def test_a_config_that_pads_otherwise_than_the_tokenizer(build: Build, model: Callable[..., Path]) -> None:
    folder = model({"rope_type": "default"}, 64, pad_token_id=7)
    with pytest.raises(ModelError, match="has the pad_token_id 7, not the tokenizer's") as refused:
        build(folder, "rpi")
    assert '"pad_token_id": 0' in refused.value.hint
