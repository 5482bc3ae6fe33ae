"""Results as files for people and machines: one self-contained HTML page, JUnit XML, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgepack.records import Accuracy, Bundle, Component, NotMeasured, Timings
from edgepack.reports import page, plots
from edgepack.reports.page import MARK, Section, Table
from edgepack.suites import CheckResult, SuiteResult
from edgepack.units import duration, size

__all__ = [
    "MARK",
    "accuracy_table",
    "checks_table",
    "figure",
    "of_bundle",
    "of_suite",
    "shown",
    "sizes_table",
    "speed_table",
]


def of_bundle(bundle: Bundle, samples: Mapping[str, Any]) -> str:
    """The HTML report of a build."""
    failed = any(a.floor is not None and not a.passed for a in bundle.accuracy)
    facts = {
        "model": bundle.source.model,
        "task": bundle.source.task,
        "target": f"{bundle.target.title} ({bundle.target.profile.title})",
        "recipe": bundle.recipe.name,
        "size": size(bundle.artifact.bytes),
        "parameters": f"{bundle.source.parameters:,}",
        "licence": bundle.source.licence or "not stated",
        "needs": bundle.artifact.needs,
    }
    sections = [
        Section("Accuracy", accuracy_table(bundle.accuracy), _sample_plots(samples)),
        Section("Speed", speed_table(bundle.timings), _latency_plot(bundle.timings)),
        Section("Sizes", sizes_table(bundle.artifact.components), [plots.bars(_bytes(bundle.artifact.components))]),
        Section("Left uncompressed", _skipped(bundle)),
    ]
    verdict = ("below a floor", False) if failed else ("keeps its floors", True)
    return page.render(bundle.path.name, verdict, facts, sections)


def of_suite(result: SuiteResult, components: Sequence[Component], facts: Mapping[str, str]) -> str:
    """The HTML report of a release suite."""
    kept = sum(bool(r.passed) for r in result.results)
    verdict = f"{kept} of {len(result.results)} checks passed", result.passed
    figures = _sample_plots(result.samples)
    if result.pairs:
        figures.append(plots.scatter(result.pairs, "original", "bundle"))
    intervals = [(a.metric, a.interval) for a in result.accuracy if a.interval is not None]
    if intervals:
        figures.append(plots.intervals(intervals))
    sections = [
        Section("Checks", checks_table(result.results)),
        Section("Accuracy", accuracy_table(result.accuracy), figures),
        Section("Speed", speed_table(result.timings), _latency_plot(result.timings)),
        Section("Sizes", sizes_table(components), [plots.bars(_bytes(components))]),
    ]
    return page.render(f"{result.bundle}: {result.suite}", verdict, facts, sections)


def figure(value: float | NotMeasured | None, metric: str = "") -> str:
    """A figure with the digits that mean something."""
    if value is None:
        return "–"
    if isinstance(value, NotMeasured):
        return str(value)
    if metric == "reading":  # a share of the largest logit, near what float32 rounds
        return f"{value:.1e}"
    return f"{value:.1f} dB" if metric.startswith("sqnr") else f"{value:.5f}"


def accuracy_table(accuracy: Sequence[Accuracy]) -> Table:
    """Metric, original, bundle, difference with its interval, floor."""
    rows = []
    for a in accuracy:
        change = f"[{a.interval[0]:+.4f}, {a.interval[1]:+.4f}]" if a.interval else "–"
        floor = "–" if a.floor is None else f"{'≥' if a.higher_is_better else '≤'} {a.floor:g}"
        rows.append(
            [
                a.metric,
                figure(a.original, a.metric),
                figure(a.packed, a.metric),
                change,
                floor,
                f"{a.samples or '–'}",
            ]
        )
    return Table(
        ["metric", "original", "bundle", "95 % of the difference", "floor", "samples"],
        rows,
        [a.passed for a in accuracy],
    )


def speed_table(timings: Timings) -> Table:
    """Percentiles, load and memory; a figure from another machine than the target says so.

    Language models also have the tokens per second of the median run.
    """
    if isinstance(timings, NotMeasured):
        return Table(["speed"], [[str(timings)]], [])
    spoken = any(t.tokens for t in timings)
    rows = [
        [
            t.what,
            *([f"{t.tokens / t.p50:,.1f}" if t.tokens else "–"] if spoken else []),
            duration(t.p50),
            *(str(p) if isinstance(p, NotMeasured) else duration(p) for p in (t.p90, t.p99)),
            duration(t.load),
            size(t.peak_memory),
            f"{t.runs}",
            ("" if t.where.target else "not the target: ") + f"{t.where.machine}, {t.where.threads} threads",
            t.verdict,
        ]
        for t in timings
    ]
    head = [
        "input",
        *(["tokens/s"] if spoken else []),
        "p50",
        "p90",
        "p99",
        "load",
        "peak memory",
        "runs",
        "measured on",
        "verdict",
    ]
    return Table(head, rows, [t.verdict == "valid" or None for t in timings])


def sizes_table(components: Sequence[Component]) -> Table:
    """Bytes by component, with effective bits per weight."""
    rows = [
        [c.name, f"{c.parameters:,}", size(c.bytes), f"{c.bits_per_weight:.2f}" if c.parameters else "–"]
        for c in components
    ]
    total = Component(
        name="total", parameters=sum(c.parameters for c in components), bytes=sum(c.bytes for c in components)
    )
    rows.append([total.name, f"{total.parameters:,}", size(total.bytes), f"{total.bits_per_weight:.2f}"])
    return Table(["component", "weights", "bytes", "bits per weight"], rows, [])


def checks_table(results: Sequence[CheckResult]) -> Table:
    """Each check with its value, limits and result."""
    rows = []
    for r in results:
        limits = ", ".join(f"{key.replace('_', ' ')} {_limit(r, key, value)}" for key, value in r.check.limits.items())
        word = "passed" if r.passed else "not measured" if r.passed is None else "failed"
        rows.append([r.check.name, shown(r), limits or "every vector", word, r.reason or "–"])
    return Table(["check", "value", "limit", "result", "why"], rows, [r.passed for r in results])


def shown(result: CheckResult) -> str:
    """A check's value in its own unit."""
    if isinstance(result.value, NotMeasured):
        return "not measured"
    if result.check.kind in ("size", "memory"):
        return size(result.value)
    if result.check.kind in ("latency", "load"):
        return duration(result.value)
    return figure(result.value, result.check.metric)


def _limit(result: CheckResult, key: str, value: float) -> str:
    if key.endswith("share"):
        return f"{value:.0%} of the original"
    if result.check.kind in ("size", "memory"):
        return size(value)
    return duration(value) if result.check.kind in ("latency", "load") else f"{value:g}"


def _skipped(bundle: Bundle) -> Table:
    coverage = bundle.artifact.coverage
    rows = [[skipped.tensor, skipped.reason] for skipped in coverage.skipped]
    rows.append(["compressed in all", f"{coverage.share:.3%} of {coverage.total:,} weights"])
    return Table(["weight", "why"], rows, [])


def _sample_plots(samples: Mapping[str, Any]) -> list[str]:
    return [
        plots.histogram([float(v) for v in samples[name]], name) for name in ("cosine", "sqnr_db") if name in samples
    ]


def _latency_plot(timings: Timings) -> list[str]:
    if isinstance(timings, NotMeasured) or not timings:
        return []
    return [plots.bars([(t.what, t.p50 * 1e3, duration(t.p50)) for t in timings])]


def _bytes(components: Sequence[Component]) -> list[tuple[str, float, str]]:
    return [(c.name, float(c.bytes), size(c.bytes)) for c in components]
