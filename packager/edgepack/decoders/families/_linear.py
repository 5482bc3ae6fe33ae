"""Parts that families with linear attention share: Qwen 3.5 and Qwen 3-Next."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Norm
from edgepack.decoders._rope import rotary
from edgepack.decoders.families._common import Change, Config, activation, attention_biases, llama_like, places
from edgepack.decoders.families.qwen3 import NAMES as QWEN3
from edgepack.decoders.linear import Linear, LinearNames
from edgepack.decoders.settings import CORRECT, SUPPORTED
from edgepack.documents import JsonDict
from edgepack.errors import ModelError, UnsupportedModel

DEFAULTS = {
    "num_attention_heads": 16, "hidden_act": "silu", "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False, "attention_bias": False, "head_dim": 256, "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
    "linear_num_value_heads": 32, "layer_types": None,
}  # fmt: skip
# Published files say them of the heads that guess several tokens at once, which transformers leaves out (mtp.…).
IRRELEVANT = ("mtp_num_hidden_layers", "mtp_use_dedicated_embeddings", "mamba_ssm_dtype")
NEUTRAL = {"attn_output_gate": True}
_INTERVAL = 4  # full_attention_interval, which is no field of transformers' classes
_SHARE = ("partial_rotary_factor", 0.25)
NAMES = replace(QWEN3, beside=("mtp.", "model.visual."))
_MODULE = "layers.{i}.linear_attn"


def names(inputs: tuple[str, ...], rates: tuple[str, ...]) -> LinearNames:
    """Return the names of a layer's tensors, of which those families call two their own way."""
    return LinearNames(
        inputs=tuple(f"{_MODULE}.{name}" for name in inputs),
        rates=tuple(f"{_MODULE}.{name}" for name in rates),
        kernel=f"{_MODULE}.conv1d",
        decay=f"{_MODULE}.A_log",
        step=f"{_MODULE}.dt_bias",
        norm=f"{_MODULE}.norm",
        out=f"{_MODULE}.out_proj",
    )


def gated(config: Config, of_linear: LinearNames, *, grouped: bool = False, **changes: Change) -> Decoder:
    """Return Qwen 3 with gated attention in some layers and linear attention in the others, and ``changes``.

    Raises UnsupportedModel for other kinds of layers and other activations, ModelError.
    """
    if activation(config, "hidden_act") != "silu":
        raise UnsupportedModel(
            f"linear attention with the activation {config.text('hidden_act')!r} is not supported, only silu",
            hint=SUPPORTED,
        )
    own: JsonDict = {
        "linear": _sizes(config, of_linear, grouped=grouped),
        "names": replace(NAMES, qkv=(), o_proj="", query_norm="", key_norm=""),
        "packing": "rows",
    }
    places = _places(config)
    return llama_like(
        config,
        names=NAMES,
        norm=Norm(kind="rms", epsilon=config.real("rms_norm_eps"), offset=1.0),
        rotary=rotary(config, config.integer("head_dim"), part=_SHARE),
        packing="gated",
        biases=attention_biases(config),
        own=tuple(own if place else {} for place in places) if any(places) else (),
        **changes,
    )


def _sizes(config: Config, of_linear: LinearNames, *, grouped: bool) -> Linear:
    keys = {
        "key_heads": "linear_num_key_heads", "value_heads": "linear_num_value_heads",
        "key_head": "linear_key_head_dim", "value_head": "linear_value_head_dim", "kernel": "linear_conv_kernel_dim",
    }  # fmt: skip
    sizes = {name: config.integer(key) for name, key in keys.items()}
    for name, least in {**dict.fromkeys(keys, 1), "kernel": 2}.items():
        if sizes[name] < least:
            raise ModelError(f"config.json: {keys[name]} is {sizes[name]}; it must be at least {least}", hint=CORRECT)
    if sizes["value_heads"] % sizes["key_heads"]:
        raise ModelError(
            f"config.json: {sizes['value_heads']} heads of values cannot share {sizes['key_heads']} of keys "
            "(linear_num_value_heads, linear_num_key_heads)",
            hint=CORRECT,
        )
    return Linear(names=of_linear, grouped=grouped, **sizes)


def _places(config: Config) -> tuple[bool, ...]:
    """Return whether each layer is one of linear attention: by layer_types, or all but every full_attention_interval-th
    where there are none.
    """
    layers = config.integer("num_hidden_layers")
    if config.get("layer_types") is None:
        interval = config.integer("full_attention_interval") if "full_attention_interval" in config else _INTERVAL
        if interval < 1:
            raise ModelError(f"config.json: full_attention_interval is {interval}; it must be at least 1", hint=CORRECT)
        return tuple((layer + 1) % interval > 0 for layer in range(layers))
    config.ignore("full_attention_interval")
    return places(config, layers, "linear_attention")
