"""Inputs and outputs of the functions of a language model's package.

Core ML takes ranges and fixed shapes side by side badly where there are states: within a function all shapes are of one
kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import coremltools as ct
import numpy as np

from edgepack.coreml.text import ENTERED, HIDDEN, IDS, KEYS, LOGITS, MASK, NEXT, POSITION, VALUES
from edgepack.decoders import Decoder
from edgepack.errors import UsageError
from edgepack.formats.coreml.builder.convolution import WHOLE, front
from edgepack.formats.coreml.builder.parts import Part
from edgepack.records import TensorSpec

WORDS = {
    IDS: "the tokens' numbers",
    MASK: "what is added to the scores of the cache's slots: 0 shows one, -30000 hides it",
    POSITION: "the slot of the cache where the first of the tokens lies",
    HIDDEN: "nextHidden of the package before this one",
    NEXT: "what the next package takes as hidden",
    LOGITS: "for each token a score for each that may come next, before softmax",
    KEYS: "the keys of the tokens so far",
    VALUES: "the values of the tokens so far",
    f"{KEYS}2": "the keys of the tokens so far, of the layers whose heads have another shape",
    f"{VALUES}2": "the values of the tokens so far, of the layers whose heads have another shape",
    ENTERED: "what the tokens so far brought to the short convolutions",
}


@dataclass(frozen=True)
class Signature:
    """The inputs of a function, in coremltools' terms, and its states by name, each float16 of that shape."""

    inputs: tuple[ct.TensorType, ...]
    states: Mapping[str, tuple[int, ...]]


def slots(context: int, lengths: Sequence[int]) -> int:
    """Return the cache's slots for ``context`` tokens: for fixed shapes filled up to what the Neural Engine takes."""
    return -(-context // WHOLE) * WHOLE if lengths else context


def odd(decoder: Decoder) -> str:
    """Return what keeps the caches off the Neural Engine, where something does; else nothing."""
    heads = (("head_dim", decoder.at(layer).head_dim) for layer in decoder.caching)
    widths = [("hidden_size", decoder.hidden)] if decoder.convolving else []
    name, odd = next(((name, side) for name, side in (*heads, *widths) if side % WHOLE), ("", 0))
    return f"{name} {odd} is not a multiple of {WHOLE}" if odd else ""


def check(lengths: Sequence[int]) -> None:
    """Raises UsageError for ``lengths`` that no text can be made with."""
    if lengths and 1 not in lengths:
        raise UsageError("a language model decodes one token at a time", hint=f"--lengths 1,{max(lengths)}")


def functions(decoder: Decoder, part: Part, context: int, lengths: Sequence[int]) -> Mapping[str, Signature]:
    """Return the functions by name, the default first: one for 1 to ``context`` tokens, or one for each of
    ``lengths``.
    """
    if not lengths:
        return {"main": _signature(decoder, part, ct.RangeDim(1, context, default=1), context)}
    size = slots(context, lengths)
    return {name: _signature(decoder, part, length, size) for name, length in _named(lengths).items()}


def interface(
    decoder: Decoder, context: int, lengths: Sequence[int]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return inputs and outputs of the model, its parts taken together."""
    tokens = "|".join(map(str, sorted(lengths))) if lengths else "tokens"
    rows, total = (tokens, slots(context, lengths)) if lengths else ("rows", "total")
    place = (TensorSpec(name=POSITION, dtype="int32", shape=(1,)),) if lengths else ()
    return (
        TensorSpec(name=IDS, dtype="int32", shape=(1, tokens)),
        TensorSpec(name=MASK, dtype="float16", shape=(1, 1, rows, total)),
        *place,
    ), (TensorSpec(name=LOGITS, dtype="float16", shape=(1, tokens, decoder.vocabulary)),)


def _named(lengths: Sequence[int]) -> dict[str, int]:
    """Return "decode" for 1 and "prefill" for another; of several others "prefill64", "prefill256"."""
    longer = sorted({length for length in lengths if length > 1})
    names = ["prefill"] if len(longer) == 1 else [f"prefill{length}" for length in longer]
    return {"decode": 1, **dict(zip(names, longer, strict=True))}


def _signature(decoder: Decoder, part: Part, tokens: int | ct.RangeDim, size: int) -> Signature:
    """Return ``tokens`` of one call, a number or a range, of ``size`` at most."""
    fixed = isinstance(tokens, int)
    ids, residual = _input(IDS, (1, tokens), np.int32), _input(HIDDEN, (1, tokens, decoder.hidden), np.float32)
    entry = ids if part.first else residual
    sides = (tokens, size) if fixed else (_range(size), _range(size))
    mask = _input(MASK, (1, 1, *sides), np.float16)
    place = (_input(POSITION, (1,), np.int32),) if fixed else ()
    return Signature((entry, mask, *place) if part.layers else (entry,), _states(decoder, part, size))


def caches(decoder: Decoder, layers: Iterable[int]) -> dict[tuple[int, int], tuple[int, ...]]:
    """Return which of ``layers`` keep keys and values of their own, by their heads and the width of these.

    The first shape's lie in the states KEYS and VALUES, another's in states of their own.
    """
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for layer in sorted(set(layers) & set(decoder.caching)):
        shape = decoder.at(layer).kv_heads, decoder.at(layer).head_dim
        found[shape] = (*found.get(shape, ()), layer)
    return found


def named(place: int) -> tuple[str, str]:
    """Return the names of the states of the keys and values of the ``place``-th shape."""
    return (f"{KEYS}{place + 1}", f"{VALUES}{place + 1}") if place else (KEYS, VALUES)


def _states(decoder: Decoder, part: Part, size: int) -> dict[str, tuple[int, ...]]:
    """Return none for a part without layers."""
    found: dict[str, tuple[int, ...]] = {
        name: (len(layers), 1, kv_heads, size, head)
        for place, ((kv_heads, head), layers) in enumerate(caches(decoder, part.layers).items())
        for name in named(place)
    }
    if decoder.convolving and part.layers:
        found[ENTERED] = (len(decoder.convolving), 1, front(decoder) + size, decoder.hidden)
    return found


def _input(name: str, shape: tuple[int | ct.RangeDim, ...], dtype: type) -> ct.TensorType:
    return ct.TensorType(name, ct.Shape(shape), dtype)


def _range(longest: int) -> ct.RangeDim:
    return ct.RangeDim(1, longest, default=1)
