"""The original: a Hugging Face model in PyTorch, as the bundle's graph will present it.

The module that is returned has the graph's outputs: pooling and normalisation are part of it, so that the
export, the reference outputs and the golden vectors come from one definition.
"""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import transformers.utils.import_utils

# transformers asks for scikit-learn on import, which takes a second, for speculative decoding, which we do not do
transformers.utils.import_utils._sklearn_available = False

import torch  # noqa: E402
import transformers  # noqa: E402
import transformers.models.auto.modeling_auto  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from edgepack.errors import DamagedWeights, UnsupportedModel  # noqa: E402
from edgepack.records import Source  # noqa: E402
from edgepack.runtime.types import Outputs  # noqa: E402

gc.freeze()  # what the imports made stays: later collections need not look at it again
# transformers says through logging what it could not match; it is checked below instead
logging.getLogger("transformers").setLevel(logging.ERROR)
transformers.utils.logging.disable_progress_bar()


def open_module(source: Source, task: ModuleType) -> nn.Module:
    """The module of ``source``; see open_path."""
    return open_path(source.path, source.model_type, source.name, task)


def open_path(path: Path | str, model_type: str, name: str, task: ModuleType) -> nn.Module:
    """The model in evaluation mode, float32, from safetensors, with no code of its own.

    Raises UnsupportedModel, DamagedWeights (weights missing from the file, or not finite).
    """
    auto = getattr(transformers, task.AUTO)
    known = transformers.models.auto.configuration_auto.CONFIG_MAPPING
    if model_type not in known:
        raise UnsupportedModel(
            f"{name}: model_type {model_type!r} is not one that transformers {transformers.__version__} knows",
            hint="see the list of architectures in docs/how-it-works.md",
        )
    try:
        model, report = auto.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (ValueError, RuntimeError, KeyError) as error:
        line = str(error).splitlines()[0]
        raise UnsupportedModel(f"{name} cannot be opened as {task.AUTO}: {line}") from error
    _check_loaded(model, report, name)
    processing = task.processing(Path(path), model.config.to_dict())
    wrap = _WRAPPERS.get(task.NAME)
    module: nn.Module = wrap(model, processing) if wrap else model
    return module.eval()


def run(module: nn.Module, feeds: Mapping[str, np.ndarray], names: tuple[str, ...]) -> Outputs:
    """The outputs ``names`` of ``module`` for ``feeds`` (input name -> array), as float32 arrays."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = module(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    return {name: outputs[name].float().numpy() for name in names if name in outputs}


def _check_loaded(model: nn.Module, report: Mapping[str, Any], name: str) -> None:
    missing = [key for key in report["missing_keys"] if not key.startswith(("pooler.", "vit.pooler."))]
    if missing or report["mismatched_keys"]:
        raise DamagedWeights(
            f"{name}: the weights lack {missing[0] if missing else report['mismatched_keys'][0][0]!r}",
            hint="the checkpoint and its config.json do not belong together, or the task is another",
        )
    for weight, tensor in model.named_parameters():
        if not torch.isfinite(tensor).all():
            raise DamagedWeights(f"{name}: the weight {weight!r} holds NaN or infinity")


class SentenceEncoder(nn.Module):
    """An encoder with sentence-transformers' pooling and normalisation.

    ``sentence_embedding`` is float32 [batch, hidden]; mean pooling as in Reimers & Gurevych 2019.
    """

    def __init__(self, encoder: nn.Module, processing: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        self.pooling, self.normalize = processing["pooling"], processing["normalize"]
        self.accepts_types = "token_type_ids" in processing["inputs"]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """``last_hidden_state`` [batch, tokens, hidden] and ``sentence_embedding`` [batch, hidden]."""
        types = {"token_type_ids": token_type_ids} if self.accepts_types else {}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        pooled = _POOLINGS[self.pooling](hidden, attention_mask.unsqueeze(-1).to(hidden.dtype))
        if self.normalize:
            pooled = functional.normalize(pooled, p=2.0, dim=1)
        return {"last_hidden_state": hidden, "sentence_embedding": pooled}


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


def _mean_sqrt(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9).sqrt()


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask - 1e9 * (1 - mask)).max(1).values


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, 0]


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    index = (mask.sum(1).long() - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, hidden.shape[-1])
    return hidden.gather(1, index).squeeze(1)


_POOLINGS = {"mean": _mean, "mean_sqrt_len": _mean_sqrt, "max": _max, "cls": _first, "lasttoken": _last}


class ImageEncoder(nn.Module):
    """A vision encoder with ``image_embedding`` float32 [batch, hidden] beside what it has.

    The embedding is the projection where the model has one (CLIP), else the pooled output, else the first
    token, as the model's authors use it.
    """

    def __init__(self, encoder: nn.Module, processing: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """``last_hidden_state`` [batch, tokens, hidden] and ``image_embedding`` [batch, hidden]."""
        outputs = self.encoder(pixel_values=pixel_values)
        found = [outputs.get(name) for name in ("image_embeds", "pooler_output")]
        embedding = next((value for value in found if value is not None), None)
        if embedding is None:
            embedding = outputs.last_hidden_state[:, 0]
        return {"last_hidden_state": outputs.last_hidden_state, "image_embedding": embedding.flatten(1)}


_WRAPPERS = {"text-embedding": SentenceEncoder, "image-embedding": ImageEncoder}
