"""What text tasks share: the tokenizer's numbers, and the sentences that edgepack brings."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgepack.errors import ModelError
from edgepack.tasks import table

_TYPED = {
    "bert",
    "electra",
    "albert",
    "mobilebert",
    "convbert",
    "roformer",
    "squeezebert",
    "big_bird",
    "funnel",
}
_OFFSET = {
    "roberta",
    "xlm-roberta",
    "camembert",
    "mpnet",
    "longformer",
}  # positions start after the padding id
_NO_LIMIT = 100_000  # tokenizers without a length say 1e30
_USUAL = 512
WRITE_TOKENIZER = (
    'write one: python -c "from transformers import AutoTokenizer as T; '
    "T.from_pretrained('{name}').save_pretrained('{name}')\""
)


def processing(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """max_length, inputs and padding, from the tokenizer's, the model's and sentence-transformers' configs."""
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(f"{folder} has no tokenizer.json", hint=WRITE_TOKENIZER.format(name=folder.name))
    tokens = table(folder / "tokenizer_config.json")
    types = ["token_type_ids"] if config.get("model_type") in _TYPED else []
    return {
        "max_length": _max_length(folder, config, tokens),
        "inputs": ["input_ids", "attention_mask", *types],
        "pad_id": int(config.get("pad_token_id") or 0),
        "pad_token": token(tokens, "pad_token") or "[PAD]",
        "padding_side": tokens.get("padding_side", "right"),
    }


def token(tokens: Mapping[str, Any], name: str) -> str | None:
    """A special token of tokenizer_config.json, which holds a str or an object."""
    value = tokens.get(name)
    return str(value["content"]) if isinstance(value, dict) else value


def labels(config: Mapping[str, Any]) -> dict[str, Any]:
    """The class names in the order of the logits, and the config's problem_type."""
    names = config.get("id2label") or {}
    count = int(config.get("num_labels") or len(names) or 2)
    ordered = [str(names.get(str(i), names.get(i, f"LABEL_{i}"))) for i in range(count)]
    problem = config.get("problem_type") or ("regression" if count == 1 else "single_label_classification")
    return {"labels": ordered, "problem": problem}


def sentences() -> list[str]:
    """The sentences that edgepack brings, one per line of sentences.txt."""
    text = (importlib.resources.files("edgepack.tasks") / "sentences.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line]


def _max_length(folder: Path, config: Mapping[str, Any], tokens: Mapping[str, Any]) -> int:
    own = table(folder / "sentence_bert_config.json").get("max_seq_length")
    offset = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in _OFFSET else 0
    positions = int(config.get("max_position_embeddings") or _USUAL) - offset
    said = int(own or min(float(tokens.get("model_max_length") or _NO_LIMIT), _NO_LIMIT))
    return min(said, positions)
