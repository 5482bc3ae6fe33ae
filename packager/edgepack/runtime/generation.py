"""One answer of a language model: tokens chosen one after the other, given out as text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edgepack.arrays import Array
from edgepack.runtime.decoding import Decoding
from edgepack.runtime.detokenizer import Detokenizer, StopSequences
from edgepack.runtime.sampling import Sampler

MAX_TOKENS = 256  # of an answer, where nothing is said about it


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """The cost of one generation, without the time that its reader spent between pieces."""

    prompt: int  # tokens
    known: int  # tokens of the prompt that were in the cache already
    new: int  # tokens generated, the one that ends the text included
    first: float  # seconds to the first token
    rest: float  # seconds for all the others
    ended: str  # "eos", "stop", "length" (max_tokens), "context" (full), or "" where the reader left

    @property
    def speed(self) -> float:
        """Tokens per second after the first; 0 where there was no other."""
        return (self.new - 1) / self.rest if self.new > 1 and self.rest else 0.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits that end a generation."""

    tokens: int
    eos: frozenset[int]
    stops: tuple[str, ...]


class Generation:
    """``pieces()``: the text after ``prompt`` (ids), once; ``report`` is told what it took, however it ends.

    Another generation may use the cache between two pieces, in another thread too; this one then processes its tokens
    again.
    """

    def __init__(
        self,
        decoding: Decoding,
        detokenizer: Detokenizer,
        sampler: Sampler,
        limits: Limits,
        report: Callable[[Statistics], None],
    ) -> None:
        self._decoding, self._sampler, self._limits, self._report = decoding, sampler, limits, report
        self._text, self._stops = detokenizer, StopSequences(limits.stops)
        self._new: list[int] = []
        self._mine: list[int] | None = None  # the cache's tokens where nobody else has used it
        self._known, self._ended = 0, ""
        self._first = self._rest = 0.0

    def pieces(self, prompt: Sequence[int]) -> Iterator[str]:
        """Yield pieces of text, none of them empty. Raises InputError."""
        try:
            while not self._ended:
                if piece := self._timed(prompt):
                    yield piece
            if self._ended != "stop" and (piece := self._stops.add(self._text.rest()) + self._stops.rest()):
                yield piece
        finally:
            self._report(self._statistics(len(prompt)))

    def _timed(self, prompt: Sequence[int]) -> str:
        with self._decoding.lock:
            started = time.perf_counter()
            piece = self._next(prompt)
        taken = time.perf_counter() - started
        if len(self._new) == 1:
            self._first = taken
        else:
            self._rest += taken
        return piece

    def _next(self, prompt: Sequence[int]) -> str:
        """Choose a token; the text that is certain with it."""
        token = self._sampler(self._logits(prompt))
        self._new.append(token)
        if token in self._limits.eos:
            self._ended = "eos"
            return ""
        piece = self._stops.add(self._text.add(token))
        if self._stops.found:
            self._ended = "stop"
        elif len(self._new) == self._limits.tokens:
            self._ended = "length"
        elif len(prompt) + len(self._new) > self._decoding.longest:
            self._ended = "context"
        return piece

    def _logits(self, prompt: Sequence[int]) -> Array:
        """Return the logits of the next token, float32 [vocabulary]."""
        if self._mine is self._decoding.ids:
            return self._decoding.step(self._new[-1])
        logits = self._decoding.prefill([*prompt, *self._new])
        self._mine = self._decoding.ids
        if not self._new:
            self._known = self._decoding.known
        return logits

    def _statistics(self, prompt: int) -> Statistics:
        return Statistics(
            prompt=prompt, known=self._known, new=len(self._new), first=self._first, rest=self._rest, ended=self._ended
        )
