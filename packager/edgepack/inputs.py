"""The inputs of a build: as they are before pre-processing, and as the shipping code makes them for the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Protocol

from edgepack import comparison
from edgepack.arrays import Feeds
from edgepack.data import DataSpec
from edgepack.original import Original
from edgepack.planning import Plan, Request
from edgepack.records import Accuracy, Source
from edgepack.runtime import model as task_model


class Check(Protocol):
    """A check of edgepack's reading of the model that runs beside the build, in a process of its own."""

    def finish(self) -> tuple[Accuracy, ...]:
        """Wait for it; its figures. Raises ModelError where the authors' implementation answers otherwise."""


@dataclass(frozen=True)
class Examples:
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


@dataclass(frozen=True)
class Inputs:
    """The model's own facts and every input of a build, made by the shipping pre-processing."""

    task: ModuleType
    config: Mapping[str, Any]
    processing: dict[str, Any]
    calibration: Sequence[Feeds]
    agreement: Sequence[Feeds]
    examples: Sequence[Any]  # that agreement is measured on
    golden: Sequence[tuple[Any, Feeds]]  # the example and its feeds
    rows: Sequence[Mapping[str, Any]]
    evaluation: DataSpec | None
    digest: str
    checks: Sequence[Check]


def gather(
    request: Request, source: Source, task: ModuleType, config: Mapping[str, Any], plans: Sequence[Plan]
) -> Examples:
    """The examples that a request brings, and edgepack's own where it brings none. Raises DataError."""
    processing = task.sized(task.processing(source.path, config), request.context)
    if task.AUTO and "max_length" in processing:  # texts that every bundle can take
        processing["max_length"] = min(plan.processing["max_length"] for plan in plans)
    own = task.examples(processing)
    calibration = own[0::2]
    if request.calibration is not None:
        calibration = task.inputs(comparison.rows(task, request.calibration, task.INPUTS))
    return Examples(
        processing=processing,
        calibration=calibration,
        agreement=own[1::2],
        rows=comparison.rows(task, request.evaluation) if request.evaluation else [],
    )


def prepare(
    request: Request, original: Original, config: Mapping[str, Any], examples: Examples, checks: Sequence[Check]
) -> Inputs:
    """All feeds, made by the shipping pre-processing; what is compared is held against the authors' own."""
    source, task = original.source, original.task
    plain = task_model(source.task, None, source.path, examples.processing)
    matched = original.attach(task_model(source.task, None, source.path, examples.processing), examples.processing)
    return Inputs(
        task=task,
        config=config,
        processing=examples.processing,
        calibration=task.batches(plain, examples.calibration, use="" if request.calibration else "calibration"),
        agreement=task.batches(matched, examples.agreement, use="agreement"),
        examples=examples.agreement,
        golden=task.golden(matched, examples.agreement),
        rows=examples.rows,
        evaluation=request.evaluation,
        digest=examples.digest,
        checks=checks,
    )


def learn(original: Original, inputs: Inputs) -> None:
    """Ask the original for all outputs that will be compared, so that its weights can be freed."""
    original.learn([*inputs.agreement, *(feeds for _, feeds in inputs.golden)])
    if inputs.rows and original.frees:
        inputs.task.predict(matched(original, inputs), inputs.rows)


def shipped(inputs: Inputs, source: Source, plan: Plan) -> Inputs:
    """``inputs`` with the feeds that ``plan``'s bundle makes, where its clients prepare pictures otherwise."""
    if "mix" not in plan.processing:
        return inputs
    model = task_model(source.task, None, source.path, dict(plan.processing))
    return replace(
        inputs,
        agreement=inputs.task.batches(model, inputs.examples, use="agreement"),
        golden=[(example, model.feeds([example])) for example, _ in inputs.golden],
    )


def matched(original: Original, inputs: Inputs) -> Any:
    """The task's object around the original, fed by the authors' own pre-processing."""
    model = task_model(original.source.task, original, original.source.path, inputs.processing)
    return original.attach(model, inputs.processing)
