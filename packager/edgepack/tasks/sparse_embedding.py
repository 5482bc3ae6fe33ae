"""Texts to sparse vectors over the vocabulary: SPLADE's models, as sentence-transformers' SparseEncoder has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import ModelError
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Embedding, Processing
from edgepack.tasks import _sentence_folder, _supported, _text
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized
from edgepack.tasks._sentence_folder import SentenceFolder

NAME = "sparse-embedding"
TITLE = "texts to sparse vectors over the vocabulary"
ROUTE = "export"
AUTO_CLASS = "AutoModelForMaskedLM"
CUT_AT_POSITIONS = True
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("sparse_embedding",)
MEASURES = ("cosine", "sqnr_db", "max_error")
INPUTS = ("text",)
COLUMNS = ("sentence1", "sentence2", "score")
METRICS = {"spearman": metrics.spearman, "pearson": metrics.pearson}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings, the prompts and the vocabulary's size. Raises ModelError, UnsupportedModel."""
    said, words = modules(folder), config.get("vocab_size")
    if not isinstance(words, int):
        raise ModelError("config.json states no vocab_size", hint="write it into a copy of config.json")
    text = replace(_text.text(folder), prompts=dict(said.prompts), default_prompt=said.default_prompt)
    return Processing(text=text, answer=Embedding(output=OUTPUTS[0], width=words, similarity=said.similarity))


def modules(folder: Path) -> SentenceFolder:
    """Read how logits become weights; as SparseEncoder takes a masked language model without modules.json."""
    return _sentence_folder.read(folder) if _sentence_folder.is_one(folder) else _sentence_folder.SPLADE


def examples(processing: Processing) -> list[str]:
    """Return our sentences."""
    return _text.sentences()


def inputs(rows: Rows) -> list[str]:
    """Return a data set's inputs, for calibration and agreement."""
    return [str(row["text"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return one vector per text, with its zeros."""
    return list(outputs[OUTPUTS[0]])


def predict(model: TaskModel, rows: Rows) -> list[float]:
    """Return the dot product of each pair's vectors."""
    one, other = (model.embed([str(row[name]) for row in rows]) for name in ("sentence1", "sentence2"))
    return [model.similarity(a, b) for a, b in zip(one, other, strict=True)]


def references(rows: Rows, model: TaskModel) -> list[float]:
    """Return the score of each pair."""
    return [metrics.number(row, "score") for row in rows]
