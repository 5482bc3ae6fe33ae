"""Task metrics: ``metric(predictions, references) -> float``; larger is better but for LESS_IS_BETTER."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from edgepack.arrays import Array
from edgepack.documents import Json
from edgepack.errors import DataError

LESS_IS_BETTER = {"perplexity"}
OF_NUMBERS = {"spearman", "pearson", "perplexity"}  # of predictions that are numbers; the others are of names


def pearson(predictions: Sequence[float], references: Sequence[float]) -> float:
    """Return pearson's correlation; NaN where there is none: one side is constant, or holds what is not finite."""
    a, b = np.asarray(predictions, float), np.asarray(references, float)
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    a, b = _unit(a), _unit(b)
    return float(a @ b)


def spearman(predictions: Sequence[float], references: Sequence[float]) -> float:
    """Return spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank; NaN where that is."""
    if not np.isfinite(np.asarray(predictions, float)).all():
        return math.nan
    return pearson(ranks(predictions), ranks(references))  # type: ignore[arg-type]  # arrays are fine


def ranks(values: Sequence[float]) -> Array:
    """Return float64 [n]: ranks from 1, ties sharing their mean rank."""
    _, places, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places])


def accuracy(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Return the share that is right."""
    return _mean([a == b for a, b in zip(predictions, references, strict=True)])


def first(predictions: Sequence[Sequence[Hashable]], references: Sequence[Hashable]) -> float:
    """Return the share whose reference comes first in a ranked prediction."""
    return _mean([bool(a) and a[0] == b for a, b in zip(predictions, references, strict=True)])


def top5(predictions: Sequence[Sequence[Hashable]], references: Sequence[Hashable]) -> float:
    """Return the share whose reference is among the first five of a ranked prediction."""
    return _mean([b in list(a)[:5] for a, b in zip(predictions, references, strict=True)])


def macro_f1(predictions: Sequence[Hashable], references: Sequence[Hashable]) -> float:
    """Return the mean over classes of 2TP / (2TP + FP + FN), over every class that occurs on either side."""
    hits, made, true = Counter[Hashable](), Counter(predictions), Counter(references)
    hits.update(a for a, b in zip(predictions, references, strict=True) if a == b)
    return _mean([2 * hits[name] / (made[name] + true[name]) for name in sorted({*made, *true}, key=str)])


def span_f1(predictions: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]]) -> float:
    """Return F1 over whole spans (label, start, end) of all texts together, as CoNLL's evaluation counts them."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(predictions, references, strict=True))
    total = sum(map(len, map(set, predictions))) + sum(map(len, map(set, references)))
    return 2 * hits / total if total else 1.0


def exact_match(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the share that equals one of its references after SQuAD's normalisation (Rajpurkar et al. 2016)."""
    return _mean([any(_plain(a) == _plain(b) for b in many) for a, many in zip(predictions, references, strict=True)])


def token_f1(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean over questions of the best word-overlap F1 with a reference (Rajpurkar et al. 2016)."""
    return _mean([max(_overlap(a, b) for b in many) for a, many in zip(predictions, references, strict=True)])


def perplexity(predictions: Sequence[float], references: Sequence[None]) -> float:
    """Return the exponential of the mean negative log likelihood (nats) of a token."""
    with np.errstate(over="ignore"):
        return float(np.exp(np.mean(predictions)))


def retrieval(predictions: Sequence[Array], references: Sequence[Hashable]) -> float:
    """Return 1-nearest-neighbour accuracy, leave one out: how often the closest other vector (cosine) has the same
    label.

    NaN where there is no other vector, or one is not finite.
    """
    vectors = np.stack([np.asarray(vector, float) for vector in predictions])
    if len(vectors) < 2 or not np.isfinite(vectors).all():
        return math.nan
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    return _mean([references[i] == references[int(j)] for i, j in enumerate(similarity.argmax(axis=1))])


def number(row: Mapping[str, Json], column: str) -> float:
    """Return a finite number of a data set's row. Raises DataError with the row's place."""
    value, place = row[column], getattr(row, "place", "a row")
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{place}: {str(value)[:40]!r} in column {column!r} is not a number") from error
    if not math.isfinite(found):
        raise DataError(f"{place}: {str(value)[:40]!r} in column {column!r} is not a finite number")
    return found


def _unit(values: Array) -> Array:
    """Return ``values`` about their mean, of length 1; they are not all the same."""
    values = values - values.mean()
    values = values / np.abs(values).max()  # squares of the largest and the smallest numbers are out of range
    return np.asarray(values / np.linalg.norm(values))


def _plain(text: str) -> str:
    text = "".join(ch for ch in text.lower() if ch not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def _overlap(a: str, b: str) -> float:
    first, second = _plain(a).split(), _plain(b).split()
    if not first or not second:
        return float(first == second)
    same = sum((Counter(first) & Counter(second)).values())
    return 2 * same / (len(first) + len(second))


def _mean(values: Sequence[float | bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
