"""A text with a mask to the tokens that fit there."""

from __future__ import annotations

from pathlib import Path

from edgepack.arrays import Array, Feeds, Outputs, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import ModelError
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Mask, Processing
from edgepack.tasks import _supported, _text, read_config
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import TRIALS as TRIALS
from edgepack.tasks._fixed_context import batches as batches
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import golden as golden
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "fill-mask"
TITLE = "a text with a mask to the tokens that fit"
ROUTE = "export"
AUTO_CLASS = "AutoModelForMaskedLM"
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
OUTPUTS = ("logits",)
MEASURES = ("cosine", "sqnr_db", "max_error", "top1")
INPUTS = ("text",)
COLUMNS = ("text", "answer")
METRICS = {"accuracy": metrics.first, "top5": metrics.top5}


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's settings and its mask token. Raises ModelError where it has none."""
    name = _text.token(read_config(folder / "tokenizer_config.json"), "mask_token")
    if name is None:
        raise ModelError(
            f"the tokenizer of {folder.name} has no mask token",
            hint='name it in tokenizer_config.json, for example "mask_token": "[MASK]"',
        )
    mask = Mask(mask_token=name, mask_id=_text.token_id(folder, name))
    return Processing(text=_text.text(folder), answer=mask)


def examples(processing: Processing) -> list[str]:
    """Return our sentences, the middle word masked."""
    mask = processing.section(Mask).mask_token
    return [_masked(sentence.split(), mask) for sentence in _text.sentences()]


def inputs(rows: Rows) -> list[str]:
    """Return a data set's inputs, for calibration and agreement."""
    return [str(row["text"]) for row in rows]


def rows(feeds: Feeds, outputs: Outputs) -> list[Array]:
    """Return the logits of each token that is no padding."""
    return list(outputs["logits"][feeds["attention_mask"].astype(bool)])


def predict(model: TaskModel, rows: Rows) -> list[list[str]]:
    """Return the five best tokens for the first mask."""
    return [[filled.token.strip() for filled in best] for best in model.predict(inputs(rows), top=5)]


def references(rows: Rows, model: TaskModel) -> list[str]:
    """Return the masked word."""
    return [str(row["answer"]) for row in rows]


def _masked(words: list[str], mask: str) -> str:
    middle = len(words) // 2
    return " ".join([*words[:middle], mask, *words[middle + 1 :]])
