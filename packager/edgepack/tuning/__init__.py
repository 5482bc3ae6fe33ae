"""Choose a recipe by what is measured on a device: how fast each candidate is there, and how close to the original."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from edgepack import pipeline
from edgepack.data import DataSpec
from edgepack.errors import CheckFailed, EdgepackError, UsageError
from edgepack.metrics.agreement import REDUCE
from edgepack.original import Original, open_originals
from edgepack.pipeline import Progress, Request
from edgepack.plans import Subject
from edgepack.records import Accuracy, Bundle, NotMeasured, Target, Timing, Timings
from edgepack.reports.accuracy import measure
from edgepack.runtime import estimate, manifest
from edgepack.runtime.manifest import Manifest
from edgepack.runtime.quiet import Rules
from edgepack.runtime.runner import Runner
from edgepack.stages import bench, resolve, validate
from edgepack.suites import Check, CheckResult, Suite

Reach = Callable[[Manifest], AbstractContextManager[Runner]]  # a bundle on the device
_PSNR = {"latents_psnr": "latents", "image_psnr": "image"}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A recipe: its bundle as measured on the device, or why there is none."""

    recipe: str
    path: Path | None = None
    bytes: int = 0
    results: tuple[CheckResult, ...] = ()  # the target's floors, the first the one that finer and coarser go by
    timings: Timings = ()
    trouble: str = ""

    @property
    def seconds(self) -> float | NotMeasured:
        """Time of a result: its submodels' together, or the median of the longest input."""
        if isinstance(self.timings, NotMeasured):
            return self.timings
        if not self.timings:
            return NotMeasured(reason=self.trouble)
        whole = estimate.whole(self.timings)
        return self.timings[-1].p50 if whole is None else whole

    @property
    def disturbed(self) -> Sequence[Timing]:
        """The timings that are not to be trusted."""
        return () if isinstance(self.timings, NotMeasured) else [timing for timing in self.timings if not timing.valid]

    @property
    def kept(self) -> bool:
        """True if it keeps every floor of the target."""
        return not self.trouble and all(result.passed for result in self.results)

    @property
    def fineness(self) -> float | NotMeasured:
        """The figure of the first floor, the higher the finer; the size of the files where the target has no floor."""
        if self.trouble:
            return NotMeasured(reason=self.trouble)
        if not self.results:
            return float(self.bytes)
        value = self.results[0].value
        return -value if isinstance(value, float) and "at_most" in self.results[0].check.limits else value


def tune(
    request: Request,
    recipes: Sequence[str],
    reach: Reach,
    rules: Rules,
    progress: Progress,
    *,
    inputs: tuple[str, ...] = (),
) -> tuple[Candidate, ...]:
    """Build the model of ``request`` in each of ``recipes`` and measure it on the device that ``reach`` leads to.

    A recipe that cannot be built has its reason, and the others go on. Raises an EdgepackError for what concerns all of
    them: the model, the names, the device.
    """
    source = resolve.resolve(request.model, task=request.task, adapters=request.adapters)
    subject = Subject.of(source)
    with open_originals(subject, implementation=request.original) as originals:
        return tuple(
            _candidate(request, recipe, subject, originals, reach, rules, progress, inputs) for recipe in recipes
        )


def possible(request: Request, target: Target) -> tuple[str, ...]:
    """Return the recipes of ``target`` that the model of ``request`` can be built in. Raises as a build's plan does."""
    found = []
    for recipe in target.recipes:
        try:
            pipeline.plan(replace(request, recipes=(recipe,)))
        except UsageError:  # for other tasks, or in need of an option
            continue
        found.append(recipe)
    return tuple(found)


def _candidate(
    request: Request,
    recipe: str,
    subject: Subject,
    originals: Mapping[str, Original],
    reach: Reach,
    rules: Rules,
    progress: Progress,
    inputs: tuple[str, ...],
) -> Candidate:
    asked = replace(request, recipes=(recipe,), allow_loss=True, measure_speed=False)
    try:
        (bundle,) = pipeline.build(asked, progress)
    except EdgepackError as error:
        return Candidate(recipe=recipe, trouble=str(error))
    listed = manifest.read(bundle.path)
    suite = Suite(name="the target's floors", checks=_checks(bundle, request.evaluation))
    with reach(listed) as runner:
        result = validate.validate(runner, suite, subject=subject, originals=originals, say=progress.step)
        timings = bench.bench(runner, rules, inputs=inputs, say=progress.step)
    return Candidate(
        recipe=recipe,
        path=bundle.path,
        bytes=listed.model_bytes,
        results=result.results,
        timings=timings,
    )


def _checks(bundle: Bundle, evaluation: DataSpec | None) -> tuple[Check, ...]:
    """Return the target's floors as checks, to be held on the device."""
    found = (_check(figure, evaluation) for figure in bundle.accuracy if figure.floor is not None)
    return tuple(check for check in found if check is not None)


def _check(figure: Accuracy, evaluation: DataSpec | None) -> Check | None:
    """Return the check of a floor; None of what the device has no part in, such as token ids."""
    assert figure.floor is not None
    limits = {"at_least" if figure.higher_is_better else "at_most": figure.floor}
    if figure.metric in _PSNR:
        return Check(kind="psnr", name=measure(figure), metric=_PSNR[figure.metric], limits=limits)
    kind, _, statistic = figure.metric.rpartition("_")
    if statistic in REDUCE and figure.original is None:
        return Check(
            kind="agreement",
            name=measure(figure),
            metric=kind,
            statistic=statistic,
            limits=limits,
            submodel=figure.submodel,
        )
    if evaluation is not None and figure.original is not None:
        return Check(kind="metric", name=measure(figure), metric=figure.metric, limits=limits, data=evaluation)
    return None


def front(candidates: Sequence[Candidate]) -> set[str]:
    """Return the recipes that no other one beats in both speed and fineness (the Pareto front)."""
    known = [(each.recipe, each.seconds, each.fineness) for each in candidates]
    timed = [(name, s, f) for name, s, f in known if isinstance(s, float) and isinstance(f, float)]
    return {
        name
        for name, seconds, fine in timed
        if not any(s <= seconds and f >= fine and (s, f) != (seconds, fine) for _, s, f in timed)
    }


def chosen(candidates: Sequence[Candidate], within: float | None) -> Candidate:
    """Return the fastest of the candidates that keep the floors; with ``within``, seconds, the finest that is as fast.

    Raises CheckFailed where there is none.
    """
    timed = [each for each in candidates if each.kept and isinstance(each.seconds, float)]
    if not timed:
        untimed = next(
            (each.seconds for each in candidates if each.kept and isinstance(each.seconds, NotMeasured)), None
        )
        if untimed is not None:
            raise CheckFailed(f"no recipe can be chosen: {untimed.reason}", hint="a real board can be timed")
        raise CheckFailed("no recipe keeps the target's floors on this device", hint="add a finer one with --recipe")
    if within is None:
        return min(timed, key=_seconds)
    quick = [each for each in timed if _seconds(each) <= within]
    if not quick:
        raise CheckFailed(
            f"no recipe that keeps the target's floors takes at most {within * 1e3:.4g} ms there",
            hint=f"the fastest takes {_seconds(min(timed, key=_seconds)) * 1e3:.4g} ms",
        )
    return max(quick, key=lambda each: (each.fineness, -_seconds(each)))


def _seconds(candidate: Candidate) -> float:
    assert isinstance(candidate.seconds, float)
    return candidate.seconds
