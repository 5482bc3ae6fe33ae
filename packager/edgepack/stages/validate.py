"""Run a release suite against a bundle: the numbers are about the artifact, through the code that ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgepack import suites
from edgepack.errors import UsageError
from edgepack.measured import RUNS, Measured
from edgepack.metrics import bootstrap
from edgepack.metrics.agreement import REDUCE
from edgepack.original import Original
from edgepack.plans import Subject
from edgepack.records import NotMeasured, Timing
from edgepack.runtime.runner import Runner
from edgepack.runtime.shapes import shapes
from edgepack.suites import Check, CheckResult, Suite, SuiteResult

_ON_THE_CLOCK = ("latency", "memory", "load")
_RUNS_P99 = 700


def validate(
    runner: Runner,
    suite: Suite,
    *,
    subject: Subject | None = None,
    originals: Mapping[str, Original] | None = None,
    device: str = "local",
    say: Callable[[str], None] = lambda line: None,
) -> SuiteResult:
    """Run every check of ``suite`` where ``runner`` runs the bundle, by the name ``device`` of the place.

    Without ``originals`` some are not measured.

    The submodels' originals, those of ``subject``, run on this machine. Raises DeviceError, DataError, UsageError
    (a metric that the task does not have, a submodel that the bundle does not have).
    """
    bench = Measured(runner, originals or {}, subject=subject)
    for check in suite.checks:  # refused before any is measured
        (_one if check.kind in _ON_THE_CLOCK else _chosen)(bench, check)
    results = []
    for check in (part for whole in suite.checks for part in _parted(bench, whole)):
        say(check.name)
        results.append(_checked(bench, check))
    return SuiteResult(
        suite=suite.name,
        bundle=runner.manifest.name,
        results=tuple(results),
        accuracy=tuple(bench.accuracy),
        timings=tuple(bench.timings.values()),
        samples=bench.samples,
        pairs=bench.pairs,
        images=bench.images,
        device=device,
    )


def _parted(bench: Measured, check: Check) -> list[Check]:
    """Part a check of the golden vectors into one for each submodel; return others as they are."""
    names = _chosen(bench, check)
    if check.kind != "golden" or len(names) == 1:
        return [check]
    return [replace(check, name=f"{check.name} {name}", submodel=name) for name in names]


def _checked(bench: Measured, check: Check) -> CheckResult:
    if check.kind in _ON_THE_CLOCK:
        untimed = bench.runner.untimed(_one(bench, check))
        if untimed:
            return _unmeasured(check, untimed.reason)
    result = _KINDS[check.kind](bench, check)
    if check.kind in _ON_THE_CLOCK or check.kind == "size" or isinstance(result.value, NotMeasured):
        return result
    return replace(result, where=bench.runner.where(_chosen(bench, check)[0]))


def _chosen(bench: Measured, check: Check) -> list[str]:
    """Return the submodels that a check is about. Raises UsageError for one that the bundle does not have."""
    if check.submodel and check.submodel not in bench.manifest.models:
        raise UsageError(
            f"{check.name}: {bench.manifest.name} has no submodel {check.submodel!r}",
            hint=f"it has {', '.join(bench.manifest.models)}",
        )
    return [check.submodel] if check.submodel else list(bench.manifest.models)


def _one(bench: Measured, check: Check) -> str:
    """Return the submodel that a check is about. Raises UsageError where it names none of several."""
    found = _chosen(bench, check)
    if len(found) > 1:
        raise UsageError(
            f"{check.name}: submodels are timed one by one; {bench.manifest.name} has {', '.join(found)}",
            hint=f'submodel = "{found[0]}"',
        )
    return found[0]


def _agreement(bench: Measured, check: Check) -> CheckResult:
    """Judge the samples of the submodels that the check is about, all together."""
    values = []
    for name in _chosen(bench, check):
        task = bench.task_of(name)
        known = (*task.MEASURES, *task.TRIALS)
        if check.metric not in known:
            raise UsageError(f"{task.NAME} has no measure {check.metric!r}", hint=f"it has {', '.join(known)}")
        if not bench.originals:
            return _unmeasured(check, "the original model is not here")
        trial = check.metric if check.metric in task.TRIALS else ""
        values.append(bench.agreement(name, trial, check.data).samples[check.metric])
    return suites.judge(check, float(REDUCE[check.statistic](np.concatenate(values))), None)


def _metric(bench: Measured, check: Check) -> CheckResult:
    if check.metric not in bench.task.METRICS:
        raise UsageError(
            f"{bench.task.NAME} has no metric {check.metric!r}",
            hint=f"it has {', '.join(bench.task.METRICS)}" if bench.task.METRICS else 'kind = "psnr" or "clip"',
        )
    assert check.data is not None  # a suite that was read has one
    measured = {a.metric: a for a in bench.scores(check.data).accuracy}
    if check.metric not in measured:
        raise UsageError(f"{bench.manifest.name} has no {check.metric}", hint=f"it has {', '.join(measured)}")
    found = measured[check.metric]
    if isinstance(found.compressed, NotMeasured):
        return _unmeasured(check, found.compressed.reason)
    return suites.judge(check, found.compressed, found.original, found.interval)


def _psnr(bench: Measured, check: Check) -> CheckResult:
    """Judge the images of a whole run, or the latents that they are made of, beside the original's at equal seeds."""
    _check_images(bench, check)
    if not bench.originals:
        return _unmeasured(check, "the original model is not here")
    pairs = bench.made(check.data, check.steps)
    values = [pair.image_psnr if check.metric == "image" else pair.by_step[-1] for pair in pairs]
    return suites.judge(check, float(REDUCE[check.statistic](np.array(values))), None)


def _clip(bench: Measured, check: Check) -> CheckResult:
    """Judge how well images fit their prompts, the bundle's and the original's, as a bundle of CLIP sees it."""
    _check_images(bench, check)
    assert check.clip is not None  # a suite that was read has one
    found = bench.similarity(check.clip, check.data, check.steps)
    value = float(np.mean(found.compressed))
    if found.original is None:
        return suites.judge(check, value, None)
    interval = bootstrap.difference(_mean, found.original, found.compressed, found.original)
    return suites.judge(check, value, float(np.mean(found.original)), interval)


def _mean(values: Sequence[float], references: Sequence[float]) -> float:
    return float(np.mean(values))


def _check_images(bench: Measured, check: Check) -> None:
    if not bench.makes_images:
        raise UsageError(f"{check.name}: {bench.manifest.name} makes no images", hint=f"its task is {bench.task.NAME}")


def _size(bench: Measured, check: Check) -> CheckResult:
    """Judge the files of a submodel, or of all, beside the original's float32 weights."""
    if check.submodel:
        own = bench.manifest.models[_one(bench, check)]
        return suites.judge(check, own.bytes, 4 * sum(component.parameters for component in own.components))
    return suites.judge(check, bench.manifest.model_bytes, 4 * int(bench.manifest.table["source"]["parameters"]))


def _latency(bench: Measured, check: Check) -> CheckResult:
    timing = _timing(bench, check, _RUNS_P99 if check.percentile == 99 else RUNS)
    value = getattr(timing, f"p{check.percentile}", NotMeasured(reason=f"no percentile {check.percentile}"))
    return _timed(bench, check, timing, value, "p50")


def _memory(bench: Measured, check: Check) -> CheckResult:
    timing = _timing(bench, check, RUNS)
    return _timed(bench, check, timing, timing.peak_memory, "peak_memory")


def _load(bench: Measured, check: Check) -> CheckResult:
    timing = _timing(bench, check, RUNS)
    return _timed(bench, check, timing, timing.load, "load")


def _golden(bench: Measured, check: Check) -> CheckResult:
    """Judge the vectors of a submodel by its own least cosine."""
    told = bench.golden(_one(bench, check))
    reason = "" if told.passed else f"a golden vector is off: cosine {told.worst:.4f} is below {told.least}"
    if told.inputs:
        reason = f"a golden example leads to other inputs: {told.inputs[0]}"
    judged = replace(check, limits={"at_least": told.least})
    return CheckResult(check=judged, value=told.worst, passed=told.passed, reason=reason)


_KINDS: dict[str, Callable[[Measured, Check], CheckResult]] = {
    "agreement": _agreement,
    "metric": _metric,
    "psnr": _psnr,
    "clip": _clip,
    "size": _size,
    "latency": _latency,
    "memory": _memory,
    "load": _load,
    "golden": _golden,
}


def _timed(bench: Measured, check: Check, timing: Timing, value: float | NotMeasured, against: str) -> CheckResult:
    """Return a figure of a Timing, where it can be trusted and comes from the target's kind of machine."""
    if isinstance(value, NotMeasured):
        return CheckResult(check=check, value=value, reason=value.reason)
    relative = any(limit.endswith("_share") for limit in check.limits)
    reference = None
    if relative and bench.originals:
        reference = float(getattr(bench.reference(_one(bench, check), timing.what), against))
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
        where=timing.where,
    )


def _timing(bench: Measured, check: Check, runs: int) -> Timing:
    name = _one(bench, check)
    return bench.timing(name, check.input or shapes(bench.manifest, name)[-1], runs)


def _unmeasured(check: Check, reason: str) -> CheckResult:
    return CheckResult(check=check, value=NotMeasured(reason=reason), reason=reason)
