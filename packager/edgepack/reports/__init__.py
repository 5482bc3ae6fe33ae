"""Results as files for people and machines: one self-contained HTML page, JUnit XML, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgepack import plugins
from edgepack.cost import Bill
from edgepack.documents import JsonObject
from edgepack.errors import EdgepackError
from edgepack.history import Entry
from edgepack.metrics.images import ImagePair
from edgepack.records import Accuracy, Bundle, Component, NotMeasured, Timings
from edgepack.reports import bill as bills
from edgepack.reports import checks, courses, devices, over_time, plots, sizes, speed
from edgepack.reports import images as made_images
from edgepack.reports.accuracy import accuracy_table
from edgepack.reports.page import MARK, Section
from edgepack.reports.submodels import submodels_table
from edgepack.reports.table import Table
from edgepack.suites import SuiteResult
from edgepack.units import duration, size

_WORTH_DRAWING = 8  # samples of a submodel
_OVER_TIME = "a bar is the range of the rounds; an empty circle marks a measurement that was disturbed"
__all__ = ["MARK", "of_bill", "of_bundle", "of_speed", "of_suite", "rendered"]


def of_bundle(bundle: Bundle, samples: JsonObject, images: Sequence[ImagePair] = ()) -> str:
    """Render the HTML report of a build."""
    failed = any(a.floor is not None and not a.passed for a in bundle.accuracy)
    models, source = bundle.artifacts, bundle.source
    parts, covered = sizes.components(models), sizes.coverage(models)
    facts = {
        "model": source.model,
        "task": source.task,
        "licence": source.licence or "not stated",
        "target": f"{bundle.target.title} ({bundle.target.profile.title})",
        "needs": sizes.needs(models),
        "recipe": bundle.recipe.name,
        "size": size(sum(model.bytes for model in models.values())),
        "parameters": sizes.parameters(source.parameters, parts),
        "compressed": sizes.compressed(covered),
    }
    left = [[skipped.tensor, skipped.reason] for skipped in covered.skipped]
    sections = [
        *_accuracy(bundle.accuracy, samples, images),
        Section("Speed", speed.speed_table(bundle.timings), _latency_plot(bundle.timings)),
        Section("Size", sizes.sizes_table(parts), _size_plot(parts)),
        Section("Left uncompressed", Table(["weight", "why"], left)),
    ]
    verdict = ("below a floor", False) if failed else ("within its floors", True)
    return rendered(bundle.path.name, verdict, facts, sections)


def of_suite(result: SuiteResult, components: Sequence[Component], facts: Mapping[str, str]) -> str:
    """Render the HTML report of a release suite."""
    kept = sum(bool(r.passed) for r in result.results)
    verdict = f"{kept} of {len(result.results)} checks passed", result.passed
    figures = [plots.scatter(result.pairs, "original", "bundle")] if result.pairs else []
    intervals = [(a.label, a.interval) for a in result.accuracy if a.interval is not None]
    if intervals:
        figures.append(plots.intervals(intervals))
    sections = [
        Section("Checks", checks.checks_table(result.results)),
        *_accuracy(result.accuracy, result.samples, result.images, figures),
        Section("Speed", speed.speed_table(result.timings), _latency_plot(result.timings)),
        Section("Size", sizes.sizes_table(components), _size_plot(components)),
    ]
    return rendered(f"{result.bundle}: {result.suite}", verdict, facts, sections)


def of_speed(bundle: str, benched: devices.Benched, entries: Sequence[Entry], facts: Mapping[str, str]) -> str:
    """Render the HTML page of a bundle's speed on devices, and over time where there is a history."""
    missed = sum(isinstance(found, EdgepackError) for _, found in benched)
    timings = [timing for _, timing in devices.timed(benched)]
    marked = sum(not timing.valid for timing in timings)
    said = [f"{missed} of {len(benched)} devices failed"] if missed else []
    said += [f"{marked} of {len(timings)} measurements disturbed"] if marked else []
    drawn = over_time.over_time(entries)
    sections = [
        Section("Speed", devices.speed_table(benched), devices.bars(benched)),
        Section("The machines, before and after", devices.conditions_table(benched)),
        *([Section("Over time", Table([], [], notes=[_OVER_TIME]), drawn)] if drawn else []),
    ]
    return rendered(f"{bundle}: speed", ("; ".join(said) or "measured", not said), facts, sections)


def of_bill(bill: Bill, name: str) -> str:
    """Render the HTML page of a bill, of the bundle ``name`` where there is one."""
    goes_in = bills.scenario_table(bill.scenario)
    facts = {str(what): f"{value} ({origin})" for what, value, origin in goes_in.rows}
    sections = [
        Section("The bill, in US dollars", bills.bill_table(bill), [courses.curve(bill)]),
        Section("Data and energy", bills.device_table(bill)),
        Section("Prices", Table([], [], notes=goes_in.notes)),
    ]
    return rendered(f"{name}: the bill" if name else "The bill", bills.verdict(bill), facts, sections)


def _accuracy(
    accuracy: Sequence[Accuracy],
    samples: JsonObject,
    images: Sequence[ImagePair],
    figures: Sequence[str] = (),
) -> list[Section]:
    """Return the figures of the whole, and behind them those of submodels, where there are several."""
    own = accuracy_table(accuracy)
    if not any(a.submodel for a in accuracy):
        return [Section("Accuracy", own, [*_sample_plots(samples), *figures])]
    return [
        Section("Accuracy", own, [*made_images.figures(images), *figures]),
        Section("Accuracy of the submodels", submodels_table(accuracy), _sample_plots(samples, _WORTH_DRAWING)),
    ]


def _sample_plots(samples: JsonObject, least: int = 1) -> list[str]:
    shown = [
        name for name in samples if name.rpartition(" ")[2] in ("cosine", "sqnr_db") and len(samples[name]) >= least
    ]
    return [plots.histogram([float(value) for value in samples[name]], name) for name in shown]


def _latency_plot(timings: Timings) -> list[str]:
    if isinstance(timings, NotMeasured) or len(timings) < 2:
        return []
    return [plots.bars([(t.label, t.p50 * 1e3, duration(t.p50)) for t in timings], "median time of one run")]


def _size_plot(components: Sequence[Component]) -> list[str]:
    bars = [(sizes.component_name(c), float(c.bytes), size(c.bytes)) for c in components]
    return [plots.bars(bars, "bytes by component")]


def rendered(title: str, verdict: tuple[str, bool], facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """Return the page's HTML; jinja2 is imported for it, and for no other command."""
    made: str = plugins.load_module("edgepack.reports.html").render(title, verdict, facts, sections)
    return made
