"""Images to vectors."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Example, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Embedding, Image, Processing
from edgepack.tasks import _image, _image_processor, _supported
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized
from edgepack.tasks._refusals import no_vector

NAME = "image-embedding"
TITLE = "images to vectors"
ROUTE = "export"
AUTO_CLASS = "AutoModel"
TOKENIZES = False
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("last_hidden_state", "image_embedding")
MEASURES = ("cosine", "sqnr_db", "max_error")
INPUTS = ("image",)
COLUMNS = ("image", "label")
METRICS = {"retrieval": metrics.retrieval}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the image processor's settings.

    Raises UnsupportedModel for SigLIP without its head, which pools all patches.
    """
    if config.get("vision_use_head") is False:
        raise no_vector("SiglipVisionModel")
    embedding = Embedding(output="image_embedding", width=_width(config))
    return Processing(image=_image_processor.read(folder, config), answer=embedding)


def _width(config: JsonObject) -> int | None:
    """Return the width of a vector, where config.json says it."""
    projected = str((config.get("architectures") or [""])[0]).endswith("WithProjection")
    stages = config.get("hidden_sizes")  # of convolutions; the last one's is the vector's
    said = (
        config.get("projection_dim") if projected else None,
        config.get("pooler_output_size"),
        config.get("hidden_size"),
        config.get("hidden_dim"),
        stages[-1] if isinstance(stages, list) and stages else None,
    )
    return next((width for width in said if isinstance(width, int) and width), None)


def examples(processing: Processing) -> list[Array]:
    """Return images that edgepack draws."""
    return _image.images(processing.section(Image))


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's inputs, for calibration and agreement."""
    return [_image.example(row["image"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return one vector per image."""
    return list(outputs["image_embedding"])


def predict(model: TaskModel, rows: Rows) -> list[Array]:
    """Return a vector per image."""
    vectors: list[Array] = model.predict(inputs(rows))
    return vectors


def references(rows: Rows, model: TaskModel) -> list[str]:
    """Return the label's name."""
    return [str(row["label"]) for row in rows]
