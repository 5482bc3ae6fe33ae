"""Gather the examples of a build, and make the inputs from them by the shipping pre-processing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edgepack import comparison
from edgepack.arrays import Example, Rows, Run, TaskModel
from edgepack.errors import UsageError
from edgepack.inputs import Check, Inputs, SubmodelInputs, matched
from edgepack.original import Original, recorders
from edgepack.plans import Plan, Request, Subject
from edgepack.records import Accuracy
from edgepack.runtime import model as task_model
from edgepack.runtime import submodel
from edgepack.runtime.one_at_a_time import without
from edgepack.runtime.processing import Processing, Text
from edgepack.tasks import AnyTask, Task


@dataclass(frozen=True)
class Examples:
    """Every input of a build as it is before pre-processing; those of agreement and calibration by submodel."""

    processing: Processing
    calibration: Mapping[str, Sequence[Example]]
    agreement: Mapping[str, Sequence[Example]]
    rows: Rows

    @property
    def digest(self) -> str:
        """SHA-256 of all of them."""
        described = [repr(self.processing), repr(self.calibration), repr(self.agreement), repr(self.rows)]
        return hashlib.sha256("\0".join(described).encode()).hexdigest()


def gather(request: Request, subject: Subject, plans: Sequence[Plan]) -> Examples:
    """Gather the examples that a request brings, and edgepack's own where it brings none. Raises DataError."""
    task = subject.task
    _check_data(request, subject)
    processing = task.sized(subject.processing, request.context)
    if processing.text:  # texts that every bundle can take
        shortest = min(plan.processing.section(Text).max_length for plan in plans)
        processing = replace(processing, text=replace(processing.text, max_length=shortest))
    own = {
        name: part.own_task.examples(subject.processing_of(name, processing))
        for name, part in subject.submodels.items()
    }
    return Examples(
        processing=processing,
        calibration={name: _calibration(request, subject.submodels[name].task, own[name]) for name in own},
        agreement={name: listed[1::2] for name, listed in own.items()},
        rows=comparison.rows(task, request.evaluation) if request.evaluation else [],
    )


def _check_data(request: Request, subject: Subject) -> None:
    """Raises UsageError for data sets of a model whose inputs are recorded: they would have no effect."""
    named = [name for name in ("calibration", "evaluation") if getattr(request, name) is not None]
    if named and recorders.recorder(subject.task) is not None:
        raise UsageError(
            f"[{named[0]}] has no effect on {subject.source.name}, whose inputs are recorded while it runs",
            hint="take it out; a release suite measures on prompts of your own (docs/release-suites.md)",
        )


def _calibration(request: Request, task: AnyTask, own: Sequence[Example]) -> Sequence[Example]:
    if request.calibration is None:
        return own[0::2]
    return task.inputs(comparison.rows(task, request.calibration, task.INPUTS))


def prepare(
    request: Request,
    subject: Subject,
    originals: Mapping[str, Original],
    examples: Examples,
    checks: Sequence[Check],
) -> Inputs:
    """Make all feeds by the shipping pre-processing; what is compared is checked against the authors' own."""
    recorder = recorders.recorder(subject.task)
    recording = None if recorder is None else recorder.record(subject, originals)
    recorded = {} if recording is None else recording.submodels
    plain = task_model(subject.source.task, {}, subject.source.path, examples.processing)
    compared = matched(subject, examples.processing, originals, {})
    use = "" if request.calibration else "calibration"

    def made(name: str, task: Task) -> SubmodelInputs:
        if name in recorded:
            feeds = recorded[name].agreement
            return SubmodelInputs(recorded[name].calibration, feeds, examples=(), golden=task.golden(None, feeds))
        given, own = examples.agreement[name], submodel(compared, name)
        return SubmodelInputs(
            calibration=task.batches(submodel(plain, name), examples.calibration[name], use=use),
            agreement=task.batches(own, given, use="agreement"),
            examples=given,
            golden=task.golden(own, given),
        )

    return Inputs(
        subject=subject,
        processing=examples.processing,
        submodels={name: made(name, part.own_task) for name, part in subject.submodels.items()},
        rows=examples.rows,
        evaluation=request.evaluation,
        digest=examples.digest,
        checks=checks,
        recording=recording,
    )


def check_loop(originals: Mapping[str, Original], inputs: Inputs) -> tuple[Accuracy, ...]:
    """Hold the task's loop around the originals against the authors' own, where a run of theirs was recorded."""

    def around(runs: Mapping[str, Run]) -> TaskModel:
        return matched(inputs.subject, inputs.processing, {}, runs)

    recorder = recorders.recorder(inputs.subject.task)
    if recorder is None or inputs.recording is None:
        return ()
    return recorder.check(inputs.recording, without(originals, recorder.UNUSED), around)


def completed(plan: Plan, inputs: Inputs) -> Plan:
    """Return ``plan`` with the processing that a recorded run completes, where one was."""
    recorder = recorders.recorder(inputs.subject.task)
    if recorder is None or inputs.recording is None:
        return plan
    return replace(plan, processing=recorder.completed(inputs.recording, plan.processing))


def learn(originals: Mapping[str, Original], inputs: Inputs) -> None:
    """Ask the originals for all outputs that will be compared, so that their weights can be freed.

    Those of a recorded run are freed here: large ones are not in memory together.
    """
    for name, original in originals.items():
        own = inputs.submodels[name]
        original.learn([*own.agreement, *(feeds for _, feeds in own.golden)])
        if inputs.recording is not None:
            original.close()
    if inputs.rows and all(original.frees for original in originals.values()):
        inputs.subject.task.predict(inputs.matched(originals), inputs.rows)
