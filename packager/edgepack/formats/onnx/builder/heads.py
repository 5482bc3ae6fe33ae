"""The heads that ONNX Runtime's GroupQueryAttention can turn: facts of its kernel, known before a model is written.

What it cannot turn is turned in front of it, by positions that are fed.
"""

from __future__ import annotations

from edgepack.decoders import Decoder

PAIRS = 8  # (i, i + n): the kernel turns a multiple of so many


def whole(pairs: int) -> int:
    """Return the next multiple of PAIRS."""
    return -(-pairs // PAIRS) * PAIRS


def turned_inside(decoder: Decoder, layer: int) -> bool:
    """Return whether the kernel can turn the queries and keys of ``layer``, perhaps with some dimensions moved."""
    rotary = decoder.rotary_of(layer)
    if rotary is None or decoder.turned_first or decoder.head_dim % (2 * PAIRS):
        return False
    half = rotary.width // 2
    return half == whole(half) or (2 * whole(half) <= decoder.head_dim and not decoder.names.query_norm)


def placed(decoder: Decoder) -> bool:
    """Return whether a graph needs positions: for learned ones, or where the kernel leaves a layer's heads as they
    are.
    """
    turning = (layer for layer in range(decoder.layers) if decoder.rotary_of(layer) is not None)
    return bool(decoder.names.positions) or not all(turned_inside(decoder.at(layer), layer) for layer in turning)
