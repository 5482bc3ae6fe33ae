"""The work of edgepack sweep: what runs, and what is shown of it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from edgepack import outfolder, sweep
from edgepack.cli import show
from edgepack.cli.sweep_display import Display
from edgepack.errors import CheckFailed
from edgepack.reports import MARK
from edgepack.reports.table import Table
from edgepack.sweep import Course, Plan, SweepFolder, course, executors, report
from edgepack.units import size


def run(file: Path, on: str, workers: int | None, *, dry_run: bool, json: bool) -> None:
    """Run the sweep of ``file``, or show its units. Raises CheckFailed where a unit fails."""
    asked = sweep.read(file)
    store = SweepFolder(asked.out)
    store.check(asked)
    with show.Steps() as steps:
        steps.step(f"finding {len(asked.models)} models")
        plan = sweep.plan(asked)
        found = course.known(plan, store)
    if dry_run:
        _show_plan(found, json)
        return
    ran = _run_open(found, store, on, workers) if found.open else _written(found, "nothing was left to run", 0.0)
    _show(found, *ran, json)
    if found.failed:
        failed = found.failed
        raise CheckFailed(
            f"{report.verdict(found)[0]}: {', '.join(unit.name for unit in failed[:3])}{', …' if failed[3:] else ''}",
            hint="what passed stays; the same command runs the others again",
        )


def _run_open(found: Course, store: SweepFolder, on: str, workers: int | None) -> tuple[str, float]:
    """Run what is open, and write the report of it, of one that is stopped too; return where it ran, and seconds."""
    started = time.monotonic()
    with ExitStack() as stack:
        run = stack.enter_context(store.opened(found.plan.sweep))
        executor = executors.start(on, found.plan, store, run, workers=workers)
        display = stack.enter_context(Display())
        try:
            course.run(found, executor, run, display)
        finally:
            store.end()  # what still runs sees it, and ends
            executor.stop()
            ran = _written(found, executor.where, time.monotonic() - started)
        return ran


def _written(found: Course, where: str, seconds: float) -> tuple[str, float]:
    outfolder.write(found.store.report, report.page(found, where, seconds), mark=MARK)
    return where, seconds


def _show_plan(found: Course, json: bool) -> None:
    plan: Plan = found.plan
    if json:
        show.as_json([{**report.of_unit(u), "done": u.digest in found.kept} for u in plan.units])
        return
    rows = [
        [unit.name, unit.recipe, size(unit.memory), "yes" if unit.digest in found.kept else "no", unit.digest[:12]]
        for unit in plan.units
    ]
    notes = [f"{plan.duplicates} more are the same work as one of these"] if plan.duplicates else []
    head = ["unit", "recipe", "memory (estimate)", "done", "digest"]
    show.table(f"{len(plan.units)} units", Table(head, rows, figures=["memory (estimate)"], notes=notes))


def _show(found: Course, where: str, seconds: float, json: bool) -> None:
    if json:
        show.as_json(report.of(found, where, seconds))
        return
    show.table("bundles", report.bundles_table(found))
    show.table("suites", report.suites_table(found))
    show.table("devices", report.devices_table(found))
    show.table("failed", report.failed_table(found))
    kept = f", {len(found.kept)} from an earlier run" if found.kept else ""
    show.line("")
    show.line(f"{report.verdict(found)[0]}{kept}; {where}; {seconds:.0f} s")
    show.line(f"report: {found.store.report}")
