"""How close is the bundle to the original, and how good is it at the task? Both run the shipping code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgepack import data
from edgepack.arrays import Array, Example, Feeds, Rows, Runs, TaskModel
from edgepack.data import DataSpec
from edgepack.data.row import Row
from edgepack.metrics import agreement as measures
from edgepack.metrics import bootstrap
from edgepack.metrics import tasks as scores
from edgepack.original import Original
from edgepack.records import Accuracy, NotMeasured, Where
from edgepack.tasks import AnyTask, Task, options

_LEARNT = 64  # batches that pass through the original together
# How per-sample values become one figure; cosines are judged by the mean and by the worst sample.
_STATISTICS = {
    "cosine": ("mean", "min"),
    "sqnr_db": ("mean",),
    "psnr": ("mean", "min"),
    "max_error": ("max",),
    "top1": ("mean",),
    "kl": ("mean", "median", "p99"),
    "greedy": ("mean", "min"),
}


@dataclass(frozen=True)
class Agreement:
    """Figures of agreement, and the value of every sample for plots."""

    accuracy: tuple[Accuracy, ...]
    samples: Mapping[str, Array]


@dataclass(frozen=True)
class Scores:
    """A task's metrics on a data set, and each model's predictions for plots."""

    accuracy: tuple[Accuracy, ...]
    original: Sequence[Example] | None
    compressed: Sequence[Example]


def agreement(
    original: Original,
    compressed: Runs,
    task: Task,
    feeds: Sequence[Feeds],
    *,
    floors: Mapping[str, float],
    where: Where,
    data: str = "",
    shipped: Sequence[Feeds] = (),
) -> Agreement:
    """Compare both models on the same inputs, a batch at a time, by every measure of the task.

    ``shipped`` is what the compressed model is fed where it prepares the same images otherwise.
    """
    compressed_feeds = shipped or feeds
    parts = []
    for start in range(0, len(feeds), _LEARNT):
        part = slice(start, start + _LEARNT)
        group = feeds[part]
        original.learn(group)
        parts += [
            measures.per_sample(task.MEASURES, task.rows(feed, original(feed)), task.rows(feed, outputs))
            for feed, outputs in zip(group, compressed.each(compressed_feeds[part]), strict=True)
        ]
    samples = {name: np.concatenate([part[name] for part in parts]) for name in task.MEASURES}
    return Agreement(_figures(samples, floors, where, data), samples)


def trial(
    original: Original, model: TaskModel, task: Task, feeds: Sequence[Feeds], *, name: str, where: Where, data: str
) -> Agreement:
    """Return a measure for which the compressed ``model`` does its work, and the original judges it."""
    samples = {name: task.TRIALS[name](original, model, feeds)}
    return Agreement(_figures(samples, {}, where, data), samples)


def _figures(
    samples: Mapping[str, Array], floors: Mapping[str, float], where: Where, data: str
) -> tuple[Accuracy, ...]:
    return tuple(
        Accuracy(
            metric=f"{name}_{statistic}",
            compressed=float(measures.REDUCE[statistic](values)),
            floor=floors.get(f"{name}_{statistic}"),
            samples=len(values),
            data=data or "edgepack's own inputs",
            higher_is_better=name not in measures.LESS_IS_BETTER,
            where=where,
        )
        for name, values in samples.items()
        for statistic in _STATISTICS[name]
    )


def _defined(value: float, metric: str, samples: int) -> float | NotMeasured:
    if math.isfinite(value):
        return value
    return NotMeasured(reason=f"no {metric} of these {samples} predictions: too few, all alike, or not finite")


def rows(task: AnyTask, spec: DataSpec, columns: Sequence[str] = ()) -> list[Row[str]]:
    """Return the data set's rows, with ``columns`` (default: what the task's metrics need). Raises DataError."""
    optional = () if columns else options(task).optional_columns
    return data.read(spec, columns or task.COLUMNS, task.PAIRS, optional)


def metric(
    original: TaskModel | None,
    compressed: TaskModel,
    task: AnyTask,
    table: Rows,
    *,
    name: str,
    floors: Mapping[str, float],
    where: Where,
) -> Scores:
    """Return the task's metrics for both models, with the 95 % interval of their difference.

    ``original`` and ``compressed`` are task objects of runtime/tasks; without an original there is no interval.
    """
    made = task.predict(compressed, table)
    truth = task.references(table, compressed) or [None] * len(made)
    true = task.predict(original, table) if original is not None else None
    accuracy = [
        Accuracy(
            metric=key,
            compressed=_defined(score(made, truth), key, len(made)),
            original=score(true, truth) if true is not None else None,
            interval=bootstrap.difference(score, true, made, truth) if true is not None else None,
            floor=floors.get(key),
            samples=len(truth),
            data=name,
            higher_is_better=key not in scores.LESS_IS_BETTER,
            where=where,
        )
        for key, score in task.METRICS.items()
        if (key in scores.OF_NUMBERS) == isinstance(made[0], float)
    ]
    return Scores(tuple(accuracy), true, made)
