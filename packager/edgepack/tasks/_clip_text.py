"""CLIP's text encoder with its projection, as a model of its own: texts to vectors that images' are compared with."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs
from edgepack.documents import JsonObject
from edgepack.runtime.processing import Embedding, Processing
from edgepack.tasks import _text
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized
from edgepack.tasks.text_embedding import COLUMNS as COLUMNS
from edgepack.tasks.text_embedding import INPUTS as INPUTS
from edgepack.tasks.text_embedding import MEASURES as MEASURES
from edgepack.tasks.text_embedding import METRICS as METRICS
from edgepack.tasks.text_embedding import examples as examples
from edgepack.tasks.text_embedding import inputs as inputs
from edgepack.tasks.text_embedding import predict as predict
from edgepack.tasks.text_embedding import references as references

NAME = "clip-text"
TITLE = "texts to vectors that images' are compared with"
ROUTE = "export"
AUTO_CLASS = "CLIPTextModelWithProjection"
TOKENIZES = True
ARCHITECTURES: tuple[str, ...] = ()
OUTPUTS = ("text_embeds",)


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings; ``config`` is the encoder's own."""
    answer = Embedding(output=OUTPUTS[0], width=int(config["projection_dim"]), similarity="cosine")
    return Processing(text=_text.text(folder), answer=answer)


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return one vector per text."""
    return list(outputs[OUTPUTS[0]])
