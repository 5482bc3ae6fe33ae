"""Vectors in fewer numbers and fewer bits, as sentence-transformers' encode and quantize_embeddings make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import UsageError

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_STEPS = 255  # of eight bits
_ENDS = 2  # the least and the most


def ranges(vectors: Array) -> Array:
    """Return the least and the most of each number, [2, width], of many ``vectors`` [texts, width]: what int8 needs."""
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])


def cut(vectors: Array, width: int | None) -> Array:
    """Return the first ``width`` numbers of vectors [texts, width]; None: all.

    A model that was trained for it (Matryoshka representations, Kusupati et al. 2022) keeps most of its quality.
    Raises UsageError for more than there are.
    """
    if width is not None and width > vectors.shape[-1]:
        raise UsageError(
            f"truncate_dim is more than there is: the model's vectors have {vectors.shape[-1]:,} numbers",
            hint="ask for fewer, or leave it out",
        )
    return vectors if width is None else vectors[..., :width]


def quantize(vectors: Array, precision: Precision, bounds: Array | Sequence[Sequence[float]] | None = None) -> Array:
    """Return vectors [texts, width] in ``precision``.

    float32 as they are; int8 and uint8 [texts, width], 256 steps between the ``bounds`` [2, width] that ``ranges``
    gives; binary (int8) and ubinary (uint8) [texts, ceil(width / 8)], a bit for each number above 0, the first of
    eight the highest. Raises UsageError.
    """
    if not isinstance(precision, str) or precision not in PRECISIONS:
        said = f"{precision!r:.60}" if isinstance(precision, str) else f"of the type {type(precision).__name__}"
        raise UsageError(f"no precision {said}", hint=f"known: {', '.join(PRECISIONS)}")
    if bounds is not None and not precision.endswith("int8"):
        raise UsageError(f"ranges are for int8 and uint8, not for {precision}", hint="leave them out")
    if precision == "float32":
        return vectors
    if precision.endswith("binary"):
        bits = np.packbits(vectors > 0, axis=-1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    low, high = _checked(bounds, vectors.shape[-1])
    step = (high - low) / _STEPS
    values = np.clip(np.floor((vectors - low) / np.where(step == 0, 1, step)), 0, _STEPS)
    return np.asarray(values, np.uint8) if precision == "uint8" else np.asarray(values - 128, np.int8)


def _checked(bounds: Array | Sequence[Sequence[float]] | None, width: int) -> Array:
    """Return the bounds as an array. Raises UsageError where there are none, or others."""
    if bounds is None:
        raise UsageError(
            "eight bits need the range of each number",
            hint="ranges=edgepack.runtime.vectors.ranges(model.embed(many_texts)), the same for all of an index",
        )
    try:
        made = np.asarray(bounds, np.float64 if not isinstance(bounds, np.ndarray) else bounds.dtype)
    except (TypeError, ValueError) as error:
        raise UsageError("ranges are no numbers", hint=f"they are [2, {width}]") from error
    if made.shape != (_ENDS, width) or made.dtype.kind != "f" or not (made[0] <= made[1]).all():
        raise UsageError(
            f"ranges have the shape {list(made.shape)}, or a least above its most", hint=f"they are [2, {width}]"
        )
    return made
