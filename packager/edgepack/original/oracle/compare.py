"""Comparison of a description with transformers' reading of the same config: shapes, angles, logits."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgepack.arrays import Array
from edgepack.decoders import Decoder, Rotary
from edgepack.decoders.checkpoint import Checkpoint
from edgepack.decoders.rotary import attention_factor, frequencies
from edgepack.documents import Json
from edgepack.original.decoder import Reference
from edgepack.original.library import PretrainedConfig
from edgepack.original.oracle.models import run
from edgepack.original.oracle.shrink import experts

_TOWER = re.compile(r"_tower\.|(?:^|\.)visual\.")  # of images and sounds
_ROUNDED = 4e-7  # of an angle: transformers computes them in float32
_TOKENS = 36  # of a text, at least
LAYERS = 2  # of a model in its full size that are compared
_PAST = 9  # tokens beyond a window's or a length's end


def shapes(decoder: Decoder, full: Mapping[str, tuple[int, ...]]) -> str:
    """Return the first size in which the description and the model differ; "" for none."""
    d, names = decoder, decoder.names
    prefix = next((p for p in names.prefixes if f"{p}{names.embedding}.weight" in full), names.prefixes[0])

    def matrix(*paths: str) -> tuple[int, ...]:
        found = [full[f"{prefix}{path}.weight"] for path in paths]
        found = [shape[::-1] if d.transposed and paths[0] != names.embedding else shape for shape in found]
        return (sum(shape[0] for shape in found), *found[0][1:])

    wanted: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
        "embedding": ((d.vocabulary, d.embedding_width or d.hidden), (names.embedding,)),
    }
    if d.layer_width:
        rows = d.layer_rows or d.vocabulary
        wanted["embedding of layers"] = ((rows, d.layers * d.layer_width), (names.layer_inputs,))
    for layer in range(d.layers) if d.own else (0,):
        own, of = d.at(layer), f" of layer {layer}" if d.own else ""
        wanted |= {
            f"{what}{of}": (shape, tuple(path.format(i=layer) for path in paths)) for what, shape, paths in _mixing(own)
        }
        if d.experts is None or d.experts.beside:
            inner = own.intermediate * (2 if d.gated else 1)
            wanted[f"feed-forward layer{of}"] = ((inner, d.hidden), tuple(p.format(i=layer) for p in own.names.gate_up))
    for what, (shape, paths) in wanted.items():
        if any(f"{prefix}{path}.weight" not in full for path in paths):
            return f"transformers' {what} has no weight {paths[0]!r}"
        if matrix(*paths) != shape:
            return f"the {what} is {list(matrix(*paths))} in transformers and {list(shape)} by edgepack's reading"
    return _experts(decoder, full, prefix) if d.experts else ""


def _mixing(d: Decoder) -> tuple[tuple[str, tuple[int, ...], tuple[str, ...]], ...]:
    """Return the name, the shape and the paths of the weights of attention, or of what is in its place."""
    if d.linear:
        found, names = d.linear, d.linear.names
        return (
            ("linear attention's input", (2 * found.keys + 2 * found.values, d.hidden), names.inputs),
            ("linear attention's rates", (2 * found.value_heads, d.hidden), names.rates),
            ("linear attention's kernel", (found.mixed, 1, found.kernel), (names.kernel,)),
            ("linear attention's norm", (found.value_head,), (names.norm,)),
            ("linear attention's output", (d.hidden, found.values), (names.out,)),
        )
    if d.convolution:
        return (
            ("convolution's input", (3 * d.hidden, d.hidden), (d.names.conv_in,)),
            ("convolution's kernel", (d.hidden, 1, d.convolution), (d.names.conv_kernel,)),
            ("convolution's output", (d.hidden, d.hidden), (d.names.conv_out,)),
        )
    return (
        ("qkv", (d.qkv_dim + d.gate_dim, d.hidden), d.names.qkv),
        ("attention's output", (d.hidden, d.q_dim), (d.names.o_proj,)),
    )


def _experts(decoder: Decoder, full: Mapping[str, tuple[int, ...]], prefix: str) -> str:
    """Return whether the experts of the first layers differ, as transformers holds them: all in one tensor."""
    for layer in range(min(decoder.layers, LAYERS)):
        of_layer = decoder.experts_of(layer)
        down = re.compile(rf"{re.escape(prefix)}\w+\.{layer}\.(?:.*\.)?experts\.down_proj")
        found = [shape for name, shape in full.items() if down.fullmatch(name)]
        wanted = [{of_layer.count, of_layer.width, decoder.hidden}] if of_layer else []
        if [set(shape) for shape in found] != wanted:
            return f"the experts of layer {layer} are {found} in transformers and {wanted} by edgepack's reading"
    return ""


def numbers(decoder: Decoder, config: PretrainedConfig) -> str:
    """Return the first number of the whole model in which the description and transformers' config differ; "" for
    none.
    """
    window = _own(config, "sliding_window", None) or 0
    kinds = _own(config, "layer_types", None)
    places = [window if kind == "sliding_attention" else 0 for kind in kinds] if kinds else None
    other = {"conv": decoder.convolving, "linear_attention": decoder.recurring}  # in the place of attention
    mixing = {name: [layer for layer, kind in enumerate(kinds or ()) if kind == name] for name in other}
    shaped = decoder.own and not any(mixing.values())  # layers have key heads of their own number
    found = {
        **{f"{name} layers": (theirs, [*other[name]]) for name, theirs in mixing.items()},
        "num_hidden_layers": (config.num_hidden_layers, decoder.layers),
        **_choice(decoder, config),
        "num_attention_heads": (config.num_attention_heads, decoder.heads),
        "num_key_value_heads": (
            decoder.kv_heads if shaped else _own(config, "num_key_value_heads", None) or decoder.kv_heads,
            decoder.kv_heads,
        ),
        "max_position_embeddings": (getattr(config, "max_position_embeddings", decoder.longest), decoder.longest),
        "layer_types": (places, [decoder.window(i) for i in range(decoder.layers)] if kinds else None),
    }
    for key, (theirs, ours) in found.items():
        if theirs != ours:
            return f"{key} is {theirs} in transformers and {ours} by edgepack's reading"
    return ""


def _choice(decoder: Decoder, config: PretrainedConfig) -> dict[str, tuple[Json, Json]]:
    """Return how many experts there are, and how many a token is sent to."""
    found = decoder.experts
    if found is None:
        return {}
    count, chosen = experts(config)
    counted = {"num_experts": (count, found.count)}
    if found.routing != "sparsemixer":  # which chooses two, whatever the config says
        counted["num_experts_per_tok"] = (chosen, found.chosen)
    return counted


def _own(config: PretrainedConfig, key: str, otherwise: Json) -> Json:
    """Return what transformers reads; a key that its class does not have is kept there, but nobody reads it."""
    return getattr(config, key) if key in type(config).__dataclass_fields__ else otherwise


def angles(decoder: Decoder, model: nn.Module, config: PretrainedConfig) -> str:
    """Return the first rotary table in which the two differ at any length of the model in its full size; "" for
    none.
    """
    turning = (type(m) for name, m in model.named_modules() if type(m).__name__.endswith("RotaryEmbedding")
               and not _TOWER.search(name))  # fmt: skip
    kind = next(turning, None)
    if decoder.alibi:  # a class of rotary positions, too, where it is there and not used
        return ""
    if (kind is None) != (decoder.rotary is None):
        return "only one of transformers and edgepack's reading has rotary positions"
    if kind is None:
        return ""
    theirs = kind(config)
    by_kind = "layer_type" in inspect.signature(inspect.unwrap(kind.forward)).parameters
    for layer, rotary in _tables(decoder):
        more = {"layer_type": config.layer_types[layer]} if by_kind else {}
        for length in sorted({min(rotary.trained, rotary.longest), rotary.longest}):
            places = _places(length)
            with torch.no_grad():
                cos, sin = theirs(torch.zeros(1), torch.from_numpy(places)[None], **more)
            if not _close(rotary, places, cos[0].numpy(), sin[0].numpy()):
                return f"the rotary embedding of layer {layer} is another at {length:,} tokens"
    return ""


def _tables(decoder: Decoder) -> Iterator[tuple[int, Rotary]]:
    """Yield the first layer of each rotary embedding."""
    seen: list[Rotary] = []
    for layer in range(decoder.layers):
        found = decoder.rotary_of(layer)
        if found is not None and not any(found is other for other in seen):
            seen.append(found)
            yield layer, found


def _places(length: int) -> Array:
    """Return positions below ``length``, all of the first and ever fewer, with the last."""
    spread = np.geomspace(1, max(length - 1, 1), 64).astype(np.int64)
    return np.unique(np.concatenate([np.arange(min(length, 16)), spread, [length - 1]]))


def _close(rotary: Rotary, places: Array, cos: Array, sin: Array) -> bool:
    """Return whether the tables are the same: of the pairs alone, of the halves, or of neighbours."""
    if np.abs(cos[0]).max() < np.abs(sin[0]).max():  # the first token is not turned: GPT-J's class gives sin first
        cos, sin = sin, cos
    half = rotary.width // 2
    if cos.shape[-1] not in (rotary.width, half):
        return False
    turned = places[:, None] * frequencies(rotary, int(places[-1]) + 1)
    factor = attention_factor(rotary, int(places[-1]) + 1)
    room = (1e-5 + turned * _ROUNDED) * factor
    wanted = (np.cos(turned) * factor, np.sin(turned) * factor)
    forms = [(table[:, :half] for table in (cos, sin)), (table[:, :: cos.shape[-1] // half] for table in (cos, sin))]
    return any(
        all(bool((np.abs(ours - theirs) <= room).all()) for ours, theirs in zip(wanted, form, strict=True))
        for form in forms
    )


def logits(decoder: Decoder, model: nn.Module, folder: Path) -> float:
    """Return the largest difference of any token's logits, as a share of the largest logit."""
    reference = Reference(Checkpoint(folder, decoder))
    generator = np.random.default_rng(5)
    worst = 0.0
    for length in _lengths(decoder):
        ids = generator.integers(2, decoder.vocabulary, (1, length))
        ids[0, length // 2 :][: len(decoder.strangers)] = decoder.strangers
        ours = reference.logits(ids)[0]
        for theirs in (_whole(model, ids), *([_parts(model, ids)] if _one_table(decoder, length) else [])):
            worst = max(worst, float(np.abs(ours - theirs).max() / np.abs(theirs).max()))
    return worst


def _lengths(decoder: Decoder) -> list[int]:
    """Choose the lengths of texts: beyond every window, and on both sides of the length that longrope starts from."""
    beyond = max([_TOKENS, *(width + _PAST for width in decoder.windows)])
    longrope = decoder.rotary is not None and decoder.rotary.scaling.get("rope_type") == "longrope"
    trained = decoder.rotary.trained if longrope and decoder.rotary else beyond
    found = [min(trained, beyond), max(trained + _PAST, beyond)] if longrope and trained <= 4 * _TOKENS else [beyond]
    return sorted({min(length, decoder.longest) for length in found})


def _one_table(decoder: Decoder, length: int) -> bool:
    """Return whether keys that were cached keep their angles; transformers' own cache does not mend those of
    longrope.
    """
    return length <= decoder.context


def _whole(model: nn.Module, ids: Array) -> Array:
    return np.asarray(run(model, ids, use_cache=False).logits[0].numpy())


def _parts(model: nn.Module, ids: Array) -> Array:
    """Run with a cache: some tokens, some one by one, the rest at once but for the last, which come one by one."""
    total = ids.shape[1]
    single = min(8, total // 4)
    sizes = [total // 4, *[1] * single, total - total // 4 - 2 * single, *[1] * single]
    found, past, start = [], None, 0
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"  # from 5.24 on
    for size in filter(None, sizes):
        out = run(model, ids[:, start : start + size], use_cache=True, **{name: past})
        found.append(out.logits[0].numpy())
        past, start = out.past_key_values, start + size
    return np.concatenate(found)
