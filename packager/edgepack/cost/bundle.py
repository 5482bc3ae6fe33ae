"""A bundle's own figures for a bill: its size, the time of a request, and the memory that a device must have."""

from __future__ import annotations

from collections.abc import Sequence

from edgepack import fit, tasks
from edgepack.cost.records import Figure, Use
from edgepack.documents import JsonDict, JsonObject
from edgepack.errors import ModelError, UnsupportedModel, UsageError
from edgepack.records import NotMeasured, Recipe, Source, Timing
from edgepack.runtime import estimate, measurements
from edgepack.runtime.manifest import MANIFEST, Manifest

_STATE = "give --seconds as edgepack bench measures them on the device, or --energy instead"


def size(listed: Manifest) -> Figure:
    """Return the bytes of all files of the bundle, as they lie in its folder."""
    files = sum(int(entry["bytes"]) for entry in listed.table["files"].values())
    return Figure(value=files + (listed.folder / MANIFEST).stat().st_size, origin=f"{listed.name}, all files")


def seconds(listed: Manifest, use: Use) -> Figure:
    """Return the time of a request: the median at the longest input, of language models by the tokens of ``use``.

    Raises UsageError where the bundle's measurements do not tell.
    """
    _, timings = measurements.read(listed.folder)
    if isinstance(timings, NotMeasured) or not timings:
        why = f" ({timings.reason})" if isinstance(timings, NotMeasured) else ""
        raise UsageError(f"{listed.name} holds no timings{why}: the seconds of a request are not known", hint=_STATE)
    if (whole := estimate.whole(timings)) is not None:
        said = estimate.said(estimate.calls(timings))
        return Figure(value=whole, origin=f"estimated from the p50 of {said}, {_measured(timings[0])}")
    if len(listed.models) > 1:
        raise UsageError(
            f"{listed.name} holds timings of its submodels, not of a request, which may run them several times",
            hint=_STATE,
        )
    if listed.processing.generation:
        return _by_token(timings, use, listed.name)
    longest = max(timings, key=lambda timing: timing.p50)
    return Figure(value=longest.p50, origin=f"p50 of {longest.what}, {_measured(longest)}")


def energy(listed: Manifest) -> Figure | None:
    """Return the joules of a request, where a meter counted them on the target; None where none did.

    Of language models, whose requests depend on their tokens, nothing is known.
    """
    _, timings = measurements.read(listed.folder)
    if isinstance(timings, NotMeasured) or not timings or not all(t.where.target for t in timings):
        return None
    if (whole := estimate.energy(timings)) is not None:
        return Figure(
            value=whole, origin=f"by the processor's meter: {estimate.said(timings)}, {_measured(timings[0])}"
        )
    longest = max(timings, key=lambda timing: timing.p50)
    alone = len(listed.models) == 1 and not listed.processing.generation
    if not alone or isinstance(longest.energy, NotMeasured):
        return None
    return Figure(value=longest.energy, origin=f"by the processor's meter: {longest.what}, {_measured(longest)}")


def memory(listed: Manifest) -> Figure:
    """Return the bytes that a device must give the model, by the estimate of fit.py. Raises UsageError."""
    try:
        task, recipe = tasks.load(listed.task), _recipe(listed)
        need = fit.together(
            fit.estimate(
                _source(listed, name),
                recipe,
                _config(listed, name, tasks.submodels(task).get(name)),
                tasks.submodel_processing(task, listed.processing, name),
                tasks.options(tasks.submodel_task(task, name)).activations,
                format=submodel.format,
            )
            for name, submodel in listed.models.items()
        )
    except (KeyError, ModelError) as unknown:
        why = unknown if isinstance(unknown, UnsupportedModel) else "its config.json does not tell"
        raise UsageError(
            f"the memory that {listed.name} needs cannot be estimated: {why}", hint="--memory states it"
        ) from unknown
    return Figure(value=need.total, origin=f"estimated at {need.shape}")


def _by_token(timings: Sequence[Timing], use: Use, name: str) -> Figure:
    """Return the time of a prompt and an answer, by the tokens a second of the longest of each that was timed."""
    if use.tokens_in is None or use.tokens_out is None:
        raise UsageError(
            f"the seconds of a request depend on its tokens, as {name} is a language model",
            hint="give --tokens-in and --tokens-out",
        )
    sides = [[t for t in timings if t.what.startswith(side) and t.tokens] for side in ("prefill", "decode")]
    if not all(sides):
        raise UsageError(f"{name} holds no timings of a prompt and of an answer", hint=_STATE)
    prefill, decode = (max(side, key=lambda timing: timing.p50) for side in sides)
    each = use.tokens_in * prefill.p50 / prefill.tokens + use.tokens_out * decode.p50 / decode.tokens
    return Figure(value=each, origin=f"{prefill.what} and {decode.what} by the token, {_measured(decode)}")


def _measured(timing: Timing) -> str:
    where = f"measured on {timing.where.machine}{'' if timing.where.target else ', which is not the target'}"
    return where if timing.verdict == "valid" else f"{where}; {timing.verdict}"


def _config(listed: Manifest, name: str, part: tasks.SubmodelTask | None) -> JsonObject:
    """Return the settings of a submodel: a part of the bundle's, those beside its file, or the bundle's own."""
    if part is None or part.config:
        whole: JsonObject = tasks.read_config(listed.folder / "config.json")
        return whole[part.config] if part else whole
    return tasks.read_config(listed.models[name].path.parent / "config.json")


def _recipe(listed: Manifest) -> Recipe:
    table: JsonDict = {
        key: tuple(value) if isinstance(value, list) else value for key, value in listed.table["recipe"].items()
    }
    return Recipe(**table)


def _source(listed: Manifest, name: str) -> Source:
    """Return the source of the submodel ``name``, as far as the manifest knows it."""
    told = listed.table["source"]
    held = sum(component.parameters for component in listed.models[name].components)
    return Source(
        model=told["model"],
        name=listed.name,
        path=listed.folder,
        origin=listed.folder,
        revision=told["revision"],
        architecture=told["architecture"],
        model_type=told["model_type"],
        task=listed.task,
        licence=told["licence"],
        parameters=told["parameters"] if len(listed.models) == 1 else held,
        weights_bytes=listed.models[name].bytes,
        convolutional=False,
        sha256=told["sha256"],
    )
