"""Run a release suite against a bundle: the numbers are about the artifact, through the code that ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from edgepack import comparison, suites, tasks
from edgepack.errors import UsageError
from edgepack.metrics.agreement import REDUCE
from edgepack.original import Original
from edgepack.records import Accuracy, NotMeasured, Timing, Where
from edgepack.runtime import clock, golden, graphs, machine
from edgepack.runtime import model as task_model
from edgepack.runtime.engines import Session, open_session
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.shapes import feeds, shapes
from edgepack.suites import Check, CheckResult, Suite, SuiteResult
from edgepack.tasks import Task, table

_ON_THE_CLOCK = ("latency", "memory", "load")
_RUNS, _SECONDS = 64, 1.0  # of a speed check: enough for a p90
_RUNS_P99 = 700


@dataclass
class _Bench:
    """The measurements that the checks of one run share, so that nothing is measured twice."""

    manifest: Manifest
    original: Original | None
    threads: int
    session: Session = field(init=False)
    where: Where = field(init=False)
    task: Any = field(init=False)
    accuracy: list[Accuracy] = field(default_factory=list)
    timings: dict[tuple[str, int], Timing] = field(default_factory=dict)
    references: dict[str, Timing] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    pairs: list[tuple[float, float]] = field(default_factory=list)
    agreed: dict[str, comparison.Agreement] = field(default_factory=dict)
    scored: dict[str, comparison.Scores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = self.manifest.model
        self.session = open_session(graphs.generating(model.path), model.format, self.threads)
        self.where = machine.where(self.session.threads, self.manifest.isa, self.session.runtime)
        self.task = task_of(self.manifest)

    @cached_property
    def scorer(self) -> Session:
        """The session that gives a language model's logits of every token; ``session`` gives the last one's."""
        file = self.manifest.model.path
        if graphs.generating(file) == graphs.scoring(file):
            return self.session
        return open_session(graphs.scoring(file), self.manifest.model.format, self.threads)

    @property
    def mixes(self) -> bool:
        """True if the bundle's graph does a part of the pre-processing."""
        image = self.manifest.processing.image
        return image is not None and bool(image.mix)

    def matched(self, run: Any) -> Any:
        """Return the task's object around a Run, whose inputs are compared with what the original's authors make."""
        assert self.original is not None
        folder, made = self.original.source.path, self.manifest.processing
        if self.mixes:
            made = self.task.processing(folder, table(folder / "config.json"))
        return self.original.attach(task_model(self.manifest.task, run, self.manifest.folder, made), made)

    def model(self, run: Any) -> Any:
        """Return the task's object around a Run."""
        return task_model(self.manifest.task, run, self.manifest.folder, self.manifest.processing)

    def reference(self) -> Any:
        """Return the task's object around the original, fed by its authors' pre-processing; None where it is not
        here.
        """
        if self.original is None:
            return None
        return self.matched(self.original)


def task_of(manifest: Manifest) -> Task:
    """Return the module of a bundle's task."""
    return tasks.load(manifest.task)


def validate(
    manifest: Manifest,
    suite: Suite,
    *,
    original: Original | None = None,
    threads: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> SuiteResult:
    """Return every check of ``suite``. Without the ``original`` (on a device), what needs it is not measured.

    Raises DataError, UsageError (a metric that the task does not have).
    """
    bench = _Bench(manifest, original, threads or manifest.threads)
    results = []
    for check in suite.checks:
        say(check.name)
        results.append(_checked(bench, check))
    return SuiteResult(
        suite=suite.name,
        bundle=manifest.name,
        results=tuple(results),
        accuracy=tuple(bench.accuracy),
        timings=tuple(bench.timings.values()),
        samples=bench.samples,
        pairs=bench.pairs,
    )


def _checked(bench: _Bench, check: Check) -> CheckResult:
    untimed = clock.untimed(bench.manifest.model.format) if check.kind in _ON_THE_CLOCK else None
    return _unmeasured(check, untimed.reason) if untimed else _KINDS[check.kind](bench, check)


def _agreement(bench: _Bench, check: Check) -> CheckResult:
    known = (*bench.task.MEASURES, *bench.task.TRIALS)
    if check.metric not in known:
        raise UsageError(f"{bench.task.NAME} has no measure {check.metric!r}", hint=f"it has {', '.join(known)}")
    if bench.original is None:
        return _unmeasured(check, "the original model is not here")
    kind = check.metric if check.metric in bench.task.TRIALS else ""
    key = f"{kind} {check.data!r}"
    if key not in bench.agreed:
        model = bench.matched(bench.session)
        examples = bench.task.examples(bench.manifest.processing)[1::2]
        if check.data is not None:
            examples = bench.task.inputs(comparison.rows(bench.task, check.data, bench.task.INPUTS))
        use = "" if check.data else "agreement"
        feeds = bench.task.batches(model, examples, use=use)
        data = check.data.name if check.data else ""
        if kind:
            agreed = comparison.trial(bench.original, model, bench.task, feeds, name=kind, where=bench.where, data=data)
        else:
            shipped = bench.task.batches(bench.model(bench.session), examples, use=use) if bench.mixes else ()
            agreed = comparison.agreement(
                bench.original,
                bench.scorer,
                bench.task,
                feeds,
                floors={},
                where=bench.where,
                data=data,
                shipped=shipped,
            )
        bench.agreed[key] = agreed
        bench.accuracy += agreed.accuracy
        bench.samples |= {name: [float(v) for v in values] for name, values in agreed.samples.items()}
    values = bench.agreed[key].samples[check.metric]
    return suites.judge(check, float(REDUCE[check.statistic](values)), None)


def _metric(bench: _Bench, check: Check) -> CheckResult:
    if check.metric not in bench.task.METRICS:
        raise UsageError(
            f"{bench.task.NAME} has no metric {check.metric!r}",
            hint=f"it has {', '.join(bench.task.METRICS)}",
        )
    assert check.data is not None  # suites.py has seen to it
    key = repr(check.data)
    if key not in bench.scored:
        rows = comparison.rows(bench.task, check.data)
        scores = comparison.metric(
            bench.reference(),
            bench.model(bench.scorer),
            bench.task,
            rows,
            name=check.data.name,
            floors={},
            where=bench.where,
        )
        bench.scored[key] = scores
        bench.accuracy += scores.accuracy
        bench.pairs += _numbers(scores)
    measured = {a.metric: a for a in bench.scored[key].accuracy}
    if check.metric not in measured:
        raise UsageError(f"{bench.manifest.name} has no {check.metric}", hint=f"it has {', '.join(measured)}")
    found = measured[check.metric]
    if isinstance(found.packed, NotMeasured):
        return _unmeasured(check, found.packed.reason)
    return suites.judge(check, found.packed, found.original, found.interval)


def _size(bench: _Bench, check: Check) -> CheckResult:
    size = bench.manifest.model_bytes
    original = 4 * int(bench.manifest.table["source"]["parameters"])
    return suites.judge(check, size, original)


def _latency(bench: _Bench, check: Check) -> CheckResult:
    timing = _timing(bench, check, _RUNS_P99 if check.percentile == 99 else _RUNS)
    value = getattr(timing, f"p{check.percentile}", NotMeasured(reason=f"no percentile {check.percentile}"))
    return _timed(bench, check, timing, value, "p50")


def _memory(bench: _Bench, check: Check) -> CheckResult:
    timing = _timing(bench, check, _RUNS)
    return _timed(bench, check, timing, float(timing.peak_memory), "peak_memory")


def _load(bench: _Bench, check: Check) -> CheckResult:
    timing = _timing(bench, check, _RUNS)
    return _timed(bench, check, timing, timing.load, "load")


def _golden(bench: _Bench, check: Check) -> CheckResult:
    found = golden.check(bench.session, bench.manifest, bench.model(bench.session).feeds)
    judged = replace(check, limits={"at_least": found.least})
    reason = "" if found.passed else f"a golden vector is off: cosine {found.worst:.4f}, not {found.least}"
    if found.inputs:
        reason = f"a golden example leads to other inputs: {found.inputs[0]}"
    return CheckResult(check=judged, value=found.worst, passed=found.passed, reason=reason)


_KINDS: dict[str, Callable[[_Bench, Check], CheckResult]] = {
    "agreement": _agreement,
    "metric": _metric,
    "size": _size,
    "latency": _latency,
    "memory": _memory,
    "load": _load,
    "golden": _golden,
}


def _timed(bench: _Bench, check: Check, timing: Timing, value: float | NotMeasured, against: str) -> CheckResult:
    """Return a figure of a Timing, where it can be trusted and comes from the target's kind of machine."""
    if isinstance(value, NotMeasured):
        return CheckResult(check=check, value=value, reason=value.reason)
    relative = any(limit.endswith("_share") for limit in check.limits)
    reference = float(getattr(_reference(bench, timing.what), against)) if relative and bench.original else None
    result = suites.judge(check, value, reference)
    notes = [] if timing.verdict == "valid" else [timing.verdict]
    if not timing.where.target:
        notes.append(f"measured on {timing.where.isa}, which is not the target")
    return CheckResult(
        check=check,
        value=value,
        original=reference,
        passed=result.passed,
        reason="; ".join(filter(None, [result.reason, *notes])),
    )


def _timing(bench: _Bench, check: Check, runs: int) -> Timing:
    shape = check.input or shapes(bench.manifest)[-1]
    if (shape, runs) not in bench.timings:
        (bench.timings[shape, runs],) = clock.measure(
            bench.manifest.model.path,
            bench.manifest.model.format,
            [(shape, feeds(bench.manifest, shape))],
            threads=bench.threads,
            target_isa=bench.manifest.isa,
            runs=runs,
            seconds=_SECONDS,
        )
    return bench.timings[shape, runs]


def _reference(bench: _Bench, shape: str) -> Timing:
    """Return the original's Timing for the same input, in PyTorch on this machine."""
    if shape not in bench.references and bench.original is not None:
        source = bench.original.source
        made = feeds(bench.manifest, shape)
        image = bench.manifest.processing.image
        if image is not None and image.mix:  # the original takes its own channels
            made = {name: value[:, : len(image.mix)] for name, value in made.items()}
        asked = clock.request([(shape, made)], bench.threads, bench.manifest.isa, _RUNS, _SECONDS)
        asked |= {
            "task": source.task,
            "path": str(source.path),
            "model_type": source.model_type,
            "name": source.name,
            "adapter": str(source.adapter_path) if source.adapter_path else None,
        }
        (bench.references[shape],) = clock.ask("edgepack.original.clock", source.name, asked)
    return bench.references[shape]


def _numbers(scores: comparison.Scores) -> list[tuple[float, float]]:
    """Return (original, packed) predictions where they are numbers, for the scatter plot."""
    if scores.original is None or not isinstance(scores.packed[0], float):
        return []
    return list(zip(scores.original, scores.packed, strict=True))


def _unmeasured(check: Check, reason: str) -> CheckResult:
    return CheckResult(check=check, value=NotMeasured(reason=reason), reason=reason)
