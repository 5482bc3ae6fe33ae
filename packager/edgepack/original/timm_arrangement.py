"""Make the folder that is read of timm's: the same weights, and a config.json that says in full what timm works out.

Needs timm, which needs torchvision.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import timm
import torch

from edgepack.documents import JsonDict, JsonObject, read_object
from edgepack.errors import ModelError, UnsupportedModel
from edgepack.original import configs
from edgepack.original.library import PretrainedModel
from edgepack.original.model_files import files, take
from edgepack.tasks import AnyTask, _timm
from edgepack.weights.choice import PICKLED

_FILE = "config.json"


def arrange(folder: Path, task: AnyTask, to: Path) -> None:
    """Fill ``to`` with the model of ``folder``, for ``task``.

    Raises UnsupportedModel for an architecture that the installed timm does not have, ModelError for a config.json of
    which timm can build nothing.
    """
    for file in files(folder):
        if file.name != _FILE and not any(file.match(kind) for kind in PICKLED):
            take(folder, file, to / file.name)
    given = _timm.named(read_object(folder / _FILE, ModelError))
    stated = {key: value for key, value in given.items() if value is not None}  # as transformers' wrapper saves it
    _write(to / _FILE, stated)
    model = _empty(to, stated)
    classes, embeds = model.num_classes, task.NAME == "image-embedding"
    images = timm.data.resolve_data_config(pretrained_cfg=model.pretrained_cfg)
    names = [] if embeds else _labels(model.pretrained_cfg, classes)
    _write(
        to / _FILE,
        {
            **stated,
            "architectures": [_timm.ENCODER if embeds else _timm.CLASSIFIER],
            "num_classes": classes,
            "id2label": {str(number): name for number, name in enumerate(names)},
            "pooler_output_size": getattr(model, "head_hidden_size", model.num_features),
            "pretrained_cfg": {**given["pretrained_cfg"], **images},
        },
    )


def _empty(folder: Path, stated: JsonObject) -> PretrainedModel:
    """Return the model without memory for its weights."""
    name = stated.get("architecture")
    if not isinstance(name, str) or not timm.is_model(name):
        raise UnsupportedModel(
            f"{folder.name}/{_FILE}: timm {timm.__version__} has no architecture {name!r}", hint="pip install -U timm"
        )
    try:
        with torch.device("meta"):
            return timm.create_model(f"local-dir:{folder}")
    except Exception as error:  # whatever reads a config.json, and a model's constructor
        raise ModelError(
            f"timm {timm.__version__} cannot build {folder.name}: {configs.line(error)}",
            hint="correct config.json in a copy of the folder, so that timm.create_model('local-dir:FOLDER') opens it",
        ) from error


def _labels(stated: JsonObject, classes: int) -> Sequence[str]:
    """Return the names of the classes: those that are stated, else ImageNet's by their number, else their numbers."""
    names = stated.get("label_names")
    subset = timm.data.infer_imagenet_subset({"num_classes": classes})
    if names is None and subset is not None:
        names = timm.data.ImageNetInfo(subset).label_descriptions()
    return [str(name) for name in names or (f"LABEL_{number}" for number in range(classes))]


def _write(file: Path, content: JsonDict) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
