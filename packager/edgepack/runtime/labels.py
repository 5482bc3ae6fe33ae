"""Logits to named scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgepack.arrays import Array
from edgepack.errors import BundleDamaged
from edgepack.runtime.processing import ProblemType


@dataclass(frozen=True)
class Label:
    """A class and its score: a probability (softmax of several classes, sigmoid of one), or a regression's value."""

    name: str
    score: float


def softmax(logits: Array, dtype: type[np.floating] = np.float64) -> Array:
    """Return probabilities along the last axis in ``dtype``, shifted by the maximum so that nothing overflows."""
    shifted = np.exp(logits.astype(dtype, copy=False) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def labels(logits: Array, names: Sequence[str], problem: ProblemType) -> list[Label]:
    """Return the labels of one row of logits, best first. ``problem`` is the config's problem_type.

    Raises BundleDamaged where there are more or fewer names than logits.
    """
    if logits.shape != (len(names),):
        raise BundleDamaged(f"the manifest names {len(names)} labels; the model scores {list(logits.shape)}")
    found = scores(logits, problem)
    order = np.argsort(-found, kind="stable")
    return [Label(names[i], float(found[i])) for i in order]


def scores(logits: Array, problem: ProblemType) -> Array:
    """Return what ``problem``, the config's problem_type, makes of logits, float64, along the last axis."""
    if problem == "regression":
        return logits.astype(np.float64)
    if problem == "multi_label_classification":
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))
    return softmax(logits)
