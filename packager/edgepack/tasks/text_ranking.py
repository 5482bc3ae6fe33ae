"""A query and passages to scores: rerankers, as sentence-transformers' CrossEncoder has them.

Classifiers of one label, and language models that answer with a word (_reranking.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import UnsupportedModel
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Processing
from edgepack.tasks import _labels, _reranking, _sentence_folder, _supported, _text
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "text-ranking"
TITLE = "a query and passages to scores"
ROUTE = "export"
AUTO_CLASS = "AutoModelForSequenceClassification"
CUT_AT_POSITIONS = True
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")  # of the scores of one query's passages
INPUTS = ("query", "passage")
COLUMNS = ("query", "passage", "score")
METRICS = {"spearman": metrics.spearman, "pearson": metrics.pearson}

_PASSAGES = 8  # of each of our queries; its own text is the first


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings, the frame of a pair, the prompts, and what makes a score of the logit.

    Raises UnsupportedModel for a model of several labels.
    """
    found = _reranking.read(folder)
    if found.true_id is not None:
        config = {**config, "id2label": {"0": "LABEL_0"}}  # a language model states the labels of no head
    count = _labels.numbered(config)[1]
    if count != 1:
        raise UnsupportedModel(
            f"{folder.name} gives {count} numbers for a pair of texts; a reranker gives one",
            hint="--task text-classification builds it as a classifier of texts and of pairs of texts",
        )
    text = replace(_text.of_pairs(folder), frame=found.frame)
    if _sentence_folder.is_one(folder):
        said = _sentence_folder.read(folder)
        text = replace(text, prompts=dict(said.prompts), default_prompt=said.default_prompt)
    return Processing(text=text, answer=_labels.classes(config, folder))


def examples(processing: Processing) -> list[tuple[str, str]]:
    """Return our sentences as passages, eight to a query."""
    sentences = _text.sentences()
    ends = len(sentences) - len(sentences) % _PASSAGES
    return [(sentences[place - place % _PASSAGES], sentences[place]) for place in range(ends)]


def inputs(rows: Rows) -> list[tuple[str, str]]:
    """Return a data set's inputs, for calibration and agreement."""
    return [(str(row["query"]), str(row["passage"])) for row in rows]


def batches(model: TaskModel, examples: Sequence[Example], *, use: str = "") -> list[Feeds]:
    """Return the feeds of ``examples``, made by the shipping pre-processing: a batch for each query.

    Neighbours with the same query are one batch, so that what agrees is the order of a query's passages.
    """
    return [model.feeds(list(pairs)) for _, pairs in groupby(examples, key=lambda pair: pair[0])]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of a query's passages as one vector, float32 [passages]."""
    return [outputs["logits"][:, 0]]


def predict(model: TaskModel, rows: Rows) -> list[float]:
    """Return the score of each pair."""
    found: list[float] = model.predict(inputs(rows))
    return found


def references(rows: Rows, model: TaskModel) -> list[float]:
    """Return how relevant each passage is."""
    return [metrics.number(row, "score") for row in rows]
