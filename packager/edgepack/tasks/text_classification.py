"""Texts, or pairs of texts, to labels."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Processing
from edgepack.tasks import _labels, _supported, _text
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "text-classification"
TITLE = "texts to labels"
ROUTE = "export"
AUTO_CLASS = "AutoModelForSequenceClassification"
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")
INPUTS = ("text",)
COLUMNS = ("text", "label")
PAIRS = {"text": ("text1", "text2")}
METRICS = {
    "accuracy": metrics.accuracy, "f1": metrics.macro_f1, "spearman": metrics.spearman, "pearson": metrics.pearson,
}  # fmt: skip


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings and the labels."""
    return Processing(text=_text.text(folder), answer=_labels.classes(config, folder))


def examples(processing: Processing) -> list[str]:
    """Return our sentences."""
    return _text.sentences()


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's inputs, for calibration and agreement."""
    return [_example(row) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of each text."""
    return list(outputs["logits"])


def predict(model: TaskModel, rows: Rows) -> list[Example]:
    """Return the best label's name; the score of a model with one label."""
    best = [labels[0] for labels in model.predict(inputs(rows))]
    return [label.score if len(model.labels) == 1 else label.name for label in best]


def references(rows: Rows, model: TaskModel) -> list[Example]:
    """Return the label's name, or the number that the score of one label is compared with. Raises DataError."""
    if len(model.labels) == 1:
        return [metrics.number(row, "label") for row in rows]
    return _labels.named([row["label"] for row in rows], model.labels, "the data set")


def _example(row: JsonObject) -> Example:
    """Return a text, or a pair where the data set holds pairs."""
    if "text1" in row:
        return str(row["text1"]), str(row["text2"])
    text = row["text"]
    return tuple(text) if isinstance(text, list) else str(text)
