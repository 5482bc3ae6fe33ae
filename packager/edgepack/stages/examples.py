"""Gather the examples of a build, and make the inputs from them by the shipping pre-processing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgepack import comparison
from edgepack.inputs import Check, Inputs
from edgepack.original import Original
from edgepack.plans import Plan, Request, Subject
from edgepack.runtime import model as task_model
from edgepack.runtime.processing import Processing, Text


@dataclass(frozen=True)
class Examples:
    """Every input of a build as it is before pre-processing."""

    processing: Processing
    calibration: Sequence[Any]
    agreement: Sequence[Any]
    rows: Sequence[Mapping[str, Any]]

    @property
    def digest(self) -> str:
        """SHA-256 of all of them."""
        described = [repr(self.processing), repr(self.calibration), repr(self.agreement), repr(self.rows)]
        return hashlib.sha256("\0".join(described).encode()).hexdigest()


def gather(request: Request, subject: Subject, plans: Sequence[Plan]) -> Examples:
    """Gather the examples that a request brings, and edgepack's own where it brings none. Raises DataError."""
    task = subject.task
    processing = task.sized(task.processing(subject.source.path, subject.config), request.context)
    if processing.text:  # texts that every bundle can take
        shortest = min(plan.processing.section(Text).max_length for plan in plans)
        processing = replace(processing, text=replace(processing.text, max_length=shortest))
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


def prepare(request: Request, original: Original, examples: Examples, checks: Sequence[Check]) -> Inputs:
    """Make all feeds by the shipping pre-processing; what is compared is held against the authors' own."""
    source, task = original.source, original.task
    plain = task_model(source.task, None, source.path, examples.processing)
    matched = original.attach(task_model(source.task, None, source.path, examples.processing), examples.processing)
    return Inputs(
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
        original.task.predict(inputs.matched(original), inputs.rows)
