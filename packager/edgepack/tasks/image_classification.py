"""Images to labels."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Image, Processing
from edgepack.tasks import _image, _image_processor, _labels, _supported
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "image-classification"
TITLE = "images to labels"
ROUTE = "export"
AUTO_CLASS = "AutoModelForImageClassification"
TOKENIZES = False
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")
INPUTS = ("image",)
COLUMNS = ("image", "label")
METRICS = {"accuracy": metrics.first, "top5": metrics.top5}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the image processor's settings and the labels."""
    return Processing(image=_image_processor.read(folder, config), answer=_labels.classes(config))


def examples(processing: Processing) -> list[Array]:
    """Return images that edgepack draws."""
    return _image.images(processing.section(Image))


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's inputs, for calibration and agreement."""
    return [_image.example(row["image"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of each image."""
    return list(outputs["logits"])


def predict(model: TaskModel, rows: Rows) -> list[list[str]]:
    """Return the five best labels' names."""
    return [[label.name for label in best[:5]] for best in model.predict(inputs(rows))]


def references(rows: Rows, model: TaskModel) -> list[str]:
    """Return the label's name. Raises DataError for one that the model does not have."""
    return _labels.named([row["label"] for row in rows], model.labels, "the data set")
