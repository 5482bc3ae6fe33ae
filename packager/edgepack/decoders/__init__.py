"""How each family of language models is laid out, as data: one module per ``model_type``, found by its name.

A module has ``describe(config) -> Decoder``. The ONNX emitter, the reference in numpy and the memory estimate all
read the same description, and none of them knows a family by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgepack import plugins
from edgepack.errors import ModelError, UnsupportedModel

SHARED = ("checkpoint", "rotary")  # modules that are no family


@dataclass(frozen=True, kw_only=True)
class Norm:
    """RMSNorm (Zhang & Sennrich 2019) or LayerNorm (Ba et al. 2016) over the last dimension."""

    kind: str  # rms | layer
    epsilon: float
    offset: float = 0.0  # added to the stored weight; Gemma stores w - 1


@dataclass(frozen=True, kw_only=True)
class Rotary:
    """Rotary position embedding (Su et al. 2021) in halves, over the first ``width`` dimensions of each head."""

    base: float
    width: int
    scaling: Mapping[str, Any] = field(default_factory=dict)  # config.json's rope_scaling
    trained: int = 0  # the length that a scaling starts from
    longest: int = 0  # the length that it reaches


@dataclass(frozen=True, kw_only=True)
class Names:
    """Where a layer's tensors lie: module paths without ".weight" and ".bias", {i} for the layer.

    Several paths of one role lie below each other as rows: q, k, v or gate, up.
    """

    prefixes: tuple[str, ...]  # in front of every path but the head's; the first that fits counts
    embedding: str
    final: str
    norm1: str
    norm2: str
    qkv: tuple[str, ...]
    out: str
    inner: tuple[str, ...]  # gate and up, or the one product before the activation
    down: str
    positions: str = ""
    query_norm: str = ""
    key_norm: str = ""
    after_attention: str = ""  # a norm of the branch, before it joins the residual
    after_mlp: str = ""
    heads: tuple[str, ...] = ("lm_head",)


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """A decoder-only transformer."""

    model_type: str
    names: Names
    layers: int
    hidden: int
    heads: int
    kv_heads: int  # grouped-query attention (Ainslie et al. 2023); the same as heads without it
    head: int  # width of one head
    inner: int  # width of the feed-forward layer
    vocabulary: int
    context: int  # the longest sequence that the model was made for
    norm: Norm
    activation: str  # silu | gelu | gelu_tanh | relu
    gated: bool = True
    rotary: Rotary | None = None
    local_rotary: Rotary | None = None  # of the layers with a window, where it differs
    windows: tuple[int, ...] = ()  # tokens that a layer looks back at, by layer; 0: all
    parallel: bool = False  # attention and feed-forward read the same residual and add to it together
    tied: bool = False  # the head is the embedding
    transposed: bool = False  # weights are stored [in, out] (Conv1D)
    interleaved: bool = False  # packed q, k, v change with every head
    scale: float = 0.0  # of q k; 0: 1 / sqrt(head)
    attention_cap: float = 0.0  # scores are cap * tanh(score / cap)
    logits_cap: float = 0.0
    embedding_scale: float = 1.0

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head

    @property
    def key(self) -> int:
        """Width of all key heads, and of all value heads."""
        return self.kv_heads * self.head

    @property
    def scaling(self) -> float:
        """The factor of q k."""
        return self.scale or self.head**-0.5

    def window(self, layer: int) -> int:
        """How many tokens ``layer`` looks back at, its own included; 0: all."""
        return self.windows[layer] if self.windows else 0

    def rotary_of(self, layer: int) -> Rotary | None:
        """The rotary embedding of ``layer``."""
        return self.local_rotary if self.local_rotary and self.window(layer) else self.rotary

    def cache_bytes(self, tokens: int) -> int:
        """Bytes of float32 keys and values for ``tokens``."""
        return 2 * 4 * self.layers * self.key * tokens


def describe(config: Mapping[str, Any]) -> Decoder:
    """The description of a model by its config.json.

    Raises UnsupportedModel (naming the families that are known), ModelError where the config lacks a number.
    """
    kind = str(config.get("model_type", ""))
    known = plugins.names("decoders")
    if kind.replace("_", "-") not in known:
        listed = ", ".join(name.replace("-", "_") for name in known)
        raise UnsupportedModel(
            f"edgepack has no language model family {kind!r}",
            hint=f"it supports {listed}; see docs/supported-models.md",
        )
    try:
        described: Decoder = plugins.load("decoders", kind.replace("_", "-")).describe(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        wrong = next((key for key in _NUMBERS if key in config and not _number(config[key])), error)
        raise ModelError(f"config.json of this {kind} lacks or misstates {wrong}") from error
    _check(described)
    return described


# What the families read as numbers; null or a text in their place is told by its name.
_NUMBERS = (
    "hidden_size", "n_embd", "num_hidden_layers", "n_layer", "num_attention_heads", "n_head", "intermediate_size",
    "vocab_size", "max_position_embeddings", "n_positions", "head_dim", "num_key_value_heads", "rms_norm_eps",
    "layer_norm_eps", "layer_norm_epsilon", "rope_theta", "rotary_pct", "partial_rotary_factor",
)  # fmt: skip


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check(decoder: Decoder) -> None:
    """Raises ModelError for numbers that no model has."""
    for name in ("layers", "hidden", "heads", "kv_heads", "head", "inner", "vocabulary", "context"):
        if getattr(decoder, name) < 1:
            raise ModelError(f"config.json: {name.replace('_', ' ')} of {getattr(decoder, name)}; there is 1 at least")
    if decoder.heads % decoder.kv_heads:
        raise ModelError(f"config.json: {decoder.heads} heads cannot share {decoder.kv_heads} key heads")
    if decoder.windows and len(decoder.windows) != decoder.layers:
        raise ModelError(f"config.json: layer_types names {len(decoder.windows)} layers of {decoder.layers}")
