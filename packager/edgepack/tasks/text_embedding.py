"""Sentences to vectors: sentence-transformers folders, and bare encoders with mean pooling."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgepack.errors import UnsupportedModel
from edgepack.metrics import agreement
from edgepack.metrics import tasks as metrics
from edgepack.runtime.types import Array, Feeds, Outputs
from edgepack.tasks import _text, table
from edgepack.tasks._short import TRIALS as TRIALS
from edgepack.tasks._short import batches as batches
from edgepack.tasks._short import contexts as contexts
from edgepack.tasks._short import golden as golden
from edgepack.tasks._short import limited as limited
from edgepack.tasks._short import sized as sized

NAME = "text-embedding"
TITLE = "sentences to vectors"
AUTO = "AutoModel"
ARCHITECTURES = ("BertModel", "RobertaModel", "MPNetModel", "ElectraModel", "AlbertModel", "CamembertModel")
OUTPUTS = ("last_hidden_state", "sentence_embedding")
MEASURES = ("cosine", "sqnr_db", "max_error")
INPUTS = ("text",)
COLUMNS = ("sentence1", "sentence2", "score")
METRICS = {"spearman": metrics.spearman, "pearson": metrics.pearson}

_POOLINGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_lasttoken": "lasttoken",
}


def processing(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer's numbers, and how token vectors become one. Raises UnsupportedModel."""
    pooling, normalize = "mean", False
    for module in _modules(folder):
        kind = str(module["type"]).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling = _pooling(table(folder / module["path"] / "config.json"))
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer":
            raise UnsupportedModel(f"{folder.name} has the sentence-transformers module {kind}, which is not packed")
    return {
        **_text.processing(folder, config),
        "pooling": pooling,
        "normalize": normalize,
        "output": "sentence_embedding",
        "width": int(config.get("hidden_size") or config.get("dim") or 0),
    }


def examples(processing: Mapping[str, Any]) -> list[str]:
    """Our sentences."""
    return _text.sentences()


def inputs(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A data set's inputs, for calibration and agreement."""
    return [str(row["text"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """One vector per sentence."""
    return list(outputs["sentence_embedding"])


def predict(model: Any, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The cosine of each pair of sentences."""
    vectors = model.predict([str(row[name]) for name in ("sentence1", "sentence2") for row in rows])
    return [agreement.cosine(a, b) for a, b in zip(vectors[: len(rows)], vectors[len(rows) :], strict=True)]


def references(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The score of each pair."""
    return [metrics.number(row["score"], "score") for row in rows]


def _modules(folder: Path) -> list[dict[str, Any]]:
    file = folder / "modules.json"
    listed: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.is_file() else []
    return listed


def _pooling(config: Mapping[str, Any]) -> str:
    chosen = [name for key, name in _POOLINGS.items() if config.get(key)]
    if len(chosen) != 1:
        raise UnsupportedModel(f"a pooling of {' and '.join(chosen) or 'an unknown kind'} is not packed")
    return chosen[0]
