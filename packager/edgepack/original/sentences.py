"""A sentence encoder in PyTorch: a transformer with the modules that sentence-transformers puts behind it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgepack import weights
from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import DamagedWeights, UnsafeModel
from edgepack.runtime.processing import Text
from edgepack.tasks._sentence_folder import SentenceFolder


class SentenceEncoder(nn.Module):
    """An encoder with its pooling, projections and normalisation.

    ``sentence_embedding`` is float32 [batch, width]; mean pooling as in Reimers & Gurevych 2019. ``modules`` stand
    behind the encoder; ``folder`` holds the weights of Dense and LayerNorm. Raises DamagedWeights, UnsafeModel.
    """

    def __init__(self, encoder: nn.Module, text: Text, modules: SentenceFolder, folder: Path) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        self.accepts_types = "token_type_ids" in text.inputs
        pooling, *layers = modules.layers
        known = {**_POOLINGS, **_ENDS[text.padding_side]}
        self.poolings = [known[mode] for mode in pooling["modes"]]
        self.truncate = modules.truncate
        self.layers = nn.Sequential(*[_LAYERS[layer["kind"]](layer, folder) for layer in layers])

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return ``last_hidden_state`` [batch, tokens, hidden] and ``sentence_embedding`` [batch, width]."""
        types = {"token_type_ids": token_type_ids} if self.accepts_types else {}
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = [pool(hidden, mask) for pool in self.poolings]
        vector = self.layers(pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=-1))
        if self.truncate is not None:
            vector = vector[:, : self.truncate]
        return {"last_hidden_state": hidden, "sentence_embedding": vector}


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


def _mean_sqrt(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9).sqrt()


def _weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Average so that later tokens weigh more, by their place in the batch (Muennighoff 2022)."""
    weighted = mask * torch.ones_like(mask).cumsum(1)
    return (hidden * weighted).sum(1) / weighted.sum(1).clamp(min=1e-9)


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask - 1e9 * (1 - mask)).max(1).values


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, 0]


def _first_after_padding(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask * (mask.cumsum(1) == 1).to(mask.dtype)).sum(1)


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden[:, -1]


def _last_before_padding(hidden: Tensor, mask: Tensor) -> Tensor:
    return (hidden * mask * (mask.cumsum(1) == mask.sum(1, keepdim=True)).to(mask.dtype)).sum(1)


_POOLINGS = {"max": _max, "mean": _mean, "mean_sqrt_len_tokens": _mean_sqrt, "weightedmean": _weighted_mean}
# by the side that is padded, since the plain form needs the fewest operators; coremltools cannot convert a gather here
_ENDS = {
    "left": {"cls": _first_after_padding, "lasttoken": _last},
    "right": {"cls": _first, "lasttoken": _last_before_padding},
}


class _Normalize(nn.Module):
    def __init__(self, layer: JsonObject, folder: Path) -> None:
        super().__init__()

    def forward(self, vector: Tensor) -> Tensor:
        return functional.normalize(vector, p=2.0, dim=1)


class _Dense(nn.Module):
    def __init__(self, layer: JsonObject, folder: Path) -> None:
        super().__init__()
        self.linear = nn.Linear(layer["in"], layer["width"], bias=layer["bias"])
        self.activation = getattr(nn, layer["activation"])()
        _load(self.linear, "linear", folder / layer["folder"])

    def forward(self, vector: Tensor) -> Tensor:
        activated: Tensor = self.activation(self.linear(vector))
        return activated


class _LayerNorm(nn.Module):
    def __init__(self, layer: JsonObject, folder: Path) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(layer["width"])
        _load(self.norm, "norm", folder / layer["folder"])

    def forward(self, vector: Tensor) -> Tensor:
        normed: Tensor = self.norm(vector)
        return normed


_LAYERS: JsonDict = {"normalize": _Normalize, "dense": _Dense, "layer_norm": _LayerNorm}


def _load(module: nn.Module, prefix: str, folder: Path) -> None:
    """Load the weights of ``folder``, all of them and no others."""
    try:
        files = weights.files(folder)
    except UnsafeModel as error:
        raise UnsafeModel(
            f"the module {folder.name} of modules.json has only pickled weights, which run code when they are loaded",
            hint="save the model again where you trust it: SentenceTransformer(FOLDER).save_pretrained(OTHER)",
        ) from error
    stored = {tensor.name: tensor for file in files for tensor in weights.tensors(file)}
    wanted = {f"{prefix}.{name}": value for name, value in module.state_dict().items()}
    for name in sorted(set(stored) ^ set(wanted)):
        raise DamagedWeights(
            f"{folder} {'lacks' if name in wanted else 'has an unexpected'} weight {name!r}",
            hint="save the model again: SentenceTransformer(FOLDER).save_pretrained(FOLDER)",
        )
    for name, value in wanted.items():
        if stored[name].shape != tuple(value.shape):
            raise DamagedWeights(
                f"{folder}: the weight {name!r} has the shape {stored[name].shape}",
                hint="save the model again: SentenceTransformer(FOLDER).save_pretrained(FOLDER)",
            )
        value.copy_(torch.from_numpy(weights.read(stored[name])))
