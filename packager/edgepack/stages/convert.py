"""From the original to the target's compressed model, each promise checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgepack import client_pictures, plugins
from edgepack.arrays import Feeds, Runs
from edgepack.errors import ConversionError, CoverageTooLow, DoesNotFit, UsageError
from edgepack.formats import Prepared
from edgepack.original import Original
from edgepack.records import Artifact, Recipe, Target
from edgepack.units import size


def processing(target: Target, task_processing: Mapping[str, Any]) -> Mapping[str, Any]:
    """How a bundle's inputs are made: as the task says, so far as the target's clients can. Raises UnsupportedModel."""
    if target.layout == "transformers.js" and "channels" in task_processing:
        return client_pictures.for_transformers_js(task_processing)
    return task_processing


def prepare(
    original: Original,
    target: Target,
    recipe: Recipe,
    config: Mapping[str, Any],
    processing: Mapping[str, Any],
    calibration: Sequence[Feeds],
) -> Prepared:
    """The model in the target's format, as ``recipe`` takes it, uncompressed; shared by targets and builds."""
    prepared: Prepared = _format(target).prepare(original, target, recipe, config, processing, calibration)
    return prepared


def compress(
    prepared: Prepared,
    out: Path,
    target: Target,
    recipe: Recipe,
    calibration: Sequence[Mapping[str, np.ndarray]],
) -> Artifact:
    """``prepared`` as ``recipe`` says, in ``out``.

    Raises ConversionError, CoverageTooLow, DoesNotFit where it breaks what the target or the recipe demands.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    artifact = prepared.compress(out, recipe, calibration)
    _check_coverage(artifact, recipe)
    _check_operators(artifact, target)
    _check_store(artifact, target)
    _check_files(artifact, target)
    return replace(artifact, needs=_format(target).needs(artifact, target))


def opened(original: Original, artifact: Artifact, target: Target) -> Runs:
    """The artifact, to be held against the original."""
    runs: Runs = _format(target).opened(original, artifact.path, target.profile.threads)
    return runs


def takes(target: Target, task: ModuleType, recipes: Sequence[Recipe], *, strict: bool) -> list[Recipe]:
    """Those of ``recipes`` that have a form for the task; where ``strict``, UsageError for one that has none.

    Raises UsageError for lengths where the target's models take any.
    """
    if any(recipe.lengths for recipe in recipes) and not _format(target).LENGTHS:
        raise UsageError(f"{target.name} takes texts of any length", hint="--lengths is for iphone and mac")
    lacking = {recipe.name: _format(target).lacking(task, recipe) for recipe in recipes}
    missing = {name: what for name, what in lacking.items() if what}
    if missing and strict:
        name, what = next(iter(missing.items()))
        raise UsageError(
            f"the recipe {name} has no form for {task.NAME}: {what}", hint="another recipe, or other numbers in it"
        )
    return [recipe for recipe in recipes if recipe.name not in missing]


def check(target: Target, task: ModuleType, config: Mapping[str, Any]) -> None:
    """Raises UnsupportedModel for a model that the target's runtime cannot run, so far as config.json tells."""
    _format(target).check(task, config)


def suffix(target: Target) -> str:
    """The file name's ending in the target's format."""
    return str(_format(target).SUFFIX)


def tools(original: Original, target: Target) -> dict[str, str]:
    """The versions that decide what the conversion gives."""
    return dict(_format(target).tools(original))


def _format(target: Target) -> ModuleType:
    return plugins.load("formats", target.format)


def _check_coverage(artifact: Artifact, recipe: Recipe) -> None:
    coverage = artifact.coverage
    if coverage.share < recipe.min_coverage:
        left = "; ".join(f"{skipped.tensor}: {skipped.reason}" for skipped in coverage.skipped[:3])
        raise CoverageTooLow(
            f"{recipe.name} compressed {coverage.share:.1%} of the weights, not the promised {recipe.min_coverage:.0%} "
            f"({left or 'none was found'})",
            hint="choose another recipe, or lower min_coverage in [recipe.…] of edgepack.toml",
        )


def _check_operators(artifact: Artifact, target: Target) -> None:
    denied = sorted(set(artifact.operators) & set(target.denied_operators))
    if denied:
        raise ConversionError(
            f"{target.name} cannot run {', '.join(denied)}", hint="choose another recipe for this target"
        )


def _check_store(artifact: Artifact, target: Target) -> None:
    """Quantized weights hardly deflate, so the file's size stands for the download's."""
    if target.store_limit is not None and artifact.bytes > target.store_limit:
        raise DoesNotFit(
            f"the model takes {artifact.bytes / 1e6:.0f} MB; {target.name} allows a download of "
            f"{target.store_limit / 1e6:.0f} MB",
            hint="choose a smaller recipe, or deliver the model beside the app",
        )


def _check_files(artifact: Artifact, target: Target) -> None:
    """Of a model in one file or in several beside each other, or of a folder with them."""
    beside = artifact.path.rglob("*") if artifact.path.is_dir() else artifact.path.parent.glob(f"{artifact.path.name}*")
    sizes = {file: file.stat().st_size for file in beside if file.is_file()}
    largest = max(sizes, key=lambda file: sizes[file])
    if target.file_limit is not None and sizes[largest] > target.file_limit:
        raise DoesNotFit(
            f"{largest.name} takes {size(sizes[largest])}; {target.name} takes files of {size(target.file_limit)}",
            hint="choose a recipe with fewer bits, or a smaller model: only language models for Core ML are split",
        )
