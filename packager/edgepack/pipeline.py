"""A build, from a model's name to measured bundles: one line per step. The order of the stages is here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from edgepack import outfolder
from edgepack.inputs import Inputs
from edgepack.original import Original, open_originals, sentence_check, text_folder
from edgepack.original.reading import Reading
from edgepack.plans import Plan as Plan
from edgepack.plans import Request as Request
from edgepack.plans import Subject
from edgepack.records import Accuracy, Bundle
from edgepack.runtime import manifest, measurements
from edgepack.stages import bench, compare, convert, examples, pack, report, resolve
from edgepack.stages import plan as planning


class Progress(Protocol):
    """The listener to which a build says what it does; the command line's draws it."""

    def step(self, text: str) -> None:
        """Show that a new step has begun."""

    def note(self, text: str) -> None:
        """Show something worth knowing."""


@text_folder.as_given()
def plan(request: Request) -> list[Plan]:
    """Plan what a request would build, without building it. Raises as build does for the model and the names."""
    planning.check_names(request)
    planning.check_download(request, resolve.downloads(request.model, *request.adapters))
    found = resolve.find(request.model, task=request.task, adapters=request.adapters)
    planning.check_installed(request, found)
    subject = Subject.of(resolve.arrange(found))
    with Reading(subject, allow_unread=request.allow_unread) as reading:
        plans = planning.plans(request, subject)
        with open_originals(subject) as originals:
            whole = subject.task.sized(subject.processing, request.context)
            for name, original in originals.items():
                original.check(subject.processing_of(name, whole))
        reading.finish()
    return plans


@text_folder.as_given()
def build(request: Request, progress: Progress) -> tuple[Bundle, ...]:
    """Build every target in every recipe, each measured against the original.

    Raises an EdgepackError; bundles that were finished before it stay.
    """
    planning.check_names(request)
    planning.check_download(request, resolve.downloads(request.model, *request.adapters))
    progress.step(f"finding {request.model}")
    found = resolve.find(request.model, task=request.task, adapters=request.adapters, say=progress.note)
    planning.check_installed(request, found)
    with sentence_check.Check(found, early=resolve.is_new(found)) as vectors:
        return _build(request, Subject.of(resolve.arrange(found)), vectors, progress)


def _build(request: Request, subject: Subject, vectors: sentence_check.Check, progress: Progress) -> tuple[Bundle, ...]:
    with Reading(subject, allow_unread=request.allow_unread) as reading:
        plans = planning.plans(request, subject)
        for each in plans:
            planning.check_fit(each)
            report.check_place(request.out, each.name, force=request.force)
        given = examples.gather(request, subject, plans)
        vectors.ask(given.processing, next(iter(given.agreement.values())))
        with open_originals(subject, inputs=given.digest, implementation=request.original) as originals:
            progress.step("running the original")
            inputs = examples.prepare(request, subject, originals, given, (reading, vectors))
            looped = examples.check_loop(originals, inputs)
            examples.learn(originals, inputs)
            vectors.hold(inputs.matched(originals))
            completed = [examples.completed(each, inputs) for each in plans]
            return tuple(_one(request, originals, each, inputs, looped, progress) for each in completed)


def _one(
    request: Request,
    originals: Mapping[str, Original],
    plan: Plan,
    inputs: Inputs,
    looped: tuple[Accuracy, ...],
    progress: Progress,
) -> Bundle:
    name, place = plan.name, request.out / plan.name
    with outfolder.workspace(request.out, name, force=request.force) as folder:
        outs = pack.model_files(plan, folder)
        artifacts = convert.convert(
            originals, plan, inputs.calibration, outs, lambda step: progress.step(f"{name}: {step}")
        )
        progress.step(f"{name}: comparing with the original")
        compared = compare.compare(originals, convert.open_artifacts(artifacts, plan), plan, inputs)
        pack.copy_files(plan, folder)
        golden = pack.write_golden(folder, originals, plan, inputs.submodels)
        pack.write_manifest(folder, plan, artifacts, golden, inputs=inputs.digest)
        progress.step(f"{name}: measuring speed")
        timings = bench.quick(manifest.read(folder)) if request.measure_speed else ()
        accuracy = (*compared.accuracy, *looped, *(figure for check in inputs.checks for figure in check.finish()))
        measurements.write(folder, accuracy, timings)
        bundle = Bundle(
            path=place,
            source=plan.source,
            target=plan.target,
            recipe=plan.recipe,
            artifacts={key: replace(one, path=place / one.path.relative_to(folder)) for key, one in artifacts.items()},
            accuracy=accuracy,
            timings=timings,
        )
        kept = report.keep(bundle, compared.samples, compared.images, force=request.force)
        if not request.allow_loss:
            compare.check_floors(bundle, kept)
    return bundle
