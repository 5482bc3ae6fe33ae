"""How close a compressed model is to the original, and whether it keeps the target's floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgepack import comparison
from edgepack.arrays import Array, Feeds, Runs
from edgepack.errors import CheckFailed, ConversionError, InputError
from edgepack.inputs import Inputs, SubmodelInputs
from edgepack.metrics.images import ImagePair
from edgepack.original import Original, recorders
from edgepack.original.recorders import Judgement
from edgepack.plans import Plan
from edgepack.records import Accuracy, Bundle, NotMeasured, Where
from edgepack.runtime import image, machine
from edgepack.runtime import model as task_model
from edgepack.runtime.audio.input import CLOSE
from edgepack.runtime.one_at_a_time import without
from edgepack.runtime.submodel import MODEL

# What the bundle's pre-processing makes beside the authors' own: the figure, the most that it may be, and its unit
_INPUTS = {
    "image": ("pixels_max_error", image.LEVELS, ", in levels of 255"),
    "audio": ("audio_max_error", CLOSE, ""),
    "text": ("token_ids_max_error", 0.0, ""),
}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A bundle beside the original: figures, agreement by sample, and of what makes images the images of both."""

    accuracy: tuple[Accuracy, ...]
    samples: Mapping[str, Array]
    images: tuple[ImagePair, ...]


def compare(originals: Mapping[str, Original], runs: Mapping[str, Runs], plan: Plan, inputs: Inputs) -> Compared:
    """Return every figure of accuracy, of each submodel and of the whole, and what plots are drawn of.

    Raises ConversionError for a submodel that does not run on what the original took, or computes NaN.
    """
    figures: list[Accuracy] = []
    samples: dict[str, Array] = {}
    for name, part in plan.submodels.items():
        whose = "" if name == MODEL else name
        found, values = _submodel(originals[name], runs[name], part, inputs.submodels[name])
        figures += (replace(figure, submodel=whose) for figure in found)
        samples |= {f"{whose} {measure}".strip(): own for measure, own in values.items()}
    judged = _judgement(runs, plan, inputs)
    figures += judged.accuracy
    figures += _metrics(originals, runs, plan, inputs)
    return Compared(accuracy=tuple(figures), samples=samples, images=judged.images)


def _submodel(
    original: Original, compressed: Runs, plan: Plan, inputs: SubmodelInputs
) -> tuple[tuple[Accuracy, ...], Mapping[str, Array]]:
    """Measure how far a submodel's inputs and outputs are from the original's."""
    floors = plan.floors
    where = _where(compressed, plan)
    shipped = inputs.shipped(plan).agreement
    try:
        agreed = comparison.agreement(
            original, compressed, plan.own_task, inputs.agreement, floors=floors, where=where, shipped=shipped
        )
    except InputError as error:  # on inputs that the original took
        raise ConversionError(f"{plan.name} does not run: {error}") from error
    _check_numbers(plan, agreed.samples)
    return (*_input_accuracy(original, inputs.agreement), *agreed.accuracy), agreed.samples


def _judgement(runs: Mapping[str, Runs], plan: Plan, inputs: Inputs) -> Judgement:
    """Let the bundle do the work that the original was recorded at, where there is a recording."""
    recorder = recorders.recorder(plan.task)
    if recorder is None or inputs.recording is None:
        return Judgement()
    model = task_model(plan.source.task, without(runs, recorder.UNUSED), plan.source.path, plan.processing)
    found = recorder.judge(inputs.recording, model, plan.floors)
    where = _where(next(iter(runs.values())), plan)
    return replace(found, accuracy=tuple(replace(figure, where=where) for figure in found.accuracy))


def _metrics(
    originals: Mapping[str, Original], runs: Mapping[str, Runs], plan: Plan, inputs: Inputs
) -> tuple[Accuracy, ...]:
    """Measure the task's metrics on the evaluation's data set."""
    if not plan.task.METRICS:
        return ()
    if not inputs.rows or inputs.evaluation is None:
        return (
            Accuracy(metric=next(iter(plan.task.METRICS)), compressed=NotMeasured(reason="no [evaluation] data set")),
        )
    model = task_model(plan.source.task, runs, plan.source.path, plan.processing)
    scores = comparison.metric(
        inputs.matched(originals),
        model,
        plan.task,
        inputs.rows,
        name=inputs.evaluation.name,
        floors=plan.floors,
        where=_where(next(iter(runs.values())), plan),
    )
    return scores.accuracy


def _where(run: Runs, plan: Plan) -> Where:
    return machine.where(run.threads, plan.target.profile.isa, run.runtime)


def check_floors(bundle: Bundle, report: Path) -> None:
    """Raises CheckFailed where a floor is missed, or has no figure; it points to the ``report``."""
    for figure in bundle.accuracy:
        if figure.floor is not None and isinstance(figure.compressed, NotMeasured):
            raise CheckFailed(
                f"{bundle.path.name}: {figure.metric} has the floor {figure.floor}, but no figure: "
                f"{figure.compressed.reason}",
                hint="give an [evaluation] data set from which it can be computed, or pass --allow-loss",
            )
    missed = [a for a in bundle.accuracy if a.passed is False]
    if missed:
        worst = missed[0]
        raise CheckFailed(
            f"{bundle.path.name}: {worst.metric} is {worst.compressed:.4f}, and {bundle.target.name} asks for "
            f"{worst.floor} at {'least' if worst.higher_is_better else 'most'}",
            hint=f"see {report}; {_finer(bundle)}, or pass --allow-loss",
        )


def _finer(bundle: Bundle) -> str:
    return (
        "fp32 rounds nothing, so edgepack reads the model wrongly"
        if bundle.recipe.name == "fp32"
        else "choose a finer recipe"
    )


def _check_numbers(plan: Plan, samples: Mapping[str, Array]) -> None:
    wrong = np.any([np.isnan(values) for values in samples.values()], axis=0)
    if wrong.any():
        raise ConversionError(
            f"{plan.name} computes NaN for {wrong.sum()} of {len(wrong)} inputs",
            hint="try another recipe: fp32 rounds nothing",
        )


def _input_accuracy(original: Original, feeds: Sequence[Feeds]) -> tuple[Accuracy, ...]:
    """Return what the bundle's pre-processing makes beside the authors' own; of language models the oracle tells."""
    if original.input_difference is None:
        return ()
    kind = next((kind for kind in _INPUTS if kind in original.task.INPUTS), "text")
    metric, most, unit = _INPUTS[kind]
    return (
        Accuracy(
            metric=metric,
            compressed=original.input_difference,
            floor=most,
            samples=sum(len(next(iter(batch.values()))) for batch in feeds),
            data=f"edgepack's own inputs{unit}",
            higher_is_better=False,
        ),
    )
