"""A config.json with small sizes and all of its meaning: what a layer's number, a window or a table decides stays."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from edgepack.documents import Json, JsonDict, JsonObject
from edgepack.original.library import PretrainedConfig

_WIDEST = 64  # tokens of a window that is kept as it is
_WINDOW = 20  # tokens of a wider one: its edge means the same
_TRAINED = 24  # tokens of longrope's first length: longer texts than that turn otherwise
_RATIO = 4  # queries that share a key, up to which two keys are kept
_FEW = 8  # layers at most before a list of kinds is thinned out
_EXPERTS, _CHOSEN = 6, 4
_VOCABULARY, _INNER = 256, 80
_KEYS = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers"), "heads": ("num_attention_heads", "n_head", "n_heads"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "inner": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "block_ff_dim"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads"),
}  # fmt: skip
_SQUARE = ("helium",)  # the output of attention has as many inputs as the layers are wide, whatever a head is
_NO_TEXT = 1  # the token of images and sounds, which no text that is compared holds
_PROJECTED = 24  # width of an embedding that is not the layers'
_LINEAR = {"linear_key_head_dim": 24, "linear_value_head_dim": 16}
_VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
           "image_size": 28, "patch_size": 14}  # fmt: skip
_TOWER = {"depth": 1, "num_heads": 2}  # the same by Qwen's names


def shrink(stated: JsonObject, full: PretrainedConfig) -> JsonDict:
    """Return ``stated`` (config.json's content) with small sizes; ``full`` is transformers' own reading of its text
    part.
    """
    if not isinstance(stated.get("text_config"), Mapping) and "vision_config" not in stated:
        return _text(stated, full)
    tower = stated.get("vision_config", {})
    vision = None if tower is None else {**tower, **_VISION, **{key: _TOWER[key] for key in _TOWER if key in tower}}
    tokens = {key: _NO_TEXT for key in stated if key.endswith(("_token_index", "_token_id")) and key != "eos_token_id"}
    small = {**stated, **tokens, "vision_config": vision, "mm_tokens_per_image": 4}
    return {**small, "text_config": _text(stated.get("text_config") or {}, full)}


def _text(stated: JsonObject, full: PretrainedConfig) -> JsonDict:
    small = copy.deepcopy(dict(stated))
    full.allow_global_per_layer_attribute_access = True  # of layers that differ; they are looked at by themselves
    heads, head = _heads(full)
    of_kv = _known("kv_heads", full)
    kv_heads = getattr(full, of_kv[0], None) if _has(full, of_kv[0]) else None
    few = min(heads, 2)
    if kv_heads and heads % kv_heads == 0:  # the ratio stays
        ratio = heads // kv_heads
        groups = min(kv_heads, 2 if ratio <= _RATIO else 1)
        few = groups * ratio
        _set(small, of_kv, groups)
    own = (stated.get("head_dim") is not None or _has_own_head(full)) and full.model_type not in _SQUARE
    hidden = few * ((16 if head != 16 else 24) if own else head)
    _set(small, _known("heads", full), few)
    _set(small, _known("hidden", full), hidden)
    _set(small, ("vocab_size",), min(full.vocab_size, _VOCABULARY))
    inner = getattr(full, _known("inner", full)[0], None)
    if isinstance(inner, int):
        _set(small, _known("inner", full), min(inner, _INNER))
    _experts(small, full)
    if _has(full, "linear_num_key_heads"):
        _linear(small, full)
    if _has(full, "word_embed_proj_dim"):
        small["word_embed_proj_dim"] = None if full.word_embed_proj_dim == full.hidden_size else _PROJECTED
    small |= {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": None}  # of no meaning for logits
    if _has(full, "num_kv_shared_layers"):
        _shared_layers(small, full)
    else:
        _layers(small, full)
    _lengths(small, full)
    return small


def experts(full: PretrainedConfig) -> tuple[int, int]:
    """Return how many experts a layer has, and how many of them a token is sent to; 0 where there are none."""
    count = getattr(full, "num_local_experts", getattr(full, "num_experts", None))
    return int(count or 0), int(getattr(full, _chosen(full), None) or 0)


def _chosen(full: PretrainedConfig) -> str:
    return "top_k_experts" if _has(full, "top_k_experts") else "num_experts_per_tok"


def _experts(small: JsonDict, full: PretrainedConfig) -> None:
    """Keep a few experts, and of those that a token is sent to some but not all of them."""
    count, chosen = experts(full)
    if not count or not chosen:
        return
    few = min(count, max(_EXPERTS, 2 * min(chosen, _CHOSEN)))
    usual = "num_local_experts" if hasattr(full, "num_local_experts") else "num_experts"
    key = next((key for key in ("num_experts", "num_local_experts") if key in small), usual)
    small |= {key: few, _chosen(full): min(chosen, _CHOSEN, few)}
    if _has(full, "num_dense_layers"):  # one of them is kept, where others follow
        dense = int(full.num_dense_layers)
        small["num_dense_layers"] = dense if dense >= full.num_hidden_layers else min(dense, 1)
    for key in ("moe_intermediate_size", "shared_expert_intermediate_size"):
        if _has(full, key):
            small[key] = min(int(getattr(full, key)), _INNER)


def _linear(small: JsonDict, full: PretrainedConfig) -> None:
    """Keep two heads of keys of linear attention, each with as many heads of values, and its narrower heads."""
    keys, each = int(full.linear_num_key_heads), int(full.linear_num_value_heads // full.linear_num_key_heads)
    small |= {"linear_num_key_heads": min(keys, 2), "linear_num_value_heads": min(keys, 2) * each}
    for key, width in _LINEAR.items():
        small[key] = min(int(getattr(full, key)), width)


def _shared_layers(small: JsonDict, full: PretrainedConfig) -> None:
    """Keep a layer of each kind that makes keys and one that reads them, in their order, with what each has itself."""
    total, first = int(full.num_hidden_layers), int(full.num_hidden_layers - full.num_kv_shared_layers)
    kinds = [(kind, layer >= first) for layer, kind in enumerate(full.layer_types)]
    kept = sorted({1, total - 1, *map(kinds.index, dict.fromkeys(kinds))} & set(range(total)))
    small |= {
        "pad_token_id": 0,  # whose embedding the whole model puts in the place of an image
        "num_hidden_layers": len(kept), "layer_types": [kinds[layer][0] for layer in kept],
        "num_kv_shared_layers": sum(layer >= first for layer in kept),
        "vocab_size_per_layer_input": small["vocab_size"],
    }  # fmt: skip
    if full.hidden_size_per_layer_input:
        small["hidden_size_per_layer_input"] = _PROJECTED
    if _has(full, "laurel_rank"):
        sparse = full.activation_sparsity_pattern
        small |= {
            "laurel_rank": min(full.laurel_rank, _PROJECTED),
            "intermediate_size": [min(full.intermediate_size[layer], _INNER + layer % 2) for layer in kept],
            "activation_sparsity_pattern": [sparse[layer] for layer in kept],
            "vocab_size_per_layer_input": small["vocab_size"] - (full.vocab_size > full.vocab_size_per_layer_input),
        }
    if small.get("num_global_key_value_heads"):
        small["num_global_key_value_heads"] = 1
    if small.get("per_layer_config"):
        shapes = [full.per_layer_config[layer] for layer in kept]
        groups = small["num_key_value_heads"]
        small["per_layer_config"] = {
            str(layer): {"head_dim": shape.head_dim,
                         "num_key_value_heads": groups if shape.num_key_value_heads == full.num_key_value_heads else 1}
            for layer, shape in enumerate(shapes)
        }  # fmt: skip


def _known(role: str, full: PretrainedConfig) -> tuple[str, ...]:
    own = [key for key in _KEYS[role] if _has(full, key)]
    return (own[0],) if own else (_KEYS[role][0],)


def _set(small: JsonDict, keys: tuple[str, ...], value: Json) -> None:
    aliases = {key: value for pair in _KEYS.values() for key in pair if set(pair) & set(keys) and key in small}
    small |= {keys[0]: value} | aliases


def _heads(full: PretrainedConfig) -> tuple[int, int]:
    heads = int(full.num_attention_heads)
    head = getattr(full, "head_dim", None)
    return heads, int(full.hidden_size // heads if head is None else head)


def _has(full: PretrainedConfig, key: str) -> bool:
    return key in type(full).__dataclass_fields__


def _has_own_head(full: PretrainedConfig) -> bool:
    default = type(full).__dataclass_fields__.get("head_dim")
    return default is not None and isinstance(default.default, int)


def _layers(small: JsonDict, full: PretrainedConfig) -> None:
    """Keep the first layers that have every kind among them, two at least; a long list of kinds is thinned out."""
    total = int(full.num_hidden_layers)
    listed = {key: list(getattr(full, key, None) or ["same"] * total) for key in ("layer_types", "no_rope_layers")}
    kinds = list(zip(*listed.values(), strict=True))
    first_seen = [kinds.index(kind) + 1 for kind in dict.fromkeys(kinds)]
    count = min(max(*first_seen, 3, len(first_seen) + 1), total)
    stated = [key for key in listed if small.get(key)]
    if count > _FEW and stated:
        kept = sorted({*(place - 1 for place in first_seen), 1, total - 1})
        small |= {key: [listed[key][place] for place in kept] for key in stated}
        count = len(kept)
    elif stated:
        small |= {key: listed[key][:count] for key in stated}
    elif count > _FEW and _has(full, "max_window_layers"):
        small["max_window_layers"], count = 2, 3
    _set(small, _known("layers", full), count)


def _lengths(small: JsonDict, full: PretrainedConfig) -> None:
    window = getattr(full, "sliding_window", None)
    if isinstance(window, int) and window > _WIDEST:
        small["sliding_window"] = _WINDOW
    for table in (small.get("rope_scaling"), small.get("rope_parameters"), small):
        if table and _longrope(small) and isinstance(table.get("original_max_position_embeddings"), int):
            table["original_max_position_embeddings"] = _TRAINED


def _longrope(small: JsonObject) -> bool:
    tables = (small.get("rope_scaling") or {}, small.get("rope_parameters") or {})
    return any({"long_factor", "short_factor"} & set(table) for table in tables)
