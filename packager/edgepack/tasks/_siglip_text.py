"""SigLIP's text encoder, as a model of its own: texts to vectors that images' are compared with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgepack import weights
from edgepack.arrays import Array, Feeds, Outputs
from edgepack.documents import JsonObject
from edgepack.errors import DamagedWeights
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

NAME = "siglip-text"
TITLE = "texts to vectors that images' are compared with"
ROUTE = "export"
AUTO_CLASS = "SiglipTextModel"
TOKENIZES = True
ARCHITECTURES: tuple[str, ...] = ()
OUTPUTS = ("pooler_output",)

_HEAD = "text_model.head.weight"  # float [width, hidden]


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings; ``config`` is the encoder's own. Every text is padded to the longest length."""
    text = _text.text(folder)
    text = replace(text, fixed_length=text.max_length)
    return Processing(text=text, answer=Embedding(output=OUTPUTS[0], width=width(folder), similarity="cosine"))


def width(folder: Path) -> int:
    """Return the width of both encoders' vectors, which config.json may leave out. Raises DamagedWeights."""
    for file in weights.files(folder):
        for tensor in weights.tensors(file):
            if tensor.name == _HEAD:
                return tensor.shape[0]
    raise DamagedWeights(f"{folder.name}: the weights lack {_HEAD!r}", hint="download or copy the file again")


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return one vector per text."""
    return list(outputs[OUTPUTS[0]])
