"""How close a compressed model is to the original, and whether it keeps the target's floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgepack import comparison
from edgepack.arrays import Array, Feeds, Runs
from edgepack.errors import CheckFailed, ConversionError, InputError
from edgepack.inputs import Inputs
from edgepack.original import Original
from edgepack.plans import Plan
from edgepack.records import Accuracy, Bundle, NotMeasured
from edgepack.runtime import image, machine
from edgepack.runtime import model as task_model


def compare(
    original: Original, packed: Runs, plan: Plan, inputs: Inputs
) -> tuple[tuple[Accuracy, ...], Mapping[str, Array]]:
    """Return every figure of accuracy, and agreement by sample for plots.

    Raises ConversionError for a model that does not run on what the original took, or computes NaN.
    """
    floors = plan.floors
    where = machine.where(packed.threads, plan.target.profile.isa, packed.runtime)
    shipped = inputs.shipped(plan).agreement
    try:
        agreed = comparison.agreement(
            original, packed, plan.task, inputs.agreement, floors=floors, where=where, shipped=shipped
        )
    except InputError as error:  # on inputs that the original took
        raise ConversionError(f"{plan.name} does not run: {error}") from error
    _check_numbers(plan, agreed.samples)
    known = (*_input_accuracy(original, inputs.agreement), *agreed.accuracy)
    if not inputs.rows or inputs.evaluation is None:
        unknown = Accuracy(metric=next(iter(plan.task.METRICS)), packed=NotMeasured(reason="no [evaluation] data set"))
        return (*known, unknown), agreed.samples
    model = task_model(plan.source.task, packed, plan.source.path, plan.processing)
    before, name = inputs.matched(original), inputs.evaluation.name
    scores = comparison.metric(before, model, plan.task, inputs.rows, name=name, floors=floors, where=where)
    return (*known, *scores.accuracy), agreed.samples


def check_floors(bundle: Bundle, report: Path) -> None:
    """Raises CheckFailed where a floor is missed, or has no figure; it points to the ``report``."""
    for figure in bundle.accuracy:
        if figure.floor is not None and isinstance(figure.packed, NotMeasured):
            raise CheckFailed(
                f"{bundle.path.name}: {figure.metric} has the floor {figure.floor}, but no figure: "
                f"{figure.packed.reason}",
                hint="give an [evaluation] data set that it can be told from, or pass --allow-loss",
            )
    missed = [a for a in bundle.accuracy if a.passed is False]
    if missed:
        worst = missed[0]
        raise CheckFailed(
            f"{bundle.path.name}: {worst.metric} is {worst.packed:.4f}, and {bundle.target.name} asks for "
            f"{worst.floor} at {'least' if worst.higher_is_better else 'most'}",
            hint=f"see {report}; choose a finer recipe, or pass --allow-loss",
        )


def _check_numbers(plan: Plan, samples: Mapping[str, Array]) -> None:
    wrong = np.any([np.isnan(values) for values in samples.values()], axis=0)
    if wrong.any():
        raise ConversionError(
            f"{plan.name} computes NaN for {wrong.sum()} of {len(wrong)} inputs",
            hint="another recipe may not: fp32 rounds nothing",
        )


def _input_accuracy(original: Original, feeds: Sequence[Feeds]) -> tuple[Accuracy, ...]:
    """Return what the bundle's pre-processing makes beside the authors' own; of language models the oracle tells."""
    if original.input_difference is None:
        return ()
    pictures = "image" in original.task.INPUTS
    return (
        Accuracy(
            metric="pixels_max_error" if pictures else "token_ids_max_error",
            packed=original.input_difference,
            floor=image.LEVELS if pictures else 0.0,
            samples=sum(len(next(iter(batch.values()))) for batch in feeds),
            data="edgepack's own inputs, in levels of 255" if pictures else "edgepack's own inputs",
            higher_is_better=False,
        ),
    )
