"""SigLIP's image encoder, as a model of its own: images to vectors that texts' compare with."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs
from edgepack.documents import JsonObject
from edgepack.runtime.processing import Embedding, Processing
from edgepack.tasks import _image_processor, _siglip_text
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized
from edgepack.tasks.image_embedding import COLUMNS as COLUMNS
from edgepack.tasks.image_embedding import INPUTS as INPUTS
from edgepack.tasks.image_embedding import MEASURES as MEASURES
from edgepack.tasks.image_embedding import METRICS as METRICS
from edgepack.tasks.image_embedding import examples as examples
from edgepack.tasks.image_embedding import inputs as inputs
from edgepack.tasks.image_embedding import predict as predict
from edgepack.tasks.image_embedding import references as references

NAME = "siglip-vision"
TITLE = "images to vectors that texts' are compared with"
ROUTE = "export"
AUTO_CLASS = "SiglipVisionModel"
TOKENIZES = False
ARCHITECTURES: tuple[str, ...] = ()
OUTPUTS = ("pooler_output",)

_USUAL = {"image_size": 224, "num_channels": 3, "model_type": "siglip_vision_model"}  # where its config is silent


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the image processor's settings; ``config`` is the encoder's own."""
    answer = Embedding(output=OUTPUTS[0], width=_siglip_text.width(folder), similarity="cosine")
    return Processing(image=_image_processor.read(folder, {**_USUAL, **config}), answer=answer)


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return one vector per image."""
    return list(outputs[OUTPUTS[0]])
