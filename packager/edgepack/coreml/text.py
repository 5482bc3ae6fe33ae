"""A language model's package over tokens, whichever functions it has.

Its inputs and outputs are called as swift-transformers calls them. A package for any number of tokens has one function,
whose mask tells by its width where the tokens lie. One of fixed shapes has a function for each number of tokens; the
input ``position`` tells where they lie, and what a call has too many is padding, which later tokens overwrite.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgepack.arrays import Array
from edgepack.coreml.values import Value
from edgepack.errors import ShapeNotAllowed
from edgepack.records import TensorSpec

IDS, MASK, POSITION, HIDDEN = "inputIds", "causalMask", "position", "hidden"
LOGITS, NEXT = "logits", "nextHidden"  # a part's residual, which the next part takes as HIDDEN
KEYS, VALUES = "keyCache", "valueCache"
ENTERED = "convolutionCache"
_UNSEEN = np.float16(-3e4)  # that float16 holds, also beside a score


class Model(Protocol):
    """A Package, or several in a row."""

    @property
    def functions(self) -> tuple[str, ...]:
        """Their names."""

    def inputs(self, function: str | None = None) -> tuple[TensorSpec, ...]:
        """Return what a call takes."""

    def state(self, function: str | None = None) -> Value:
        """Return a fresh state."""

    def __call__(self, inputs: Mapping[str, Value], *, function: str | None = None, state: Value) -> dict[str, Value]:
        """Return the outputs; ``state`` is changed."""


@dataclass(frozen=True)
class Call:
    """One call: its function, its inputs, and how many of its tokens are no padding."""

    function: str
    feeds: dict[str, Array]
    tokens: int


class Text:
    """``text(ids, past, state)``: what a model makes of ``ids`` after ``past`` tokens in the state."""

    def __init__(self, model: Model) -> None:
        self._model = model
        specs = {name: {spec.name: spec for spec in model.inputs(name)} for name in model.functions}
        self._fixed = {
            int(spec[IDS].shape[1]): (name, int(spec[MASK].shape[-1]))
            for name, spec in specs.items()
            if POSITION in spec
        }

    def __call__(self, ids: Array, past: int, state: Value) -> Array:
        """Return logits, float32 [tokens, vocabulary], of ``ids`` [tokens]. Raises ShapeNotAllowed beyond the cache."""
        found = [
            np.asarray(
                self._model(call.feeds, function=call.function, state=state)[LOGITS][0, : call.tokens], np.float32
            )
            for call in self._calls(ids, past)
        ]
        return np.concatenate(found)

    def _calls(self, ids: Array, past: int) -> Iterator[Call]:
        if not self._fixed:
            yield Call(self._model.functions[0], step(ids, past), len(ids))
            return
        begin = 0
        while begin < len(ids):
            call = self._padded(ids[begin:], past + begin)
            yield call
            begin += call.tokens

    def _padded(self, ids: Array, past: int) -> Call:
        """Return the call for ``ids``: the smallest that takes them all, else the largest; the last is padded."""
        fitting = [length for length, (_, slots) in self._fixed.items() if past + length <= slots]
        if not fitting:
            raise ShapeNotAllowed(f"more than {past} tokens", hint="build the model with a larger --context")
        length = min((length for length in fitting if length >= len(ids)), default=max(fitting))
        function, slots = self._fixed[length]
        tokens = min(length, len(ids))
        padded = np.zeros((1, length), np.int32)
        padded[0, :tokens] = ids[:tokens]
        mask = np.zeros((1, 1, length, slots), np.float16)  # the package is causal by itself
        return Call(function, {IDS: padded, MASK: mask, POSITION: np.array([past], np.int32)}, tokens)


def step(ids: Array, past: int) -> dict[str, Array]:
    """Return the inputs for ``ids`` [tokens] after ``past`` tokens in the state, of a package for any number of
    them.
    """
    mask = np.triu(np.full((len(ids), past + len(ids)), _UNSEEN), past + 1)
    return {IDS: ids[None].astype(np.int32), MASK: mask[None, None]}
