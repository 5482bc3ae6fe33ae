"""Check that a bundle has the submodels that its task runs, and each the inputs and outputs that are listed."""

from __future__ import annotations

from collections.abc import Collection

from edgepack.errors import BundleDamaged, BundleError, MissingExtra, UnknownName
from edgepack.records import TensorSpec
from edgepack.runtime import tasks
from edgepack.runtime.engines import Session
from edgepack.runtime.manifest import REBUILD, Manifest
from edgepack.runtime.submodel import Submodel


def check_submodels(listed: Manifest) -> None:
    """Raises BundleError where the submodels are not those of the task; of a task that is not here nothing is known."""
    try:
        task = tasks.find(listed.task)
    except (UnknownName, MissingExtra):
        return
    needed, optional = tasks.needed(task), tasks.optional(task)
    diffusion = listed.processing.diffusion
    encoders = [] if diffusion is None else [encoder.submodel for encoder in diffusion.encoders]
    missing = [name for name in (*needed, *encoders) if name not in listed.models]
    strange = [name for name in listed.models if name not in (*needed, *optional)]
    if not missing and not strange:
        return
    told = f"lacks the submodel {missing[0]!r}" if missing else f"has a submodel {strange[0]!r}"
    theirs = ", ".join(needed) + (f", and it may have {', '.join(optional)}" if optional else "")
    raise BundleError(f"{listed.folder} {told}; a bundle for {listed.task} has {theirs}", hint=REBUILD)


def check_specs(listed: Manifest, submodel: Submodel, run: Session) -> None:
    """Raises BundleDamaged where an opened submodel has other inputs or outputs than the manifest lists, or of
    another dtype or size.

    A language model's graph for generating, which lies beside the one that is listed, may do without some inputs.
    """
    beside = run.path != submodel.path
    for kind, told, found in (
        ("input", () if beside else submodel.inputs, (*run.inputs, *run.optional)),
        ("output", submodel.outputs, run.outputs),
    ):
        strange = _names(told) - _names(found)
        if strange:
            raise BundleDamaged(
                f"{submodel.path.name} in {listed.folder} has no {kind} {min(strange)!r}, which the manifest lists",
                hint=REBUILD,
            )
        _check_kinds(listed, submodel, told, found)
    unlisted = _names(run.inputs) - _names(submodel.inputs)
    if unlisted:
        raise BundleDamaged(
            f"{submodel.path.name} in {listed.folder} needs the input {min(unlisted)!r}, which the manifest does not "
            "list",
            hint=REBUILD,
        )


def _check_kinds(
    listed: Manifest, submodel: Submodel, told: Collection[TensorSpec], found: Collection[TensorSpec]
) -> None:
    """Raises BundleDamaged where one of ``found`` has another dtype than is ``told``, or another size; sizes that
    vary have names, which engines choose.
    """
    own = {spec.name: spec for spec in found}
    for spec in told:
        other = own[spec.name]
        if spec.dtype != other.dtype or not _is_like(spec.shape, other.shape):
            raise BundleDamaged(
                f"{spec.name!r} of {submodel.path.name} in {listed.folder} is {_kind(other)}, and the manifest lists "
                f"{_kind(spec)}",
                hint=REBUILD,
            )


def _is_like(shape: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    """Return whether two shapes agree in the sizes that both state; some engines state none of an output."""
    if not shape or not other:
        return True
    return len(shape) == len(other) and all(
        a == b for a, b in zip(shape, other, strict=True) if isinstance(a, int) and isinstance(b, int)
    )


def _kind(spec: TensorSpec) -> str:
    return f"{spec.dtype} [{', '.join(map(str, spec.shape))}]"


def _names(specs: Collection[TensorSpec]) -> set[str]:
    return {spec.name for spec in specs}
