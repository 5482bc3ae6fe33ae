"""Parts that the descriptions share: the reading of config.json's usual words, and LLaMA's names."""

from __future__ import annotations

from typing import Any

from edgepack.decoders import Decoder, Names, Norm
from edgepack.decoders._rope import THETA, rotary
from edgepack.decoders.settings import CORRECT, SUPPORTED, Settings
from edgepack.documents import JsonDict
from edgepack.errors import ModelError, UnsupportedModel

Config = Settings
Change = Any  # a value of one of Decoder's fields, each of which has a type of its own
# By transformers' names. gelu_new, gelu_fast and gelu_accurate are spellings of one formula.
_ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_python": "gelu", "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh", "gelu_accurate": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu",
    "relu2": "relu2",
}  # fmt: skip

LLAMA = Names(
    prefixes=("model.", "language_model.model.", "model.language_model.", ""),
    embedding="embed_tokens",
    final="norm",
    norm1="layers.{i}.input_layernorm",
    norm2="layers.{i}.post_attention_layernorm",
    qkv=tuple(f"layers.{{i}}.self_attn.{part}_proj" for part in "qkv"),
    o_proj="layers.{i}.self_attn.o_proj",
    gate_up=("layers.{i}.mlp.gate_proj", "layers.{i}.mlp.up_proj"),
    down="layers.{i}.mlp.down_proj",
    heads=("lm_head", "language_model.lm_head"),
)


def activation(config: Config, key: str) -> str:
    """Return the activation that ``key`` names. Raises UnsupportedModel."""
    name = config.text(key)
    if name not in _ACTIVATIONS:
        raise UnsupportedModel(f"the activation {name!r} is not supported", hint=f"known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def biases(**stated: bool) -> frozenset[str]:
    """Return the roles that have biases."""
    return frozenset(role for role, has in stated.items() if has)


def attention_biases(config: Config) -> frozenset[str]:
    """Return biases of q, k, v and the output, where attention_bias says so."""
    stated = config.flag("attention_bias")
    return biases(qkv=stated, o_proj=stated)


def cap(config: Config, key: str) -> float:
    """Return 0 where there is none. Raises ModelError for a cap that leaves nothing."""
    if config.get(key) is None:
        return 0.0
    return above_zero(config, key, "null means no cap")


def above_zero(config: Config, key: str, otherwise: str = "it must be above 0") -> float:
    """Return a number. Raises ModelError for one that is not above 0."""
    value = config.real(key)
    if value <= 0:
        raise ModelError(f"config.json: {key} is {value}; {otherwise}", hint=CORRECT)
    return value


def layer_norm(config: Config, key: str) -> Norm:
    """Return LayerNorm with the epsilon at ``key``."""
    return Norm(kind="layer", epsilon=config.real(key))


def llama_like(
    config: Config, *, theta: float = THETA, part: tuple[str, float] | None = None, **changes: Change
) -> Decoder:
    """Return a decoder with LLaMA's numbers and names, and ``changes``.

    ``theta`` is the class's own rotary base, ``part`` the key and the default of the share of a head that turns.
    """
    heads, hidden = config.integer("num_attention_heads"), config.integer("hidden_size")
    kv_heads, stated = config.maybe("num_key_value_heads"), config.maybe("head_dim")
    head = hidden // heads if stated is None else stated
    facts: JsonDict = {
        "model_type": str(config.get("model_type")),
        "names": LLAMA,
        "layers": config.integer("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": heads if kv_heads is None else kv_heads,
        "head_dim": head,
        "vocabulary": config.integer("vocab_size"),
        "longest": config.integer("max_position_embeddings"),
        "tied": config.flag("tie_word_embeddings"),
    }
    if "intermediate" not in changes:
        facts["intermediate"] = config.integer("intermediate_size")
    if "activation" not in changes:
        facts["activation"] = activation(config, "hidden_act")
    if "norm" not in changes:
        facts["norm"] = Norm(kind="rms", epsilon=config.real("rms_norm_eps"))
    if "rotary" not in changes:
        facts["rotary"] = rotary(config, head, usual=theta, part=part)
    return Decoder(**facts | changes)


def window(config: Config) -> int | None:
    """Return sliding_window: how many tokens a layer sees, its own included; None for all.

    Raises ModelError below 2.
    """
    width = config.maybe("sliding_window")
    if width is not None and width < 2:  # transformers' own cache breaks down with 1
        raise ModelError(
            f"config.json: sliding_window is {width}; it must be at least 2, or null for no window", hint=CORRECT
        )
    return width


def places(config: Config, layers: int, kind: str) -> tuple[bool, ...]:
    """Return whether each layer is of ``kind`` by layer_types; the others have full attention.

    Raises UnsupportedModel for other kinds of layers, ModelError where not each layer has one.
    """
    kinds = config.get("layer_types")
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise ModelError(f"config.json: layer_types does not have {layers} entries, one per layer", hint=CORRECT)
    strange = next((each for each in kinds if each not in ("full_attention", kind)), None)
    if strange is not None:
        raise UnsupportedModel(
            f"layers of the kind {strange!r} are not supported (config.json's layer_types)", hint=SUPPORTED
        )
    return tuple(each == kind for each in kinds)


def windows(config: Config, layers: int, width: int | None, usual: tuple[bool, ...]) -> tuple[int, ...]:
    """Return the window of each layer: ``width`` where layer_types says so, or ``usual`` where it says nothing; 0: all.

    Raises UnsupportedModel for other kinds of layers, ModelError where a window has no width.
    """
    stated = config.get("layer_types") is not None
    sliding = places(config, layers, "sliding_attention") if stated else usual
    if any(sliding) and width is None:
        raise ModelError(
            "config.json: layer_types has sliding_attention, and no sliding_window applies",
            hint="see sliding_window, and use_sliding_window in Qwen's; transformers refuses this model too",
        )
    return tuple(width or 0 if place else 0 for place in sliding) if any(sliding) else ()


def refuse_bidirectional(config: Config) -> None:
    """Raises UnsupportedModel for a model whose tokens see those that follow them: it cannot generate."""
    if config.get("use_bidirectional_attention"):
        raise UnsupportedModel(
            "use_bidirectional_attention: every token of this model sees those that follow it, so it is an encoder",
            hint="it can be built as a text encoder: --task text-embedding",
        )
