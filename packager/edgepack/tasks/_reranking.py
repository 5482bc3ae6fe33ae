"""Rerankers over a language model, and pairs in a chat template: what the arranged folder says of them.

original/pair_template.py writes FILE beside config.json: transformers alone can render a template.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from edgepack.documents import JsonObject
from edgepack.errors import ModelError
from edgepack.runtime import record_json
from edgepack.runtime.processing import Frame
from edgepack.tasks import read_config

FILE = "reranking.json"
_CAUSAL = ("ForCausalLM", "LMHeadModel")


@dataclass(frozen=True, kw_only=True)
class Reranking:
    """The frame that makes one text of a pair, and the tokens whose logits make the score."""

    frame: Frame | None = None
    true_id: int | None = None  # of the word whose logit is the score; None of a classifier, which has one of its own
    false_id: int | None = None  # of the word whose logit is taken off


def is_causal(config: JsonObject) -> bool:
    """Return whether config.json names a language model, whose score is that of a word after the pair."""
    return str(config["architectures"][0]).endswith(_CAUSAL)


def write(folder: Path, found: Reranking) -> None:
    """Write FILE."""
    frame = None if found.frame is None else record_json.write(found.frame)
    (folder / FILE).write_text(json.dumps({**asdict(found), "frame": frame}), "utf-8")


def read(folder: Path) -> Reranking:
    """Return what FILE says; nothing where there is none."""
    stated = read_config(folder / FILE)
    frame = stated.get("frame")
    made = None if frame is None else record_json.read(Frame, frame, FILE)
    return Reranking(frame=made, true_id=stated.get("true_id"), false_id=stated.get("false_id"))


def checked_id(given: object, where: str, words: int) -> int:
    """Return the id of a token. Raises ModelError where the model has none such."""
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < words:
        raise ModelError(f"{where} names the token {given!r}; the model has {words:,}", hint="correct it in a copy")
    return given
