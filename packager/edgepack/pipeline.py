"""A build, from a model's name to measured bundles: one line per step. The order of the stages is here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgepack import comparison, fit, memory, outfolder, planning, plugins, reports
from edgepack import inputs as inputs_
from edgepack.errors import CheckFailed, ConversionError, InputError
from edgepack.inputs import Inputs
from edgepack.original import Original, sentence_check
from edgepack.original.reading import Reading
from edgepack.planning import Plan as Plan
from edgepack.planning import Request as Request
from edgepack.records import Accuracy, Artifact, Bundle, NotMeasured, Recipe, Source, Target, Timings
from edgepack.runtime import image, machine, manifest, measurements
from edgepack.runtime import model as task_model
from edgepack.runtime.submodel import Golden
from edgepack.stages import bench, convert, pack, resolve
from edgepack.tasks import table

_LEAST_COSINE = 0.9  # of a golden vector where the target has no floor: a bundle below computes something else
_QUICK_RUNS = 16  # of the speed check in a build; `edgepack bench` takes longer


class Progress(Protocol):
    """Where a build says what it does; the command line's draws it."""

    def step(self, text: str) -> None:
        """A new step has begun."""

    def note(self, text: str) -> None:
        """Something worth knowing."""


def plan(request: Request) -> list[Plan]:
    """What a request would build, without building it. Raises as build does for the model and the names."""
    planning.check_names(request)
    source = resolve.resolve(request.model, task=request.task, adapter=request.adapter)
    task, config = plugins.load("tasks", source.task), table(source.path / "config.json")
    with Reading(source, task, config, allow_unread=request.allow_unread) as reading:
        plans = planning.plans(request, source, task, config)
        with Original(source, task) as original:
            original.check(task.sized(task.processing(source.path, config), request.context))
        reading.finish()
    return plans


def build(request: Request, progress: Progress) -> tuple[Bundle, ...]:
    """Every target in every recipe, each measured against the original.

    Raises an EdgepackError; bundles that were finished before it stay.
    """
    planning.check_names(request)
    progress.step(f"finding {request.model}")
    found = resolve.find(request.model, task=request.task, adapter=request.adapter, say=progress.note)
    with sentence_check.Check(found, early=resolve.is_new(found)) as vectors:
        return _build(request, resolve.arrange(found), vectors, progress)


def _build(request: Request, source: Source, vectors: sentence_check.Check, progress: Progress) -> tuple[Bundle, ...]:
    task, config = plugins.load("tasks", source.task), table(source.path / "config.json")
    with Reading(source, task, config, allow_unread=request.allow_unread) as reading:
        plans = planning.plans(request, source, task, config)
        for plan in plans:
            offered = convert.takes(plan.target, task, list(plan.target.recipes_of(source.task).values()), strict=False)
            fit.check(source, plan.target, plan.recipe, config, plan.processing, offered)
            _check_place(request, plan.name)
        examples = inputs_.gather(request, source, task, config, plans)
        vectors.ask(examples.processing, examples.agreement)
        with Original(source, task, inputs=examples.digest, implementation=request.original) as original:
            progress.step("running the original")
            inputs = inputs_.prepare(request, original, config, examples, (reading, vectors))
            inputs_.learn(original, inputs)
            vectors.hold(inputs_.matched(original, inputs))
            return tuple(_one(request, original, plan, inputs, progress) for plan in plans)


def _one(request: Request, original: Original, plan: Plan, inputs: Inputs, progress: Progress) -> Bundle:
    source, name, target, recipe = original.source, plan.name, plan.target, plan.recipe
    with outfolder.workspace(request.out, name, force=request.force) as folder:
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
        final = replace(artifact, path=request.out / name / artifact.path.relative_to(folder))
        bundle = _bundle(request.out / name, source, target, recipe, final, accuracy, timings)
        _keep_report(request, bundle, samples)
        if not request.allow_loss:
            _check_floors(bundle, request.out)
    return bundle


def _accuracy(
    original: Original, artifact: Artifact, plan: Plan, inputs: Inputs
) -> tuple[tuple[Accuracy, ...], Mapping[str, Any]]:
    source, task, target = original.source, inputs.task, plan.target
    memory.release()  # what the conversion held, before the runtime allocates
    packed = convert.opened(original, artifact, target)
    where = machine.where(packed.threads, target.profile.isa, packed.runtime)
    floors = target.floors.of(source.task)
    try:
        shipped = inputs_.shipped(inputs, source, plan).agreement
        agreed = comparison.agreement(
            original, packed, task, inputs.agreement, floors=floors, where=where, shipped=shipped
        )
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
    before, after = (
        inputs_.matched(original, inputs),
        task_model(source.task, packed, source.path, dict(plan.processing)),
    )
    scores = comparison.metric(
        before, after, task, inputs.rows, name=inputs.evaluation.name, floors=floors, where=where
    )
    return (*known, *scores.accuracy), agreed.samples


def _input_accuracy(original: Original, inputs: Inputs) -> tuple[Accuracy, ...]:
    """What the bundle's pre-processing makes beside the authors' own; of language models the oracle tells."""
    if not inputs.task.AUTO:
        return ()
    pictures = "pixel_values" in inputs.processing["inputs"]
    return (
        Accuracy(
            metric="pixels_max_error" if pictures else "token_ids_max_error",
            packed=original.input_difference,
            floor=image.LEVELS if pictures else 0.0,
            samples=sum(len(next(iter(feeds.values()))) for feeds in inputs.agreement),
            data="edgepack's own inputs, in levels of 255" if pictures else "edgepack's own inputs",
            higher_is_better=False,
        ),
    )


def _write_manifest(folder: Path, original: Original, plan: Plan, artifact: Artifact, inputs: Inputs) -> None:
    source, task, target, recipe = original.source, inputs.task, plan.target, plan.recipe
    key = task.OUTPUTS[-1]
    vectors = inputs_.shipped(inputs, source, plan).golden
    file = pack.write_golden(folder, vectors, [original(feeds)[key] for _, feeds in inputs.golden], key)
    least = target.floors.of(source.task).get("cosine_min", _LEAST_COSINE)
    facts = {
        "processing": plan.processing,
        "reproduce": {"tools": convert.tools(original, target), "calibration_sha256": inputs.digest, "seed": 0},
    }
    pack.write_manifest(
        folder,
        name=plan.name,
        source=source,
        target=target,
        recipe=recipe,
        artifact=artifact,
        golden=Golden(file=file, output=key, least_cosine=least),
        facts=facts,
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
    return Bundle(
        path=path,
        source=source,
        target=target,
        recipe=recipe,
        artifact=artifact,
        accuracy=accuracy,
        timings=timings,
    )


def _check_place(request: Request, name: str) -> None:
    """Raises FileTrouble before the work where something of the user's stands in the bundle's or the report's place."""
    outfolder.check_bundle(request.out / name, force=request.force)
    outfolder.check_file(request.out / f"{name}.html", mark=reports.MARK, force=request.force)


def _keep_report(request: Request, bundle: Bundle, samples: Mapping[str, Any]) -> None:
    """Write the report beside the bundle, so that it stays when a floor is missed."""
    page = reports.of_bundle(bundle, samples)
    outfolder.write(request.out / f"{bundle.path.name}.html", page, mark=reports.MARK, force=request.force)


def _check_floors(bundle: Bundle, out: Path) -> None:
    """Raises CheckFailed, which leaves no bundle."""
    for figure in bundle.accuracy:
        if figure.floor is not None and isinstance(figure.packed, NotMeasured):
            raise CheckFailed(
                f"{bundle.path.name}: {figure.metric} is to keep {figure.floor}, and has no figure: "
                f"{figure.packed.reason}",
                hint="give an [evaluation] data set that it can be told from, or pass --allow-loss",
            )
    missed = [a for a in bundle.accuracy if a.passed is False]
    if missed:
        worst = missed[0]
        raise CheckFailed(
            f"{bundle.path.name}: {worst.metric} is {worst.packed:.4f}, and {bundle.target.name} asks for "
            f"{worst.floor} at {'least' if worst.higher_is_better else 'most'}",
            hint=f"see {out / bundle.path.name}.html; choose a finer recipe, or pass --allow-loss",
        )
