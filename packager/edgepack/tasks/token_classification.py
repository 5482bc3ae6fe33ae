"""Texts to named spans."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import Json, JsonObject, parse_json
from edgepack.errors import DataError
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Entities, Processing
from edgepack.tasks import _labels, _supported, _text
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "token-classification"
TITLE = "texts to named spans"
ROUTE = "export"
AUTO_CLASS = "AutoModelForTokenClassification"
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")
INPUTS = ("text",)
COLUMNS = ("text", "entities")  # entities: a list (or its JSON) of {label, start, end}
METRICS = {"f1": metrics.span_f1}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings and the labels."""
    return Processing(text=_text.text(folder), answer=Entities(labels=_labels.classes(config).labels))


def examples(processing: Processing) -> list[str]:
    """Return our sentences."""
    return _text.sentences()


def inputs(rows: Rows) -> list[str]:
    """Return a data set's inputs, for calibration and agreement."""
    return [str(row["text"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of each token that is no padding."""
    return list(outputs["logits"][feeds["attention_mask"].astype(bool)])


def predict(model: TaskModel, rows: Rows) -> list[list[tuple[str, int, int]]]:
    """Return the spans of each text."""
    found = model.predict(inputs(rows))
    return [[(entity.label, entity.start, entity.end) for entity in entities] for entities in found]


def references(rows: Rows, model: TaskModel) -> list[list[tuple[str, int, int]]]:
    """Return the true spans. Raises DataError, also for a label that the model does not have."""
    try:
        listed = [_listed(r["entities"]) for r in rows]
        spans = [[(str(span["label"]), int(span["start"]), int(span["end"])) for span in found] for found in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("entities must be a list of {label, start, end}") from error
    for label in sorted({label for found in spans for label, _, _ in found} - set(model.spans)):
        raise DataError(
            f"the data set has the label {label!r}, which the model does not; it has {', '.join(model.spans)}",
            hint="write the labels without B- and I-",
        )
    return spans


def _listed(entities: Json) -> Json:
    """Return a row's entities, which in a table are JSON in a text."""
    return parse_json(entities, "a list of entities", DataError) if isinstance(entities, str) else entities
