"""How close is the bundle to the original, and how good is it at the task? Both run the shipping code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from edgepack import data
from edgepack.data import DataSpec
from edgepack.metrics import agreement as measures
from edgepack.metrics import bootstrap
from edgepack.records import Accuracy, Where
from edgepack.runtime.batch import text_length
from edgepack.runtime.types import Array, Feeds, Run

BATCH = 8
# How per-sample values become one figure; cosines are judged by the mean and by the worst sample.
_STATISTICS = {
    "cosine": ("mean", "min"),
    "sqnr_db": ("mean",),
    "max_error": ("max",),
    "top1": ("mean",),
}
REDUCE: dict[str, Callable[[Array], Any]] = {"mean": np.mean, "min": np.min, "max": np.max}


@dataclass(frozen=True)
class Agreement:
    """Figures of agreement, and the value of every sample for plots."""

    accuracy: tuple[Accuracy, ...]
    samples: Mapping[str, Array]


@dataclass(frozen=True)
class Scores:
    """A task's metrics on a data set, and each model's predictions for plots."""

    accuracy: tuple[Accuracy, ...]
    original: Sequence[Any] | None
    packed: Sequence[Any]


def batches(model: Any, examples: Sequence[Any]) -> list[Feeds]:
    """The feeds of ``examples`` in batches, made by the shipping pre-processing; texts of like length together."""
    texts = all(isinstance(example, str | tuple) for example in examples)
    ordered = sorted(examples, key=text_length) if texts else examples
    return [model.feeds(ordered[start : start + BATCH]) for start in range(0, len(ordered), BATCH)]


def agreement(
    original: Run,
    packed: Run,
    task: ModuleType,
    feeds: Iterable[Feeds],
    *,
    floors: Mapping[str, float],
    where: Where,
) -> Agreement:
    """Both models on the same inputs: cosine, SQNR, largest error, top-1 agreement, by sample."""
    true: list[Array] = []
    made: list[Array] = []
    for feed in feeds:
        true += task.rows(feed, original(feed))
        made += task.rows(feed, packed(feed))
    samples = measures.per_sample(task.MEASURES, true, made)
    accuracy = [
        Accuracy(
            metric=f"{name}_{statistic}",
            packed=float(REDUCE[statistic](values)),
            floor=floors.get(f"{name}_{statistic}"),
            samples=len(values),
            data="edgepack's own inputs",
            higher_is_better=name != "max_error",
            where=where,
        )
        for name, values in samples.items()
        for statistic in _STATISTICS[name]
    ]
    return Agreement(tuple(accuracy), samples)


def rows(task: ModuleType, spec: DataSpec, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The data set's rows, with ``columns`` (default: what the task's metrics need). Raises DataError."""
    return data.read(spec, columns or task.COLUMNS)


def metric(
    original: Any | None,
    packed: Any,
    task: ModuleType,
    table: Sequence[Mapping[str, Any]],
    *,
    name: str,
    floors: Mapping[str, float],
    where: Where,
) -> Scores:
    """The task's metrics for both models, with the 95 % interval of their difference.

    ``original`` and ``packed`` are task objects of runtime/tasks; without an original there is no interval.
    """
    truth = task.references(table)
    made = task.predict(packed, table)
    true = task.predict(original, table) if original is not None else None
    accuracy = [
        Accuracy(
            metric=key,
            packed=score(made, truth),
            original=score(true, truth) if true is not None else None,
            interval=bootstrap.difference(score, true, made, truth) if true is not None else None,
            floor=floors.get(key),
            samples=len(truth),
            data=name,
            where=where,
        )
        for key, score in task.METRICS.items()
    ]
    return Scores(tuple(accuracy), true, made)
