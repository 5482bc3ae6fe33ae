"""Gemma 4, text: two shapes of attention, layers that read the keys of earlier ones, a vector of its own per layer."""

from __future__ import annotations

from dataclasses import replace

from edgepack.decoders import Decoder, Norm
from edgepack.decoders._rope import THETA, by_kind
from edgepack.decoders.experts import ExpertNames, Experts
from edgepack.decoders.families import _experts, gemma3_text
from edgepack.decoders.families._common import (
    Change,
    Config,
    activation,
    attention_biases,
    cap,
    llama_like,
    refuse_bidirectional,
    window,
    windows,
)
from edgepack.decoders.settings import CORRECT, SUPPORTED
from edgepack.documents import JsonDict
from edgepack.errors import ModelError, UnsupportedModel

DEFAULTS = {
    "vocab_size": 262_144, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 30,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
    "max_position_embeddings": 131_072, "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "attention_bias": False,
    "sliding_window": 512, "layer_types": None, "final_logit_softcapping": None, "use_bidirectional_attention": None,
    "vocab_size_per_layer_input": 262_144, "hidden_size_per_layer_input": 256, "attention_k_eq_v": False,
    "num_kv_shared_layers": 0, "enable_moe_block": False, "use_double_wide_mlp": False, "num_experts": None,
    "top_k_experts": None, "moe_intermediate_size": None,
}  # fmt: skip
_GLOBAL_THETA = 1_000_000.0
_ROPE = {
    "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25, "rope_theta": _GLOBAL_THETA},
    "sliding_attention": {"rope_type": "default", "rope_theta": THETA},
}  # fmt: skip
_GLOBAL_HEAD = 512  # where no file says it
IRRELEVANT = _experts.IRRELEVANT
_EXPERTS = ExpertNames(
    router="layers.{i}.router.proj", gate_up=("layers.{i}.experts.gate_up_proj",),
    down="layers.{i}.experts.down_proj", router_norm="layers.{i}.router.scale",
    each="layers.{i}.router.per_expert_scale",
)  # fmt: skip
NAMES = replace(
    gemma3_text.NAMES,
    layer_inputs="embed_tokens_per_layer",
    layer_inputs_projection="per_layer_model_projection",
    layer_inputs_norm="per_layer_projection_norm",
    input_gate="layers.{i}.per_layer_input_gate",
    input_projection="layers.{i}.per_layer_projection",
    after_input="layers.{i}.post_per_layer_input_norm",
    layer_scale="layers.{i}.layer_scalar",
)
_BESIDE = replace(
    NAMES,
    after_dense="layers.{i}.post_feedforward_layernorm_1",
    before_experts="layers.{i}.pre_feedforward_layernorm_2",
    after_experts="layers.{i}.post_feedforward_layernorm_2",
)
_PATTERN = 6  # every sixth layer sees everything


def describe(config: Config) -> Decoder:
    """Describe Gemma 4. Raises as ``changed`` does."""
    return changed(config)


def changed(config: Config, **changes: Change) -> Decoder:
    """Return the description with ``changes``. Raises UnsupportedModel, ModelError."""
    if config.get("use_bidirectional_attention") != "vision":  # which is for the tokens of an image
        refuse_bidirectional(config)
    seen, width = _windows(config), _layer_width(config)
    wide = _wide(config, seen)
    head, full_head = config.integer("head_dim"), wide["head_dim"]
    full, local = by_kind(config, head, full=_GLOBAL_THETA, local=THETA, full_head=full_head, absent=_ROPE)
    experts = _beside(config)
    names = NAMES if experts is None else _BESIDE
    names = names if width else replace(
        names, layer_inputs="", layer_inputs_projection="", layer_inputs_norm="", input_gate="", input_projection="",
        after_input="",
    )  # fmt: skip
    made = llama_like(
        config,
        names=names,
        norm=Norm(kind="rms", epsilon=config.real("rms_norm_eps")),
        activation=activation(config, "hidden_activation"),
        rotary=full,
        local_rotary=local,
        windows=seen,
        scale=1.0,
        value_norm=True,
        biases=attention_biases(config),
        embedding_scale=float(config.integer("hidden_size")) ** 0.5,
        logits_cap=cap(config, "final_logit_softcapping"),
        layer_width=width,
        experts=experts,
        **changes,
    )
    return replace(made, own=_own(config, made, wide))


def _beside(config: Config) -> Experts | None:
    """Return the experts beside each feed-forward layer, where there are some."""
    if not config.flag("enable_moe_block"):
        config.ignore("num_experts", "top_k_experts", "moe_intermediate_size")
        return None
    return Experts(
        count=config.integer("num_experts"),
        chosen=config.integer("top_k_experts"),
        width=config.integer("moe_intermediate_size"),
        activation=activation(config, "hidden_activation"),
        beside=True,
        names=(_EXPERTS,),
    )


def _windows(config: Config) -> tuple[int, ...]:
    """Return the window of each layer; 0: all. The last layer sees everything, whatever layer_types says of it."""
    layers = config.integer("num_hidden_layers")
    usual = tuple((i + 1) % _PATTERN > 0 for i in range(layers))
    found = windows(config, layers, window(config), usual) or (0,) * layers
    return (*found[:-1], 0)


def _layer_width(config: Config) -> int:
    """Raises ModelError where not every token has a row."""
    width = config.maybe("hidden_size_per_layer_input")
    rows, tokens = config.integer("vocab_size_per_layer_input"), config.integer("vocab_size")
    if width and rows != tokens:
        raise ModelError(f"config.json: vocab_size_per_layer_input is {rows:,} for {tokens:,} tokens", hint=CORRECT)
    return width or 0


def _wide(config: Config, seen: tuple[int, ...]) -> JsonDict:
    """Return the attention's shape in layers that see everything.

    Published files say it by global_head_dim and num_global_key_value_heads, transformers saves per_layer_config.
    """
    head = config.integer("global_head_dim") if "global_head_dim" in config else _GLOBAL_HEAD
    kv_heads = config.maybe("num_global_key_value_heads")
    usual = {"head_dim": config.integer("head_dim"), "kv_heads": config.integer("num_key_value_heads")}
    table = config.get("per_layer_config")
    if table is None:
        own = kv_heads if config.flag("attention_k_eq_v") else None
        return {"head_dim": head, "kv_heads": usual["kv_heads"] if own is None else own}
    stated = {int(layer): _shape(table[layer], usual) for layer in table}
    shapes = [stated.get(layer, usual) for layer in range(len(seen))]
    full = [shape for shape, width in zip(shapes, seen, strict=True) if not width]
    rest = [shape for shape, width in zip(shapes, seen, strict=True) if width]
    if any(shape != full[0] for shape in full) or any(shape != usual for shape in rest):
        raise UnsupportedModel(
            "config.json: per_layer_config gives layers of one kind heads of several shapes", hint=SUPPORTED
        )
    return full[0]


def _shape(table: Config, usual: JsonDict) -> JsonDict:
    known = {"head_dim": "head_dim", "num_key_value_heads": "kv_heads"}
    strange = next((key for key in table if key not in known), None)
    if strange is not None:
        raise UnsupportedModel(f"config.json: {strange} in per_layer_config is not supported", hint=SUPPORTED)
    return {**usual, **{known[key]: table.integer(key) for key in table}}


def _own(config: Config, made: Decoder, wide: JsonDict) -> tuple[JsonDict, ...]:
    """Return what differs by layer. Raises as ``reading`` does."""
    alike, doubled = config.flag("attention_k_eq_v"), config.flag("use_double_wide_mlp")
    found = []
    for layer, reads in enumerate(reading(config, made)):
        own: JsonDict = {} if made.window(layer) else dict(wide)
        if alike and not made.window(layer):
            own |= {"values_are_keys": True, "names": replace(made.names, qkv=made.names.qkv[:2])}
        if reads:
            own |= {**reads, "intermediate": made.intermediate * (2 if doubled else 1)}
        found.append(own)
    return tuple(found)


def reading(config: Config, made: Decoder) -> list[JsonDict]:
    """Return of each layer what it has of its own where it reads the keys of an earlier one, the last of its kind that
    makes some. Raises ModelError for layers that would read keys which nobody makes.
    """
    first = made.layers - config.integer("num_kv_shared_layers")
    kinds = [made.window(layer) > 0 for layer in range(made.layers)]
    if not 0 < first <= made.layers or set(kinds[:first]) != set(kinds):
        raise ModelError(
            f"config.json: with num_kv_shared_layers {made.layers - first} some layers have no keys to read",
            hint=CORRECT,
        )
    found: list[JsonDict] = []
    for layer, local in enumerate(kinds):
        read = max((other for other in range(first) if kinds[other] == local), default=0)
        names = replace(made.names, qkv=made.names.qkv[:1], key_norm="")
        found.append({"reads": read, "names": names} if layer >= first else {})
    return found
