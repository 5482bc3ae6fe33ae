"""The task for the build: fits the Protocol edgepack.tasks.Task."""

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
PAIRS = {}
TRIALS = {}
METRICS = {"accuracy": first}


def processing(folder, config):
    return Processing(
        answer=Classes(labels=tuple(config["languages"]), problem_type="single_label_classification"),
        own={"buckets": config["buckets"]},
    )


def sized(processing, context):
    if context is not None:
        raise UsageError("texts of any length are taken", hint="leave --context out")
    return processing


def limited(processing, lengths):
    if lengths:
        raise UsageError("texts of any length are taken", hint="leave --lengths out")
    return processing


def contexts(processing):
    return [None]


def examples(processing):
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


def inputs(rows):
    return [str(row["text"]) for row in rows]


def batches(model, examples, *, use=""):
    return [model.feeds(examples[start : start + 8]) for start in range(0, len(examples), 8)]


def golden(model, examples):
    return [(example, model.feeds([example])) for example in examples[:4]]


def rows(feeds, outputs):
    return list(outputs["logits"])


def predict(model, rows):
    return [[label.name for label in best] for best in model.predict(inputs(rows))]


def references(rows, model):
    return [str(row["label"]) for row in rows]
