"""The heads that ONNX Runtime's GroupQueryAttention can turn: a fact of its kernel, known before a model is written."""

from __future__ import annotations

from edgepack.decoders import Decoder
from edgepack.errors import UnsupportedModel

PAIRS = 8  # (i, i + n): the kernel turns a multiple of so many
_HINT = "a Core ML target (iphone, mac) takes such heads"


def whole(pairs: int) -> int:
    """Return the next multiple of PAIRS."""
    return -(-pairs // PAIRS) * PAIRS


def check(decoder: Decoder, layer: int) -> None:
    """Raises UnsupportedModel where the kernel cannot turn the heads of ``layer``."""
    rotary = decoder.rotary_of(layer)
    half = rotary.width // 2 if rotary else 0
    if half and decoder.head_dim % (2 * PAIRS):
        raise UnsupportedModel(
            f"head_dim {decoder.head_dim} is not a multiple of 16, which GroupQueryAttention's rotary needs", hint=_HINT
        )
    if half != whole(half) and (2 * whole(half) > decoder.head_dim or decoder.names.query_norm):
        raise UnsupportedModel(
            f"{2 * half} rotary dimensions in a head_dim of {decoder.head_dim} leave no room for what "
            "GroupQueryAttention's rotary needs, a multiple of 16",
            hint=_HINT,
        )
