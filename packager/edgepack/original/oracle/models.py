"""transformers' own models of a config.json: their classes, their shapes, and small ones with random weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers

# scipy serves losses of other tasks, and takes half a second to import; transformers asks when it imports its models
transformers.utils.is_scipy_available = lambda: False

import torch  # noqa: E402
from torch import nn  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES  # noqa: E402

from edgepack.errors import UnsupportedModel  # noqa: E402
from edgepack.runtime.types import Array  # noqa: E402

logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()
_SEED = 11


VERSION = str(transformers.__version__)


def knows(model_type: str) -> bool:
    """Whether transformers has the family."""
    return model_type in CONFIG_MAPPING


def configuration(stated: Mapping[str, Any]) -> Any:
    """Transformers' reading of config.json's content. Raises UnsupportedModel where it refuses it."""
    try:
        return CONFIG_MAPPING[stated["model_type"]].from_dict(_in_float32(stated))
    except Exception as error:  # validation by transformers, huggingface_hub and the class itself
        raise _refused(error) from error


def shapes(config: Any, stated: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor of the model in its full size, without any memory."""
    with torch.device("meta"):
        model = _made(config, stated)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def random(stated: Mapping[str, Any]) -> Any:
    """The model of config.json's content with random weights, each loud enough to be heard in the logits."""
    torch.manual_seed(_SEED)
    model = _made(configuration(stated), stated).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                weight.add_(0.2 * torch.randn_like(weight))
            else:
                table = "embed" in name or name.endswith(("wte.weight", "wpe.weight"))
                nn.init.normal_(weight, std=0.7 if table else 1.3 / math.sqrt(weight.shape[-1]))
    model.tie_weights()
    return model


def save(model: Any, folder: Path) -> None:
    """A checkpoint as transformers writes it."""
    model.save_pretrained(folder)


def run(model: Any, ids: Array, **options: Any) -> Any:
    """The outputs of ``model`` for int64 ``ids`` [batch, tokens]. Raises UnsupportedModel where it breaks down."""
    try:
        with torch.no_grad():
            return model(input_ids=torch.from_numpy(ids), **options)
    except Exception as error:  # a config that a constructor takes and no text can run through
        raise _refused(error) from error


def _in_float32(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Without the type that the weights are stored in: constants would be rounded to it."""
    kept = {key: value for key, value in stated.items() if key not in ("dtype", "torch_dtype")}
    text = kept.get("text_config")
    return {**kept, "text_config": _in_float32(text)} if isinstance(text, Mapping) else kept


def _made(config: Any, stated: Mapping[str, Any]) -> Any:
    """Raises UnsupportedModel where transformers cannot make the model."""
    listed = stated.get("architectures") or []
    name = listed[0] if listed else ""
    kind = getattr(transformers, name, None) or getattr(
        transformers, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[stated["model_type"]]
    )
    try:
        return kind._from_config(config, attn_implementation="eager")
    except Exception as error:  # whatever a model's constructor runs into
        raise _refused(error) from error


def _refused(error: Exception) -> UnsupportedModel:
    line = " ".join(str(error).split())[:200]
    return UnsupportedModel(
        f"transformers {VERSION} itself cannot run the model of this config.json: {line}",
        hint="the config has to be one that transformers runs",
    )
