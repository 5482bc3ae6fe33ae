"""A language model token by token, over a key and value cache that the graph writes in place.

The graph's GroupQueryAttention appends to its past where past and present are bound to the same memory, so a token
costs no copy of what came before it. Everything else is bound to memory of our own as well: a step writes one id and
reads one row of logits.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np

from edgepack.errors import BundleDamaged, InputError
from edgepack.records import TensorSpec
from edgepack.runtime import graphs, pages
from edgepack.runtime.session import Session
from edgepack.runtime.types import Array

_PAST, _PRESENT = graphs.PAST, "present"
_CHUNK = 256  # tokens of a prompt at once: attention's scores take heads x chunk x total floats
_FIRST = 256  # tokens that the cache holds to begin with


class Decoding:
    """``prefill(ids)`` and ``step(id)``: the logits of what comes next, float32 [vocabulary].

    The logits lie in memory that the next call overwrites: threads that share it hold its ``lock`` until they have used
    them. ``ids`` are the tokens in the cache, at most ``longest``;
    a list of its own after every prefill and rewind. The cache grows to the next power of two when it is full.
    """

    def __init__(self, session: Session, longest: int) -> None:
        self.ids: list[int] = []
        self.lock = threading.RLock()  # held from the tokens given to the use of the logits
        self.longest, self.capacity = longest, 0
        self.known = 0  # tokens of the last prefill that needed no processing
        self._session, self._binding = session, session.binding()
        self._pasts = {spec.name: spec for spec in session.inputs if spec.name.startswith(_PAST)}
        given = {spec.name for spec in session.inputs}
        self._placed = "position_ids" in given
        self._cache: dict[str, Array] = {}
        vocabulary = _vocabulary(session)
        self._logits = np.zeros(vocabulary, np.float32)
        self._new = np.zeros(_CHUNK, np.int64)
        self._ones, self._places = np.ones(longest, np.int64), np.arange(longest, dtype=np.int64)
        self._bind_output("logits", self._logits, (1, 1, vocabulary))
        if graphs.NUM_LOGITS in given:
            self._one = np.array(1, np.int64)
            self._bind_input(graphs.NUM_LOGITS, self._one, ())
        pages.collapse()

    def prefill(self, ids: Sequence[int]) -> Array:
        """The logits after ``ids``, which is all that the cache then holds; only what it lacked is processed.

        Raises InputError for no ids, or more than ``longest``.
        """
        if not 0 < len(ids) <= self.longest:
            raise InputError(f"{len(ids):,} tokens; the model takes 1 to {self.longest:,}")
        self.known = min(_alike(self.ids, ids), len(ids) - 1)  # one token at least gives the logits
        self.rewind(self.known)
        for start in range(self.known, len(ids), _CHUNK):
            self._run(ids[start : start + _CHUNK])
        return self._logits

    def step(self, token: int) -> Array:
        """The logits after one more token. Raises InputError where the cache is full."""
        if len(self.ids) == self.longest:
            raise InputError(f"the model takes {self.longest:,} tokens at most")
        self._run((token,))
        return self._logits

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens."""
        self.ids = self.ids[:length]

    def reserve(self, length: int) -> None:
        """Room for ``length`` tokens; what the cache holds is copied once."""
        if length <= self.capacity:
            return
        kept, old = self.ids, self._cache
        self.ids, self.capacity = [], 0  # an interrupt from here on leaves an empty cache, not half of one
        room = min(max(_FIRST, 1 << (length - 1).bit_length()), self.longest)
        self._cache = {name: _empty(spec, room) for name, spec in self._pasts.items()}
        for name, array in self._cache.items():
            if kept:
                array[:, :, : len(kept)] = old[name][:, :, : len(kept)]
            self._bind_input(name, array, array.shape)
            self._bind_output(name.replace(_PAST, _PRESENT), array, array.shape)
        self.ids, self.capacity = kept, room

    def _run(self, tokens: Sequence[int]) -> None:
        past, new = len(self.ids), len(tokens)
        self.reserve(past + new)
        self._new[:new] = tokens
        self._bind_input("input_ids", self._new, (1, new))
        self._bind_input("attention_mask", self._ones, (1, past + new))
        if self._placed:
            self._bind_input("position_ids", self._places[past:], (1, new))
        self._session.run_bound(self._binding)
        self.ids += tokens

    def _bind_input(self, name: str, array: Array, shape: tuple[int, ...]) -> None:
        """The first elements of ``array``, which must outlive the binding, as an input of this shape."""
        self._binding.bind_input(name, "cpu", 0, array.dtype, shape, array.ctypes.data)

    def _bind_output(self, name: str, array: Array, shape: tuple[int, ...]) -> None:
        self._binding.bind_output(name, "cpu", 0, array.dtype, shape, array.ctypes.data)


def decodes(session: Any) -> bool:
    """Whether a session's model has a cache to decode with."""
    if isinstance(session, Session):
        return any(spec.name.startswith(_PAST) for spec in session.inputs)
    return bool(getattr(session, "decodes", False))


def decoding(session: Any, longest: int) -> Decoding:
    """The model of a ``session`` that decodes, of onnxruntime's or of another's that has its own way."""
    made: Decoding = Decoding(session, longest) if isinstance(session, Session) else session.decoding(longest)
    return made


def _vocabulary(session: Session) -> int:
    """Raises BundleDamaged where the graph's logits and caches have no sizes to make room for."""
    pasts = [spec.shape for spec in session.inputs if spec.name.startswith(_PAST)]
    logits = [spec.shape for spec in session.outputs if spec.name == "logits"]
    known = all(len(s) == 4 and isinstance(s[1], int) and isinstance(s[3], int) for s in pasts)
    if not known or len(logits) != 1 or not isinstance(logits[0][-1], int):
        raise BundleDamaged(f"{session.path.name} does not state the sizes of its cache and logits")
    return logits[0][-1]


def _alike(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids the two begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _empty(spec: TensorSpec, room: int) -> Array:
    """Keys or values [1, heads, room, head]; zeros that the system gives out page by page as they are written."""
    _, heads, _, head = spec.shape
    return np.zeros((1, int(heads), room, int(head)), spec.dtype)
