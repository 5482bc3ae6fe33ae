"""The course of a sweep: units are handed out, each as soon as what it needs is there, until all have ended."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field, replace
from typing import Protocol

from edgepack.errors import EdgepackError, FleetError
from edgepack.sweep._records import BUILD, FAILED, LOST, Job, Result, Unit
from edgepack.sweep.executors import Executor
from edgepack.sweep.folder import SweepFolder
from edgepack.sweep.planning import Plan

_ATTEMPTS = 3  # of a unit whose process is stopped from outside
_TICK = 0.5  # seconds


@dataclass
class Course:
    """The units of a sweep and how far they are."""

    plan: Plan
    store: SweepFolder
    results: dict[str, Result] = field(default_factory=dict)  # by digest
    kept: set[str] = field(default_factory=set)  # digests of units that an earlier run had finished

    @property
    def failed(self) -> list[Unit]:
        """The units that ended without passing."""
        return [u for u in self.plan.units if u.digest in self.results and not self.results[u.digest].passed]

    @property
    def open(self) -> list[Unit]:
        """The units that have not ended."""
        return [unit for unit in self.plan.units if unit.digest not in self.results]


class Listener(Protocol):
    """A listener to which a sweep tells its course."""

    def ended(self, unit: Unit, result: Result, course: Course) -> None:
        """Show that a unit has ended."""

    def tick(self, course: Course) -> None:
        """Show how far it is."""


def known(plan: Plan, store: SweepFolder) -> Course:
    """Return the course so far: what passed in earlier runs, and is as it was recorded. What failed runs again."""
    course = Course(plan=plan, store=store)
    for unit in plan.units:
        needed = not unit.needs or unit.needs in course.results
        found = store.read(unit) if needed else None
        if found is not None and found.passed:
            course.results[unit.digest] = found
            course.kept.add(unit.digest)
    return course


def run(course: Course, executor: Executor, name: str, listener: Listener) -> None:
    """Run the units that are open as the run ``name``. Whatever stops it leaves the records of what has ended."""
    pending: dict[Future[Result], tuple[Unit, int]] = {}

    def begin(unit: Unit, attempt: int) -> None:
        sweep = course.plan.sweep
        job = Job(unit=unit, out=course.store.out, folder=sweep.file.parent, run=name, threads=sweep.threads)
        pending[executor.submit(job)] = unit, attempt

    for unit in _ready(course, course.open):
        begin(unit, 1)
    while pending:
        for future in wait(pending, timeout=_TICK, return_when=FIRST_COMPLETED).done:
            unit, attempt = pending.pop(future)
            result = replace(_outcome(unit, future), attempts=attempt)
            if result.state == LOST and attempt < _ATTEMPTS:
                begin(unit, attempt + 1)
                continue
            for ended, its in _ended(course, unit, result):
                listener.ended(ended, its, course)
            for follower in _ready(course, [one for one in course.open if one.needs == unit.digest]):
                begin(follower, 1)
        listener.tick(course)


def _ready(course: Course, units: list[Unit]) -> list[Unit]:
    """Return those whose bundle is there, told by the place that the build gave it."""
    found = []
    for unit in units:
        if not unit.needs:
            found.append(unit)
        elif unit.needs in course.results:
            found.append(replace(unit, bundle=str(course.results[unit.needs].facts["bundle"])))
    return found


def _ended(course: Course, unit: Unit, result: Result) -> list[tuple[Unit, Result]]:
    """Note the end of a unit, and of those that lack its bundle; all of them."""
    ended = [(unit, result)]
    if unit.kind == BUILD and not result.passed:
        for other in course.open:
            if other.needs == unit.digest:
                without = Result(digest=other.digest, state=FAILED, code=result.code, error="its bundle was not built")
                ended.append((other, without))
    course.results.update({one.digest: its for one, its in ended})
    return ended


def _outcome(unit: Unit, future: Future[Result]) -> Result:
    """Return a unit's result; where the executor itself failed, what it said."""
    try:
        return future.result()
    except EdgepackError as error:
        return Result(digest=unit.digest, state=FAILED, code=error.exit_code, error=str(error), hint=error.hint)
    except (CancelledError, Exception) as error:  # of a scheduler, a worker or the network between
        said = (str(error).splitlines() or [""])[-1][:200] or "the scheduler dropped it"
        told = said if isinstance(error, CancelledError) else f"{type(error).__name__}: {said}"
        return Result(digest=unit.digest, state=FAILED, code=FleetError.exit_code, error=told)
