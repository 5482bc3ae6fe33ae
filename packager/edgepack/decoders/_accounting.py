"""Every tensor of a language model's checkpoint is used by its description, or known to change nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from edgepack.decoders import Decoder
from edgepack.errors import DamagedWeights
from edgepack.weights import Stored, names

_PART = 1 << 24  # bytes that are compared at once
# Parts of published checkpoints that the language model does not run: gemma 3's images, a trainer's value head.
_BESIDE = re.compile(r"(?:^|\.)(?:vision_tower|multi_modal_projector)\.|^v_head\.")


def prefix(decoder: Decoder, stored: Mapping[str, Stored]) -> str:
    """Return what stands before the description's paths in ``stored``.

    Raises ModelError where another tool's prefix does, DamagedWeights where there is no embedding.
    """
    listed = decoder.names
    names.check_merged(stored)
    anchors = [f"{lead}{listed.embedding}.weight" for lead in listed.prefixes]
    names.check_wrapped(stored, anchors)
    found = next((lead for lead, name in zip(listed.prefixes, anchors, strict=True) if name in stored), None)
    if found is None:
        raise DamagedWeights(
            f"the weights lack {anchors[0]!r}; the first that they hold is {min(stored, default='none')!r}",
            hint="the checkpoint and its config.json do not belong together, or a file is missing",
        )
    return found


def check(decoder: Decoder, stored: Mapping[str, Stored], lead: str) -> None:
    """Raises DamagedWeights for the first tensor that the description has no place for."""
    known = set(_paths(decoder, lead))
    for name, tensor in stored.items():
        path, _, kind = name.rpartition(".")
        buffer = names.BUFFERS.search(name) and not (path in known and len(tensor.shape) == 1)
        if not (path in known and kind in {"weight", "bias"}) and not buffer and not _BESIDE.search(name):
            layer = re.match(rf"{re.escape(lead)}\w+\.(\d+)\.", name)
            if layer and int(layer[1]) >= decoder.layers:
                raise DamagedWeights(
                    f"the weights hold more than the {decoder.layers} layers of config.json ({name})",
                    hint="the checkpoint and its config.json do not belong together",
                )
            raise names.unexpected(name, f"the {decoder.model_type} of config.json")


def same(first: Stored, second: Stored) -> bool:
    """Return whether two tensors hold the same bytes."""
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    maps = [np.memmap(tensor.file, np.uint8, "r", tensor.offset, (tensor.bytes,)) for tensor in (first, second)]
    return all(
        np.array_equal(maps[0][start : start + _PART], maps[1][start : start + _PART])
        for start in range(0, first.bytes, _PART)
    )


def _paths(decoder: Decoder, lead: str) -> Iterator[str]:
    """Yield the modules whose weights (and biases) the description reads."""
    listed = decoder.names
    yield from listed.heads
    for path in (listed.embedding, listed.final, listed.positions):
        yield lead + path
    layer = (
        listed.norm1, listed.norm2, *listed.qkv, listed.o_proj, *listed.gate_up, listed.down, listed.query_norm,
        listed.key_norm, listed.after_attention, listed.after_mlp,
    )  # fmt: skip
    for path in filter(None, layer):
        yield from (lead + path.format(i=i) for i in range(decoder.layers))
