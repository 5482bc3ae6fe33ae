"""Tables of what was measured: accuracy, speed, sizes and a release suite's checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Protocol

from edgepack.metrics.pictures import LATENTS_PSNR, MEANINGS
from edgepack.records import Accuracy, Component, Coverage, NotMeasured, Timing, Timings
from edgepack.reports.table import DASH, Cell, Table
from edgepack.runtime import estimate
from edgepack.suites import CheckResult
from edgepack.units import duration, size

_REST = {"other": "norms and constants"}  # what a component is called where people read it
GRAPH = "graph"  # what the files hold beside weights: the operators and their names, metadata
_SMALL = 1e-4  # figures below are written with their exponent
_SIGNS = {"at_least": "≥", "at_most": "≤"}


def figure(value: float | NotMeasured | None, metric: str = "") -> str:
    """Write a figure with the digits that mean something; a dash where there is none."""
    if value is None or isinstance(value, NotMeasured):
        return DASH
    if value != 0 and metric == "reading":  # a share of the largest logit, near what float32 rounds
        return f"{value:.1e}"
    if unit(metric):
        return f"{value:.1f}{unit(metric)}"
    return "0" if value == 0 else f"{value:.5f}" if abs(value) >= _SMALL else f"{value:.1e}"


class Packed(Protocol):
    """A submodel as people are told of it: an Artifact of a build, or a Submodel of a bundle."""

    @property
    def components(self) -> tuple[Component, ...]:
        """Bytes by component."""

    @property
    def coverage(self) -> Coverage:
        """The share of the weights that was compressed."""

    @property
    def bytes(self) -> int:
        """The size of all its files."""

    @property
    def needs(self) -> str:
        """The demands on a device, in words."""


def components(models: Mapping[str, Packed]) -> list[Component]:
    """List the components of all submodels and what else their files hold, of several behind the submodel's name."""
    found = []
    for name, model in models.items():
        rest = model.bytes - sum(component.bytes for component in model.components)
        graph = [Component(name=GRAPH, parameters=0, bytes=rest)] if rest > 0 else []
        whose = f"{name} " if len(models) > 1 else ""
        found += [replace(one, name=f"{whose}{one.name}") for one in (*model.components, *graph)]
    return found


def stored(components: Sequence[Component]) -> Component:
    """Add up the weights, without the graphs."""
    weights = [c for c in components if c.name.rpartition(" ")[2] != GRAPH]
    return Component(name="weights", parameters=sum(c.parameters for c in weights), bytes=sum(c.bytes for c in weights))


def coverage(models: Mapping[str, Packed]) -> Coverage:
    """Add up how much of all submodels was compressed; what was left is told behind the submodel's name."""
    return Coverage(
        compressed=sum(model.coverage.compressed for model in models.values()),
        total=sum(model.coverage.total for model in models.values()),
        skipped=tuple(
            replace(skipped, tensor=_behind(name, skipped.tensor)) if len(models) > 1 else skipped
            for name, model in models.items()
            for skipped in model.coverage.skipped
        ),
    )


def _behind(submodel: str, tensor: str) -> str:
    """Put the name of its submodel in front of a weight's, where that does not begin with it."""
    return tensor if tensor.startswith(f"{submodel}.") else f"{submodel} {tensor}"


def needs(models: Mapping[str, Packed]) -> str:
    """Say what a device must have to run all submodels."""
    return "; ".join(dict.fromkeys(model.needs for model in models.values()))


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
    """Say what the figures of pictures mean."""
    metrics = {a.metric for a in whole}
    if LATENTS_PSNR not in metrics:
        return []
    return [f"{words(name)}: {told}" for name, told in MEANINGS.items() if name in metrics]


def floor(accuracy: Accuracy) -> str | None:
    """Write the least or the most that a figure may be; None where there is no floor."""
    if accuracy.floor is None:
        return None
    return f"{'≥' if accuracy.higher_is_better else '≤'} {accuracy.floor:g}{unit(accuracy.metric)}"


def unit(metric: str) -> str:
    """Return the unit of a metric behind a space; "" where it has none."""
    return " dB" if "sqnr" in metric or "psnr" in metric else ""


def measure(figure: Accuracy) -> str:
    """Name a metric in words, behind the submodel that it is about where there are several."""
    return f"{figure.submodel} {words(figure.metric)}".strip()


def speed_table(timings: Timings) -> Table:
    """Tabulate percentiles, load time and memory; of language models the tokens per second of the median run too.

    A percentile that no input has enough runs for has no column. Notes say on what machine it was measured, whether
    that is the target, and which figures are not to be trusted.
    """
    if isinstance(timings, NotMeasured):
        return Table(["speed"], [], notes=[str(timings)])
    head = ["input", "tokens/s", "p50", "p90", "p99", "load", "peak memory", "runs"]
    rows: list[list[Cell]] = [
        [
            t.label,
            f"{t.tokens / t.p50:,.1f}" if t.tokens else None,
            duration(t.p50),
            *(_percentile(getattr(t, name), name, timings) for name in ("p90", "p99")),
            duration(t.load),
            size(t.peak_memory),
            f"{t.runs:,}",
        ]
        for t in timings
    ]
    return Table(head, rows, figures=head[1:], notes=_remarks(timings))


def _percentile(value: float | NotMeasured, name: str, timings: Sequence[Timing]) -> Cell:
    if isinstance(value, NotMeasured):
        anywhere = any(not isinstance(getattr(t, name), NotMeasured) for t in timings)
        return value if anywhere else None
    return duration(value)


def _remarks(timings: Sequence[Timing]) -> list[str]:
    places = dict.fromkeys(
        f"measured on {t.where.machine}, {t.where.threads} {'thread' if t.where.threads == 1 else 'threads'}"
        + ("" if t.where.target else "; it is not the target")
        for t in timings
    )
    untrusted = (f"{t.label} may be wrong: {t.verdict}" for t in timings if t.verdict != "valid")
    return [*_whole(timings), *places, *untrusted]


def _whole(timings: Sequence[Timing]) -> list[str]:
    """Say how long a result of several submodels takes, where that can be estimated."""
    seconds = estimate.whole(timings)
    if seconds is None:
        return []
    taken = estimate.said(estimate.calls(timings))
    return [f"a result takes about {duration(seconds)}, estimated: {taken} at their medians, without loading"]


def sizes_table(components: Sequence[Component]) -> Table:
    """Tabulate bytes by component, with effective bits per weight; the total is the model files' size."""
    weights, size_of_all = stored(components), sum(c.bytes for c in components)
    whole = Component(name="total", parameters=weights.parameters, bytes=size_of_all)
    head = ["component", "weights", "bytes", "share", "bits per weight"]
    rows: list[list[Cell]] = [
        [
            component_name(c),
            f"{c.parameters:,}",
            size(c.bytes),
            f"{c.bytes / whole.bytes:.1%}" if whole.bytes else None,
            _bits(weights if c is whole else c),
        ]
        for c in (*components, whole)
    ]
    return Table(head, rows, figures=head[1:])


def _bits(component: Component) -> str | None:
    counted = component.parameters and component.name.rpartition(" ")[2] not in _REST
    return f"{component.bits_per_weight:.2f}" if counted else None


def component_name(component: Component) -> str:
    """Name a component for people: what belongs to no part of the network is norms and constants."""
    whose, _, name = component.name.rpartition(" ")
    return f"{whose} {_REST.get(name, name)}".strip()


def parameters(count: int, components: Sequence[Component]) -> str:
    """Say how many parameters the checkpoint has, and how many weights the bundle holds of them."""
    held = sum(component.parameters for component in components)
    return f"{count:,}" if held == count else f"{count:,} in the checkpoint; the bundle holds {held:,}"


def compressed(coverage: Coverage) -> str:
    """Say how much of the weights that the recipe is for was compressed."""
    if not coverage.total:
        return "none: the recipe keeps the weights as they are"
    if coverage.compressed == coverage.total:
        return f"all {coverage.total:,} weights that the recipe is for"
    percent = int(coverage.share * 10_000) / 100  # rounded down: 100 % is said of all alone
    return f"{percent:.2f} % of the {coverage.total:,} weights that the recipe is for"


def side_by_side(names: Sequence[str], facts: Sequence[Mapping[str, str]]) -> Table:
    """Tabulate the facts of bundles, a column for each; what all their names begin with is left out of the headings."""
    keys = dict.fromkeys(key for each in facts for key in each)
    figures = {key: [each.get(key, DASH) for each in facts] for key in keys}
    rows = [[key, *cells] for key, cells in figures.items() if set(cells) != {DASH}]
    shared = _shared(names)
    short = [f"…{name.removeprefix(shared)}" if shared else name for name in names]
    return Table(["", *short], rows, figures=short)


def _shared(names: Sequence[str]) -> str:
    """Return the words, parted by hyphens, that all names begin with: the model's name, as a rule."""
    equal = takewhile(lambda words: len(set(words)) == 1, zip(*(name.split("-")[:-1] for name in names), strict=False))
    return "-".join(words[0] for words in equal)


def checks_table(results: Sequence[CheckResult]) -> Table:
    """Tabulate each check with its value, what it was judged by and its result."""
    rows: list[list[Cell]] = []
    for r in results:
        word = "passed" if r.passed else "not measured" if r.passed is None else "failed"
        told = isinstance(r.value, NotMeasured) and r.value.reason == r.reason
        value = r.value if isinstance(r.value, NotMeasured) else shown(r)
        rows.append([r.check.name, value, limits(r), word, None if told else r.reason or None])
    return Table(["check", "value", "limit", "result", "why"], rows, [r.passed for r in results], figures=["value"])


def limits(result: CheckResult) -> str:
    """Say what a check was judged by."""
    return ", ".join(_limit(result, name, bound) for name, bound in result.check.limits.items())


def _limit(result: CheckResult, name: str, bound: float) -> str:
    if name == "at_most_loss":
        return f"loss ≤ {bound:g}" + (" by the 95 % interval" if result.check.sure else "")
    sign = _SIGNS[name.removesuffix("_share")]
    if name.endswith("_share"):
        return f"{sign} {bound:.4g} × the original's"
    if result.check.kind in ("size", "memory"):
        return f"{sign} {size(bound)}"
    if result.check.kind in ("latency", "load"):
        return f"{sign} {duration(bound)}"
    return f"{'cosine ' if result.check.kind == 'golden' else ''}{sign} {bound:g}{_unit(result)}"


def _unit(result: CheckResult) -> str:
    return " dB" if result.check.kind == "psnr" else unit(result.check.metric)


def shown(result: CheckResult) -> str:
    """Write a check's value in its own unit."""
    if isinstance(result.value, NotMeasured):
        return "not measured"
    if result.check.kind in ("size", "memory"):
        return size(result.value)
    if result.check.kind in ("latency", "load"):
        return duration(result.value)
    return figure(result.value, f"{result.check.metric}_psnr" if result.check.kind == "psnr" else result.check.metric)


def _cell(value: float | NotMeasured | None, metric: str) -> Cell:
    return value if value is None or isinstance(value, NotMeasured) else figure(value, metric)


def words(metric: str) -> str:
    """Write a metric's name as words, between which a line may end."""
    return (
        metric.replace("sqnr_db", "SQNR")
        .replace("psnr", "PSNR")
        .replace("max_error_max", "max_error")
        .replace("_", " ")
    )
