"""The outcome of a sweep: tables for the terminal and the page, and JSON."""

from __future__ import annotations

from edgepack import __version__, reports
from edgepack.documents import JsonDict
from edgepack.reports import plots
from edgepack.reports.accuracy import figure, measure
from edgepack.reports.page import Section
from edgepack.reports.speed import memory
from edgepack.reports.table import Cell, Table
from edgepack.runtime import clock, measurements
from edgepack.sweep._records import BENCH, BUILD, VALIDATE, Result, Unit
from edgepack.sweep.course import Course
from edgepack.units import duration, size

_MOST_BARS = 30
_SHOWN = 12  # digits of a digest
_VALID = "valid"  # the verdict on a timing that nothing disturbed


def verdict(course: Course) -> tuple[str, bool]:
    """Return how the sweep ended, in words, and whether all passed."""
    units, failed, left = len(course.plan.units), len(course.failed), len(course.open)
    if left:
        return f"{units - left} of {units} units have ended, {failed} failed", False
    return (f"{failed} of {units} units failed", False) if failed else (f"all {units} units passed", True)


def page(course: Course, where: str, seconds: float) -> str:
    """Render the HTML report."""
    sweep = course.plan.sweep
    facts = {
        "units": str(len(course.plan.units)),
        "from an earlier run": str(len(course.kept)),
        "models": str(len({unit.sha256 for unit in course.plan.units})),
        "targets": ", ".join(sorted({unit.target for unit in course.plan.units})),
        "run on": where,
        "time of this run": f"{seconds:.1f} s",
        "edgepack": __version__,
    }
    sections = [
        Section("Failed", failed_table(course)),
        Section("Bundles", bundles_table(course), _sizes(course)),
        Section("Suites", suites_table(course)),
        Section("Devices", devices_table(course)),
        Section("Not run", Table(["unit"], [[unit.name] for unit in course.open])),
    ]
    return reports.rendered(f"{sweep.name}: sweep", verdict(course), facts, sections)


def failed_table(course: Course) -> Table:
    """Tabulate the units that failed, each with its exit code and what it said."""
    rows = [[unit.name, str(its.code), its.error, its.hint or None] for unit, its in _ended(course) if not its.passed]
    return Table(["unit", "exit code", "error", "what to do"], rows, [False] * len(rows), figures=["exit code"])


def bundles_table(course: Course) -> Table:
    """Tabulate the bundles: what each keeps of its original, its size and the digest of its manifest."""
    rows: list[list[Cell]] = []
    passed = []
    for unit, its in _ended(course, BUILD):
        if its.passed:
            facts = its.facts
            # a floor of 0 is that of inputs, which the build insists on
            held = [a for a in map(measurements.accuracy, facts["accuracy"]) if a.floor not in (None, 0)]
            kept = ", ".join(f"{measure(a)} {figure(a.compressed, a.metric)}" for a in held)
            rows.append(
                [facts["bundle"], unit.target, facts["recipe"], size(facts["bytes"]), kept or None,
                 facts["manifest"][:_SHOWN], f"{its.seconds:.1f} s", its.machine]
            )  # fmt: skip
            passed.append(all(a.passed for a in held))  # not where a loss was allowed
    head = ["bundle", "target", "recipe", "model files", "accuracy", "manifest", "time", "machine"]
    return Table(head, rows, passed, figures=["model files", "time"])


def suites_table(course: Course) -> Table:
    """Tabulate each bundle's suites, with the checks that were missed or not measured."""
    rows: list[list[Cell]] = []
    passed = []
    for unit, its in _ended(course, VALIDATE):
        if its.facts:
            checks = its.facts["result"]["checks"]
            missed = [check["name"] for check in checks if not check["passed"]]
            kept = f"{len(checks) - len(missed)} of {len(checks)}"
            rows.append([unit.bundle, unit.suite, unit.device or None, kept, ", ".join(missed) or None])
            passed.append(its.passed)
    return Table(["bundle", "suite", "device", "passed", "missed"], rows, passed, figures=["passed"])


def devices_table(course: Course) -> Table:
    """Tabulate the speed of each bundle on each device."""
    rows: list[list[Cell]] = []
    for unit, its in _ended(course, BENCH):
        for told in its.facts.get("result", ()):
            timing = clock.timing(told)
            rows.append(
                [unit.bundle, unit.device, timing.label, duration(timing.p50), memory(timing),
                 timing.where.machine, None if timing.verdict == _VALID else timing.verdict]
            )  # fmt: skip
    head = ["bundle", "device", "input", "p50", "peak memory", "machine", "remarks"]
    return Table(head, rows, figures=["p50", "peak memory"])


def of(course: Course, where: str, seconds: float) -> JsonDict:
    """Return the sweep as plain JSON values."""
    return {
        "sweep": course.plan.sweep.name,
        "passed": verdict(course)[1],
        "where": where,
        "seconds": round(seconds, 3),
        "duplicates": course.plan.duplicates,
        "report": str(course.store.report),
        "units": [{**of_unit(unit), **_result(course, unit)} for unit in course.plan.units],
    }


def of_unit(unit: Unit) -> JsonDict:
    """Return a unit as plain JSON values."""
    names = {"kind": unit.kind, "model": unit.model, "target": unit.target, "recipe": unit.recipe}
    held = {"suite": unit.suite, "device": unit.device} if unit.needs else {}
    return {"digest": unit.digest, **names, **held, "bundle": unit.bundle, "memory": unit.memory}


def _result(course: Course, unit: Unit) -> JsonDict:
    its = course.results.get(unit.digest)
    if its is None:
        return {"state": "open"}
    told = {key: value for key, value in vars(its).items() if key != "digest"}
    return {**told, "kept": unit.digest in course.kept}


def _ended(course: Course, kind: str = "") -> list[tuple[Unit, Result]]:
    units = [unit for unit in course.plan.units if kind in ("", unit.kind)]
    return [(unit, course.results[unit.digest]) for unit in units if unit.digest in course.results]


def _sizes(course: Course) -> list[str]:
    facts = [its.facts for _, its in _ended(course, BUILD) if its.passed]
    if not 1 < len(facts) <= _MOST_BARS:
        return []
    return [plots.bars([(one["bundle"], float(one["bytes"]), size(one["bytes"])) for one in facts], "model files")]
