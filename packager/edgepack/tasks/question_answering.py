"""A question and a context to the span that answers it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import Json, JsonObject, parse_json
from edgepack.errors import DataError, ModelError
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Processing, Span
from edgepack.tasks import _labels, _supported, _text
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "question-answering"
TITLE = "a question and a context to the answer's span"
ROUTE = "export"
AUTO_CLASS = "AutoModelForQuestionAnswering"
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("start_logits", "end_logits")
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")
INPUTS = ("question", "context")
COLUMNS = ("question", "context", "answers")  # answers: a text, or a list of texts (or its JSON)
METRICS = {"f1": metrics.token_f1, "exact_match": metrics.exact_match}

_STRIDE = 128  # tokens that neighbouring windows share, and
_ENDS = 2  # of a span, a logit for each
_LONGEST = 30  # tokens of an answer: the values of BERT's own SQuAD script


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings, the windows' overlap and the longest answer.

    Raises ModelError for another number of labels than two.
    """
    count = _labels.numbered(config)[1]
    if count != _ENDS:
        raise ModelError(
            f"config.json names {count} labels; question answering needs two, the start and the end of an answer",
            hint="correct num_labels (and id2label) in config.json, or choose the task that the model was trained for",
        )
    text = replace(_text.of_pairs(folder), stride=_STRIDE)
    return Processing(text=text, answer=Span(max_answer_length=_LONGEST))


def examples(processing: Processing) -> list[tuple[str, str]]:
    """Return our sentences as contexts, each with a question about it."""
    return [("What is said here, and who says it?", sentence) for sentence in _text.sentences()]


def inputs(rows: Rows) -> list[tuple[str, str]]:
    """Return a data set's inputs, for calibration and agreement."""
    return [(str(row["question"]), str(row["context"])) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Start and end logits of each question, padding left out."""
    masks = feeds["attention_mask"].astype(bool)
    return [logits[mask] for name in OUTPUTS for logits, mask in zip(outputs[name], masks, strict=True)]


def predict(model: TaskModel, rows: Rows) -> list[str]:
    """Return the text of each answer."""
    return [answer.text for answer in model.predict(inputs(rows))]


def references(rows: Rows, model: TaskModel) -> list[list[str]]:
    """Return the accepted answers of each question."""
    return [_answers(row["answers"]) for row in rows]


def _answers(value: Json) -> list[str]:
    if isinstance(value, str) and value.startswith("["):
        value = parse_json(value, "a list of answers", DataError)
    if isinstance(value, dict):  # SQuAD's own form
        value = value["text"]
    return [str(answer) for answer in value] if isinstance(value, list) else [str(value)]
