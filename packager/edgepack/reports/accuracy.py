"""Figures of accuracy in words and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack.metrics.images import LATENTS_PSNR, MEANINGS
from edgepack.records import Accuracy, NotMeasured
from edgepack.reports.table import DASH, Cell, Table

READING = "reading"  # the metric by which edgepack's own reading of a model's files is checked
_DECIBELS = " dB"
_SMALL = 1e-4  # figures below are written with their exponent
_LANGUAGE = {
    READING: "the largest difference between edgepack's implementation of this architecture and transformers', as a "
    "share of the largest logit, on a small model of this config.json with random weights",
}


def figure(value: float | NotMeasured | None, metric: str = "") -> str:
    """Write a figure with the digits that mean something; a dash where there is none."""
    if value is None or isinstance(value, NotMeasured):
        return DASH
    if value != 0 and metric == READING:  # a share of the largest logit, near what float32 rounds
        return f"{value:.1e}"
    if unit(metric) == _DECIBELS:
        return f"{value:.1f}{_DECIBELS}"
    digits = "0" if value == 0 else f"{value:.5f}" if abs(value) >= _SMALL else f"{value:.1e}"
    return f"{digits}{unit(metric)}"


def accuracy_table(accuracy: Sequence[Accuracy]) -> Table:
    """Tabulate each metric of the whole: original, bundle, the interval of their difference, floor and samples."""
    head = ["metric", "original", "bundle", "95 % interval of the difference", "floor", "samples"]
    whole = [a for a in accuracy if not a.submodel]
    rows: list[list[Cell]] = [
        [
            words(a.metric),
            _cell(a.original, a.metric),
            _cell(a.compressed, a.metric),
            f"{a.interval[0]:+.4f} to {a.interval[1]:+.4f}" if a.interval else None,
            floor(a),
            f"{a.samples:,}" if a.samples else None,
        ]
        for a in whole
    ]
    return Table(head, rows, [a.passed for a in whole], figures=head[1:], notes=_meanings(whole))


def _meanings(whole: Sequence[Accuracy]) -> list[str]:
    """Say what figures mean whose names do not."""
    metrics = {a.metric for a in whole}
    meanings = MEANINGS if LATENTS_PSNR in metrics else _LANGUAGE
    return [f"{words(name)}: {told}" for name, told in meanings.items() if name in metrics]


def floor(accuracy: Accuracy) -> str | None:
    """Write the least or the most that a figure may be; None where there is no floor."""
    if accuracy.floor is None:
        return None
    return f"{'≥' if accuracy.higher_is_better else '≤'} {accuracy.floor:g}{unit(accuracy.metric)}"


def unit(metric: str) -> str:
    """Return the unit of a metric behind a space; "" where it has none."""
    if metric == "kl" or metric.startswith("kl_"):
        return " nats"
    return _DECIBELS if "sqnr" in metric or "psnr" in metric else ""


def measure(figure: Accuracy) -> str:
    """Name a metric in words, behind the submodel that it is about where there are several."""
    return f"{figure.submodel} {words(figure.metric)}".strip()


def _cell(value: float | NotMeasured | None, metric: str) -> Cell:
    return value if value is None or isinstance(value, NotMeasured) else figure(value, metric)


def words(metric: str) -> str:
    """Write a metric's name as words, between which a line may end."""
    if metric == READING:
        return "reference check"
    return (
        metric.replace("sqnr_db", "SQNR")
        .replace("kl_", "KL_")
        .replace("top1_mean", "top-1_agreement")
        .replace("psnr", "PSNR")
        .replace("max_error_max", "max_error")
        .replace("_", " ")
    )
