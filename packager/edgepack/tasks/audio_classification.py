"""Sounds to labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Audio, Processing
from edgepack.tasks import _audio, _feature_extractor, _labels, _supported
from edgepack.tasks._audio import batches as batches
from edgepack.tasks._audio import golden as golden
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "audio-classification"
TITLE = "sounds to labels"
ROUTE = "export"
AUTO_CLASS = "AutoModelForAudioClassification"
TOKENIZES = False
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")
INPUTS = ("audio",)
COLUMNS = ("audio", "label")
METRICS = {"accuracy": metrics.first, "top5": metrics.top5}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the feature extractor's settings and the labels, whose scores are a softmax, of one label too, where
    config.json has no problem_type: so it is in transformers' pipeline of sounds.
    """
    classes = _labels.classes(config)
    if config.get("problem_type") is None:
        classes = replace(classes, problem_type=_labels.SINGLE)
    return Processing(audio=_feature_extractor.read(folder, config), answer=classes)


def examples(processing: Processing) -> list[Example]:
    """Return sounds that edgepack makes."""
    return _audio.sounds(processing.section(Audio))


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's inputs, for calibration and agreement."""
    return [_audio.example(row["audio"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of each sound."""
    return list(outputs["logits"])


def predict(model: TaskModel, rows: Rows) -> list[list[str]]:
    """Return the five best labels' names."""
    return [[label.name for label in best[:5]] for best in model.predict(inputs(rows))]


def references(rows: Rows, model: TaskModel) -> list[str]:
    """Return the label's name. Raises DataError for one that the model does not have."""
    return _labels.named([row["label"] for row in rows], model.labels, "the data set")
