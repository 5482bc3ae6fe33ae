"""How the next token is chosen from the logits.

Temperature (Ackley et al. 1985), top-k (Fan et al. 2018), nucleus or top-p (Holtzman et al. 2020), min-p (Nguyen et
al. 2024) and the repetition penalty (Keskar et al. 2019, CTRL, section 4.1), in the order of transformers'
``_get_logits_processor``: penalty, temperature, top-k, top-p, min-p; each works on what the one before has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import UsageError
from edgepack.runtime import arguments

_COLD = 1e-5  # a temperature below is as good as none, and overflows
_ROWS = 64  # the logits are looked at in columns of so many before any is sorted


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """The choices; the defaults leave every token, and a temperature of 0 takes the most likely.

    Raises UsageError where a number is out of its range.
    """

    temperature: float = 0.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0  # of the most likely token's probability
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        arguments.whole("top_k", self.top_k, 0, "a whole number, 0 (all) or more")
        _check("temperature", self.temperature, "0 or more", lambda value: value >= 0)
        _check("top_p", self.top_p, "above 0 and at most 1", lambda value: 0 < value <= 1)
        _check("min_p", self.min_p, "from 0 to 1", lambda value: 0 <= value <= 1)
        _check("repetition_penalty", self.repetition_penalty, "above 0", lambda value: value > 0)

    @property
    def greedy(self) -> bool:
        """True if nothing is left to chance."""
        return self.temperature < _COLD or self.top_k == 1


class Sampler:
    """``sampler(logits)``: the id of the next token; the same ``seed`` gives the same ids again."""

    def __init__(self, sampling: Sampling, seed: int | None, prompt: Iterable[int]) -> None:
        self._sampling, self._random = sampling, np.random.default_rng(seed)
        self._seen = set(prompt)

    def __call__(self, logits: Array) -> int:
        """Choose by float32 ``logits`` [vocabulary], which are left as they are."""
        if self._sampling.repetition_penalty != 1:
            logits = penalized(logits, self._seen, self._sampling.repetition_penalty)
        token = int(logits.argmax()) if self._sampling.greedy else self._drawn(logits)
        self._seen.add(token)
        return token

    def _drawn(self, logits: Array) -> int:
        tokens, probabilities = distribution(logits, self._sampling)
        reached = np.cumsum(probabilities)
        place = np.searchsorted(reached, self._random.random() * reached[-1], side="right")
        return int(tokens[min(place, len(tokens) - 1)])


def penalized(logits: Array, seen: set[int], penalty: float) -> Array:
    """Return a copy of ``logits`` with those of ``seen`` tokens divided by ``penalty``, or multiplied where
    negative.
    """
    places = np.fromiter(seen, np.int64, len(seen))
    scores, logits = logits[places], logits.copy()
    logits[places] = np.where(scores < 0, scores * penalty, scores / penalty)
    return logits


def distribution(logits: Array, sampling: Sampling) -> tuple[Array, Array]:
    """Return the tokens that remain, int64 [n], and their probabilities, float64 [n], at a temperature above 0.

    Where a filter's limit falls between tokens that are equally likely, all of them remain.
    """
    tokens = _top_k(logits, sampling.top_k)
    scores = logits[tokens]
    weights = np.exp((scores - scores.max()) / np.float32(sampling.temperature))  # the most likely weighs 1
    mass = sampling.top_p * float(weights.sum(dtype=np.float64))
    if sampling.min_p:  # both filters cut at a weight, so their order does not matter; this one is quicker
        kept = weights >= sampling.min_p
        tokens, weights = tokens[kept], weights[kept]
    if sampling.top_p < 1:
        kept = weights >= _nucleus(weights, mass)
        tokens, weights = tokens[kept], weights[kept]
    exact = weights.astype(np.float64)
    return tokens, exact / exact.sum()


def _top_k(logits: Array, k: int) -> Array:
    """Return the places of the ``k`` largest (0: all), and of those that equal the least of them."""
    if not 0 < k < len(logits):
        return np.arange(len(logits))
    columns = len(logits) // _ROWS
    if k < columns:  # k columns have a largest value of this at least, so the k-th of all is no smaller
        largest = logits[: columns * _ROWS].reshape(_ROWS, columns).max(axis=0)
        places = np.flatnonzero(logits >= np.partition(largest, -k)[-k])
    else:
        places = np.arange(len(logits))
    some = logits[places]
    return np.asarray(places[some >= np.partition(some, -k)[-k]])


def _nucleus(weights: Array, mass: float) -> float:
    """Return the least weight of those that are needed, largest first, to reach ``mass``."""
    beyond = float(weights.sum(dtype=np.float64)) - mass
    some = weights[weights >= beyond / len(weights)]  # all the others together weigh less than what lies beyond
    falling = np.sort(some)[::-1]
    reached = np.cumsum(falling.astype(np.float64))
    return float(falling[min(int(np.searchsorted(reached, mass)), len(falling) - 1)])


def _check(name: str, value: float, range_: str, fine: Callable[[float], bool]) -> None:
    if not fine(arguments.number(name, value, range_)):
        raise UsageError(f"{name} is {value:g}", hint=f"it must be {range_}")
