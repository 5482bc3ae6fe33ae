"""The task for the build: fits the Protocol edgepack.tasks.Task."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, Run, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import UsageError
from edgepack.metrics.tasks import first
from edgepack.runtime.processing import Classes, Processing

NAME = "language-identification"
TITLE = "texts to their language"
ROUTE = "linear"  # original.py computes the original, format.py takes it into files
AUTO_CLASS = ""  # transformers does not know it
TOKENIZES = False
ARCHITECTURES = ("LinearLanguageIdentification",)  # of config.json, by which a build knows the task
OUTPUTS = ("logits",)
MEASURES = ("cosine", "max_error", "top1")
INPUTS = ("text",)
COLUMNS = ("text", "label")
PAIRS: Mapping[str, tuple[str, ...]] = {}
TRIALS: Mapping[str, Callable[[Run, TaskModel, Sequence[Feeds]], Array]] = {}
METRICS = {"accuracy": first}


def processing(folder: Path, config: JsonObject) -> Processing:
    return Processing(
        answer=Classes(labels=tuple(config["languages"]), problem_type="single_label_classification"),
        own={"buckets": config["buckets"]},
    )


def sized(processing: Processing, context: int | None) -> Processing:
    if context is not None:
        raise UsageError("texts of any length are taken", hint="leave --context out")
    return processing


def limited(processing: Processing, lengths: Sequence[int]) -> Processing:
    if lengths:
        raise UsageError("texts of any length are taken", hint="leave --lengths out")
    return processing


def contexts(processing: Processing) -> list[int | None]:
    return [None]


def examples(processing: Processing) -> list[Example]:
    return [
        "the river runs through the old town",
        "der Fluss fließt durch die alte Stadt",
        "la rivière traverse la vieille ville",
        "what time does the train leave",
        "wann fährt der Zug ab",
        "à quelle heure part le train",
        "an apple a day",
        "ein Apfel am Tag",
    ]


def inputs(rows: Rows) -> list[Example]:
    return [str(row["text"]) for row in rows]


def batches(model: TaskModel, examples: Sequence[Example], *, use: str = "") -> list[Feeds]:
    return [model.feeds(examples[start : start + 8]) for start in range(0, len(examples), 8)]


def golden(model: TaskModel, examples: Sequence[Example]) -> list[tuple[Example, Feeds]]:
    return [(example, model.feeds([example])) for example in examples[:4]]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    return list(outputs["logits"])


def predict(model: TaskModel, rows: Rows) -> list[Example]:
    return [[label.name for label in best] for best in model.predict(inputs(rows))]


def references(rows: Rows, model: TaskModel) -> list[Example]:
    return [str(row["label"]) for row in rows]
