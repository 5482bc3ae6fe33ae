"""From the original to the target's compressed model, each promise checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from edgepack import formats, memory
from edgepack.arrays import Feeds, Runs
from edgepack.errors import ConversionError, CoverageTooLow, DoesNotFit
from edgepack.formats import Prepared
from edgepack.original import Original, recorders
from edgepack.plans import Plan
from edgepack.records import Artifact, Recipe, Target
from edgepack.runtime.one_at_a_time import OneAtATime
from edgepack.units import size


def convert(
    originals: Mapping[str, Original],
    plan: Plan,
    calibration: Mapping[str, Sequence[Feeds]],
    outs: Mapping[str, Path],
    say: Callable[[str], None],
) -> dict[str, Artifact]:
    """Convert each submodel of ``plan`` to its place in ``outs``, compressed as the recipe says.

    Raises ConversionError, CoverageTooLow, DoesNotFit where one breaks what the target or the recipe demands.
    """
    made = {}
    prepared = _prepared(originals, plan, calibration, say)
    if plan.recipe.scheme == formats.SEARCHED:
        prepared = iter(_within(dict(prepared), plan, say).items())
    for name, one in prepared:
        part = plan.submodels[name]
        say(f"compressing{_whose(name, plan)} to {part.recipe.name}")
        made[name] = _compress(one, part, outs[name], calibration[name])
    _check_store(made.values(), plan.target)
    return made


def _prepared(
    originals: Mapping[str, Original],
    plan: Plan,
    calibration: Mapping[str, Sequence[Feeds]],
    say: Callable[[str], None],
) -> Iterator[tuple[str, Prepared]]:
    """Yield each submodel, exported when it is asked for: in memory is what one takes."""
    for name, part in plan.submodels.items():
        say(f"exporting{_whose(name, plan)}")
        prepared = formats.route(part.target, part.task).prepare(originals[name], part, calibration[name])
        originals[name].close()
        yield name, prepared


def _within(prepared: Mapping[str, Prepared], plan: Plan, say: Callable[[str], None]) -> Mapping[str, Prepared]:
    """Divide the recipe's budget of bytes among the weights of all submodels. Raises DoesNotFit."""
    say(f"searching what fits into {size(plan.recipe.max_bytes)}")
    first = next(iter(plan.submodels.values()))
    route = cast(formats.SearchingRoute, formats.route(first.target, first.task))
    return route.within(prepared, plan.recipe.max_bytes, plan.processing)


def _whose(name: str, plan: Plan) -> str:
    return f" {name}" if len(plan.submodels) > 1 else ""


def open_artifacts(artifacts: Mapping[str, Artifact], plan: Plan) -> Mapping[str, Runs]:
    """Return each submodel's artifact, opened to be compared with the original: one at a time, if they work in turn."""
    memory.release()  # what the conversion held, before the runtime allocates

    def opened(name: str) -> Runs:
        part = plan.submodels[name]
        return formats.route(part.target, part.task).open(artifacts[name].path, part.target.profile.threads)

    if recorders.recorder(plan.task) is not None:
        return OneAtATime(tuple(plan.submodels), opened)
    return {name: opened(name) for name in plan.submodels}


def _compress(prepared: Prepared, plan: Plan, out: Path, calibration: Sequence[Feeds]) -> Artifact:
    out.parent.mkdir(parents=True, exist_ok=True)
    artifact = prepared.compress(out, plan.recipe, calibration)
    _check_coverage(artifact, plan.recipe)
    _check_operators(artifact, plan.target)
    _check_files(artifact, plan.target)
    return replace(artifact, needs=formats.find(plan.target.format).needs(artifact, plan.target))


def _check_coverage(artifact: Artifact, recipe: Recipe) -> None:
    coverage = artifact.coverage
    if coverage.share < recipe.min_coverage:
        left = "; ".join(f"{skipped.tensor}: {skipped.reason}" for skipped in coverage.skipped[:3])
        raise CoverageTooLow(
            f"{recipe.name} compressed {100 * coverage.share:.1f} % of the weights; the recipe demands "
            f"{100 * recipe.min_coverage:.0f} % ({left or 'none was found'})",
            hint="choose another recipe, or lower min_coverage in [recipe.…] of edgepack.toml",
        )


def _check_operators(artifact: Artifact, target: Target) -> None:
    denied = sorted(set(artifact.operators) & set(target.denied_operators))
    if denied:
        raise ConversionError(
            f"{target.name} cannot run {', '.join(denied)}", hint="choose another recipe for this target"
        )


def _check_store(artifacts: Iterable[Artifact], target: Target) -> None:
    """Check the download's size, for which the files' stands: quantized weights hardly deflate."""
    total = sum(artifact.bytes for artifact in artifacts)
    if target.store_limit is not None and total > target.store_limit:
        raise DoesNotFit(
            f"the model takes {total / 1e6:.0f} MB; {target.name} allows a download of "
            f"{target.store_limit / 1e6:.0f} MB",
            hint="choose a smaller recipe, or deliver the model beside the app",
        )


def _check_files(artifact: Artifact, target: Target) -> None:
    """Check the files of a model: one, several beside each other, or a folder with them."""
    beside = artifact.path.rglob("*") if artifact.path.is_dir() else artifact.path.parent.glob(f"{artifact.path.name}*")
    sizes = {file: file.stat().st_size for file in beside if file.is_file()}
    largest = max(sizes, key=lambda file: sizes[file])
    if target.file_limit is not None and sizes[largest] > target.file_limit:
        raise DoesNotFit(
            f"{largest.name} takes {size(sizes[largest])}; {target.name} takes files of {size(target.file_limit)}",
            hint="choose a recipe with fewer bits, or a smaller model: for Core ML language models and UNets are split",
        )
