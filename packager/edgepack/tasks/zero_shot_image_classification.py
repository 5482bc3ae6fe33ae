"""Images to labels that are named when the model is used: CLIP and SigLIP, in two submodels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from edgepack import weights
from edgepack.arrays import Example, Rows, TaskModel
from edgepack.documents import JsonObject
from edgepack.errors import DamagedWeights, ModelError
from edgepack.metrics import tasks as metrics
from edgepack.runtime.processing import Embedding, Match, Processing
from edgepack.runtime.tasks.zero_shot_image_classification import TEXT, VISION, part
from edgepack.tasks import (
    SubmodelTask,
    Task,
    _clip_text,
    _clip_vision,
    _image,
    _siglip_text,
    _siglip_vision,
    _supported,
)
from edgepack.tasks._fixed_context import PAIRS as PAIRS
from edgepack.tasks._fixed_context import contexts as contexts
from edgepack.tasks._fixed_context import limited as limited
from edgepack.tasks._fixed_context import sized as sized

NAME = "zero-shot-image-classification"
TITLE = "images to labels of your own"
ROUTE = "export"
AUTO_CLASS = "AutoModelForZeroShotImageClassification"
TOKENIZES = True
ARCHITECTURES = _supported.architectures(NAME)
INPUTS = ("image", "text")
COLUMNS = ("image", "label")
METRICS = {"accuracy": metrics.first}
SUBMODELS: Mapping[str, SubmodelTask] = {
    TEXT: SubmodelTask(
        task=_clip_text,
        runtime="text-embedding",
        processing=lambda whole: part(whole, TEXT),
        config="text_config",
        weights=("text_model.", "text_projection."),
        adapt=lambda whole, own: _tasks(whole)[0],
    ),
    VISION: SubmodelTask(
        task=_clip_vision,
        runtime="image-embedding",
        processing=lambda whole: part(whole, VISION),
        config="vision_config",
        weights=("vision_model.", "visual_projection."),
        adapt=lambda whole, own: _tasks(whole)[1],
    ),
}

_TEMPLATE = "This is a photo of {}."  # of transformers' pipeline
_SCALE = "logit_scale"  # of the safetensors: the logarithm of what cosines are multiplied by
_BIAS = "logit_bias"  # of SigLIP, which is added
_SIGLIP = "siglip"


def processing(folder: Path, config: JsonObject) -> Processing:
    """Read the tokenizer's and the image processor's settings, and the scale of the cosines. Raises ModelError."""
    of_text, of_image = _tasks(config)
    text = of_text.processing(folder, _own(config, "text_config"))
    image = of_image.processing(folder, _own(config, "vision_config"))
    answer = Match(
        text_output=of_text.OUTPUTS[0],
        image_output=of_image.OUTPUTS[0],
        width=text.section(Embedding).width or 0,
        scale=_scale(folder),
        template=_TEMPLATE,
        bias=_stored(folder, _BIAS) if config.get("model_type") == _SIGLIP else None,
    )
    return Processing(text=text.text, image=image.image, answer=answer)


def _tasks(config: JsonObject) -> tuple[Task, Task]:
    """Return the tasks of the two encoders."""
    return (_siglip_text, _siglip_vision) if config.get("model_type") == _SIGLIP else (_clip_text, _clip_vision)


def _own(config: JsonObject, key: str) -> JsonObject:
    """Return the config of one encoder, of CLIP's with the width that both share. Raises ModelError."""
    if config.get("model_type") == _SIGLIP and isinstance(config.get(key), Mapping):
        return dict(config[key])
    own, width = config.get(key), config.get("projection_dim")
    if not isinstance(own, Mapping) or not isinstance(width, int):
        raise ModelError(
            f"config.json of a CLIP model lacks {key if isinstance(width, int) else 'projection_dim'}",
            hint="save the model again with transformers: CLIPModel.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        )
    return {**own, "projection_dim": width}


def _scale(folder: Path) -> float:
    """Return what cosines are multiplied by. Raises DamagedWeights."""
    return math.exp(_stored(folder, _SCALE, math.log(1e6)))


def _stored(folder: Path, name: str, most: float = math.inf) -> float:
    """Return the only number of a tensor. Raises DamagedWeights where the weights hold none that is finite."""
    stored = [tensor for file in weights.files(folder) for tensor in weights.tensors(file) if tensor.name == name]
    value = float(weights.read(stored[0], ()).item()) if stored and stored[0].parameters == 1 else math.nan
    if not math.isfinite(value) or value > most:
        raise DamagedWeights(
            f"{folder.name}: the weights hold no {name} that can be used", hint="download or copy the file again"
        )
    return value


def inputs(rows: Rows) -> list[Example]:
    """Return a data set's images."""
    return [_image.example(row["image"]) for row in rows]


def predict(model: TaskModel, rows: Rows) -> list[list[str]]:
    """Return the five best of the data set's labels, by name."""
    names = sorted({str(row["label"]) for row in rows})
    return [[label.name for label in best[:5]] for best in model.classify(inputs(rows), names)]


def references(rows: Rows, model: TaskModel) -> list[str]:
    """Return the label's name."""
    return [str(row["label"]) for row in rows]
