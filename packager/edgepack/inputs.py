"""The inputs of a build as the shipping pre-processing makes them, for the original and for each bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from edgepack.arrays import Example, Feeds, Rows, Run, TaskModel
from edgepack.data import DataSpec
from edgepack.original import Original, attach
from edgepack.original.recorders import Recording
from edgepack.plans import Plan, Subject
from edgepack.records import Accuracy
from edgepack.runtime import model as task_model
from edgepack.runtime.processing import Processing


class Check(Protocol):
    """A check of edgepack's reading of the model that runs beside the build, in a process of its own."""

    def finish(self) -> tuple[Accuracy, ...]:
        """Wait for it; its figures. Raises ModelError where the authors' implementation answers otherwise."""


@dataclass(frozen=True)
class SubmodelInputs:
    """The inputs of one submodel of a build."""

    calibration: Sequence[Feeds]
    agreement: Sequence[Feeds]
    examples: Sequence[Example]  # that agreement is measured on, before pre-processing
    golden: Sequence[tuple[Example, Feeds]]  # the example and its feeds

    def shipped(self, plan: Plan) -> Self:
        """Return these with the feeds that ``plan``'s submodel makes, where its clients prepare images otherwise."""
        if not plan.processing.mix:
            return self
        model = task_model(plan.source.task, {}, plan.source.path, plan.processing)
        return replace(
            self,
            agreement=plan.own_task.batches(model, self.examples, use="agreement"),
            golden=[(example, model.feeds([example])) for example, _ in self.golden],
        )


@dataclass(frozen=True)
class Inputs:
    """Every input of a build."""

    subject: Subject
    processing: Processing
    submodels: Mapping[str, SubmodelInputs]
    rows: Rows
    evaluation: DataSpec | None
    digest: str
    checks: Sequence[Check]
    recording: Recording | None = None  # of the original at work, where its task asks for one

    @property
    def calibration(self) -> Mapping[str, Sequence[Feeds]]:
        """The calibration of each submodel."""
        return {name: own.calibration for name, own in self.submodels.items()}

    def matched(self, originals: Mapping[str, Original]) -> TaskModel:
        """Return the task's object around the originals, fed by the authors' own pre-processing."""
        return matched(self.subject, self.processing, originals, originals)


def matched(
    subject: Subject, processing: Processing, originals: Mapping[str, Original], runs: Mapping[str, Run]
) -> TaskModel:
    """Make the task's object around ``runs``, whose inputs the originals compare with what their authors make."""
    model = task_model(subject.source.task, runs, subject.source.path, processing)
    return attach(originals, model, subject.task, processing)
