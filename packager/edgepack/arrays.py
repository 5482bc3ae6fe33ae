"""The types that pre-processing, sessions and post-processing pass to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Example = Any  # an input as people give it: a text, a pair, messages, an image, with labels
Answers = Any  # of a task: for one input its answer, for a list of inputs a list of answers
TaskModel = Any  # an object of a class in runtime/tasks, whose calls are the task's own
Rows = Sequence[Mapping[str, Any]]  # of a data set: column -> value
Feeds = dict[str, Array]  # input name -> array
Outputs = dict[str, Array]  # output name -> array
Run = Callable[[Mapping[str, Array]], Outputs]  # an ONNX session, or the original model: the same signature


class Runs(Protocol):
    """An opened model."""

    @property
    def threads(self) -> int:
        """Number of threads that it computes with."""

    @property
    def runtime(self) -> str:
        """Name of what computes it, with its version."""

    def __call__(self, feeds: Mapping[str, Array], /) -> Outputs:
        """Return the outputs for ``feeds``."""

    def each(self, feeds: Sequence[Mapping[str, Array]], /) -> Iterator[Outputs]:
        """Return the outputs for each of ``feeds``, in order: what is large may pass over all of them a part at a
        time.
        """


def cosine(a: Array, b: Array) -> float:
    """Return the cosine of the angle between two arrays of one size, in float64; 1 for two of zeros."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norm if norm else float(np.array_equal(x, y))
