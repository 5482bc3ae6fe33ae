"""Parts of the text tasks: the tokenizer's settings, and the sentences that edgepack brings."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import ModelError
from edgepack.runtime.processing import Text
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
    )


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
