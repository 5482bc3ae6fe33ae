"""Parts of the text tasks: the tokenizer's settings, and the sentences that edgepack brings."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.runtime.processing import Text
from edgepack.runtime.text import tokenizer
from edgepack.tasks import read_config

WRITE_TOKENIZER = (
    'write one: python -c "from transformers import AutoTokenizer as T; '
    "T.from_pretrained('{name}').save_pretrained('{folder}')\""
)


def text(folder: Path) -> Text:
    """Read how texts become ids, from a folder whose tokenizer_config.json states them all (original/text_folder.py).

    Raises ModelError.
    """
    stated = read_config(folder / "tokenizer_config.json")
    pad = token(stated, "pad_token")
    return Text(
        max_length=int(stated["model_max_length"]),
        inputs=tuple(stated["model_input_names"]),
        pad_id=token_id(folder, pad),
        pad_token=str(pad),
        pad_type_id=int(stated["pad_token_type_id"]),
        padding_side=stated["padding_side"],
        truncation_side=stated["truncation_side"],
        pairs=None if _takes_pairs(folder, stated["model_input_names"]) else False,
    )


def of_pairs(folder: Path) -> Text:
    """Return the same for a task whose inputs are pairs. Raises UnsupportedModel for a model that takes none."""
    found = text(folder)
    if found.pairs is False:
        raise UnsupportedModel(
            f"{folder.name} takes no pairs of texts: the tokenizer gives the second another token_type_ids, and the "
            "model has one row for them (type_vocab_size 1)",
            hint='if it was trained without, write "model_input_names": ["input_ids", "attention_mask"] into a copy of '
            "tokenizer_config.json",
        )
    return found


def _takes_pairs(folder: Path, inputs: Sequence[str]) -> bool:
    """Return whether the model has a row for the kind of each text of a pair."""
    rows = read_config(folder / "config.json").get("type_vocab_size")
    if "token_type_ids" not in inputs or not isinstance(rows, int) or rows < 1:
        return True
    return max(tokenizer(folder).encode("a", "a").type_ids) < rows


def token_id(folder: Path, text: str | None) -> int:
    """Return the id of a special token in tokenizer.json. Raises ModelError."""
    for entry in read_config(folder / "tokenizer.json").get("added_tokens", []):
        if entry["content"] == text:
            return int(entry["id"])
    raise ModelError(
        f"the tokenizer of {folder.name} has no special token {text!r}",
        hint="name one that it has in tokenizer_config.json",
    )


def token(tokens: JsonObject, name: str) -> str | None:
    """Return a special token of tokenizer_config.json, which holds a str or an object."""
    value = tokens.get(name)
    return str(value["content"]) if isinstance(value, dict) else value


def sentences() -> list[str]:
    """Return the sentences that edgepack brings, one per line of sentences.txt."""
    lines = (importlib.resources.files("edgepack.tasks") / "sentences.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line]
