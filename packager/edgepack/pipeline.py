"""A build, from a model's name to measured bundles: one line per step. The order of the stages is here alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from edgepack import comparison, fit, memory, plugins, reports
from edgepack import targets as targets_
from edgepack.data import DataSpec
from edgepack.errors import CheckFailed, ConversionError, InputError, ProjectError, UsageError
from edgepack.original import Original, matching, sentence_check
from edgepack.original.reading import Reading, check_settings
from edgepack.records import Accuracy, Artifact, Bundle, NotMeasured, Recipe, Source, Target, Timings
from edgepack.runtime import machine, manifest, measurements
from edgepack.runtime import model as task_model
from edgepack.runtime.types import Feeds
from edgepack.stages import bench, convert, pack, resolve
from edgepack.tasks import table

_LEAST_COSINE = 0.9  # of a golden vector where the target has no floor: a bundle below computes something else
_USEFUL_CONTEXT = 2048  # tokens: a recipe that leaves less gives way to a coarser one that leaves them
_SEARCHED = "mixed"  # the scheme whose recipe is searched for a size
_QUICK_RUNS = 16  # of the speed check in a build; `edgepack bench` takes longer


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to build."""

    model: str
    targets: tuple[str, ...]
    recipes: tuple[str, ...] = ()  # none: the target's default for the model
    task: str | None = None
    adapter: str | None = None  # a LoRA to merge into the model
    out: Path = Path("dist")
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibration: DataSpec | None = None
    evaluation: DataSpec | None = None
    context: int | None = None  # tokens of a language model's bundle; None: as is usual
    lengths: tuple[int, ...] = ()  # numbers of tokens that a model takes; none: any
    max_size: int | None = None  # bytes of a model whose weights each get the form that fits best
    fit: bool = False  # the finest recipe and the longest context that fit, where none is asked for
    allow_loss: bool = False
    original: str = ""  # "transformers": language models too are compared with transformers itself
    allow_unread: bool = False  # go on where config.json has settings that nobody understood
    measure_speed: bool = True


class Progress(Protocol):
    """Where a build says what it does; the command line's draws it."""

    def step(self, text: str) -> None:
        """A new step has begun."""

    def note(self, text: str) -> None:
        """Something worth knowing."""


class Check(Protocol):
    """A check of edgepack's reading of the model that runs beside the build, in a process of its own."""

    def finish(self) -> tuple[Accuracy, ...]:
        """Wait for it; its figures. Raises ModelError where the authors' implementation answers otherwise."""


@dataclass(frozen=True)
class _Inputs:
    """The model's own facts and every input of a build, made by the shipping pre-processing."""

    task: ModuleType
    config: Mapping[str, Any]
    processing: dict[str, Any]
    calibration: Sequence[Feeds]
    agreement: Sequence[Feeds]
    golden: Sequence[tuple[Any, Feeds]]  # the example and its feeds
    rows: Sequence[Mapping[str, Any]]
    evaluation: DataSpec | None
    digest: str
    checks: Sequence[Check]


@dataclass(frozen=True)
class _Examples:
    """Every input of a build as it is before pre-processing."""

    processing: dict[str, Any]
    calibration: Sequence[Any]
    agreement: Sequence[Any]
    rows: Sequence[Mapping[str, Any]]

    @property
    def digest(self) -> str:
        """SHA-256 of all of them."""
        described = [repr(self.processing), repr(self.calibration), repr(self.agreement), repr(self.rows)]
        return hashlib.sha256("\0".join(described).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One bundle that a request leads to, and the memory that it is reckoned to need."""

    name: str
    target: Target
    recipe: Recipe
    processing: Mapping[str, Any]
    need: fit.Estimate

    @property
    def fits(self) -> bool:
        """Whether the target has the memory."""
        return self.need.total <= self.target.profile.memory


def plan(request: Request) -> list[Plan]:
    """What a request would build, without building it. Raises as build does for the model and the names."""
    _check_names(request)
    source = resolve.resolve(request.model, task=request.task, adapter=request.adapter)
    task, config = plugins.load("tasks", source.task), table(source.path / "config.json")
    check_settings(task, config, allow_unread=request.allow_unread)
    with Original(source, task) as original:
        original.check()
    return _plans(request, source, task, config)


def build(request: Request, progress: Progress) -> tuple[Bundle, ...]:
    """Every target in every recipe, each measured against the original.

    Raises an EdgepackError; bundles that were finished before it stay.
    """
    _check_names(request)
    progress.step(f"finding {request.model}")
    source = resolve.resolve(request.model, task=request.task, adapter=request.adapter, say=progress.note)
    task, config = plugins.load("tasks", source.task), table(source.path / "config.json")
    with Reading(source, task, config, allow_unread=request.allow_unread) as reading:
        plans = _plans(request, source, task, config)
        for plan in plans:
            offered = convert.takes(plan.target, task, list(plan.target.recipes_of(source.task).values()), strict=False)
            fit.check(source, plan.target, plan.recipe, config, plan.processing, offered)
        examples = _examples(request, source, task, config, plans)
        with (
            sentence_check.Check(source, examples.processing, examples.agreement) as vectors,
            Original(source, task, inputs=examples.digest, implementation=request.original) as original,
        ):
            progress.step("running the original")
            inputs = _inputs(request, original, config, examples, (reading, vectors))
            _learn(original, inputs)
            vectors.hold(_matched(original, inputs))
            return tuple(_one(request, original, plan, inputs, progress) for plan in plans)


def _one(request: Request, original: Original, plan: Plan, inputs: _Inputs, progress: Progress) -> Bundle:
    source, name, target, recipe = original.source, plan.name, plan.target, plan.recipe
    with pack.workspace(request.out, name) as folder:
        progress.step(f"{name}: exporting")
        prepared = convert.prepare(original, target, recipe, inputs.config, plan.processing, inputs.calibration)
        original.close()
        progress.step(f"{name}: compressing to {recipe.name}")
        file = folder / pack.model_file(target, recipe, convert.suffix(target))
        artifact = convert.compress(prepared, file, target, recipe, inputs.calibration)
        progress.step(f"{name}: comparing with the original")
        accuracy, samples = _accuracy(original, artifact, plan, inputs)
        pack.copy_files(source, target, recipe, plan.processing, folder)
        _write_manifest(folder, original, plan, artifact, inputs)
        progress.step(f"{name}: measuring speed")
        timings: Timings = ()
        if request.measure_speed:
            timings = bench.bench(manifest.read(folder), runs=_QUICK_RUNS, seconds=0.0)
        accuracy = (*accuracy, *(figure for check in inputs.checks for figure in check.finish()))
        measurements.write(folder, accuracy, timings)
        bundle = _bundle(request.out / name, source, target, recipe, artifact, accuracy, timings)
        _keep_report(request.out, bundle, samples)
        if not request.allow_loss:
            _check_floors(bundle, request.out)
    return bundle


def bundle_name(source: Source, target: Target, recipe: Recipe) -> str:
    """model-target, with the profile and the recipe where they are not the target's defaults."""
    parts = [source.name, target.name]
    if target.profile.name != target.profiles[0]:
        parts.append(target.profile.name)
    if recipe.name != target.recipe_for(source).name:
        parts.append(recipe.name)
    return "-".join(parts)


def _check_names(request: Request) -> None:
    """Misspelt names are told before a model is downloaded. Raises UnknownName."""
    for name in request.targets:
        target = targets_.load(name)
        for recipe in request.recipes:
            targets_.recipe(target, recipe)


def _plans(request: Request, source: Source, task: ModuleType, config: Mapping[str, Any]) -> list[Plan]:
    """Each target with each recipe, the project's numbers in place of the target's."""
    whole = task.processing(source.path, config)
    plans = []
    for name in dict.fromkeys(request.targets):
        target = targets_.load(name)
        recipes = [_numbered(recipe, request) for recipe in _recipes(request, target, source)]
        sizes = [request.context] if request.context or not request.fit else task.contexts(whole)
        candidates = [
            _plan(source, target, recipe, config, task.limited(task.sized(whole, size), recipe.lengths))
            for recipe in convert.takes(target, task, recipes, strict=not request.fit)
            for size in sizes
        ]
        plans += [_finest(candidates)] if request.fit else candidates
    return plans


def _recipes(request: Request, target: Target, source: Source) -> list[Recipe]:
    """Those that are asked for; with a size, the one that is searched; else the target's, or with --fit all.

    Raises UsageError where a search lacks its size, or the size a search.
    """
    offered = target.recipes_of(source.task)
    searched = [recipe for recipe in offered.values() if recipe.scheme == _SEARCHED]
    if request.max_size is not None:
        if request.recipes or not searched:
            why = "beside --recipe" if request.recipes else f"for {target.name}, whose recipes have one form for all"
            raise UsageError(
                f"there is no --max-size {why}", hint="it searches a form for each weight: --target iphone"
            )
        return [replace(recipe, max_bytes=request.max_size) for recipe in searched]
    if request.recipes:
        named = [targets_.recipe(target, recipe, source.task) for recipe in dict.fromkeys(request.recipes)]
        if any(recipe.scheme == _SEARCHED for recipe in named):
            raise UsageError("the recipe mixed is searched for a size", hint="--max-size 25MB in its place")
        return named
    return [r for r in offered.values() if r not in searched] if request.fit else [target.recipe_for(source)]


def _plan(
    source: Source, target: Target, recipe: Recipe, config: Mapping[str, Any], processing: Mapping[str, Any]
) -> Plan:
    need = fit.estimate(source, recipe, config, processing)
    return Plan(
        name=bundle_name(source, target, recipe), target=target, recipe=recipe, processing=processing, need=need
    )


def _finest(candidates: Sequence[Plan]) -> Plan:
    """The finest recipe that fits with a context that is of use, then the longest context that fits with it."""

    def fineness(plan: Plan) -> tuple[bool, int, int, int, int]:
        recipe, context = plan.recipe, int(plan.processing.get("max_length", 0))
        fine = (recipe.weight_bits, recipe.embedding_bits, -recipe.block_size)
        return (context >= _USEFUL_CONTEXT, *fine, context)

    fitting = [plan for plan in candidates if plan.fits]
    # where none fits, the smallest is told, with its arithmetic
    return max(fitting, key=fineness) if fitting else min(candidates, key=lambda plan: plan.need.total)


def _numbered(recipe: Recipe, request: Request) -> Recipe:
    """With the project's numbers, and the lengths that are asked for."""
    values = request.overrides.get(recipe.name, {})
    unknown = set(values) - set(asdict(recipe))
    if unknown:
        raise ProjectError(f"a recipe has no {min(unknown)!r}", hint=f"it has {', '.join(asdict(recipe))}")
    numbers: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    own = replace(recipe, **numbers)
    return replace(own, lengths=tuple(sorted(set(request.lengths or own.lengths))))


def _examples(
    request: Request, source: Source, task: ModuleType, config: Mapping[str, Any], plans: Sequence[Plan]
) -> _Examples:
    processing = task.sized(task.processing(source.path, config), request.context)
    if task.AUTO and "max_length" in processing:  # texts that every bundle can take
        processing["max_length"] = min(plan.processing["max_length"] for plan in plans)
    own = task.examples(processing)
    calibration = own[0::2]
    if request.calibration is not None:
        calibration = task.inputs(comparison.rows(task, request.calibration, task.INPUTS))
    return _Examples(
        processing=processing,
        calibration=calibration,
        agreement=own[1::2],
        rows=comparison.rows(task, request.evaluation) if request.evaluation else [],
    )


def _inputs(
    request: Request, original: Original, config: Mapping[str, Any], examples: _Examples, checks: Sequence[Check]
) -> _Inputs:
    """All feeds, made by the shipping pre-processing; what is compared is held against the authors' own."""
    source, task = original.source, original.task
    plain = task_model(source.task, None, source.path, examples.processing)
    matched = original.attach(task_model(source.task, None, source.path, examples.processing), examples.processing)
    return _Inputs(
        task=task,
        config=config,
        processing=examples.processing,
        calibration=task.batches(plain, examples.calibration, use="" if request.calibration else "calibration"),
        agreement=task.batches(matched, examples.agreement, use="agreement"),
        golden=task.golden(matched, examples.agreement),
        rows=examples.rows,
        evaluation=request.evaluation,
        digest=examples.digest,
        checks=checks,
    )


def _learn(original: Original, inputs: _Inputs) -> None:
    """Ask the original for all outputs that will be compared, so that its weights can be freed."""
    original.learn([*inputs.agreement, *(feeds for _, feeds in inputs.golden)])
    if inputs.rows and original.frees:
        inputs.task.predict(_matched(original, inputs), inputs.rows)


def _matched(original: Original, inputs: _Inputs) -> Any:
    """The task's object around the original, fed by the authors' own pre-processing."""
    model = task_model(original.source.task, original, original.source.path, inputs.processing)
    return original.attach(model, inputs.processing)


def _accuracy(
    original: Original, artifact: Artifact, plan: Plan, inputs: _Inputs
) -> tuple[tuple[Accuracy, ...], Mapping[str, Any]]:
    source, task, target = original.source, inputs.task, plan.target
    memory.release()  # what the conversion held, before the runtime allocates
    packed = convert.opened(original, artifact, target)
    where = machine.where(packed.threads, target.profile.isa, packed.runtime)
    floors = target.floors.of(source.task)
    try:
        agreed = comparison.agreement(original, packed, task, inputs.agreement, floors=floors, where=where)
    except InputError as error:  # on inputs that the original took
        raise ConversionError(f"{plan.name} does not run: {error}") from error
    wrong = np.any([np.isnan(values) for values in agreed.samples.values()], axis=0)
    if wrong.any():
        raise ConversionError(
            f"{plan.name} computes NaN for {wrong.sum()} of {len(wrong)} inputs",
            hint="another recipe may not: fp32 rounds nothing",
        )
    known = (*_input_accuracy(original, inputs), *agreed.accuracy)
    if not inputs.rows or inputs.evaluation is None:
        unknown = Accuracy(metric=next(iter(task.METRICS)), packed=NotMeasured(reason="no [evaluation] data set"))
        return (*known, unknown), agreed.samples
    before, after = _matched(original, inputs), task_model(source.task, packed, source.path, dict(plan.processing))
    scores = comparison.metric(
        before, after, task, inputs.rows, name=inputs.evaluation.name, floors=floors, where=where
    )
    return (*known, *scores.accuracy), agreed.samples


def _input_accuracy(original: Original, inputs: _Inputs) -> tuple[Accuracy, ...]:
    """What the bundle's pre-processing makes beside the authors' own; of language models the oracle tells."""
    if not inputs.task.AUTO:
        return ()
    pictures = "pixel_values" in inputs.processing["inputs"]
    return (
        Accuracy(
            metric="pixels_max_error" if pictures else "token_ids_max_error",
            packed=original.input_difference,
            floor=matching.LEVELS if pictures else 0.0,
            samples=sum(len(next(iter(feeds.values()))) for feeds in inputs.agreement),
            data="edgepack's own inputs, in levels of 255" if pictures else "edgepack's own inputs",
            higher_is_better=False,
        ),
    )


def _write_manifest(folder: Path, original: Original, plan: Plan, artifact: Artifact, inputs: _Inputs) -> None:
    source, task, target, recipe = original.source, inputs.task, plan.target, plan.recipe
    key = task.OUTPUTS[-1]
    file = pack.write_golden(folder, inputs.golden, [original(feeds)[key] for _, feeds in inputs.golden], key)
    least = target.floors.of(source.task).get("cosine_min", _LEAST_COSINE)
    facts = {
        "processing": plan.processing,
        "golden": {"file": file, "output": key, "least_cosine": least},
        "reproduce": {"tools": convert.tools(original, target), "calibration_sha256": inputs.digest, "seed": 0},
    }
    pack.write_manifest(
        folder, name=plan.name, source=source, target=target, recipe=recipe, artifact=artifact, facts=facts
    )


def _bundle(
    path: Path,
    source: Source,
    target: Target,
    recipe: Recipe,
    artifact: Artifact,
    accuracy: tuple[Accuracy, ...],
    timings: Timings,
) -> Bundle:
    final = replace(artifact, path=path / artifact.path.name, bytes=artifact.bytes)
    return Bundle(
        path=path,
        source=source,
        target=target,
        recipe=recipe,
        artifact=final,
        accuracy=accuracy,
        timings=timings,
    )


def _keep_report(out: Path, bundle: Bundle, samples: Mapping[str, Any]) -> None:
    """The report lies beside the bundle, so that it stays when a floor is missed."""
    (out / f"{bundle.path.name}.html").write_text(reports.of_bundle(bundle, samples), "utf-8")


def _check_floors(bundle: Bundle, out: Path) -> None:
    """Raises CheckFailed, which leaves no bundle."""
    missed = [a for a in bundle.accuracy if a.passed is False]
    if missed:
        worst = missed[0]
        raise CheckFailed(
            f"{bundle.path.name}: {worst.metric} is {worst.packed:.4f}, and {bundle.target.name} asks for "
            f"{worst.floor} at {'least' if worst.higher_is_better else 'most'}",
            hint=f"see {out / bundle.path.name}.html; choose a finer recipe, or pass --allow-loss",
        )
