"""The inputs of a build as the shipping pre-processing makes them, for the original and for each bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from edgepack.arrays import Feeds
from edgepack.data import DataSpec
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Accuracy
from edgepack.runtime import model as task_model
from edgepack.runtime.processing import Processing


class Check(Protocol):
    """A check of edgepack's reading of the model that runs beside the build, in a process of its own."""

    def finish(self) -> tuple[Accuracy, ...]:
        """Wait for it; its figures. Raises ModelError where the authors' implementation answers otherwise."""


@dataclass(frozen=True)
class Inputs:
    """Every input of a build."""

    processing: Processing
    calibration: Sequence[Feeds]
    agreement: Sequence[Feeds]
    examples: Sequence[Any]  # that agreement is measured on, before pre-processing
    golden: Sequence[tuple[Any, Feeds]]  # the example and its feeds
    rows: Sequence[Mapping[str, Any]]
    evaluation: DataSpec | None
    digest: str
    checks: Sequence[Check]

    def shipped(self, plan: Plan) -> Self:
        """Return the examples with the feeds of ``plan``'s bundle, where its clients prepare pictures otherwise."""
        if plan.processing.image is None or not plan.processing.image.mix:
            return self
        model = task_model(plan.source.task, None, plan.source.path, plan.processing)
        return replace(
            self,
            agreement=plan.task.batches(model, self.examples, use="agreement"),
            golden=[(example, model.feeds([example])) for example, _ in self.golden],
        )

    def matched(self, original: Original) -> Any:
        """Return the task's object around the original, fed by the authors' own pre-processing."""
        model = task_model(original.source.task, original, original.source.path, self.processing)
        return original.attach(model, self.processing)
