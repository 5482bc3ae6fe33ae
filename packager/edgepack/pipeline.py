"""A build, from a model's name to measured bundles: one line per step. The order of the stages is here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edgepack import outfolder, reports
from edgepack.arrays import Array
from edgepack.inputs import Inputs
from edgepack.original import Original, open_original, sentence_check
from edgepack.original.reading import Reading
from edgepack.plans import Plan as Plan
from edgepack.plans import Request as Request
from edgepack.plans import Subject
from edgepack.records import Artifact, Bundle
from edgepack.runtime import manifest, measurements
from edgepack.stages import bench, compare, convert, examples, pack, resolve
from edgepack.stages import plan as planning

_QUICK_RUNS = 16  # of the speed check in a build; `edgepack bench` takes longer


class Progress(Protocol):
    """The listener to which a build says what it does; the command line's draws it."""

    def step(self, text: str) -> None:
        """Show that a new step has begun."""

    def note(self, text: str) -> None:
        """Show something worth knowing."""


def plan(request: Request) -> list[Plan]:
    """Plan what a request would build, without building it. Raises as build does for the model and the names."""
    planning.check_names(request)
    found = resolve.find(request.model, task=request.task, adapter=request.adapter)
    planning.check_installed(request, found)
    subject = Subject.of(resolve.arrange(found))
    with Reading(subject, allow_unread=request.allow_unread) as reading:
        plans = planning.plans(request, subject)
        with open_original(subject) as original:
            processing = subject.task.processing(subject.source.path, subject.config)
            original.check(subject.task.sized(processing, request.context))
        reading.finish()
    return plans


def build(request: Request, progress: Progress) -> tuple[Bundle, ...]:
    """Build every target in every recipe, each measured against the original.

    Raises an EdgepackError; bundles that were finished before it stay.
    """
    planning.check_names(request)
    progress.step(f"finding {request.model}")
    found = resolve.find(request.model, task=request.task, adapter=request.adapter, say=progress.note)
    planning.check_installed(request, found)
    with sentence_check.Check(found, early=resolve.is_new(found)) as vectors:
        return _build(request, Subject.of(resolve.arrange(found)), vectors, progress)


def _build(request: Request, subject: Subject, vectors: sentence_check.Check, progress: Progress) -> tuple[Bundle, ...]:
    with Reading(subject, allow_unread=request.allow_unread) as reading:
        plans = planning.plans(request, subject)
        for each in plans:
            planning.check_fit(each)
            _check_place(request, each.name)
        given = examples.gather(request, subject, plans)
        vectors.ask(given.processing, given.agreement)
        with open_original(subject, inputs=given.digest, implementation=request.original) as original:
            progress.step("running the original")
            inputs = examples.prepare(request, original, given, (reading, vectors))
            examples.learn(original, inputs)
            vectors.hold(inputs.matched(original))
            return tuple(_one(request, original, each, inputs, progress) for each in plans)


def _one(request: Request, original: Original, plan: Plan, inputs: Inputs, progress: Progress) -> Bundle:
    name, place = plan.name, request.out / plan.name
    with outfolder.workspace(request.out, name, force=request.force) as folder:
        progress.step(f"{name}: exporting")
        prepared = convert.prepare(original, plan, inputs.calibration)
        original.close()
        progress.step(f"{name}: compressing to {plan.recipe.name}")
        artifact = convert.compress(prepared, plan, folder / pack.model_file(plan), inputs.calibration)
        progress.step(f"{name}: comparing with the original")
        accuracy, samples = compare.compare(original, convert.open_artifact(artifact, plan), plan, inputs)
        _fill(folder, original, plan, artifact, inputs)
        progress.step(f"{name}: measuring speed")
        timings = bench.bench(manifest.read(folder), runs=_QUICK_RUNS, seconds=0.0) if request.measure_speed else ()
        accuracy = (*accuracy, *(figure for check in inputs.checks for figure in check.finish()))
        measurements.write(folder, accuracy, timings)
        final = replace(artifact, path=place / artifact.path.relative_to(folder))
        bundle = Bundle(
            path=place,
            source=plan.source,
            target=plan.target,
            recipe=plan.recipe,
            artifact=final,
            accuracy=accuracy,
            timings=timings,
        )
        _keep_report(request, bundle, samples)
        if not request.allow_loss:
            compare.check_floors(bundle, _report(request, name))
    return bundle


def _fill(folder: Path, original: Original, plan: Plan, artifact: Artifact, inputs: Inputs) -> None:
    """Write what lies beside the model: clients' files, golden vectors, the manifest."""
    pack.copy_files(plan, folder)
    key = plan.task.OUTPUTS[-1]
    outputs = [original(feeds)[key] for _, feeds in inputs.golden]
    golden = pack.write_golden(folder, inputs.shipped(plan).golden, outputs, key)
    pack.write_manifest(folder, plan, artifact, golden=golden, inputs=inputs.digest)


def _check_place(request: Request, name: str) -> None:
    """Raises FileTrouble before the work where something of the user's stands in the bundle's or the report's place."""
    outfolder.check_bundle(request.out / name, force=request.force)
    outfolder.check_file(_report(request, name), mark=reports.MARK, force=request.force)


def _keep_report(request: Request, bundle: Bundle, samples: Mapping[str, Array]) -> None:
    """Write the report beside the bundle, so that it stays when a floor is missed."""
    page = reports.of_bundle(bundle, samples)
    outfolder.write(_report(request, bundle.path.name), page, mark=reports.MARK, force=request.force)


def _report(request: Request, name: str) -> Path:
    return request.out / f"{name}.html"
