"""Core ML packages (.mlpackage, ML Programs): traced from PyTorch, or described and written (language models).

They are converted, compressed and compared on any machine: edgepack.coreml computes what was saved.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from edgepack import plugins
from edgepack.arrays import Feeds, Runs
from edgepack.coreml.folder import PACKAGE
from edgepack.errors import UsageError
from edgepack.formats import Prepared
from edgepack.formats.coreml.export import requirements
from edgepack.original import Original
from edgepack.records import Artifact, Recipe, Target
from edgepack.runtime.engines import open_session

logging.getLogger("coremltools").setLevel(logging.CRITICAL)  # it warns of each library that only a Mac has

SUFFIX = PACKAGE
LENGTHS = True  # a package can be made for some lengths of texts alone
_HELD = 1 << 29  # bytes of a language model's weights that may stay while it is compared


def prepare(
    original: Original,
    target: Target,
    recipe: Recipe,
    config: Mapping[str, Any],
    processing: Mapping[str, Any],
    calibration: Sequence[Feeds],
) -> Prepared:
    """The model as a float program from the cache, for the opset that the target's profile or the recipe asks for."""
    chosen = opset(target, recipe, states=not original.task.AUTO)
    prepared: Prepared
    if original.task.AUTO:
        prepared = _way(original).prepare(original, chosen, recipe, processing, calibration)
    else:
        prepared = _way(original).prepare(original, chosen, processing, target.file_limit)
    return prepared


def opset(target: Target, recipe: Recipe, *, states: bool = False) -> int:
    """The profile's, or the oldest that has what ``recipe`` needs, and the ``states`` of a language model.

    Raises UsageError where the profile's lacks it.
    """
    needed = requirements.NEWEST if states else max(target.opset, requirements.opset(recipe))
    chosen = target.profile.opset or needed
    if chosen < needed:
        older = [r.name for r in target.recipes.values() if r.scheme != "mixed" and requirements.opset(r) <= chosen]
        raise UsageError(
            f"{'language models need' if states else f'the recipe {recipe.name} needs'} iOS {needed} "
            f"(macOS {needed - 3}); the profile {target.profile.name} is for older ones",
            hint=f"--target {target.name}" + ("" if states else f", or one of the recipes {', '.join(older)}"),
        )
    return chosen


def needs(artifact: Artifact, target: Target) -> str:
    """The systems that have its operators."""
    return systems(artifact.opset)


def systems(opset: int) -> str:
    """Those that have ``opset``."""
    return f"iOS {opset}, macOS {opset - 3} or later"


def opened(original: Original, path: Path, threads: int) -> Runs:
    """The package at ``path``, to be held against the original: of a language model, in little memory."""
    if original.task.AUTO:
        return open_session(path, "coreml", threads)
    runs: Runs = plugins.load_module("edgepack.runtime.engines.coreml").Session(path, threads, held=_HELD)
    return runs


def lacking(task: ModuleType, recipe: Recipe) -> str:
    """What ``recipe`` asks for that models of ``task`` cannot be given, in a clause; "" where nothing is."""
    return requirements.lacking(recipe, written=not task.AUTO)


def check(task: ModuleType, config: Mapping[str, Any]) -> None:
    """Nothing: Core ML's graphs turn any heads."""


def tools(original: Original) -> dict[str, str]:
    """The versions that decide what the conversion gives."""
    return plugins.versions(_way(original).TOOLS)


def _way(original: Original) -> Any:
    return plugins.load_module(f"edgepack.formats.coreml.{'export' if original.task.AUTO else 'builder'}")
