"""Logits to named scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgepack.errors import BundleDamaged
from edgepack.runtime.types import Array


@dataclass(frozen=True)
class Label:
    """A class and its score: a probability (softmax of several classes, sigmoid of one), or a regression's value."""

    name: str
    score: float


def softmax(logits: Array) -> Array:
    """Probabilities along the last axis, float64, shifted by the maximum so that nothing overflows."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def labels(logits: Array, names: list[str], problem: str) -> list[Label]:
    """The labels of one row of logits, best first. ``problem`` is the config's problem_type.

    Raises BundleDamaged where there are more or fewer names than logits.
    """
    if logits.shape != (len(names),):
        raise BundleDamaged(f"the manifest names {len(names)} labels; the model scores {list(logits.shape)}")
    if problem == "regression":
        scores = logits.astype(np.float64)
    elif problem == "multi_label_classification":
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    else:
        scores = softmax(logits)
    order = np.argsort(-scores, kind="stable")
    return [Label(names[i], float(scores[i])) for i in order]
